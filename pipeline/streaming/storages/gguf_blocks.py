"""The types of GGUF files: blocks of values that share scales, dequantized by the `gguf` package.

A tensor is computed in pieces that stay in a core's cache, on as many threads as torch uses: numpy lets go of the
interpreter meanwhile. The package raises for types that it does not know, and computes with whatever scales there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from pipeline.catalog.layouts.scales import FLOATS
from pipeline.errors import GenerationFailed
from pipeline.streaming.storages.stored import Stored

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType

_PIECE_VALUES: Final = 2**16


def read_gguf(stored: Stored) -> Tensor:
    """Read a tensor: plain ones as they are kept, others as float32."""
    if stored.info.dtype in FLOATS:
        return stored.values()
    import gguf  # takes a quarter of a second

    kind = _known(stored.info.dtype)
    if kind is None:
        stored.refuse(f"is kept as {stored.info.dtype}, which the gguf package cannot read")
    of_block, bytes_of_block = gguf.GGML_QUANT_SIZES[kind]
    if stored.count % of_block or stored.count // of_block * bytes_of_block != stored.info.size:
        stored.refuse(f"has {stored.info.size} bytes, which do not fit its shape {stored.info.shape}")
    kept = stored.raw().numpy().reshape(-1, bytes_of_block)
    out = np.empty((len(kept), of_block), dtype=np.float32)
    step = max(1, _PIECE_VALUES // of_block)

    def read(start: int) -> bool:
        blocks = slice(start, start + step)
        with np.errstate(all="ignore"):  # what is wrong shows in what comes out
            values = gguf.quants.dequantize(kept[blocks].reshape(1, -1), kind)
        out[blocks] = values.reshape(-1, of_block)
        return bool(np.isfinite(values).all())

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        if not all(pool.map(read, range(0, len(kept), step))):
            stored.refuse("holds something that is no number")
    return torch.from_numpy(out).view(stored.info.shape)


def demand_known(title: str, dtypes: Iterable[str]) -> None:
    """See that all these types can be read, before minutes are spent on the first.

    Raises:
        GenerationFailed: one cannot.
    """
    if unknown := sorted({dtype for dtype in dtypes if dtype not in FLOATS and _known(dtype) is None}):
        raise GenerationFailed(
            f"{title} holds tensors kept as {', '.join(unknown)}, which the gguf package cannot read"
        )


@cache
def _known(dtype: str) -> GGMLQuantizationType | None:
    """The package's name of a type; None if it cannot read it, which a block of zeros tells."""
    import gguf

    try:
        kind = gguf.GGMLQuantizationType[dtype]
        with np.errstate(all="ignore"):
            gguf.quants.dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[kind][1]), dtype=np.uint8), kind)
    except (KeyError, NotImplementedError, ValueError):
        return None
    return kind
