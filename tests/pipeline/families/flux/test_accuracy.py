"""What 8 bits cost on a small transformer with outliers; at full size on a GPU: `tests/gpu`."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from pipeline.demo.model import SmallDiT
from pipeline.streaming.quantization import Format
from tests.pipeline.families.flux.accuracy import Accuracy, Course, as_stock_keeps, seeded

SMALL = partial(SmallDiT, joint_blocks=2, single_blocks=3)


@pytest.fixture(scope="module")
def course() -> Course:
    return Course(seeded(SMALL, Format.BFLOAT16, torch.float32, "cpu"), side_px=64, steps=3)


@pytest.fixture(scope="module")
def stock(course: Course) -> Accuracy:
    return course.accuracy(seeded(SMALL, Format.BFLOAT16, torch.float32, "cpu", as_stock_keeps), torch.float32)


@pytest.mark.parametrize(("weight_format", "step", "psnr_db"), [(Format.INT8, 0.03, 55), (Format.FLOAT8, 0.06, 45)])
def test_8_bits_stay_within_their_bounds_and_nearer_than_stock(
    course: Course, stock: Accuracy, weight_format: Format, step: float, psnr_db: float
) -> None:
    found = course.accuracy(seeded(SMALL, weight_format, torch.float32, "cpu"), torch.float32)
    assert 0 < found.worst_step < min(step, stock.worst_step)
    assert found.psnr_db > max(psnr_db, stock.psnr_db)


def test_exact_transformer_is_no_distance_away(course: Course) -> None:
    exact = course.accuracy(seeded(SMALL, Format.BFLOAT16, torch.float32, "cpu"), torch.float32)
    assert exact == Accuracy(worst_step=0.0, psnr_db=float("inf"))
