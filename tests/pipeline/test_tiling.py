"""Tiles cover a side, overlap, and are no more than needed."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tiling import GRAIN_PX, tile_side, tile_starts


@given(side=st.integers(1, 256).map(lambda grains: grains * GRAIN_PX), count=st.integers(1, 6))
def test_tiles_cover_a_side_and_share_about_an_eighth_with_the_next(side: int, count: int) -> None:
    length, begins = tile_side(side, count), tile_starts(side, count)
    assert begins[0] == 0 and begins[-1] + length == side
    assert begins == sorted(begins) and all(begin % GRAIN_PX == 0 for begin in (*begins, length))
    for earlier, later in itertools.pairwise(begins):
        assert earlier + length - later >= length / 8 - GRAIN_PX


@pytest.mark.parametrize(
    ("side", "count", "length", "begins"),
    [
        (2048, 2, 1104, [0, 944]),
        (1024, 2, 560, [0, 464]),
        (2048, 3, 752, [0, 640, 1296]),
        (512, 1, 512, [0]),
        (32, 2, 32, [0]),  # too short to be cut
    ],
)
def test_tiles_of_usual_sizes(side: int, count: int, length: int, begins: list[int]) -> None:
    assert (tile_side(side, count), tile_starts(side, count)) == (length, begins)


def test_twice_the_size_takes_a_sixth_more_than_its_pixels() -> None:
    """Three tiles per side, of the size before, would take twice as much."""
    assert 4 * tile_side(2048, 2) ** 2 / 2048**2 == pytest.approx(1.16, abs=0.01)
