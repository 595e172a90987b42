"""How the weight of a Linear is kept and multiplied: as it is, as 8-bit floats, or as rotated 8-bit integers.

Integers work on GeForce cards at four times the rate of bfloat16. Single large activations would cost them
their precision, so inputs and weights are first rotated by blocks of a Hadamard matrix, which spreads every
value over its block and cancels out in the product (QuaRot, arXiv 2404.00456). Floats of 8 bits bear large values
by themselves, but round four times as coarsely; they are for cards that multiply them faster (`autotune.py`).

Letters in shapes: N tokens, K inputs, M outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache, partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from pipeline.device.gpu_profile import Tiles
from pipeline.streaming.lora_product import Side, add_linear_side

PACKED_VERSION: Final = 3  # of what packed bytes mean; raise it with any change here or in `block_packing.py`
MAX_GROUP: Final = 256  # inputs that one block of the rotation mixes
FEW_TOKENS: Final = 16  # integer products of cuBLAS start above this; so few rows are bound by reading the weight
ROWS_AT_ONCE: Final = 1024  # of a product in 8 bits: what lies around it takes four bytes each, three times over
INT8_MAX: Final = 127
FLOAT8: Final = torch.float8_e4m3fn
FLOAT8_MAX: Final = 448.0


class Format(StrEnum):
    """A way to keep weights; the last two take 8 bits each."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT8 = "float8"
    INT8 = "int8"

    @property
    def dtype(self) -> torch.dtype:
        """What a weight's values are kept as."""
        return {
            Format.FLOAT32: torch.float32,
            Format.FLOAT16: torch.float16,
            Format.BFLOAT16: torch.bfloat16,
            Format.FLOAT8: FLOAT8,
            Format.INT8: torch.int8,
        }[self]

    @property
    def is_8bit(self) -> bool:
        """Whether values take 8 bits, with a scale per output."""
        return self in (Format.FLOAT8, Format.INT8)


class QuantizedLinear(nn.Module):
    """A Linear whose weight (M, K) is kept in a format; computes in the dtype of its input (…, K).

    Where `uses_8bit_matmul` is off, 8 bits are only how the weight is kept. With `tiles`, integers are multiplied by
    our own kernel; with `fuses_rows`, another one makes them.

    Buffers: `weight` as `Format.dtype`, `scale` (M,) float32 where the format has one, `bias` (M,) or None.
    With a `side`, LoRAs are in use: the weight itself is left alone. It is no buffer, or compiled code would be for
    its rank alone.
    """

    weight: Tensor
    scale: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        inputs: int,
        outputs: int,
        weight_format: Format,
        *,
        has_bias: bool,
        dtype: torch.dtype,
        device: str = "meta",
    ) -> None:
        super().__init__()
        self.format = weight_format
        self.uses_8bit_matmul = weight_format is Format.INT8  # which works everywhere
        self.tiles: Tiles | None = None
        self.fuses_rows = False
        self.in_features, self.out_features = inputs, outputs
        self.dtype = dtype  # of what is not quantized
        self.side: Side | None = None
        self.register_buffer("weight", torch.empty(outputs, inputs, dtype=weight_format.dtype, device=device))
        scale = torch.empty(outputs, dtype=torch.float32, device=device) if weight_format.is_8bit else None
        self.register_buffer("scale", scale)
        self.register_buffer("bias", torch.empty(outputs, dtype=dtype, device=device) if has_bias else None)

    @classmethod
    def like(cls, module: nn.Linear, weight_format: Format, dtype: torch.dtype) -> QuantizedLinear:
        """An empty one of the same sizes."""
        return cls(
            module.in_features, module.out_features, weight_format, has_bias=module.bias is not None, dtype=dtype
        )

    def forward(self, x: Tensor) -> Tensor:
        """(…, K) → (…, M)."""
        if self.side is not None and self.adds_side_inside and x.numel() // self.in_features > FEW_TOKENS:
            return self._product(x, self.side)
        return self.add_side(self._product(x), x)

    @property
    def adds_side_inside(self) -> bool:
        """Whether our own kernel multiplies many rows, which adds a side branch before anything is written."""
        return self.tiles is not None and self.format is Format.INT8 and self.uses_8bit_matmul

    def add_side(self, out: Tensor, x: Tensor) -> Tensor:
        """What the weight alone makes of x (…, K), in its place with what a LoRA adds: out (…, M)."""
        return out if self.side is None else add_linear_side(out, x, self.side)

    def _product(self, x: Tensor, side: Side | None = None) -> Tensor:
        if self.scale is None:
            return linear(x, self.weight.to(x.dtype), self.bias)
        rows = x.reshape(-1, self.in_features)
        if self.uses_8bit_matmul and len(rows) > FEW_TOKENS:
            multiply = partial(use_8bit_matmul, tiles=self.tiles, fuses_rows=self.fuses_rows, side=side)
            out = multiply(rows, self.weight, self.scale, self.bias)
        else:
            out = self.unpacked(rows)
        return out.view(*x.shape[:-1], -1)

    def unpacked(self, rows: Tensor) -> Tensor:
        """(N, K) → (N, M), the 8-bit weight brought to the dtype of the rows, which moves several times its bytes."""
        assert self.scale is not None
        rows = rotate(rows) if self.format is Format.INT8 else rows
        # The scales of small weights are below what float16 holds exactly, and their products are not.
        exact = torch.float32 if rows.dtype is torch.float16 else rows.dtype
        weight = self.weight.to(exact) * self.scale[:, None].to(exact)
        return linear(rows, weight.to(rows.dtype), self.bias)


