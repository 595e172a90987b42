"""What stands behind a flag, or in a pasted setting → the value of an option. Pure; knows no model.

`prompt_flags.py` fits the values to the model that draws.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pipeline.errors import InvalidSpec
from pipeline.spec import (
    MAX_ASKED_SCALE,
    MAX_CLIP_SKIP,
    MAX_SEED,
    MAX_STEPS,
    MIN_ASKED_CFG,
    RANDOM_SEED,
    Aspect,
    Sampler,
    Strength,
    clean_prompt,
    read_sampler,
    read_strength,
)

# The largest value of each option that is a number.
MOST: Final[Mapping[str, int]] = {
    "seed": MAX_SEED,
    "steps": MAX_STEPS,
    "cfg_scale": int(MAX_ASKED_SCALE),
    "guidance": int(MAX_ASKED_SCALE),
    "clip_skip": MAX_CLIP_SKIP,
}
EXACT_SIZE: Final = re.compile(r"\s*[0-9]{1,6}\s*[x×*]\s*[0-9]{1,6}\s*", re.IGNORECASE)
# AUTOMATIC1111's schedules that are what a sampler means by its name alone (modules/sd_schedulers.py).
USUAL_SCHEDULES: Final = frozenset({"", "automatic", "uniform", "normal", "simple", "ddim", "ddimuniform"})
# How people write that there is to be no negative prompt, not even the model's own.
NO_NEGATIVE: Final = "-"
KARRAS_SCHEDULES: Final = frozenset({"", "automatic", "karras"})  # of DPM++ 2M, whose steps are Karras' ones

_NUMBER: Final = r"[0-9]{1,5}(?:\.[0-9]{1,5})?"
_RATIO: Final = re.compile(rf"({_NUMBER})(?:[:x×*/]({_NUMBER}))?", re.IGNORECASE)
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_DECIMAL: Final = re.compile(r"[0-9]{1,5}(?:[.,][0-9]{1,15})?|[.,][0-9]{1,15}")


def read_value(option: str, value: str) -> str | int | float | None:
    """Return the value of an option; None if it cannot be one. A ratio is a float, a sampler is its name here."""
    match option:
        case "seed":
            return _whole(value, RANDOM_SEED, MAX_SEED)
        case "steps" | "clip_skip":
            return _whole(value, 1, MOST[option])
        case "count":
            return _whole(value, 1, None)
        case "cfg_scale":
            return _decimal(value, MIN_ASKED_CFG, MAX_ASKED_SCALE)
        case "guidance":
            return _decimal(value, 0, MAX_ASKED_SCALE)
        case "strength":
            return _strength(value)
        case "negative_prompt":
            return "" if is_no_negative(value) else clean_prompt(value) or None
        case "sampler":
            return sampler_of(value) or value or None
        case "aspect":
            name = value.lower()
            return name if name in tuple(Aspect) else _ratio(value)
        case "size":
            return value.lower().replace("×", "x").replace("*", "x") or None
        case _:
            return value or None


def sampler_of(name: str, schedule: str = "") -> str | None:
    """Return our name of a sampler with a schedule, as another program spells them; None if there is none here."""
    try:
        found = read_sampler(name)
    except InvalidSpec:
        return None
    folded = re.sub(r"[^a-z]", "", schedule.lower())
    fitting = KARRAS_SCHEDULES if found is Sampler.DPMPP_2M_KARRAS else USUAL_SCHEDULES
    return None if found is None or folded not in fitting else found.value


def is_no_negative(value: str) -> bool:
    """Whether it says that there is to be no negative prompt: a hyphen, or what a phone makes of it."""
    return value.strip() in (NO_NEGATIVE, "－", "–", "—", "−")


def is_exact_size(value: str) -> bool:
    """Whether a size is a width and a height."""
    return EXACT_SIZE.fullmatch(value) is not None


def _whole(value: str, least: int, most: int | None) -> int | None:
    if _WHOLE.fullmatch(value) is None or len(value) > 100:
        return None
    number = int(value)
    return number if least <= number and (most is None or number <= most) else None


def _decimal(value: str, least: float, most: float) -> float | None:
    if _DECIMAL.fullmatch(value) is None:
        return None
    number = float(value.replace(",", "."))
    return number if least <= number <= most else None


def _strength(value: str) -> str | float | None:
    try:
        strength = read_strength(value)
    except InvalidSpec:
        return None
    if strength is None or isinstance(strength, Strength):
        return None if strength is None else strength.value
    return strength if 0 < strength <= 1 else None


def _ratio(value: str) -> float | None:
    """Return width ÷ height of `16:9`, `16x9`, `16/9` or `1.78`; None for anything else, and for nothing to draw."""
    if (match := _RATIO.fullmatch(value)) is None:
        return None
    width, height = float(match[1]), float(match[2] or 1)
    return width / height if width and height else None
