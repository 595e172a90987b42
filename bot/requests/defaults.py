"""What was typed, and what holds where nothing was typed → one request. Pure: no I/O.

The order is: typed > a flag in the prompt > the preset > the person's own settings > the channel's > the model's.
Everything that is added becomes part of the request, words included, so that the command line of an image draws it
again for anybody, and a check of words sees them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bot.presentation.phrases import Phrase, Typed
from bot.presentation.prompt_notes import shortened
from bot.requests.flag_values import is_exact_size
from bot.requests.loras import are_fitting, steps_of
from bot.requests.models import Models
from bot.requests.preferences import NOTHING_CHOSEN, Personal
from bot.requests.presets import FIELDS, NO_PRESET, Preset
from bot.requests.prompt_flags import ReadPrompt, read_prompt
from pipeline.catalog.model_card import ModelCard
from pipeline.errors import InvalidSpec
from pipeline.lora_uses import uses_in
from pipeline.spec import MAX_PROMPT_CHARS, RANDOM_SEED, Dimensions, read_size

VALUE_KEYS: Final[Mapping[str, str]] = {
    "aspect": "value-aspect",
    "size": "value-size",
    "steps": "value-steps",
    "model": "value-model",
    "strength": "value-strength",
    "negative_prompt": "setting-negative-prompt",
    "cfg_scale": "setting-cfg-scale",
    "guidance": "setting-guidance",
    "sampler": "setting-sampler",
    "clip_skip": "setting-clip-skip",
    "loras": "setting-loras",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A request as a person typed it.

    values: by field of ImageOptions, of any type: a modified client may send anything.
    has_image: an image to start from was given with it.
    """

    values: Mapping[str, object]
    count: int | None = None
    preset: str | None = None
    is_private: bool | None = None
    is_spoiler: bool | None = None
    has_image: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Where values come from if they were not typed, the first of them first.

    channel: by name: `model`, `aspect` and `private`.
    """

    preset: Preset = NO_PRESET
    personal: Personal = NOTHING_CHOSEN
    channel: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A request with everything that was chosen for it; the model fills the rest.

    options: for `ImageOptions.read`.
    is_model_typed: the person asked for the model here and now.
    """

    options: Mapping[str, object]
    count: int
    is_private: bool
    is_spoiler: bool
    notes: tuple[Phrase, ...]
    is_model_typed: bool = False
    is_fresh: bool = False


def fill(wish: Wish, levels: Levels, models: Models) -> Filled:
    """Take the flags out of a prompt, and fill what is left open.

    Raises:
        InvalidFlag, InvalidSpec: see `read_prompt`.
    """
    usual, gone = _usual_model(levels, models)
    read = read_prompt(wish.values["prompt"], models.led_by(usual), given=wish.values, count=wish.count)
    read = read.with_image(is_given=wish.has_image)
    options = {name: value for name, value in read.options.items() if value not in (None, "") or name in _MAY_BE_EMPTY}
    is_model_typed = "model" in options
    options.setdefault("model", usual.name)
    card = models.find(str(options["model"]))
    unfit = [] if card is None else _fill_gaps(options, levels, card, models, has_image=wish.has_image)
    if options.get("steps") is None and (steps := steps_of(uses_in(str(options.get("loras") or "")), models)):
        options["steps"] = steps
    options["prompt"], is_too_long = _with_words(read, levels, is_same=_has_seed(options))
    notes = [*read.phrases(), *(_gone_note(name, usual) for name in gone)]
    if unfit and card is not None:
        names = tuple(Phrase(VALUE_KEYS[name]) for name in unfit)
        notes.append(Phrase("defaults-unfit", {"model": card.title, "names": names}))
    if is_too_long:
        notes.append(Phrase("defaults-words-left-out"))
    channel_private = levels.channel.get("private")
    return Filled(
        options=options,
        count=read.count,
        is_private=_first(wish.is_private, levels.personal.is_private, channel_private),
        is_spoiler=_first(wish.is_spoiler, levels.personal.is_spoiler),
        notes=tuple(notes),
        is_model_typed=is_model_typed,
        is_fresh=read.is_fresh,
    )


