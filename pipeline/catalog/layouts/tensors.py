"""The tensors of one part of a model, under the names that they have without a prefix and without quantization.

What quantization adds beside a weight — scales, markers, tables — is folded into it. Says how a part is kept. No torch.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

from pipeline.catalog.headers import Container, Header, TensorInfo

MOST_NOTE_BYTES: Final = 4096  # of a marker or a quantization state; real ones have some 100
# Tensors beside a weight, by the end of their names, and what the weight's name ends in instead. Sources:
# comfyanonymous/ComfyUI:comfy/ops.py, comfy/utils.py (convert_old_quants);
# bitsandbytes-foundation/bitsandbytes:bitsandbytes/functional.py (QuantState.as_dict).
_SCALES: Final = ("weight_scale", "weight_scale_2", "scale_weight", "scale_input", "input_scale", "pre_quant_scale")
_BESIDE_LAYER: Final = frozenset((*_SCALES, "comfy_quant", "weight_zero_point"))
_BESIDE_WEIGHT: Final = frozenset(("absmax", "quant_map", "nested_absmax", "nested_quant_map"))
_STATE: Final = ".weight.quant_state."
MARKERS: Final = frozenset({"scaled_fp8", "spiece_model"})  # tensors that belong to no weight


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor and the file that it is in."""

    info: TensorInfo
    path: Path


@dataclass(frozen=True)
class Tensors:
    """One part of a model.

    prefix: what the names of its tensors begin with in the files.
    stored: every tensor of the part, by its name without the prefix; companions too.
    headers: of the files.
    """

    prefix: str
    stored: Mapping[str, Stored]
    headers: Sequence[Header]

    @cached_property
    def companions(self) -> dict[str, dict[str, Stored]]:
        """Stem of a weight's name → what lies beside it, by the end of its name."""
        found: dict[str, dict[str, Stored]] = {}
        for name, each in self.stored.items():
            if (stem := stem_beside(name)) is not None:
                found.setdefault(stem, {})[name.removeprefix(stem)] = each
        return found

    @cached_property
    def names(self) -> frozenset[str]:
        """The names that its tensors have without quantization."""
        return frozenset(name for name in self.stored if name not in MARKERS and stem_beside(name) is None)

    @property
    def container(self) -> Container:
        """Of the first of its files."""
        return next(header.container for header in self.headers if header.path in self.paths)

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """The files that it is in, in the order of the headers."""
        used = {each.path for each in self.stored.values()}
        return tuple(header.path for header in self.headers if header.path in used)

    def has(self, *names: str) -> bool:
        """Whether all these tensors are there."""
        return all(name in self.stored for name in names)

    def any_in(self, *texts: str) -> bool:
        """Whether some name begins with one of these."""
        return any(name.startswith(texts) for name in self.stored)

    def shape(self, *names: str) -> tuple[int, ...]:
        """Shape of the first of these that is there, as it is without quantization; () if none is."""
        for name in names:
            if (each := self.stored.get(name)) is not None:
                return self._shape_of(name, each.info.shape)
        return ()

    def side(self, dimension: int, *names: str) -> int:
        """One side of the shape of the first of these that is there; 0 if none is."""
        shape = self.shape(*names)
        return shape[dimension] if len(shape) > dimension else 0

    def note(self, stem: str, end: str) -> dict[str, Any]:
        """Read the JSON that a companion holds; empty if it makes no sense."""
        each = next((it for key, it in self.companions.get(stem, {}).items() if key.startswith(end)), None)
        return {} if each is None else read_note(each)

    def _shape_of(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        if name.endswith(".weight") and name.removesuffix(".weight") in self.companions:
            original = self.note(name.removesuffix(".weight"), ".weight.quant_state.").get("shape")
            if isinstance(original, list) and all(type(side) is int for side in original):
                return tuple(original)
        return shape


def stem_beside(name: str) -> str | None:
    """The layer beside whose weight a tensor lies, which quantization added; None if it is a tensor of the model."""
    before, _, last = name.rpartition(".")
    if last in _BESIDE_LAYER:
        return before
    if last in _BESIDE_WEIGHT and before.endswith(".weight"):
        return before.removesuffix(".weight")
    return name.partition(_STATE)[0] if _STATE in name else None


def unskipped(tensors: Tensors, conv: str, shortcut: str) -> tuple[str, ...]:
    """The shortcuts that blocks lack whose convolutions change the number of channels.

    Args:
        conv: how the name of the first convolution of a block ends.
        shortcut: how the name of the shortcut ends.
    """
    end = f".{conv}.weight"
    changed = [
        name.removesuffix(end)
        for name, each in tensors.stored.items()
        if name.endswith(end) and len(each.info.shape) > 1 and each.info.shape[0] != each.info.shape[1]
    ]
    return tuple(name for block in changed if (name := f"{block}.{shortcut}.weight") not in tensors.names)


def read_note(each: Stored) -> dict[str, Any]:
    """Read the JSON that a small tensor holds, byte by byte; empty if it makes no sense."""
    if each.info.dtype not in ("U8", "I8") or not 0 < each.info.size <= MOST_NOTE_BYTES:
        return {}
    try:
        with each.path.open("rb") as file:
            file.seek(each.info.start)
            return _parsed(file.read(each.info.size))
    except OSError:
        return {}


@lru_cache(maxsize=64)  # a file has some hundred, which are all alike or nearly so
def _parsed(content: bytes) -> dict[str, Any]:
    try:
        note = json.loads(content.rstrip(b"\0"))
    except (ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def dominant(types: Iterable[tuple[str, int]]) -> str:
    """The type that most values have, of (type, values)."""
    count: Counter[str] = Counter()
    for dtype, values in types:
        count[dtype] += values
    return count.most_common(1)[0][0] if count else ""
