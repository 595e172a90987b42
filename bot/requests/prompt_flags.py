"""A prompt as it was typed → the words to draw, and the options that stood in it. Pure: no I/O, nothing is logged.

`typed_settings.py` takes a text apart; here the values of its settings become options of the model, or notes for the
person: nothing of them is ever drawn. Every front end calls `read_prompt` before `ImageOptions.read`. Values that the
person set elsewhere win.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bot.errors import InvalidFlag
from bot.presentation.phrases import Phrase
from bot.presentation.prompt_notes import PromptNotes, shortened
from bot.requests.batch import MAX_BATCH
from bot.requests.flag_values import MOST, is_exact_size, is_no_negative, read_value, sampler_of
from bot.requests.loras import LoraWish, pick, without_tags
from bot.requests.models import Models
from bot.requests.typed_settings import FRESH, Found, Setting, take_apart
from pipeline.catalog.model_card import ModelCard
from pipeline.errors import InvalidSpec
from pipeline.spec import MAX_PROMPT_CHARS, RANDOM_SEED, Aspect, ImageOptions, Sampler, clean_prompt

LORA_HASHES: Final = "Lora hashes"  # which say nothing that the tags beside them do not
LORAS: Final = "loras"
FIELDS: Final = frozenset(each.name for each in dataclasses.fields(ImageOptions))
RATIO_SCALE: Final = 10**5
SAME_SHAPE: Final = 0.01  # of a ratio: a model of one shape draws a square, whatever is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPrompt:
    """A prompt without flags, and what they set.

    options: everything for `ImageOptions.read`: the prompt, what was given, and what the prompt set.
    count: how many images, 1 to the most that there are.
    is_fresh: draw even an image that is there.
    """

    prompt: str
    options: Mapping[str, object]
    count: int
    is_fresh: bool = False
    notes: PromptNotes = field(default_factory=PromptNotes)

    def with_image(self, *, is_given: bool) -> ReadPrompt:
        """Return what is read of a request with an init image, or without one: there, a strength has no use."""
        if is_given or "strength" not in self.notes.taken:
            return self
        taken = {name: value for name, value in self.notes.taken.items() if name != "strength"}
        notes = dataclasses.replace(self.notes, taken=taken, unused=(*self.notes.unused, "--strength"))
        return dataclasses.replace(self, options={**self.options, "strength": None}, notes=notes)

    def phrases(self) -> tuple[Phrase, ...]:
        """Return what to tell the person, one sentence each; empty if the prompt held words only."""
        return self.notes.phrases()


def read_prompt(
    text: object,
    models: Models,
    *,
    given: Mapping[str, object] | None = None,
    untouched: Mapping[str, object] | None = None,
    count: int | None = None,
    most: int = MAX_BATCH,
) -> ReadPrompt:
    """Take flags and pasted settings out of a prompt and turn them into options.

    A text without any comes back as it is, also one that is too long to be a prompt. Of a flag that is there twice,
    the last one counts, but all that is to be avoided; flags count before pasted settings.

    Args:
        text: the prompt as it was typed, of any length.
        given: values for ImageOptions that the person set elsewhere, of any type; they win.
        untouched: the values that a form holds before anybody touches it, which do not.
        count: how many images the person asked for elsewhere; None: did not say.
        most: the most images that the place where the person asks can draw at once.

    Raises:
        InvalidFlag: a flag has no value, or one that is out of range.
        InvalidSpec: the prompt is no text.
    """
    if not isinstance(text, str):  # a script may send anything
        raise InvalidSpec("prompt", "must be text")
    (given, negative_tags), untouched = without_tags(given or {}), untouched or {}
    said = {name: value for name, value in given.items() if _is_said(name, value, untouched)}
    if isinstance(negative := given.get("negative_prompt"), str) and is_no_negative(negative):
        said, given = {**said, "negative_prompt": ""}, {**given, "negative_prompt": ""}
    if count is not None:
        said["count"] = count
    is_too_long = len(clean_prompt(text)) > MAX_PROMPT_CHARS  # `ImageSpec` refuses it
    found = Found(prompt=text) if is_too_long else take_apart(text)
    choice = _Choice(models, said, most)
    is_fresh = any(each.option == FRESH for each in found.settings)
    for setting in _in_order(each for each in found.settings if each.option not in (LORAS, FRESH)):
        choice.add(setting)
    flags = [(each.value, each.shown) for each in found.settings if each.option == LORAS]
    wish = LoraWish(option=given.get(LORAS), speed=given.get("speed"), tags=found.tags, flags=flags)
    picked = pick(wish, models, choice.card, found.prompt)
    notes = PromptNotes(
        taken={
            **choice.taken,
            **({LORAS: picked.taken} if picked.taken else {}),
            **({FRESH: ""} if is_fresh else {}),
        },
        unknown=_distinct([*found.unknown, *picked.unknown, *negative_tags]),
        unsupported=_distinct([*choice.unsupported, *picked.unsupported]),
        model=choice.card.name,
        unused=_distinct(each for each in (*choice.unused, *found.unused) if each != LORA_HASHES or not picked.taken),
        overridden=_distinct(choice.overridden),
        most_images=most if choice.is_count_cut else None,
        triggers=picked.triggers,
    )
    own = {name: value for name, value in picked.options.items() if name == LORAS or not choice.has(name)}
    kept = {name: value for name, value in given.items() if name not in (LORAS, "speed")}
    options = {**kept, **choice.options, **own, "prompt": found.prompt}
    return ReadPrompt(
        prompt=found.prompt, options=options, count=choice.count or count or 1, is_fresh=is_fresh, notes=notes
    )


class _Choice:
    """What becomes of the settings of one prompt; they are added one after the other, the model first."""

    def __init__(self, models: Models, said: Mapping[str, object], most: int) -> None:
        self.options: dict[str, object] = {}
        self.taken: dict[str, str | int | float] = {}
        self.count: int | None = None
        self.is_count_cut = False
        self.unsupported: list[str] = []
        self.unused: list[str] = []
        self.overridden: list[str] = []
        self._models = models
        self._said = said
        self._most = most
        self.card = next((each for each in models.all if each.name == said.get("model")), models.usual)

    def has(self, option: str) -> bool:
        """Whether somebody chose a value for an option."""
        return option in self.options or option in self._said

    def add(self, setting: Setting) -> None:
        """Take a setting, or note why not.

        Raises:
            InvalidFlag
        """
        if setting.is_pasted and setting.option == "size" and not _can_draw(self.card, setting.value):
            setting = dataclasses.replace(setting, option="aspect")
        read = read_value(setting.option, setting.value)
        if setting.schedule:
            read = sampler_of(setting.value, setting.schedule)
        is_foreign = setting.has_guidance and not self.card.offers("guidance")
        value = None if read is None or is_foreign else self._fit(setting.option, read)
        if self._is_overridden(setting):
            if value is None or value != self._said.get(setting.option):
                self.overridden.append(setting.shown)
        elif value is not None:
            self._take(setting.option, value)
        elif setting.is_pasted:
            if not self._is_so_anyway(setting.option, read):
                self.unused.append(setting.shown)
        elif read is None and (self._offers(setting.option) or setting.option == "negative_prompt"):  # no words follow
            most = {**MOST, "count": self._most}.get(setting.option, 0)
            raise InvalidFlag(flag=shortened(setting.shown), name=setting.option, most=most)
        else:
            self.unsupported.append(setting.shown)

    def _offers(self, option: str) -> bool:
        """Whether the model, and the place where the person asks, has such a setting, whatever its value."""
        return self._most > 1 if option == "count" else self.card.offers(option)

    def _fit(self, option: str, read: str | int | float) -> str | int | float | None:
        """Return what the model, or the place where the person asks, makes of a value; None if it cannot follow it."""
        match option:
            case "aspect":
                return _fit_shape(self.card, read)
            case "model":
                found = self._models.named(str(read))
                return None if found is None else found.name
            case "count":
                return int(read) if self._offers(option) else None
            case "sampler":
                return read if read in self.card.samplers else None
            case _ if option not in FIELDS or not self._offers(option):
                return None
            case _:
                return read

    def _is_so_anyway(self, option: str, read: str | int | float | None) -> bool:
        """Whether the model, which leaves no choice, does what another program's setting says."""
        match option:
            case "sampler":
                return not self.card.samplers and read == Sampler.EULER
            case "cfg_scale":
                return read == self.card.cfg_scale
            case _:
                return False

    def _is_overridden(self, setting: Setting) -> bool:
        said_size = self._said.get("size")
        is_size_exact = isinstance(said_size, str) and is_exact_size(said_size)
        if setting.option == "aspect":
            return "aspect" in self._said or is_size_exact
        return setting.option in self._said or (_is_exact_size(setting) and "aspect" in self._said)

    def _take(self, option: str, value: str | int | float) -> None:
        if option == "count":
            self.is_count_cut = int(value) > self._most
            self.count = value = min(int(value), self._most)
        else:
            self.options[option] = value
        self.taken[option] = value
        if option == "model":
            self.card = self._models.demand(str(value))
        elif option == "size" and is_exact_size(str(value)):
            self.options["aspect"] = None  # not the shape of a form that nobody touched