def quantize(weight: Tensor, weight_format: Format) -> dict[str, Tensor]:
    """A weight (M, K) in the buffers of `QuantizedLinear`: `weight`, and `scale` where there is one."""
    if not weight_format.is_8bit:
        return {"weight": weight.to(weight_format.dtype)}
    weight = weight.float()
    if weight_format is Format.INT8:
        weight = rotate(weight)
    largest = INT8_MAX if weight_format is Format.INT8 else FLOAT8_MAX
    scale = torch.maximum(weight.amax(1), -weight.amin(1)).clamp_min(1e-12) / largest
    scaled = weight / scale[:, None]
    return {
        "weight": (scaled.round_() if weight_format is Format.INT8 else scaled).to(weight_format.dtype),
        "scale": scale,
    }


def unquantized(parts: Mapping[str, Tensor], weight_format: Format) -> Tensor:
    """What `quantize` made of a weight → (M, K) float32."""
    weight = parts["weight"].float()
    if "scale" in parts:
        weight *= parts["scale"][:, None]
    return rotate(weight) if weight_format is Format.INT8 else weight


def rotate(x: Tensor) -> Tensor:
    """(N, K) times a block-diagonal orthogonal matrix; twice gives x again."""
    group = _group(x.shape[-1])
    blocks: Tensor = x.view(len(x), -1, group) @ _hadamard(group, x.dtype, x.device)
    return blocks.view(len(x), -1)


def use_8bit_matmul(  # noqa: PLR0913 - the factors, and how they are multiplied
    rows: Tensor,
    weight: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    tiles: Tiles | None = None,
    *,
    fuses_rows: bool = False,
    side: Side | None = None,
) -> Tensor:
    """(N, K) · (M, K) in 8 bits → (N, M): each row to 8 bits by its own largest value; for integers, rotated before.

    With `side`, which needs integers and `tiles`, plus what a LoRA adds.
    """
    product: Callable[..., Tensor] = _float8_product
    if weight.dtype is torch.int8:
        is_fused = fuses_rows and rows.shape[1] % MAX_GROUP == 0
        product = partial(_int8_product, tiles=tiles, fuses_rows=is_fused, side=side)
    if torch.compiler.is_compiling() or len(rows) <= ROWS_AT_ONCE:
        return product(rows, weight, scale, bias)
    out = rows.new_empty(len(rows), len(weight))
    for start in range(0, len(rows), ROWS_AT_ONCE):
        # The last piece reaches back, so that none is too short for the product.
        part = slice(max(0, min(start, len(rows) - ROWS_AT_ONCE)), start + ROWS_AT_ONCE)
        out[part] = product(rows[part], weight, scale, bias)
    return out


def _int8_product(  # noqa: PLR0913 - the factors, and how they are multiplied
    rows: Tensor,
    weight: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    *,
    tiles: Tiles | None,
    fuses_rows: bool,
    side: Side | None,
) -> Tensor:
    # Our own operators are there: see `StreamedModule.use_kernels`.
    integers, row_scale = torch.ops.imagine_bot.int8_rows(rows) if fuses_rows else int8_rows(rows)
    if tiles is not None:
        inner = up = pieces = None
        if side is not None:
            inner = linear(rows, side.down.flatten(0, 1).to(rows.dtype))
            up, pieces = side.up.to(rows.dtype), list(side.pieces)
        product: Tensor = torch.ops.imagine_bot.int8_product(
            integers, weight, row_scale, scale, bias, rows.dtype, list(tiles), inner, up, pieces
        )
        return product
    sums = torch._int_mm(integers, weight.t())  # exact, in int32
    out = (sums * row_scale * scale).to(rows.dtype)
    return out if bias is None else out + bias


def int8_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(N, K) rotated → integers (N, K) and scales (N, 1) in float32."""
    rows = rotate(rows)
    row_scale = rows.abs().amax(1, keepdim=True).float().clamp_min(1e-12) / INT8_MAX
    return (rows / row_scale).round().to(torch.int8), row_scale


def _float8_product(rows: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    row_scale = rows.abs().amax(1, keepdim=True).float().clamp_min(1e-12) / FLOAT8_MAX
    floats = (rows / row_scale).to(FLOAT8)
    if rows.dtype is not torch.float16:
        return torch._scaled_mm(
            floats, weight.t(), scale_a=row_scale, scale_b=scale[None], bias=bias, out_dtype=rows.dtype
        )
    # With a scale per row, the library ends in bfloat16 alone.
    out = torch._scaled_mm(floats, weight.t(), scale_a=row_scale, scale_b=scale[None], out_dtype=torch.bfloat16)
    return out.to(rows.dtype) if bias is None else out.to(rows.dtype) + bias


def _group(width: int) -> int:
    """The largest power of two that divides the width, up to `MAX_GROUP`."""
    return min(MAX_GROUP, width & -width)


def mark_constants() -> None:
    """Tell torch's compiler what is the same at every call. Importing the compiler takes seconds: for who compiles."""
    torch.compiler.assume_constant_result(_hadamard)


def _hadamard(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return _sylvester(size, dtype, device)


@cache
def _sylvester(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Sylvester's matrix (size, size), orthogonal and symmetric."""
    matrix = torch.ones(1, 1, dtype=torch.float64)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return (matrix / math.sqrt(size)).to(dtype=dtype, device=device)