_MAY_BE_EMPTY: Final = frozenset({"prompt", "negative_prompt"})  # "" is no negative prompt, not even the model's own


def _usual_model(levels: Levels, models: Models) -> tuple[ModelCard, list[str]]:
    """Return the model that draws if none was typed, and the names that were chosen but are not here any more."""
    gone: list[str] = []
    for name in (levels.preset.options.get("model"), levels.personal.model, levels.channel.get("model")):
        if not isinstance(name, str):
            continue
        if (card := models.find(name)) is not None:
            return card, gone
        gone.append(name)
    return models.usual, gone


def _gone_note(name: str, usual: ModelCard) -> Phrase:
    return Phrase("defaults-model-gone", {"model": Typed(shortened(name)), "usual": usual.title})


def _fill_gaps(
    options: dict[str, object], levels: Levels, card: ModelCard, models: Models, *, has_image: bool
) -> list[str]:
    """Fill what was not typed. Returns the names of values of the preset that the model cannot follow.

    That a model does not have the shape of the person or the channel is no news to them.
    """
    unfit = []
    for values in _chosen(levels, has_image=has_image):
        for name in FIELDS:
            value = values.get(name)
            if value is None or options.get(name) is not None or name == "model":
                continue
            if _is_shape_said(options, name, value) or (name == "strength" and not has_image):
                continue
            if _fits(card, name, value, models):
                options[name] = value
            elif values is levels.preset.options:
                unfit.append(name)
    return unfit


def _chosen(levels: Levels, *, has_image: bool) -> Iterable[Mapping[str, object]]:
    """Yield what every level says; the shape of an image to start from counts before that of a person or channel."""
    yield levels.preset.options
    yield {"aspect": None if has_image else levels.personal.aspect, "steps": levels.personal.steps}
    yield {"aspect": None if has_image else levels.channel.get("aspect")}


def _is_shape_said(options: Mapping[str, object], name: str, value: object) -> bool:
    """Whether a shape, or the exact size that would replace it, was said on a higher level."""
    if name == "aspect":
        return is_exact_size(str(options.get("size") or ""))
    return name == "size" and is_exact_size(str(value)) and options.get("aspect") is not None


def _fits(card: ModelCard, name: str, value: object, models: Models) -> bool:
    match name:
        case "loras":
            return are_fitting(str(value), models, card)
        case "aspect":
            return value in card.sizes
        case "sampler":
            return value in card.samplers
        case "size":
            return _can_draw(card, str(value))
        case _:
            return card.offers(name)


def _can_draw(card: ModelCard, text: str) -> bool:
    try:
        size = read_size(text)
    except InvalidSpec:
        return False
    return card.can_draw(size.width, size.height) if isinstance(size, Dimensions) else size in card.scales


def _has_seed(options: Mapping[str, object]) -> bool:
    return options.get("seed") not in (None, "", RANDOM_SEED)


def _with_words(read: ReadPrompt, levels: Levels, *, is_same: bool) -> tuple[str, bool]:
    """Add the words of the preset and of the person to a prompt that has words of its own.

    Args:
        is_same: a seed was given: somebody wants one certain image again, and gets no words of their own added.

    Returns:
        The prompt, and whether words were left out because there is no room for them.
    """
    if not read.prompt:
        return read.prompt, False
    preset = levels.preset
    words, is_cut = read.prompt, False
    pieces = ((preset.prefix, ""), ("", preset.suffix), ("", "" if is_same else levels.personal.suffix))
    for before, behind in pieces:
        longer = _joined(before, words, behind)
        if len(longer) > MAX_PROMPT_CHARS >= len(words):
            is_cut = True
        else:
            words = longer
    return words, is_cut


def _joined(before: str, words: str, behind: str) -> str:
    """Join with commas; what stands there already, as in a prompt that was copied, is not said twice."""
    if before and not words.casefold().startswith(before.casefold()):
        words = f"{before}, {words}"
    if behind and not words.casefold().endswith(behind.casefold()):
        words = f"{words}, {behind}"
    return words


def _first(*choices: object) -> bool:
    """Return the first of these that is a choice at all."""
    return next((choice for choice in choices if isinstance(choice, bool)), False)