def _in_order(settings: Iterable[Setting]) -> Iterable[Setting]:
    """Return the last setting of each option, the model first; of a shape and an exact size, the last one."""
    last: dict[str, Setting] = {}
    for setting in settings:
        if setting.option == "aspect" and "size" in last and _is_exact_size(last["size"]):
            del last["size"]
        elif _is_exact_size(setting):
            last.pop("aspect", None)
        last[setting.option] = setting
    return sorted(last.values(), key=lambda setting: setting.option != "model")


def _fit_shape(card: ModelCard, shape: str | int | float) -> Aspect | None:
    """Return the shape of that name, or the nearest to that ratio; None if the model has none like it."""
    if isinstance(shape, str):
        return Aspect(shape) if shape in card.sizes else None
    nearest = card.nearest_aspect(max(1, round(shape * RATIO_SCALE)), RATIO_SCALE)
    width, height = card.sizes[nearest]
    return nearest if len(card.sizes) > 1 or abs(width / height / shape - 1) < SAME_SHAPE else None


def _can_draw(card: ModelCard, size: str) -> bool:
    """Whether the model draws images of this size."""
    try:
        card.resolve(ImageOptions.read(prompt="x", size=size), random_seed=0)
    except InvalidSpec:
        return False
    return True


def _is_exact_size(setting: Setting) -> bool:
    return setting.option == "size" and is_exact_size(setting.value)


def _is_said(name: str, value: object, untouched: Mapping[str, object]) -> bool:
    """Whether a person chose a value that a form, a command or a script holds."""
    if value is None or value == "" or (name == "seed" and value == RANDOM_SEED):
        return False
    return name not in untouched or value != untouched[name]


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
