"""The product of 8-bit integers and all that follows it in one kernel, and all that comes before it in another one.

Libraries write the sums as they are, in 32 bits, for somebody else to read and scale; that moves five times the bytes
of the result. On chips newer than their kernels for integers they also multiply slower than this. The sums are exact,
so tiles of every shape give the same bits, and those of the library.

What comes before it, rotating rows and rounding them, moves four times the bytes where each part of it reads and writes
them once more, and a rotation by a matrix of 256 × 256 takes four times the arithmetic of one by 64 × 64.

Letters in shapes: N tokens, K inputs, M outputs.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.library import triton_op, wrap_triton

from pipeline.device.gpu_profile import Tiles
from pipeline.streaming.lora_product import RANK_STEP
from pipeline.streaming.quantization import MAX_GROUP

NEIGHBOURS: Final = 8  # tiles of rows whose programs run side by side: they share weights in the cache
GROUPS_AT_ONCE: Final = 64  # of one row or of several: what one program has in hand
WARPS: Final = 4
MOST_PIECES: Final = 4  # of a layer whose outputs a side branch changes apart

CHOICES: Final = (
    Tiles(128, 128, 128, 4, 3),  # the fastest on an H100
    Tiles(128, 128, 128, 8, 3),
    Tiles(128, 256, 128, 8, 4),
    Tiles(128, 256, 64, 8, 3),
    Tiles(128, 128, 64, 8, 4),
    Tiles(64, 256, 64, 8, 4),
    Tiles(64, 128, 64, 4, 4),
)


@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def] # noqa: PLR0913 - pointers and sizes of a kernel
    rows_at,
    weight_at,
    row_scale_at,
    scale_at,
    bias_at,
    inner_at,
    up_at,
    out_at,
    tokens,
    outputs,
    inputs,
    rank_steps,
    end_0,
    end_1,
    end_2,
    pieces: tl.constexpr,
    tile_rank: tl.constexpr,
    has_bias: tl.constexpr,
    is_whole: tl.constexpr,
    tile_rows: tl.constexpr,
    tile_outputs: tl.constexpr,
    tile_inputs: tl.constexpr,
    neighbours: tl.constexpr,
):
    """One tile of out = (rows · weightᵀ) · row_scale · scale + bias, plus a side branch, unless it has no `pieces`."""
    program = tl.program_id(0)
    down, across = tl.cdiv(tokens, tile_rows), tl.cdiv(outputs, tile_outputs)
    first = program // (neighbours * across) * neighbours
    height = min(down - first, neighbours)
    row = (first + program % (neighbours * across) % height) * tile_rows + tl.arange(0, tile_rows)
    output = program % (neighbours * across) // height * tile_outputs + tl.arange(0, tile_outputs)
    step = tl.arange(0, tile_inputs)
    # What lies beyond the edge is read from the beginning, and never written.
    left = (row % tokens)[:, None] * inputs + step[None, :]
    right = (output % outputs)[None, :] * inputs + step[:, None]
    sums = tl.zeros((tile_rows, tile_outputs), dtype=tl.int32)
    for at in range(0, inputs, tile_inputs):
        if is_whole:
            a, b = tl.load(rows_at + left), tl.load(weight_at + right)
        else:
            a = tl.load(rows_at + left, mask=step[None, :] < inputs - at, other=0)
            b = tl.load(weight_at + right, mask=step[:, None] < inputs - at, other=0)
        sums = tl.dot(a, b, sums, out_dtype=tl.int32)
        rows_at += tile_inputs
        weight_at += tile_inputs
    row_scale = tl.load(row_scale_at + row % tokens)
    scale = tl.load(scale_at + output % outputs)
    out = sums.to(tl.float32) * row_scale[:, None] * scale[None, :]
    if pieces:
        begin = program % (neighbours * across) // height * tile_outputs
        ranks, rank = tl.arange(0, tile_rank), rank_steps * tile_rank
        for piece in tl.static_range(pieces):
            if piece == 0:
                low = 0
            elif piece == 1:
                low = end_0
            elif piece == 2:
                low = end_1
            else:
                low = end_2
            if piece == pieces - 1:
                high = outputs
            elif piece == 0:
                high = end_0
            elif piece == 1:
                high = end_1
            else:
                high = end_2
            if (begin < high) & (begin + tile_outputs > low):
                is_own = ((output >= low) & (output < high))[None, :]
                for at in range(0, rank, tile_rank):
                    inner_place = (row % tokens)[:, None] * (pieces * rank) + piece * rank + at + ranks[None, :]
                    up_place = (output % outputs)[None, :] * rank + at + ranks[:, None]
                    inner, up = tl.load(inner_at + inner_place), tl.load(up_at + up_place, mask=is_own, other=0.0)
                    out = tl.dot(inner, up, out, input_precision="ieee")
    out = out.to(out_at.dtype.element_ty)
    if has_bias:
        bias = tl.load(bias_at + output % outputs)
        out = (out.to(tl.float32) + bias.to(tl.float32)[None, :]).to(out_at.dtype.element_ty)
    place = row[:, None] * outputs + output[None, :]
    tl.store(out_at + place, out, mask=(row[:, None] < tokens) & (output[None, :] < outputs))


@triton_op("imagine_bot::int8_product", mutates_args=())
def int8_product(  # noqa: PLR0913 - pointers and sizes of a kernel
    rows: Tensor,
    weight: Tensor,
    row_scale: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    dtype: torch.dtype,
    tiles: list[int],
    inner: Tensor | None = None,
    up: Tensor | None = None,
    pieces: list[int] | None = None,
) -> Tensor:
    """Integers (N, K) · (M, K) times scales (N, 1) and (M,), plus bias (M,) or nothing → (N, M) in `dtype`.

    Both factors are contiguous; `tiles`: see `Tiles`. Added before anything is written, which saves reading and writing
    the result once more: what a side branch makes of `inner` (N, P · R) by `up` (M, R), both in `dtype` and contiguous,
    each of the P pieces, of so many outputs, by R columns of its own.
    """
    pieces = pieces or []
    ends = [sum(pieces[: number + 1]) for number in range(MOST_PIECES - 1)]
    (tokens, inputs), outputs = rows.shape, len(weight)
    row_count, output_count, input_count, warps, stages = tiles
    out = torch.empty(tokens, outputs, dtype=dtype, device=rows.device)
    programs = triton.cdiv(tokens, row_count) * triton.cdiv(outputs, output_count)
    wrap_triton(_kernel)[(programs,)](
        rows,
        weight,
        row_scale,
        scale,
        scale if bias is None else bias,
        scale if inner is None else inner,
        scale if up is None else up,
        out,
        tokens,
        outputs,
        inputs,
        0 if up is None else up.shape[1] // RANK_STEP,  # whole steps, so that the compiler knows how ranks are aligned
        *ends,
        pieces=len(pieces),
        tile_rank=RANK_STEP,
        has_bias=bias is not None,
        is_whole=inputs % input_count == 0,
        tile_rows=row_count,
        tile_outputs=output_count,
        tile_inputs=input_count,
        neighbours=NEIGHBOURS,
        num_warps=warps,
        num_stages=stages,
    )
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _rows_kernel(  # type: ignore[no-untyped-def] # noqa: PLR0913 - pointers and sizes of a kernel
    rows_at,
    integers_at,
    row_scale_at,
    tokens,
    inputs,
    rows: tl.constexpr,
    groups: tl.constexpr,
):
    """Some rows, each of up to `groups` groups of 256 inputs, which is `MAX_GROUP`: rotated, and as integers.

    Sylvester's matrix is a Kronecker product: every quarter of a group by that of 64, then the quarters by that of 4.
    """
    column = tl.arange(0, 64)
    common = column[:, None] & column[None, :]
    common ^= common >> 4
    common ^= common >> 2
    common ^= common >> 1
    matrix = 0.0625 - 0.125 * (common & 1)  # negative where row and column have an odd number of bits in common
    matrix = matrix.to(rows_at.dtype.element_ty)
    index = tl.arange(0, rows * groups)
    row, first = tl.program_id(0) * rows + index // groups, index % groups * 256
    is_inside = ((row < tokens) & (first < inputs))[:, None]
    place = (row * inputs + first)[:, None] + column[None, :]
    a = tl.load(rows_at + place, mask=is_inside, other=0.0)
    b = tl.load(rows_at + place + 64, mask=is_inside, other=0.0)
    c = tl.load(rows_at + place + 128, mask=is_inside, other=0.0)
    d = tl.load(rows_at + place + 192, mask=is_inside, other=0.0)
    a, b = tl.dot(a, matrix, input_precision="ieee"), tl.dot(b, matrix, input_precision="ieee")
    c, d = tl.dot(c, matrix, input_precision="ieee"), tl.dot(d, matrix, input_precision="ieee")
    a, b, c, d = a + b, a - b, c + d, c - d
    a, b, c, d = a + c, b + d, a - c, b - d
    largest = _largest(_largest(tl.abs(a), tl.abs(b)), _largest(tl.abs(c), tl.abs(d)))
    largest = tl.reduce(tl.reshape(tl.reduce(largest, 1, _largest), (rows, groups)), 1, _largest)
    scale = _largest(largest, 1e-12) / 127
    factor = tl.reshape(tl.broadcast_to((1 / scale)[:, None], (rows, groups)), (rows * groups,))[:, None]
    tl.store(integers_at + place, _rounded(a * factor), mask=is_inside)
    tl.store(integers_at + place + 64, _rounded(b * factor), mask=is_inside)
    tl.store(integers_at + place + 128, _rounded(c * factor), mask=is_inside)
    tl.store(integers_at + place + 192, _rounded(d * factor), mask=is_inside)
    row = tl.program_id(0) * rows + tl.arange(0, rows)
    tl.store(row_scale_at + row, scale, mask=row < tokens)


@triton.jit
def _largest(a, b):  # type: ignore[no-untyped-def]
    """Not a number where one of them is none: what overflowed has to be seen at the end of the step."""
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _rounded(x):  # type: ignore[no-untyped-def]
    """To the nearest integer: a sum with 1.5 · 2²³ has no bits left for what is below one."""
    return ((x + 12582912.0) - 12582912.0).to(tl.int8)


@triton_op("imagine_bot::int8_rows", mutates_args=())
def int8_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """As `formats.int8_rows`, for K that 256 divides. Nothing is rounded in between, so that some integers differ."""
    tokens, inputs = x.shape
    x = x.contiguous()
    integers = torch.empty(tokens, inputs, dtype=torch.int8, device=x.device)
    row_scale = torch.empty(tokens, 1, dtype=torch.float32, device=x.device)
    groups = triton.next_power_of_2(inputs // MAX_GROUP)
    rows = max(1, GROUPS_AT_ONCE // groups)
    wrap_triton(_rows_kernel)[(triton.cdiv(tokens, rows),)](
        x, integers, row_scale, tokens, inputs, rows=rows, groups=groups, num_warps=WARPS
    )
    return integers, row_scale
