"""A tensor in a file, with what lies beside it: bytes, numbers, notes. Believes nothing that it has not compared."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import torch
from torch import Tensor

from pipeline.catalog.headers import Container, TensorInfo
from pipeline.catalog.layouts.scales import FLOATS
from pipeline.errors import GenerationFailed

DTYPES: Final = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
MOST_NOTE_BYTES: Final = 2**16  # real ones have some 100
PIECE_VALUES: Final = 2**22  # that are computed at a time, so that what lies around them takes little memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A tensor as a file keeps it.

    name: for messages.
    beside: what quantization added to a weight, by the end of its name, as `.weight_scale`.
    note_of_file: what the file's own notes say of a weight.
    """

    name: str
    path: Path
    info: TensorInfo
    container: Container = Container.SAFETENSORS
    beside: Mapping[str, Stored] = field(default_factory=dict)
    note_of_file: Mapping[str, Any] = field(default_factory=dict)

    def refuse(self, reason: str) -> NoReturn:
        """Say what makes no sense, without what a terminal would obey: names hold whatever their maker wrote.

        Raises:
            GenerationFailed
        """
        said = f"{self.path.name}: {self.name} {reason}"
        raise GenerationFailed("".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in said))

    @property
    def count(self) -> int:
        """Values, by its shape."""
        return math.prod(self.info.shape)

    def raw(self) -> Tensor:
        """Its bytes (size,) uint8."""
        data = torch.empty(self.info.size, dtype=torch.uint8, device="cpu")  # even while a module is made elsewhere
        try:
            with self.path.open("rb") as file:
                file.seek(self.info.start)
                if file.readinto(data.numpy().data) != self.info.size:
                    self.refuse("is cut off")
        except OSError as error:
            self.refuse(f"cannot be read: {error.strerror}")
        return data

    def values(self) -> Tensor:
        """Its values in the dtype that they are kept in."""
        dtype = DTYPES.get(self.info.dtype)
        if dtype is None:
            self.refuse(f"is kept as {self.info.dtype}, which is not supported")
        if self.count * dtype.itemsize != self.info.size:
            self.refuse(f"has {self.info.size} bytes, which do not fit its shape {self.info.shape}")
        return self.raw().view(dtype).view(self.info.shape)

    def numbers(self, count: int) -> Tensor:
        """So many finite numbers (count,) float32."""
        if self.info.dtype not in FLOATS or self.count != count:
            self.refuse(f"should hold {count} numbers, and holds {self.count} of {self.info.dtype}")
        numbers = self.values().reshape(-1).float()
        if not bool(torch.isfinite(numbers).all()):
            self.refuse("holds something that is no number")
        return numbers

    def note(self) -> dict[str, Any]:
        """Read the JSON that a small tensor holds, byte by byte."""
        if self.info.dtype not in ("U8", "I8") or not 0 < self.info.size <= MOST_NOTE_BYTES:
            self.refuse("should hold a short note")
        try:
            content = json.loads(self.raw().numpy().tobytes().rstrip(b"\0"))
        except (ValueError, RecursionError):
            self.refuse("should hold a note, which makes no sense")
        if not isinstance(content, dict):
            self.refuse("should hold a note, which makes no sense")
        return content

    def find(self, *ends: str) -> Stored | None:
        """What lies beside it under one of these; one that ends in a dot stands for all that begin so."""
        found = (
            each
            for end in ends
            for key, each in self.beside.items()
            if key == end or (end.endswith(".") and key.startswith(end))
        )
        return next(found, None)

    def row_pieces(self, rows: int, width: int) -> Iterator[slice]:
        """Some rows after the other, so that few values are computed at a time."""
        step = max(1, PIECE_VALUES // max(1, width))
        return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
