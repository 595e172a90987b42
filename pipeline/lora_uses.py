"""Which LoRAs an image is drawn with, and how strongly, as one line of text: `ink:0.8,film-grain:1`.

The names are those of the operator's list (`pipeline/catalog/lora_card.py`). Must not know files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pipeline.errors import InvalidSpec

MAX_LORAS: Final = 3
MAX_WEIGHT: Final = 4.0  # on both sides of 0; beyond it, images of any LoRA fall apart
LORA_NAME: Final = re.compile("[a-z0-9][a-z0-9._-]{0,39}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,2}(?:\.[0-9]{1,4})?")


@dataclass(frozen=True, slots=True)
class LoraUse:
    """One LoRA and its weight; what it adds to the model's own weights is multiplied by that."""

    name: str
    weight: float = 1.0

    def __str__(self) -> str:
        """As a spec writes it."""
        return f"{self.name}:{self.weight:g}"


def write_uses(uses: Iterable[LoraUse]) -> str:
    """Write them in the one way in which a spec holds them: by name, without those whose weight is 0.

    Raises:
        InvalidSpec: see `read_uses`.
    """
    text = ",".join(str(use) for use in sorted(uses, key=lambda use: use.name) if round(use.weight, 4))
    read_uses(text)
    return text


def uses_in(text: str) -> tuple[LoraUse, ...]:
    """Read what a stored spec holds, which may be damaged or of another release: what makes no sense is none."""
    try:
        return read_uses(text)
    except InvalidSpec:
        return ()


def read_uses(text: str) -> tuple[LoraUse, ...]:
    """Read what `write_uses` wrote; "" is none.

    Raises:
        InvalidSpec: it is nothing of the kind, names one twice or too many, or a weight is out of range.
    """
    uses = []
    for part in text.split(",") if text else ():
        name, _, number = part.partition(":")
        if LORA_NAME.fullmatch(name) is None or _NUMBER.fullmatch(number) is None:
            raise InvalidSpec("loras", "must be names and weights, as in ink:0.8")
        uses.append(LoraUse(name, float(number)))
    names = [use.name for use in uses]
    if len(names) > MAX_LORAS:
        raise InvalidSpec("loras", f"are {len(names)}, at most {MAX_LORAS} are allowed", detail="many", most=MAX_LORAS)
    if names != sorted(set(names)):
        raise InvalidSpec("loras", "must be different, in the order of their names")
    if any(not 0 < abs(use.weight) <= MAX_WEIGHT for use in uses):
        raise InvalidSpec("loras", f"must have weights from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}, not 0", detail="weight")
    return tuple(uses)
