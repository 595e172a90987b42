"""Steps in tiles: what a model predicts that looks no further than the overlap, and no seam."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from pipeline.catalog.architecture import StepCost
from pipeline.errors import OutOfMemory
from pipeline.families.flux.architecture import FLUX
from pipeline.families.stable_diffusion.architecture import SD15
from pipeline.runtime import tiles
from pipeline.runtime.out_of_memory import OutOfMemoryLadder, Rung
from pipeline.runtime.tiles import TiledSteps, blended
from pipeline.spec import ImageSpec
from pipeline.tiling import tile_side, tile_starts
from tests.pipeline.seams import seam_ratio, texture

log = logging.getLogger(__name__)

FACTOR = FLUX.latent.factor
SPEC = ImageSpec(
    prompt="a cat", seed=1, steps=20, width=1024, height=768, guidance=3.5, cfg_scale=1.0, model="flux1-dev",
    source="a" * 64, strength=0.25, upscale=2,
)  # fmt: skip


class Memory:
    """See `StepMemory`: with room for so many px at a time."""

    def __init__(self, room: int = 2**30) -> None:
        self.ladder = OutOfMemoryLadder(None)
        self.costs: list[StepCost] = []
        self.room = room

    def run_step(self, step: Callable[[], Tensor]) -> Tensor:
        made = step()
        if made.shape[2] * made.shape[3] * FACTOR**2 > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return made

    def fit(self, cost: StepCost) -> None:
        self.costs.append(cost)


def latents_of(spec: ImageSpec, channels: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(spec.seed)
    return torch.randn(1, channels, spec.height // FACTOR, spec.width // FACTOR, generator=generator)


def sharpen(latents: Tensor) -> Tensor:
    """A linear model that looks 3 elements far; at the border of what it sees, it knows nothing of the rest."""
    kernel = torch.linspace(-1, 1, 49).reshape(1, 1, 7, 7).expand(latents.shape[1], 1, 7, 7)
    return conv2d(latents, kernel, padding=3, groups=latents.shape[1])


def test_whole_image_is_one_step_and_not_touched() -> None:
    spec = ImageSpec.accepted(**{**{name: getattr(SPEC, name) for name in SPEC.__slots__}, "upscale": 0})
    latents = latents_of(spec)
    seen: list[Tensor] = []

    def predict(tile: Tensor) -> Tensor:
        seen.append(tile)
        return tile

    assert TiledSteps(spec, FLUX, Memory())(predict, latents) is latents
    assert len(seen) == 1 and seen[0] is latents


def test_tiles_of_a_model_that_sees_no_border_are_exactly_the_whole() -> None:
    latents = latents_of(SPEC)
    made = TiledSteps(SPEC, FLUX, Memory())(torch.tanh, latents)
    assert torch.allclose(made, latents.tanh(), atol=1e-6)


def overlap(side: int) -> slice:
    """Where both tiles along a side are, in latents."""
    return slice(tile_starts(side, 2)[1] // FACTOR, tile_side(side, 2) // FACTOR)


def test_tiles_of_a_local_linear_model_are_the_whole_and_nearly_so_where_they_are_blended() -> None:
    latents = latents_of(SPEC)
    made, whole = TiledSteps(SPEC, FLUX, Memory())(sharpen, latents), sharpen(latents)
    error = (made - whole).abs().amax((0, 1))
    largest = float(error.max())
    error[overlap(SPEC.height)] = error[:, overlap(SPEC.width)] = 0
    assert error.max() < 1e-5
    cut = (joined_without_overlap(sharpen, latents) - whole).abs().max()
    assert 0 < largest < cut / 2


def joined_without_overlap(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The same in four tiles that end where the next one begins."""
    height, width = x.shape[2] // 2, x.shape[3] // 2
    return blended(function, x, [0, height], [0, width], (height, width))


def with_a_mood(latents: Tensor) -> Tensor:
    """What models do with a tile: by what is in it, it becomes lighter or darker as a whole; it fades at its border."""
    return sharpen(latents) / 50 + latents + latents[:, :, :8, :8].mean() * 3


def test_no_seam_is_seen_and_without_overlap_there_is_one() -> None:
    """After several steps, on a texture: the columns at the borders of tiles are as steep as any others."""
    height, width = SPEC.height // FACTOR, SPEC.width // FACTOR
    smooth = cut = torch.from_numpy(texture(height, width)).float()[None, None].expand(1, 4, -1, -1)
    steps = TiledSteps(SPEC, FLUX, Memory())
    for _ in range(4):
        smooth = smooth + 0.2 * steps(with_a_mood, smooth)
        cut = cut + 0.2 * joined_without_overlap(with_a_mood, cut)
    for axis, side in ((3, SPEC.width), (2, SPEC.height)):
        blend, middle = overlap(side), side // FACTOR // 2
        seen = seam_ratio(smooth[0, 0].movedim(axis - 2, 1).numpy(), [blend.start, blend.stop, middle])
        unblended = seam_ratio(cut[0, 0].movedim(axis - 2, 1).numpy(), [middle])
        log.info("steepness at the borders: %.2f, without overlap %.2f", seen, unblended)
        assert seen < 1.5
        assert unblended > 5 * seen


def test_tiles_have_the_size_that_memory_is_planned_for() -> None:
    seen: set[tuple[int, ...]] = set()

    def note(tile: Tensor) -> Tensor:
        seen.add(tuple(tile.shape[2:]))
        return tile

    TiledSteps(SPEC, FLUX, Memory())(note, latents_of(SPEC))
    width, height = SPEC.tile_size
    assert seen == {(height // FACTOR, width // FACTOR)}
    assert SPEC.step_pixels == 4 * width * height


@pytest.mark.parametrize(("room", "count"), [(2**30, 2), (560 * 416 - 1, 3), (384 * 288 - 1, 4)])
def test_too_little_memory_makes_tiles_smaller_for_this_step_and_the_next(room: int, count: int) -> None:
    memory, latents = Memory(room), latents_of(SPEC)
    steps = TiledSteps(SPEC, SD15, memory)
    tile = tile_side(1024, count), tile_side(768, count)
    is_possible = min(tile) >= tiles.LEAST_TILE_PX
    with nullcontext() if is_possible else pytest.raises(torch.OutOfMemoryError):
        for _ in range(2):
            assert torch.allclose(steps(torch.tanh, latents), latents.tanh(), atol=1e-6)
    if is_possible:
        assert memory.ladder.climbed[Rung.SMALLER_TILES] == len(memory.costs) == count - 2
        assert all(cost == SD15.cost(*tile, SPEC.steps) for cost in memory.costs[-1:])


def test_whole_image_is_never_cut_for_lack_of_memory() -> None:
    spec = ImageSpec.accepted(**{**{name: getattr(SPEC, name) for name in SPEC.__slots__}, "upscale": 0})
    memory = Memory(room=1)
    with pytest.raises(torch.OutOfMemoryError):
        TiledSteps(spec, FLUX, memory)(torch.tanh, latents_of(spec))
    assert not memory.ladder.climbed


def test_residency_that_has_nothing_left_to_give_makes_tiles_smaller_too() -> None:
    memory = Memory()
    calls = iter(range(100))

    def run_step(step: Callable[[], Tensor]) -> Tensor:
        if next(calls) == 1:
            raise OutOfMemory
        return step()

    memory.run_step = run_step  # type: ignore[method-assign]
    latents = latents_of(SPEC)
    assert torch.allclose(TiledSteps(SPEC, FLUX, memory)(torch.tanh, latents), latents.tanh(), atol=1e-6)
    assert memory.ladder.climbed == {Rung.SMALLER_TILES: 1}
