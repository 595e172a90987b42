"""How the values of a part are kept: plain, with scales, in blocks. Refuses what cannot be read. No torch."""

from __future__ import annotations

from typing import Final, NamedTuple

from pipeline.catalog.headers import Container
from pipeline.catalog.layouts.tensors import Tensors, dominant
from pipeline.catalog.parts import Refusal, Storage

_NAMES: Final = {
    "BF16": "bf16",
    "F16": "f16",
    "F32": "f32",
    "F64": "f64",
    "F8_E4M3": "fp8 e4m3",
    "F8_E5M2": "fp8 e5m2",
}


class Kept(NamedTuple):
    """How a part is kept, and in how many bits, for people."""

    storage: Storage
    precision: str


def storage_of(tensors: Tensors) -> Kept | Refusal:
    """Say how a part is kept, or why it cannot be read."""
    weights = [
        (each.info.dtype, each.info.size)
        for name in tensors.names
        if len((each := tensors.stored[name]).info.shape) > 1
    ]
    dtype = dominant(weights)
    if tensors.container is Container.GGUF:
        return Kept(Storage.GGUF, dtype)
    return Kept(Storage.PLAIN, _NAMES.get(dtype, dtype))
