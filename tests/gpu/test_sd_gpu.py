"""SD 1.5 and SDXL at full size on a real GPU with random weights: time against stock DiffSynth's, and memory.

Each system in a process of its own, held to the limit by force. `--log-cli-level=INFO` shows the figures.
"""

from __future__ import annotations

import logging

import pytest

from pipeline.bench.report import STOCK, Conditions
from pipeline.device.gpu import find_gpu

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]

log = logging.getLogger(__name__)
MOST_MIB = int(7.2 * 1024)  # of the whole process, by the driver
SMALL_MIB = int(5.2 * 1024)
STEPS = 8


@pytest.fixture(scope="module", autouse=True)
def gpu() -> None:
    if find_gpu() is None:
        pytest.skip("no GPU")


@pytest.mark.parametrize(
    ("name", "side", "system", "limit_mib", "times"),
    [
        ("sd15", 512, "float16", MOST_MIB, 1.5),
        ("sdxl", 1024, "float16", MOST_MIB, 2.0),
        ("sdxl", 1024, "int8", MOST_MIB, 2.0),
        ("sdxl", 1024, "int8", SMALL_MIB, 2.0),
        ("sdxl", 1024, "float16", SMALL_MIB, None),  # some blocks are streamed
    ],
)
def test_step_is_faster_than_stock_within_the_limit(
    name: str, side: int, system: str, limit_mib: int, times: float | None
) -> None:
    from pipeline.bench.model_timing import time_model

    conditions = Conditions(limit_mib=limit_mib, sides_px=(side,), steps=STEPS)
    ours = time_model(name, system, conditions)
    log.info("%s at %d px, %s: %s", name, side, system, ours)
    assert ours.peak_mib is not None and ours.peak_mib <= limit_mib
    if times is None:
        assert ours.streamed_bytes
        return
    stock = time_model(name, STOCK, conditions)
    log.info("%s at %d px, stock: %s, %.1f times as long", name, side, stock, stock.step_s / ours.step_s)
    assert stock.step_s >= times * ours.step_s


@pytest.mark.parametrize("limit_mib", [MOST_MIB, SMALL_MIB])
def test_vae_that_overflows_in_16_bits_works_in_float32_on_the_gpu_within_the_limit(limit_mib: int) -> None:
    """From an init image, so that both of its halves do."""
    from pipeline.bench.stable_diffusion_timing import draw_overflowing
    from pipeline.runtime.out_of_memory import Rung

    drawn = draw_overflowing("sdxl", Conditions(limit_mib=limit_mib, sides_px=(1024,), steps=STEPS))
    log.info("sdxl with a VAE that overflows: %s", drawn)
    assert drawn.climbed.get(Rung.FLOAT32) == 2
    assert not drawn.climbed.get(Rung.CPU)
    assert drawn.peak_mib is not None and drawn.peak_mib <= limit_mib
