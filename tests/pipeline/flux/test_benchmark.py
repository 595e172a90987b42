"""The timing of the engine runs on small modules as on large ones; what it times computes something."""

from __future__ import annotations

import pytest
import torch

from pipeline.demo.model import SmallDiT
from pipeline.flux.benchmark import RandomBlocks, time_systems
from pipeline.flux.formats import Format
from pipeline.flux.packing import prepare
from pipeline.flux.transformer import Transformer
from pipeline.timing import SYSTEMS, Timing


def small() -> SmallDiT:
    return SmallDiT(dim=64, heads=2, axes=(8, 12, 12), joint_blocks=1, single_blocks=2, text_dim=48, pooled_dim=32)


def test_every_system_is_timed_at_every_size() -> None:
    timings = list(time_systems(SYSTEMS, device="cpu", limit_mib=1000, sides=[64, 96], steps=2, make_dit=small))
    assert [(timing.system, timing.side_px) for timing in timings] == [
        (name, px) for name in SYSTEMS for px in (64, 96)
    ]
    assert all(timing.step_s > 0 and timing.first_step_s > 0 for timing in timings)
    assert all(timing.link_share is None for timing in timings)


def test_share_of_the_link_says_what_limits() -> None:
    timing = Timing(
        system="int8", side_px=512, first_step_s=1.0, step_s=0.1, peak_mib=1, streamed_bytes=5 * 10**9, link_gb_s=50.0
    )
    assert timing.link_share == pytest.approx(1.0)


@pytest.mark.parametrize("kept_as", list(Format))
def test_random_weights_have_about_unit_gain_and_are_the_same_each_time(kept_as: Format) -> None:
    with torch.device("meta"):
        dit = small()
    prepare(dit, kept_as, torch.float32)
    blocks = RandomBlocks(dit)
    assert all(torch.equal(blocks[name], blocks[name]) for name in blocks)
    transformer = Transformer(dit, blocks, "cpu")
    transformer.place()
    out = dit.blocks[0].ff_a[0](torch.randn(40, 64, generator=torch.Generator().manual_seed(1)))
    assert 0.5 < out.std() < 2
