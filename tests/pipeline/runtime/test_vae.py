"""Whatever the size, every element is made once and no seam is seen."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from pipeline.runtime.vae import in_float32, in_tiles, starts


def enlarge(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=8, mode="nearest")


def shrink(x: Tensor) -> Tensor:
    return avg_pool2d(x, 8)


@settings(deadline=None, max_examples=30)
@given(height=st.integers(1, 40), width=st.integers(1, 40), tile=st.integers(4, 20))
def test_tiles_make_what_the_whole_makes(height: int, width: int, tile: int) -> None:
    x = torch.randn(1, 2, height, width)
    assert torch.allclose(in_tiles(enlarge, x, tile=tile), enlarge(x), atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [*itertools.product((64, 72, 136), repeat=2)])
def test_encoding_shrinks(height: int, width: int) -> None:
    x = torch.randn(1, 3, height, width)
    assert torch.allclose(in_tiles(shrink, x, tile=64), shrink(x), atol=1e-5)


@given(side=st.integers(1, 500), tile=st.integers(4, 200))
def test_side_is_covered_with_overlap(side: int, tile: int) -> None:
    begins = starts(side, tile)
    assert begins[0] == 0
    assert begins[-1] + tile >= side
    assert begins == sorted(set(begins))
    for earlier, later in itertools.pairwise(begins):
        assert later - earlier <= tile - tile // 4


def test_steps_between_tiles_are_blended() -> None:
    """Tiles that disagree by one, as the autoencoder's do in brightness, meet in a slope instead of an edge."""
    values = itertools.count()

    def flat(x: Tensor) -> Tensor:
        return torch.full_like(x, float(next(values)))

    joined = in_tiles(flat, torch.zeros(1, 1, 64, 112), tile=64)[0, 0, 32]
    assert joined[0] == 0 and joined[-1] == 1
    assert (joined[1:] - joined[:-1]).abs().max() < 0.1


def test_tiles_are_no_larger_than_asked_for() -> None:
    seen: list[tuple[int, ...]] = []

    def note(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape[2:]))
        return x

    in_tiles(note, torch.zeros(1, 16, 144, 112), tile=64)
    assert set(seen) == {(64, 64)}
    seen.clear()
    in_tiles(note, torch.zeros(1, 16, 40, 112), tile=64)
    assert set(seen) == {(40, 64)}


def test_buffers_go_to_the_cpu_in_float32_with_the_weights_and_indices_stay_whole() -> None:
    module = torch.nn.BatchNorm2d(2).to("meta", torch.bfloat16)
    module.to_empty(device="cpu")
    running, mean = module.running_mean, torch.tensor([1.0, 2.0], dtype=torch.bfloat16)
    assert running is not None
    running.copy_(mean)
    with in_float32(module, "cpu"):
        dtypes = {name: tensor.dtype for name, tensor in module.state_dict().items()}
        assert dtypes.pop("num_batches_tracked") is torch.int64
        assert set(dtypes.values()) == {torch.float32}
        module.eval()(torch.zeros(1, 2, 4, 4))
    assert module.running_mean is running
    assert running.dtype is torch.bfloat16
    assert torch.equal(running, mean)
