"""The VAE with whatever memory there is: whole, tile by tile, or in float32 on the CPU.

The steps are done when it decodes and must not be lost. What lends it memory is passed in, see `VaeMemory`. Where 16
bits overflow, as with SDXL's, it works in float32, from then on at once.
DiffSynth's own tiles leave a margin of the image uncovered unless its size happens to fit them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from pipeline.catalog.architecture import StepCost
from pipeline.device.memory_plan import TILE_PX
from pipeline.errors import GenerationFailed, OutOfMemory
from pipeline.runtime.out_of_memory import OutOfMemoryLadder, Rung
from pipeline.runtime.tiles import blended

FLOAT32_TILE_PX: Final = 352  # a side of a tile that takes as much in float32 as one of `TILE_PX` does in 16 bits
OVERLAP: Final = 4  # a fourth of each side; there tiles are blended, so that no seam is seen


class VaeMemory(Protocol):
    """The owner of the GPU's memory, as the VAE asks it."""

    @property
    def ladder(self) -> OutOfMemoryLadder:
        """Where its rungs are counted."""

    def must_tile(self, needed_bytes: int) -> bool:
        """Whether there is less than that beside what stays on the GPU and what could be lent."""

    def lend(self) -> AbstractContextManager[None]:
        """Let the VAE use what only steps need."""

    def make_room(self, needed_bytes: int) -> None:
        """See that so much can be allocated, if steps found too little."""

    def shrink(self) -> None:
        """Give memory back.

        Raises:
            OutOfMemory: there is nothing left to give.
        """

    def ensure_placed(self) -> None:
        """See that steps can follow."""


@dataclass(slots=True, kw_only=True)
class VaeHalf:
    """A decoder or an encoder and how it is called.

    px: how many px of the image an element of its input is wide: the latents' factor for a decoder, 1 for an encoder.
    overflows: whether 16 bits were too few once.
    """

    module: nn.Module
    forward: Callable[..., Tensor]
    px: int
    cost: Callable[[int, int, int], StepCost]
    memory: VaeMemory
    overflows: bool = False


def guard(module: nn.Module, *, px: int, cost: Callable[[int, int, int], StepCost], memory: VaeMemory) -> None:
    """Have a decoder or an encoder run through `decode_with_fallback`."""
    half = VaeHalf(module=module, forward=module.forward, px=px, cost=cost, memory=memory)
    module.forward = partial(decode_with_fallback, half)


def decode_with_fallback(half: VaeHalf, x: Tensor, **options: Any) -> Tensor:
    """Decode or encode x (1, C, H, W); in tiles if memory is short, on the CPU in float32 if nothing else works."""

    def of(piece: Tensor) -> Tensor:
        return half.forward(piece, **options)

    made = None
    if not half.overflows:
        made = _with_what_is_lent(half, of, x)
        if made is not None and x.dtype is not torch.float32 and not bool(torch.isfinite(made).all()):
            half.memory.ladder.note(Rung.FLOAT32, "the VAE overflowed")
            half.overflows = True
    if half.overflows:
        made = _with_what_is_lent(half, of, x.float())
    if made is None:
        half.memory.ladder.note(Rung.CPU)
        with in_float32(half.module, "cpu"):
            made = in_tiles(of, x.to("cpu", torch.float32), tile=TILE_PX // half.px)
    is_before_steps = half.px == 1
    if is_before_steps:
        half.memory.ensure_placed()
    return made.to(x)


def _with_what_is_lent(half: VaeHalf, of: Callable[[Tensor], Tensor], x: Tensor) -> Tensor | None:
    """The same where `x` is, and in float32 if 16 bits overflow; None if there is too little memory for a tile."""
    cost = half.cost(x.shape[3] * half.px, x.shape[2] * half.px, 1)
    must_tile = half.memory.must_tile(cost.decode_bytes * (2 if half.overflows else 1))
    tile = (FLOAT32_TILE_PX if half.overflows else TILE_PX) // half.px
    made: Tensor | None = None
    try:
        with half.memory.lend(), in_float32(half.module, x.device) if half.overflows else nullcontext():
            made = _in_pieces(of, x, tile, cost, half.memory, must_tile=must_tile)
    except (OutOfMemory, torch.OutOfMemoryError) as error:  # of what was lent as well, which matters to steps alone
        traceback.clear_frames(error.__traceback__)
    return made


def _in_pieces(
    of: Callable[[Tensor], Tensor], x: Tensor, tile: int, cost: StepCost, memory: VaeMemory, *, must_tile: bool
) -> Tensor:
    """The same where `x` is, in tiles if there is too little memory for a whole image."""
    is_tiled = must_tile

    def attempt() -> Tensor:
        # Where cuDNN finds too little, torch takes its next kernels without a word and keeps to them, so that from
        # then on the same seed draws other bytes.
        memory.make_room(cost.tile_bytes)
        return in_tiles(of, x, tile=tile) if is_tiled else of(x)

    def use_tiles() -> None:
        nonlocal is_tiled
        memory.ladder.note(Rung.TILES)
        is_tiled = True

    def shrink() -> None:
        with suppress(OutOfMemory):  # then it has to do with what there is
            memory.shrink()

    return memory.ladder.run(attempt, [shrink if must_tile else use_tiles, shrink])


@contextmanager
def in_float32(module: nn.Module, device: torch.device | str) -> Iterator[None]:
    """Have a module compute so for a while; what it has now stays where it is, so that going back takes no memory.

    Raises:
        torch.OutOfMemoryError: there is no room for the copy.
    """
    tensors = [*module.parameters(), *module.buffers()]
    kept = [tensor.data for tensor in tensors]
    try:
        for tensor in tensors:
            dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype  # a buffer may hold indices
            tensor.data = tensor.data.to(device, dtype)
        yield
    finally:
        for tensor, data in zip(tensors, kept, strict=True):
            tensor.data = data


def in_tiles(function: Callable[[Tensor], Tensor], x: Tensor, *, tile: int) -> Tensor:
    """What `function` makes of x (1, C, H, W), as if at once: overlapping tiles, blended.

    Args:
        function: (1, C, h, w) → (1, D, h·s, w·s) for one s, which may be below one.
        tile: largest side of a tile, in elements of x.
    """
    return blended(function, x, starts(x.shape[2], tile), starts(x.shape[3], tile), (tile, tile))


def starts(side: int, tile: int) -> list[int]:
    """Where the tiles along one side begin; the last one reaches back to end where the side does."""
    stride = tile - tile // OVERLAP
    return [*range(0, max(0, side - tile), stride), max(0, side - tile)]


def check_finite(_decoder: torch.nn.Module, _inputs: Any, picture: torch.Tensor) -> None:
    """Refuse a decoded image (B, 3, H, W) with a NaN or an infinity: cast to bytes it would be noise."""
    if not bool(torch.isfinite(picture).all()):
        raise GenerationFailed("the decoded picture is not finite")
