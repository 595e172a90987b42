"""Weights of 8 bits with scales: floats, and integers that may have been rotated.

A value is what is kept times its scale: one for the whole tensor, one for each output, or one for each rectangle.
Sources: Comfy-Org/ComfyUI:QUANTIZATION.md, comfy/utils.py (`convert_old_quants`: `.scale_weight` is an older name of
`.weight_scale`); scales of inputs are for products in 8 bits and say nothing about a weight.

ConvRot (arXiv 2512.03673), as in Comfy-Org/comfy-kitchen:comfy_kitchen/tensor/int8.py, int8_utils.py: each group of
`convrot_groupsize` inputs was multiplied by a regular Hadamard matrix, before there was a scale for each output. The
matrix is a Kronecker power of [[1, 1, 1, -1], [1, 1, -1, 1], [1, -1, 1, 1], [-1, 1, 1, 1]] over the root of its size:
orthogonal and symmetric, so multiplying by it once more gives the weight back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor

from pipeline.streaming.storages.stored import FLOATS, Stored

SCALE_ENDS: Final = (".weight_scale", ".scale_weight")
NOTE_END: Final = ".comfy_quant"
_FOREIGN: Final = (".weight_scale_2", ".weight_zero_point", ".pre_quant_scale")  # would change what a weight is
_GROUP_KEYS: Final = ("convrot_groupsize", "convrot_group_size", "group_size")
_DEFAULT_GROUP: Final = 256
_MOST_GROUP: Final = 4096
_FLOAT8: Final = frozenset({"F8_E4M3", "F8_E5M2"})
# What a note may call the format. Others are kept in another way, although their dtype may be one of these.
_FLOAT8_FORMATS: Final = {
    f"{name}{end}": dtype
    for name, dtype in (("float8_e4m3fn", torch.float8_e4m3fn), ("float8_e5m2", torch.float8_e5m2))
    for end in ("", "_rowwise", "_blockwise")
}
_INT8_FORMATS: Final = frozenset({"int8_tensorwise", "int8_rowwise", "int8_blockwise", "int8"})


def read_scaled(stored: Stored) -> Tensor:
    """Read a weight (M, K, …) with its scales, float32."""
    if (foreign := stored.find(*_FOREIGN)) is not None:
        foreign.refuse("belongs to a kind of quantization that is not supported")
    note = _note_of(stored)
    values, group = _values(stored, note), _group(stored, note)
    out = torch.empty(values.shape, dtype=torch.float32)
    flat, kept = out.view(len(out), -1), values.view(len(out), -1)
    scale = _scale(stored, *flat.shape)
    high, wide = len(out) // len(scale), flat.shape[1] // scale.shape[1]
    for rows in stored.row_pieces(*flat.shape):
        of_rows = scale[torch.arange(rows.start, rows.stop) // high]
        piece = kept[rows].float() * (of_rows if wide == flat.shape[1] else of_rows.repeat_interleave(wide, 1))
        flat[rows] = piece if group is None else _rotated(piece, group)
    return out


def _note_of(stored: Stored) -> Mapping[str, Any]:
    beside = stored.find(NOTE_END)
    note = stored.note_of_file if beside is None else beside.note()
    params = note.get("params")
    return {**(params if isinstance(params, dict) else {}), **note}


def _values(stored: Stored, note: Mapping[str, Any]) -> Tensor:
    """The weight without its scale."""
    dtype, said = stored.info.dtype, note.get("format")
    if not stored.count or not stored.info.shape:
        stored.refuse("is no weight with scales")
    if dtype in FLOATS or (dtype in _FLOAT8 and said in (None, *_FLOAT8_FORMATS)):
        return stored.values()
    if dtype == "I8" and said in _INT8_FORMATS:  # without a note nobody knows whether they were rotated
        return stored.values()
    if dtype == "U8" and said in _FLOAT8_FORMATS:  # in a container of bytes
        return stored.values().view(_FLOAT8_FORMATS[str(said)])
    return stored.refuse(f"is kept as {dtype}, format {str(said)[:40]}, which is not supported")


def _scale(stored: Stored, rows: int, width: int) -> Tensor:
    """Scales (A, B) float32, each of a rectangle of (rows / A) × (width / B) values."""
    beside = stored.find(*SCALE_ENDS)
    assert beside is not None
    shape = beside.info.shape
    if beside.count == 1 or (shape[:1] == (rows,) and beside.count == rows):  # by shape: 4 × 64 rectangles are no rows
        return beside.numbers(beside.count).view(-1, 1)
    if len(shape) != 2 or not beside.count or rows % shape[0] or width % shape[1]:
        beside.refuse(f"is {shape}, which fits no weight of {rows} outputs and {width} inputs")
    return beside.numbers(beside.count).view(shape)


def _group(stored: Stored, note: Mapping[str, Any]) -> int | None:
    """How many inputs were rotated together; None if none were."""
    is_rotated = note.get("convrot", False)
    if not isinstance(is_rotated, bool):
        stored.refuse("has a note that does not say whether it was rotated")
    if not is_rotated:
        return None
    group = next((note[key] for key in _GROUP_KEYS if key in note), _DEFAULT_GROUP)
    if type(group) is not int or not 4 <= group <= _MOST_GROUP or 4 ** round(math.log(group, 4)) != group:
        stored.refuse(f"was rotated in groups of {str(group)[:20]}, which is no power of 4 up to {_MOST_GROUP}")
    if len(stored.info.shape) != 2 or stored.info.shape[1] % group or stored.info.dtype != "I8":
        stored.refuse(f"cannot have been rotated in groups of {group}")
    return group


def _rotated(rows: Tensor, group: int) -> Tensor:
    """(N, K) → (N, K), each group of inputs multiplied by the matrix."""
    return (rows.view(-1, group) @ regular_hadamard(group)).view(rows.shape)


@cache
def regular_hadamard(size: int) -> Tensor:
    """The matrix (size, size) float32; size is a power of 4."""
    four = torch.ones(4, 4) - 2 * torch.eye(4).flip(0)
    matrix = four
    while len(matrix) < size:
        matrix = torch.kron(matrix, four)
    return matrix / math.sqrt(size)
