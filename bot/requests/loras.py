"""What people write of LoRAs → the names and weights that a spec holds. Pure but for a look at whether files changed.

Three ways lead here: an option or a field (`ink:0.8, film`), tags in the prompt as AUTOMATIC1111 has them
(`<lora:ink:0.8>`), and `speed: fast`. Names and titles are understood, however they are written. What was typed into
an option is refused with the reason; a tag of a LoRA that is not here, pasted from elsewhere, is only told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.presentation.phrases import Phrase
from bot.presentation.prompt_notes import shortened, trigger_phrase
from bot.requests.models import MAX_TOLD, Models
from bot.requests.pasted_settings import fold, fold_tag, split_lora
from pipeline.catalog.lora_card import LoraCard
from pipeline.catalog.loras import fits
from pipeline.catalog.model_card import ModelCard
from pipeline.errors import InvalidSpec
from pipeline.lora_uses import MAX_LORAS, MAX_WEIGHT, LoraUse, read_uses, uses_in, write_uses
from pipeline.spec import MAX_PROMPT_CHARS, ImageSpec, clean_prompt

MAX_CHARS: Final = 300  # of an option; three of the longest names, as titles, fit
FAST: Final = "fast"
_SEPARATORS: Final = re.compile(r"[,;、]")
_TAG: Final = re.compile(r"\s*<\s*lora\s*:(?P<inner>[^<>]*)>\s*", re.IGNORECASE)
_DECIMAL: Final = re.compile(
    r"(?<=:)(\s*[+-]?[0-9]{0,6})[,。]([0-9]{1,15})(?=\s*(?:[,;、:>]|$))"
)  # comma, or a Chinese dot
_WEIGHT: Final = re.compile(r"[+-]?(?:[0-9]{1,6}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})")
_NO_NAME: Final = re.compile(r"[^\w .\-]")


@dataclass(frozen=True, slots=True)
class Asked:
    """One LoRA as it was written; weight None: its own. `shown` is what notes call it."""

    name: str
    weight: float | None
    shown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraWish:
    """Everything that a request says of LoRAs, each of any type: a script may send anything.

    option: what stands in the option or field for them.
    speed: likewise; `fast` asks for the LoRA with which the model takes fewer steps.
    tags: of the prompt, as they stood there.
    flags: (value, shown) of each `--lora`, and of the option in a pasted command line.
    """

    option: object = None
    speed: object = None
    tags: Sequence[str] = ()
    flags: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """What becomes of it.

    options: of ImageOptions: `loras`, and the `steps` that one of them makes fewer; empty if there are none.
    taken: those that stood in the prompt, as people read them.
    unknown, unsupported: tags and flags of LoRAs that are not here, and that the model does not draw with.
    triggers: (title, words) of those whose words the prompt lacks.
    """

    options: Mapping[str, str | int] = field(default_factory=dict)
    taken: str = ""
    unknown: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    triggers: tuple[tuple[str, tuple[str, ...]], ...] = ()


def pick(wish: LoraWish, models: Models, card: ModelCard, prompt: str) -> Picked:
    """Choose the LoRAs of a request: those of the option win over those of the prompt.

    Raises:
        InvalidSpec: see `read_option`, `written`, `_fast`.
    """
    is_open = wish.option is None or (isinstance(wish.option, str) and not wish.option.strip())
    typed = {} if is_open else read_option(wish.option, models, card)
    asked = [read_tag(tag) or Asked("", None, tag) for tag in wish.tags]
    for value, shown in wish.flags:
        asked += read_flag(value, shown) or [Asked("", None, shown)]
    unknown: list[str] = []
    unsupported: list[str] = []
    found: dict[str, LoraUse] = {}
    for each in asked:
        if (lora := find(each.name, models.loras())) is None:
            unknown.append(each.shown)
        elif not fits(lora, card):
            unsupported.append(each.shown)
        else:
            found[lora.name] = use_of(each, lora)
    uses = {**found, **typed}
    if wish.speed not in (None, ""):
        fast = _fast(wish.speed, models, card)
        uses.setdefault(fast.name, LoraUse(fast.name, fast.weight))
    options: dict[str, str | int] = {"loras": text} if (text := written(uses.values())) else {}
    if (steps := steps_of(uses.values(), models)) is not None:
        options["steps"] = steps
    return Picked(
        options=options,
        taken=", ".join(f"{use.name} {use.weight:g}" for name, use in found.items() if name not in typed),
        unknown=tuple(unknown),
        unsupported=tuple(unsupported),
        triggers=tuple(_missing_words(uses.values(), models, prompt)),
    )


def _fast(speed: object, models: Models, card: ModelCard) -> LoraCard:
    """Raises InvalidSpec: there is no such speed, or the operator has placed no LoRA for it."""
    if not isinstance(speed, str) or speed.strip().casefold() != FAST:
        raise InvalidSpec("speed", f"must be {FAST}", detail="unknown")
    if (fast := fast_of(models, card)) is None:
        raise InvalidSpec("speed", f"cannot be chosen with {card.name}", detail="not-offered", model=card.title)
    return fast


def _missing_words(uses: Iterable[LoraUse], models: Models, prompt: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for use in uses:
        lora, said = models.loras()[use.name], prompt.casefold()
        if use.weight and lora.triggers and not any(word.casefold() in said for word in lora.triggers):
            yield lora.title, lora.triggers


def trigger_phrases(spec: ImageSpec, models: Models) -> tuple[Phrase, ...]:
    """Say which words call what the LoRAs of an image were trained on, of those that are here."""
    known = models.loras() if spec.loras else {}
    found = [known[use.name] for use in uses_in(spec.loras) if use.name in known]
    return tuple(trigger_phrase(lora.title, lora.triggers) for lora in found if lora.triggers)


def fitting(models: Models, card: ModelCard) -> list[LoraCard]:
    """Return the LoRAs that a model draws with, by title."""
    return sorted(
        (lora for lora in models.loras().values() if fits(lora, card)), key=lambda lora: lora.title.casefold()
    )


def fast_of(models: Models, card: ModelCard) -> LoraCard | None:
    """Return the LoRA with which a model takes fewer steps; None if the operator has placed none for it."""
    return next((lora for lora in models.loras().values() if lora.steps and fits(lora, card)), None)


def search(models: Models, card: ModelCard, typed: str) -> list[LoraCard]:
    """Return the LoRAs for a model that have all these words in name, title or trigger words, by title."""
    words = fold(typed).casefold().split()
    return [lora for lora in fitting(models, card) if all(word in _words_of(lora) for word in words)]


def read_option(text: object, models: Models, card: ModelCard) -> dict[str, LoraUse]:
    """Read what was typed into an option, by name; of one that is named twice, the last counts.

    Raises:
        InvalidSpec: it is no such text, names none, or one that is not here or was made for another model, or too many,
            or a weight is 0 or out of range; or the model draws with none.
    """
    parts = _parts(text) if isinstance(text, str) and len(text) <= MAX_CHARS else []  # a script may send anything
    if not parts:
        raise InvalidSpec("loras", "must be names and weights, as in ink:0.8", detail="unreadable")
    uses = {use.name: use for use in (_demanded(part, models, card) for part in parts)}
    if not all(use.weight for use in uses.values()):  # of a tag, which other programs write too, 0 means without it
        raise _wrong_weight()
    return uses


def read_for_any(text: str, models: Models, cards: Iterable[ModelCard]) -> str:
    """Read what was typed into an option, for whichever of these models draws, as a spec holds it.

    Raises:
        InvalidSpec: none of them can; as the first says.
    """
    flaws = []
    for card in cards:
        try:
            return written(read_option(text, models, card).values())
        except InvalidSpec as error:
            flaws.append(error)
    raise flaws[0]


def with_weights(text: str, known: Mapping[str, LoraCard]) -> str:
    """Write what the config says, `ink:0.8, film`, as a spec holds it; without a number, a LoRA has its own weight.

    Raises:
        InvalidSpec: see `read_uses`.
    """
    uses = []
    for part in _parts(text):
        name, colon, number = (each.strip() for each in part.partition(":"))
        own = known[name].weight if name in known else 1.0
        uses.append(LoraUse(name, own if not colon else _weight(number) or 0.0))
    return write_uses(uses)


def read_tag(tag: str) -> Asked | None:
    """Read a tag of a prompt, `<lora:ink:0.8>`, whose further numbers are not used here; None if it is no such."""
    if (found := _TAG.fullmatch(_DECIMAL.sub(r"\1.\2", fold_tag(tag)))) is None:
        return None
    name, *numbers = (part.strip() for part in found["inner"].split(":"))
    if not name:
        return None
    weight = _weight(numbers[0]) if numbers else None
    return None if numbers and weight is None else Asked(clean_prompt(name), weight, shown=tag)


def without_tags(given: Mapping[str, object]) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """Return what was set elsewhere without LoRA tags in its negative prompt, where they mean nothing, and the tags."""
    negative = given.get("negative_prompt")
    if not isinstance(negative, str) or len(negative) > MAX_PROMPT_CHARS:  # `ImageSpec` refuses it
        return given, ()
    rest, found = split_lora(negative)
    return {**given, "negative_prompt": rest or None} if found else given, found


def read_flag(value: str, shown: str) -> list[Asked]:
    """Read the value of a flag, `ink:0.8,film:1`, as a spec writes it."""
    asked = []
    for part in _parts(value):
        name, _, number = part.rpartition(":")
        weight = _weight(number)
        asked.append(Asked(part, None, shown) if weight is None or not name else Asked(name, weight, shown))
    return asked


def find(name: str, loras: Mapping[str, LoraCard]) -> LoraCard | None:
    """Return the LoRA of a name or title, however it is written; None if there is none here."""
    if (exact := loras.get(name)) is not None:
        return exact
    wanted = _key(name).removesuffix(".safetensors")
    named = (lora for lora in loras.values() if wanted in (lora.name, _key(lora.title), _key(lora.file.stem)))
    return next(named, None)


def use_of(asked: Asked, lora: LoraCard) -> LoraUse:
    """Return one LoRA with the weight that was asked for, else with its own.

    Raises:
        InvalidSpec: the weight is out of range.
    """
    weight = round(lora.weight if asked.weight is None else asked.weight, 4)
    if abs(weight) > MAX_WEIGHT:
        raise _wrong_weight()
    return LoraUse(lora.name, weight)


def _wrong_weight() -> InvalidSpec:
    reason = f"must have numbers from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}, not 0, as weights"
    return InvalidSpec("loras", reason, detail="weight", most=f"{MAX_WEIGHT:g}")


def written(uses: Iterable[LoraUse]) -> str:
    """Write what a spec holds; what has no weight is left out.

    Raises:
        InvalidSpec: they are too many.
    """
    kept = [use for use in uses if use.weight]
    if len(kept) > MAX_LORAS:
        raise InvalidSpec("loras", f"are {len(kept)}, at most {MAX_LORAS} are allowed", detail="many", most=MAX_LORAS)
    return write_uses(kept)


def check(text: str, models: Models, card: ModelCard) -> None:
    """See that a model draws with the LoRAs of a request, whatever it came from.

    Raises:
        InvalidSpec: they are none, one is not here any more, or was made for another model.
    """
    for use in read_uses(text):
        _fitting(use.name, models, card)


def are_fitting(text: str, models: Models, card: ModelCard) -> bool:
    """Whether a model draws with the LoRAs of a spec."""
    try:
        check(text, models, card)
    except InvalidSpec:
        return False
    return True


def steps_of(uses: Iterable[LoraUse], models: Models) -> int | None:
    """Return the number of steps of an image with these LoRAs, if one of them makes steps fewer; else None."""
    loras = models.loras()
    steps = [loras[use.name].steps for use in uses if use.name in loras and use.weight]
    return min(filter(None, steps), default=None)


def tags(text: str) -> str:
    """Write what a spec holds as tags of a prompt, `<lora:ink:0.8> <lora:film:1>`."""
    return " ".join(f"<lora:{use}>" for use in read_uses(text))


def shown_name(name: str) -> str:
    """Return a name that a person typed as refusals show it: without what has a meaning to Discord or HTML."""
    return _NO_NAME.sub("?", shortened(name))


def _demanded(part: str, models: Models, card: ModelCard) -> LoraUse:
    """Raises InvalidSpec."""
    if (tag := read_tag(part)) is not None:
        return use_of(tag, _fitting(tag.name, models, card))
    if find(part, models.loras()) is not None:  # a title may have a colon
        return use_of(Asked(part, None, part), _fitting(part, models, card))
    name, colon, number = (each.strip() for each in part.rpartition(":"))
    if not colon:
        return use_of(Asked(part, None, part), _fitting(part, models, card))
    lora = _fitting(name, models, card)
    if (weight := _weight(number)) is None:
        raise _wrong_weight()
    return use_of(Asked(name, weight, part), lora)


def _fitting(name: str, models: Models, card: ModelCard) -> LoraCard:
    """Return the LoRA of a name that a model draws with.

    Raises:
        InvalidSpec
    """
    if not card.offers("loras"):
        raise InvalidSpec("loras", f"cannot be used with {card.name}", detail="not-offered", model=card.title)
    lora = find(name, models.loras())
    shown = shown_name(name)
    if lora is None:
        names = _told([each.name for each in fitting(models, card)])
        reason = f"must be here: there is no {shown}; for {card.name} there is {names or 'none at all'}"
        detail = "unknown" if names else "none-here"
        raise InvalidSpec("loras", reason, detail=detail, name=shown, model=card.title, names=names)
    if not fits(lora, card):
        others = _told([each.title for each in models.all if fits(lora, each)])
        reason, detail = f"must be made for {card.name}, and {lora.name} is not", "other-base" if others else "no-base"
        raise InvalidSpec("loras", reason, detail=detail, name=lora.name, model=card.title, models=others)
    return lora


def _told(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_TOLD]) + (", …" if len(names) > MAX_TOLD else "")


def _parts(text: str) -> list[str]:
    """Split at commas, but for those in a number: `ink:0,8` is what many countries write."""
    parts = _SEPARATORS.split(_DECIMAL.sub(r"\1.\2", fold(text)))
    return [cleaned for part in parts if (cleaned := clean_prompt(part))]


def _key(name: str) -> str:
    """A name as it is compared: files may have any letters, in either of the two ways to write an accent."""
    return fold(clean_prompt(name)).casefold()


def _weight(number: str) -> float | None:
    return float(number) if _WEIGHT.fullmatch(number.strip()) else None


def _words_of(lora: LoraCard) -> str:
    return " ".join((lora.name, lora.title, *lora.triggers)).casefold()
