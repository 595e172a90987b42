"""The plan never takes more than there is, and uses what there is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import OutOfMemory
from pipeline.hardware import MIB
from pipeline.plan import RING_SLOTS, make_plan, spread

DOUBLE, SINGLE = 227 * 10**6, 114 * 10**6  # of FLUX.1 in 8 bits, modulation apart
FLUX = [DOUBLE] * 19 + [SINGLE] * 38
MODULATION = [114 * 10**6] * 19 + [29 * 10**6] * 38
FIXED = 90 * 10**6


def flux_plan(free_mib: int, side: int = 1024):
    return make_plan(
        FLUX, other_blocks=MODULATION, fixed_bytes=FIXED, free_bytes=free_mib * MIB, width=side, height=side
    )


@pytest.mark.parametrize(
    ("free_mib", "resident_gb"),
    [(5200, (2.5, 4.0)), (7200, (4.5, 6.0)), (11000, (8.6, 8.7)), (15000, (8.6, 8.7)), (23000, (8.6, 8.7))],
)
def test_cards_of_6_8_12_16_and_24_gb(free_mib: int, resident_gb: tuple[float, float]) -> None:
    plan = flux_plan(free_mib)
    assert resident_gb[0] <= plan.resident_bytes / 1e9 <= resident_gb[1]
    assert plan.resident_bytes + plan.streamed_bytes == sum(FLUX)
    assert plan.peak_bytes <= free_mib * MIB


def test_smaller_pictures_leave_more_room_for_weights() -> None:
    assert flux_plan(7200, 512).resident_bytes > flux_plan(7200, 2048).resident_bytes


def test_no_room_for_a_single_block_is_said() -> None:
    with pytest.raises(OutOfMemory):
        flux_plan(1500)


def test_streamed_blocks_lie_evenly_between_resident_ones() -> None:
    kept = spread([1] * 12, 8)
    assert sum(kept) == 8
    gaps = [index for index, stays in enumerate(kept) if not stays]
    assert {later - earlier for earlier, later in itertools.pairwise(gaps)} == {3}


@given(blocks=st.lists(st.integers(1, 300 * 10**6), min_size=1, max_size=80), room=st.integers(0, 20 * 10**9))
def test_room_is_never_exceeded_and_hardly_wasted(blocks: list[int], room: int) -> None:
    kept = spread(blocks, room)
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
