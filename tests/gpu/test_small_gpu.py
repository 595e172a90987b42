"""Every model on a part of a real GPU that stands for an RTX 4060, at full size with random weights.

Eight multiprocessors, a slow link, 7.2 GiB. `--log-cli-level=INFO` shows the figures.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pipeline.bench.report import EMULATIONS, Conditions
from pipeline.device.gpu import find_gpu

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]

log = logging.getLogger(__name__)
MOST_MIB = int(7.2 * 1024)  # of the whole process, by the driver
STEPS = 4
SHARE = {"sd15": 0.2, "sdxl": 0.35}  # of the speed that link and arithmetic allow, at least: of UNets
USUAL_SHARE = 0.6  # and of transformers


@pytest.fixture(scope="module", autouse=True)
def gpu() -> None:
    if find_gpu() is None:
        pytest.skip("there is no GPU")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what is measured is kept, once for all models."""
    return tmp_path_factory.mktemp("small")


@pytest.mark.parametrize(
    ("name", "side", "system"),
    [
        ("sd15", 512, "float16"),
        ("sdxl", 1024, "float16"),
        ("sdxl", 1024, "int8"),
        ("flux1-schnell", 512, "int8"),
        ("flux1-schnell", 1024, "int8"),
        ("z-image-turbo", 1024, "int8"),
        ("flux2-klein-4b", 1024, "int8"),
    ],
)
def test_step_comes_near_to_what_link_and_arithmetic_allow(name: str, side: int, system: str, folder: Path) -> None:
    from pipeline.bench.model_timing import time_model

    conditions = Conditions(limit_mib=MOST_MIB, sides_px=(side,), steps=STEPS, emulation=EMULATIONS["rtx4060"])
    ours = time_model(name, system, conditions, folder=folder)
    log.info(
        "%s at %d px, %s, as on an RTX 4060: %s, share of the floor %s", name, side, system, ours, ours.floor_share
    )
    assert ours.peak_mib is not None and ours.peak_mib <= MOST_MIB
    assert ours.floor_share is not None and ours.floor_share >= SHARE.get(name, USUAL_SHARE)
