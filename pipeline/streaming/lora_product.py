"""What a LoRA adds to the output of one layer: a product through few channels, beside the layer's own weight.

Letters in shapes: N tokens, K inputs, M outputs, P pieces of the output, R ranks of a piece.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

RANK_STEP: Final = 32  # R is a multiple of it: GPUs multiply such widths, and code is compiled once


class Side(NamedTuple):
    """One side branch. Weights and `alpha / rank` are part of `up`.

    down: (P, R, K); of a convolution (1, R, K, height, width).
    up: (M, R): row by row, to be met by the ranks of the row's piece.
    pieces: outputs of each piece, of a layer whose outputs are changed apart, as those of a fused query, key and value.
    """

    down: Tensor
    up: Tensor
    pieces: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Of both tensors."""
        return self.down.nbytes + self.up.nbytes


def add_linear_side(out: Tensor, x: Tensor, side: Side) -> Tensor:
    """Add to what a Linear makes of x (…, K), in its place: out (…, M).

    However many LoRAs there are, they are two small products: their ranks lie side by side.
    """
    down, up, pieces = side
    inner = linear(x, down.flatten(0, 1).to(x.dtype))
    if len(pieces) == 1:
        out += linear(inner, up.to(x.dtype))
        return out
    each = inner.unflatten(-1, down.shape[:2]).unbind(-2)
    out += torch.cat(
        [linear(part, rows.to(x.dtype)) for part, rows in zip(each, up.split(list(pieces)), strict=True)], -1
    )
    return out


def add_conv_side(out: Tensor, x: Tensor, module: nn.Conv2d, side: Side) -> Tensor:
    """Add to what a convolution makes of x (B, K, H, W), in its place: out (B, M, H', W')."""
    inner = conv2d(x, side.down[0].to(x.dtype), None, module.stride, module.padding, module.dilation)
    out += conv2d(inner, side.up.to(x.dtype)[..., None, None])
    return out
