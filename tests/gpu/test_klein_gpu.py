"""FLUX.2 [klein] 4B at full size on a real GPU with random weights: time against stock DiffSynth's, and memory.

Each system in a process of its own, held to the limit by force. `--log-cli-level=INFO` shows the figures.
"""

from __future__ import annotations

import logging

import pytest

from pipeline.bench.report import STOCK, Conditions
from pipeline.device.gpu import find_gpu

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]

log = logging.getLogger(__name__)
NAME = "flux2-klein-4b"
MOST_MIB = int(7.2 * 1024)  # of the whole process, by the driver
SMALL_MIB = int(5.2 * 1024)
STEPS = 4
TIMES = 2.5


@pytest.fixture(scope="module", autouse=True)
def gpu() -> None:
    if find_gpu() is None:
        pytest.skip("no GPU")


def test_step_is_faster_than_stock_within_the_limit() -> None:
    from pipeline.bench.model_timing import time_model

    conditions = Conditions(limit_mib=MOST_MIB, sides_px=(1024,), steps=STEPS)
    ours = time_model(NAME, "int8", conditions)
    log.info("%s at 1024 px, int8: %s", NAME, ours)
    assert ours.peak_mib is not None and ours.peak_mib <= MOST_MIB
    stock = time_model(NAME, STOCK, conditions)
    log.info("%s at 1024 px, stock: %s, %.1f times as long", NAME, stock, stock.step_s / ours.step_s)
    log.info("a whole image with a new prompt: %.2f s, stock %.2f s", ours.image_s, stock.image_s)
    assert stock.step_s >= TIMES * ours.step_s


@pytest.mark.parametrize("references", [1, 3])
def test_edit_stays_within_the_limit(references: int) -> None:
    """Of a megapixel each; three of them are four times as many tokens."""
    from pipeline.bench.model_timing import time_model

    conditions = Conditions(limit_mib=MOST_MIB, sides_px=(1024,), steps=STEPS)
    ours = time_model(NAME, "int8", conditions, references)
    log.info("%s at 1024 px with %d reference(s), int8: %s", NAME, references, ours)
    assert ours.peak_mib is not None and ours.peak_mib <= MOST_MIB
    if references == 1:
        stock = time_model(NAME, STOCK, conditions, references)
        log.info("the same, stock: %s, %.1f times as long", stock, stock.step_s / ours.step_s)
        log.info("a whole edit with a new prompt: %.2f s, stock %.2f s", ours.image_s, stock.image_s)
        assert stock.step_s > ours.step_s


def test_smaller_gpus_stream_blocks_within_their_limit() -> None:
    from pipeline.bench.model_timing import time_model

    ours = time_model(NAME, "int8", Conditions(limit_mib=SMALL_MIB, sides_px=(1024,), steps=STEPS))
    log.info("%s at 1024 px, int8, in %d MiB: %s", NAME, SMALL_MIB, ours)
    assert ours.peak_mib is not None and ours.peak_mib <= SMALL_MIB
    assert ours.streamed_bytes is not None
