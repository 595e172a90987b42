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

from pipeline.catalog.layouts.scales import SCALE_ENDS, Senseless, grid_of, group_of, params_of, type_of
from pipeline.streaming.storages.stored import DTYPES, Stored

NOTE_END: Final = ".comfy_quant"
_FOREIGN: Final = (".weight_scale_2", ".weight_zero_point", ".pre_quant_scale")  # would change what a weight is


def read_scaled(stored: Stored) -> Tensor:
    """Read a weight (M, K, …) with its scales, float32."""
    if (foreign := stored.find(*_FOREIGN)) is not None:
        foreign.refuse("belongs to a kind of quantization that is not supported")
    try:
        note, info = _note_of(stored), stored.info
        kind, group = type_of(info.dtype, info.shape, note), group_of(info.dtype, info.shape, note)
    except Senseless as error:
        stored.refuse(str(error))
    values = stored.values() if kind == info.dtype else stored.values().view(DTYPES[kind])
    out = torch.empty(values.shape, dtype=torch.float32)
    flat, kept = out.view(len(out), -1), values.view(len(out), -1)
    scale = _scale(stored)
    high, wide = len(out) // len(scale), flat.shape[1] // scale.shape[1]
    for rows in stored.row_pieces(*flat.shape):
        of_rows = scale[torch.arange(rows.start, rows.stop) // high]
        piece = kept[rows].float() * (of_rows if wide == flat.shape[1] else of_rows.repeat_interleave(wide, 1))
        flat[rows] = piece if group is None else _rotated(piece, group)
    return out


def _note_of(stored: Stored) -> Mapping[str, Any]:
    beside = stored.find(NOTE_END)
    note = stored.note_of_file if beside is None else beside.note()
    return params_of(note)


def _scale(stored: Stored) -> Tensor:
    """Scales (A, B) float32, each of a rectangle of (rows / A) × (width / B) values."""
    beside = stored.find(*SCALE_ENDS)
    assert beside is not None
    try:
        grid = grid_of(stored.info.shape, beside.info.shape)
    except Senseless as error:
        beside.refuse(str(error))
    return beside.numbers(beside.count).view(grid)


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
