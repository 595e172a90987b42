"""Overlapping tiles of one image, blended: for steps of an image that is larger than a model draws, and for its VAE.

A step predicts every tile by itself, with the same prompt, and blends the predictions where tiles overlap: Bar-Tal et
al. 2023, "MultiDiffusion" (arXiv 2302.08113). All samplers here are linear in what is predicted, so that this is the
same as blending the images after each step: there is one image and one noise throughout, and the next step sees no
seam. Tiles take turns and are not a batch: memory is that of one tile, and while one is computed, which at a million
pixels takes longer than the link needs for the weights, streaming costs no time.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Final, Protocol

import torch
from torch import Tensor

from pipeline.catalog.architecture import Architecture, StepCost
from pipeline.errors import OutOfMemory
from pipeline.runtime.out_of_memory import OutOfMemoryLadder, Rung
from pipeline.spec import ImageSpec
from pipeline.tiling import tile_side, tile_starts

FULL_WEIGHT: Final = 4  # from a fourth of its side inwards, a tile counts in full
LEAST_TILE_PX: Final = 256  # below, a model sees too little of an image to know what it is

Predict = Callable[[Tensor], Tensor]


class StepMemory(Protocol):
    """The owner of the GPU's memory, as steps ask it."""

    @property
    def ladder(self) -> OutOfMemoryLadder:
        """Where its rungs are counted."""

    def run_step(self, step: Callable[[], Tensor]) -> Tensor:
        """Run one step, again with fewer blocks on the GPU if there is too little memory."""

    def fit(self, cost: StepCost) -> None:
        """Plan for what is drawn next."""


class TiledSteps:
    """The steps of one image: in tiles if it is an upscale, as a whole otherwise."""

    def __init__(self, spec: ImageSpec, architecture: Architecture, memory: StepMemory) -> None:
        """Prepare for the tiles that the memory was planned for."""
        self._spec, self._architecture, self._memory = spec, architecture, memory
        self._count = max(1, spec.upscale)

    def __call__(self, predict: Predict, latents: Tensor) -> Tensor:
        """Predict latents (1, C, H, W), which are handed to `predict` in tiles; smaller ones if memory runs out.

        Raises:
            OutOfMemory, torch.OutOfMemoryError: the smallest tiles were too large.
        """
        while True:
            try:
                return self._predicted(predict, latents)
            except (OutOfMemory, torch.OutOfMemoryError) as error:
                if not self._can_be_smaller():
                    raise
                traceback.clear_frames(error.__traceback__)  # they hold what was allocated until then
            self._use_smaller()

    def _predicted(self, predict: Predict, latents: Tensor) -> Tensor:
        def of_tile(tile: Tensor) -> Tensor:
            return self._memory.run_step(partial(predict, tile))

        if self._count == 1:
            return of_tile(latents)
        factor, spec = self._architecture.latent.factor, self._spec
        rows, columns = (
            [start // factor for start in tile_starts(side, self._count)] for side in (spec.height, spec.width)
        )
        width, height = self._tile_size(self._count)
        return blended(of_tile, latents, rows, columns, (height // factor, width // factor))

    def _can_be_smaller(self) -> bool:
        return self._spec.upscale > 0 and min(self._tile_size(self._count + 1)) >= LEAST_TILE_PX

    def _use_smaller(self) -> None:
        self._memory.ladder.note(Rung.SMALLER_TILES)
        self._count += 1
        self._memory.fit(self._architecture.cost(*self._tile_size(self._count), self._spec.steps))

    def _tile_size(self, count: int) -> tuple[int, int]:
        return tile_side(self._spec.width, count), tile_side(self._spec.height, count)


def blended(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    rows: Sequence[int],
    columns: Sequence[int],
    size: tuple[int, int],
) -> Tensor:
    """What `function` makes of x (1, C, H, W), as if at once.

    Args:
        function: (1, C, h, w) → (1, D, h·s, w·s) for one s, which may be below one.
        rows: where the tiles begin, in elements of x; they must cover it.
        columns: likewise.
        size: (height, width) of a tile, in elements of x.
    """
    total: Tensor | None = None
    weights: Tensor | None = None
    for top, left in product(rows, columns):
        part = x[:, :, top : top + size[0], left : left + size[1]]
        made = function(part)
        scale = made.shape[2] / part.shape[2]
        if total is None or weights is None:
            height, width = (round(side * scale) for side in x.shape[2:])
            total = made.new_zeros(1, made.shape[1], height, width, dtype=torch.float32)
            weights = torch.zeros_like(total[:, :1])
        weight = _weight(made)
        down = slice(round(top * scale), round(top * scale) + made.shape[2])
        across = slice(round(left * scale), round(left * scale) + made.shape[3])
        total[:, :, down, across] += made * weight
        weights[:, :, down, across] += weight
    assert total is not None and weights is not None
    return (total / weights).to(x.dtype)


def _weight(tile: Tensor) -> Tensor:
    """How much each element of a tile counts, (h, w): less towards the edges, where less is known about it."""
    rows, columns = (_ramp(side, tile.device) for side in tile.shape[2:])
    return rows[:, None] * columns[None, :]


def _ramp(side: int, device: torch.device) -> Tensor:
    distance = torch.arange(1, side + 1, device=device, dtype=torch.float32)
    return torch.minimum(distance, distance.flip(0)).clamp(max=side / FULL_WEIGHT)
