"""The autoencoder tile by tile, where a whole picture would take more memory than there is.

DiffSynth's own tiles leave a margin of the picture uncovered unless its size happens to fit them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

OVERLAP: Final = 4  # a fourth of each side; there tiles are blended, so that no seam is seen


def in_tiles(function: Callable[[Tensor], Tensor], x: Tensor, *, tile: int) -> Tensor:
    """What `function` makes of x (1, C, H, W), as if at once: overlapping tiles, blended.

    Args:
        function: (1, C, h, w) → (1, D, h·s, w·s) for one s, which may be below one.
        tile: largest side of a tile, in elements of x.
    """
    total: Tensor | None = None
    weights: Tensor | None = None
    for top in starts(x.shape[2], tile):
        for left in starts(x.shape[3], tile):
            part = x[:, :, top : top + tile, left : left + tile]
            made = function(part)
            scale = made.shape[2] / part.shape[2]
            if total is None or weights is None:
                height, width = (round(side * scale) for side in x.shape[2:])
                total = made.new_zeros(1, made.shape[1], height, width, dtype=torch.float32)
                weights = torch.zeros_like(total[:, :1])
            weight = _weight(made)
            rows = slice(round(top * scale), round(top * scale) + made.shape[2])
            columns = slice(round(left * scale), round(left * scale) + made.shape[3])
            total[:, :, rows, columns] += made * weight
            weights[:, :, rows, columns] += weight
    assert total is not None and weights is not None
    return (total / weights).to(x.dtype)


def starts(side: int, tile: int) -> list[int]:
    """Where the tiles along one side begin; the last one reaches back to end where the side does."""
    stride = tile - tile // OVERLAP
    return [*range(0, max(0, side - tile), stride), max(0, side - tile)]


def _weight(tile: Tensor) -> Tensor:
    """How much each element of a tile counts, (h, w): less towards the edges, where less is known about it."""
    rows, columns = (_ramp(side, tile.device) for side in tile.shape[2:])
    return rows[:, None] * columns[None, :]


def _ramp(side: int, device: torch.device) -> Tensor:
    distance = torch.arange(1, side + 1, device=device, dtype=torch.float32)
    return torch.minimum(distance, distance.flip(0)).clamp(max=side / OVERLAP)
