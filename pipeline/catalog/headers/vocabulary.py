"""What a head says, as data: `Header`, `TensorInfo`; and the error for files that have none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from pipeline.catalog.parts import Refusal
from pipeline.errors import PipelineError

MOST_HEAD_BYTES: Final = 16 * 2**20  # FLUX.1's has 0.2 MB; with a LoRA's notes on its training, some MB
MOST_TENSORS: Final = 100_000  # a large model has 3000, in 4 bits four times that
MOST_DIMENSIONS: Final = 8
MOST_NAME: Final = 1024  # characters of a name; real ones have some 100
MOST_VALUES: Final = 2**48  # of one tensor, so that products stay small numbers
MOST_SIDE: Final = 2**31
TAKE_SAFETENSORS: Final = "take the .safetensors file of the same model"
FETCH_AGAIN: Final = "fetch it again"


class Container(StrEnum):
    """What the file is."""

    SAFETENSORS = "safetensors"
    GGUF = "GGUF"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One tensor of a file.

    dtype: as the container names it: `BF16`, `F8_E4M3`, `Q4_K`.
    shape: as torch counts it, outermost first, in elements.
    start: of its bytes in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The head of one file.

    metadata: texts of a safetensors file; keys and scalar values of a GGUF file, as text.
    """

    path: Path
    container: Container
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict)


class NotWeights(PipelineError):
    """A file has no head that could be believed: it is something else, or not whole.

    is_damaged: it would be of use if it were whole.
    is_there: there is something of that name.
    """

    def __init__(self, path: Path, refusal: Refusal, *, is_damaged: bool = False, is_there: bool = True) -> None:
        super().__init__(f"{path.name} is {refusal.what}: {refusal.reason}; {refusal.instead}")
        self.path = path
        self.refusal = refusal
        self.is_damaged = is_damaged
        self.is_there = is_there
