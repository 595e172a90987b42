"""The head of a file of weights: names, shapes and dtypes of its tensors, and where they lie. Nothing else is read.

Files come from strangers, so whatever a head says is compared with the file before it is believed. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


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
