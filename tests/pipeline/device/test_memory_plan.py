"""The plan never takes more than there is, and uses what there is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import LEAST_LIMIT_MIB, PipelineConfig
from pipeline.device.gpu import MIB
from pipeline.device.memory_plan import (
    HEADROOM_BYTES,
    RING_SLOTS,
    TILE_PX,
    make_plan,
    spread,
)
from pipeline.device.runtime_estimate import CONTEXT_BYTES
from pipeline.errors import OutOfMemory
from pipeline.families.flux.architecture import BYTES_PER_DECODED_PIXEL, BYTES_PER_TOKEN, cost

DOUBLE, SINGLE = 227 * 10**6, 114 * 10**6  # of FLUX.1 in 8 bits, modulation apart
FLUX = [DOUBLE] * 19 + [SINGLE] * 38
MODULATION = [114 * 10**6] * 19 + [29 * 10**6] * 38
FIXED = 90 * 10**6
WORK = [1.0] * (19 + 38)  # double blocks meet half the tokens with each weight


def flux_plan(free_mib: int, side: int = 1024):
    return make_plan(
        FLUX,
        work=WORK,
        other_blocks=MODULATION,
        fixed_bytes=FIXED,
        free_bytes=free_mib * MIB,
        cost=cost(side, side, 20),
    )


@pytest.mark.parametrize(
    ("total_mib", "limit_mib", "resident_gb"),
    [
        (6141, 4953, (2.0, 3.5)),
        (8188, 7000, (4.0, 5.5)),
        (12282, 11094, (8.6, 8.7)),
        (16376, 15188, (8.6, 8.7)),
        (24564, 23376, (8.6, 8.7)),
    ],
)
def test_cards_of_6_8_12_16_and_24_gb(total_mib: int, limit_mib: int, resident_gb: tuple[float, float]) -> None:
    """Without a setting."""
    assert PipelineConfig().limit_mib(total_mib) == limit_mib
    free_mib = limit_mib - CONTEXT_BYTES // MIB
    plan = flux_plan(free_mib)
    assert resident_gb[0] <= plan.resident_bytes / 1e9 <= resident_gb[1]
    assert plan.resident_bytes + plan.streamed_bytes == sum(FLUX)
    assert plan.peak_bytes <= free_mib * MIB


def test_limit_that_is_set_is_kept_to_and_a_tiny_card_is_not_reckoned_below_the_least() -> None:
    assert PipelineConfig(vram_limit_mib=5000).limit_mib(24564) == 5000
    assert PipelineConfig().limit_mib(2048) == LEAST_LIMIT_MIB


def test_smaller_pictures_leave_more_room_for_weights() -> None:
    assert flux_plan(7200, 512).resident_bytes > flux_plan(7200, 2048).resident_bytes


def test_autoencoder_shares_its_memory_with_the_ring() -> None:
    """It is the larger of the two only where hardly anything passes through the ring."""
    slot, tile = max(*FLUX, *MODULATION), TILE_PX**2 * BYTES_PER_DECODED_PIXEL
    drawing = (512 * 512 // 256 + 512) * BYTES_PER_TOKEN
    plan = flux_plan(6000, 512)
    assert plan.peak_bytes - plan.resident_bytes == HEADROOM_BYTES + FIXED + drawing + RING_SLOTS * slot
    assert drawing < tile < drawing + RING_SLOTS * slot
    small = make_plan(
        [10**6] * 3, work=[1.0] * 3, other_blocks=[], fixed_bytes=0, free_bytes=10**9, cost=cost(512, 512, 20)
    )
    assert small.peak_bytes == HEADROOM_BYTES + 3 * 10**6 + tile


def test_no_room_for_a_single_block_is_said() -> None:
    with pytest.raises(OutOfMemory):
        flux_plan(1500)


def test_streamed_blocks_lie_evenly_between_resident_ones() -> None:
    kept = spread([1] * 12, 8, [1.0] * 12)
    assert sum(kept) == 8
    gaps = [index for index, stays in enumerate(kept) if not stays]
    assert {later - earlier for earlier, later in itertools.pairwise(gaps)} == {3}


def test_blocks_that_compute_longer_for_their_bytes_are_streamed_more() -> None:
    """While a double block of FLUX.1 computes, half as many bytes of it cross the link as while a single one does."""
    kept = spread(FLUX, sum(FLUX) * 3 // 5, WORK)
    double, single = (
        sum(size for size, stays in list(zip(FLUX, kept, strict=True))[part] if not stays)
        for part in (slice(19), slice(19, None))
    )
    assert single / 38 == pytest.approx(double / 19, rel=0.15)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 300 * 10**6), st.floats(0, 1e15)), min_size=1, max_size=80),
    room=st.integers(0, 20 * 10**9),
)
def test_room_is_never_exceeded_and_hardly_wasted(sizes: list[tuple[int, float]], room: int) -> None:
    blocks = [size for size, _work in sizes]
    kept = spread(blocks, room, [work for _size, work in sizes])
    used = sum(size for size, stays in zip(blocks, kept, strict=True) if stays)
    assert used <= room
    if room >= sum(blocks):
        assert all(kept)
    else:
        assert room - used <= 2 * max(blocks)


@given(free=st.integers(1000, 30_000), side=st.sampled_from([256, 512, 768, 1024, 1536]))
def test_expected_peak_is_within_what_is_free(free: int, side: int) -> None:
    try:
        plan = flux_plan(free, side)
    except OutOfMemory:
        return
    assert plan.peak_bytes <= free * MIB
    assert plan.ring_slots == RING_SLOTS and plan.slot_bytes >= max(MODULATION)
