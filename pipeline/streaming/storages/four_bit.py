"""The 4-bit types of bitsandbytes, NF4 and FP4: an index per value, a scale per block.

Source: bitsandbytes-foundation/bitsandbytes: bitsandbytes/functional.py (`QuantState.as_dict`, `from_dict`,
`dequantize_4bit`), bitsandbytes/backends/default/ops.py. Of the two indices in a byte, the upper half is the first.
`quant_map` (16,) says what they mean, from -1 to 1, and `absmax` what that is multiplied by, one number per
`blocksize` values in the order of the flat tensor. `absmax` may be kept in 8 bits in turn: then it is
`nested_quant_map` (256,) at each index, times `nested_absmax` of a block of them, plus `nested_offset`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from pipeline.streaming.storages.stored import PIECE_VALUES, Stored

STATE_END: Final = ".weight.quant_state."
_MEANINGS: Final = 16
_NESTED_MEANINGS: Final = 256
_MOST_DIMENSIONS: Final = 8


def shape_of_four_bit(stored: Stored) -> tuple[int, ...]:
    """The shape of a weight, which its bytes have to have room for."""
    shape = _state_of(stored).get("shape")
    if not isinstance(shape, list) or not 0 < len(shape) <= _MOST_DIMENSIONS:
        stored.refuse("does not say its shape")
    if any(type(side) is not int or side <= 0 for side in shape):
        stored.refuse("has a shape that makes no sense")
    if math.prod(shape) not in (2 * stored.info.size, 2 * stored.info.size - 1):
        stored.refuse(f"has {stored.info.size} bytes, which do not fit its shape {tuple(shape)}")
    return tuple(shape)


def read_four_bit(stored: Stored) -> Tensor:
    """Read a weight, float32."""
    shape, state = shape_of_four_bit(stored), _state_of(stored)
    count, block = math.prod(shape), _count_of(stored, state, "blocksize")
    meanings = _companion(stored, ".weight.quant_map").numbers(_MEANINGS)
    scales = _scales(stored, state, -(-count // block))
    packed = stored.raw()
    halves = torch.arange(256)
    pairs = torch.stack([meanings[halves >> 4], meanings[halves & 15]], 1)  # what each byte means
    out = torch.zeros(len(scales), block)
    values = out.view(-1)
    step = max(1, PIECE_VALUES // block) * 2  # blocks of whole bytes
    for first in range(0, len(scales), step):
        start, end = first * block, min((first + step) * block, count)
        indices = packed[start // 2 : -(-end // 2)].int()
        values[start:end] = pairs.index_select(0, indices).view(-1)[: end - start]
        out[first : first + step] *= scales[first : first + step, None]
    return values[:count].view(shape)


def _scales(stored: Stored, state: Mapping[str, Any], count: int) -> Tensor:
    """`absmax` (count,) float32."""
    absmax, nested = _companion(stored, ".weight.absmax"), stored.find(".weight.nested_absmax")
    if nested is None:
        return absmax.numbers(count)
    if absmax.info.dtype != "U8" or absmax.count != count:
        absmax.refuse(f"should hold {count} bytes, and holds {absmax.count} of {absmax.info.dtype}")
    offset = state.get("nested_offset")
    if not isinstance(offset, int | float) or isinstance(offset, bool) or not math.isfinite(offset):
        stored.refuse("does not say its nested offset")
    block = _count_of(stored, state, "nested_blocksize")
    meanings = _companion(stored, ".weight.nested_quant_map").numbers(_NESTED_MEANINGS)
    of_blocks = nested.numbers(-(-count // block)).repeat_interleave(min(block, count))[:count]
    return meanings[absmax.values().flatten().int()] * of_blocks + offset


def _companion(stored: Stored, end: str) -> Stored:
    found = stored.find(end)
    if found is None:
        stored.refuse(f"lacks {end.removeprefix('.weight.')}")
    return found


def _state_of(stored: Stored) -> Mapping[str, Any]:
    return _companion(stored, STATE_END).note()


def _count_of(stored: Stored, state: Mapping[str, Any], key: str) -> int:
    count = state.get(key)
    if type(count) is not int or not 0 < count <= PIECE_VALUES:
        stored.refuse(f"has a {key} that makes no sense")
    return count
