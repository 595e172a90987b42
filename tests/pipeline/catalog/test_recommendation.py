"""Which model is recommended, by GPU, memory, licence and language."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import DEMO, FLUX1_DEV, MAJICFLUS_V1, MODELS, SD15, SDXL, Z_IMAGE_TURBO
from pipeline.catalog.recommendation import Machine, recommend, runs
from pipeline.config import PipelineConfig
from pipeline.device.gpu import Gpu

GPU = Gpu(name="Test RTX", driver="1", total_mib=8188, free_mib=7600, compute_capability=(8, 9))
USUAL = Machine(gpu=GPU, memory_mib=32_000)
ABSENT = [files.MissingFile(path=Path("x"), reason=files.Flaw.ABSENT)]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the models whose files are here; the demo's always are."""
    names = {DEMO.name}
    monkeypatch.setattr(files, "missing", lambda card, _folder: [] if card.name in names else ABSENT)
    return names


def gpu(total_mib: int, capability: tuple[int, int] = (8, 9)) -> Machine:
    return replace(USUAL, gpu=replace(GPU, total_mib=total_mib, compute_capability=capability))


def best(machine: Machine, language: str = "en", used: ModelCard = DEMO, **config: object) -> str:
    return recommend(PipelineConfig(models_dir=Path("none"), **config), used, machine, language).best.card.name


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("machine", "language", "expected"),
    [
        (USUAL, "en", "majicflus-v1"),
        (USUAL, "zh", "z-image-turbo"),
        (gpu(24_000), "en", "majicflus-v1"),
        (gpu(6_144), "en", "z-image-turbo"),  # twenty steps would stream 12 GB each through a narrow link
        (gpu(8_188, (7, 5)), "en", "sdxl"),  # without bfloat16
        (gpu(8_188, (7, 5)), "zh", "sdxl"),
        (gpu(1_900), "en", "demo"),
        (Machine(gpu=GPU, memory_mib=7_000), "en", "z-image-turbo"),  # no room for what of FLUX.1 is streamed
        (Machine(gpu=None, memory_mib=32_000), "en", "sd15"),
        (Machine(gpu=None, memory_mib=32_000), "zh", "sd15"),
        (Machine(gpu=None, memory_mib=4_000), "en", "demo"),
        (Machine(gpu=None, memory_mib=0), "en", "demo"),
    ],
)
def test_machine_and_language_decide(machine: Machine, language: str, expected: str) -> None:
    assert best(machine, language) == expected


@pytest.mark.usefixtures("here")
def test_only_commercial_models_are_recommended_if_the_config_says_so() -> None:
    assert best(USUAL, commercial_only=True) == "z-image-turbo"
    for machine in (USUAL, gpu(2_000), gpu(24_000), gpu(8_188, (6, 1)), Machine(gpu=None, memory_mib=8_000)):
        assert MODELS[best(machine, commercial_only=True)].is_commercial


def test_what_draws_now_stays_if_it_suits_and_a_commercial_one_is_named_beside(here: set[str]) -> None:
    here |= {MAJICFLUS_V1.name, Z_IMAGE_TURBO.name}
    found = recommend(PipelineConfig(models_dir=Path("none")), MAJICFLUS_V1, USUAL, "en")
    assert found.best.card is MAJICFLUS_V1 and found.best.is_here
    assert found.commercial is not None and found.commercial.card is Z_IMAGE_TURBO and found.commercial.is_here
    assert recommend(PipelineConfig(models_dir=Path("none")), SDXL, USUAL, "en").best.card is SDXL


def test_what_is_here_comes_before_what_would_have_to_be_fetched(here: set[str]) -> None:
    here |= {FLUX1_DEV.name}
    assert best(USUAL) == "flux1-dev"
    assert best(USUAL, "zh", used=FLUX1_DEV) == "z-image-turbo"  # which is not here, and reads it


@pytest.mark.usefixtures("here")
def test_model_that_does_not_read_the_language_is_said_to_need_the_translator() -> None:
    assert not recommend(PipelineConfig(models_dir=Path("none")), DEMO, gpu(8_188, (7, 5)), "zh").is_read
    assert recommend(PipelineConfig(models_dir=Path("none")), DEMO, USUAL, "zh").is_read


@pytest.mark.usefixtures("here")
def test_limit_of_the_config_counts_as_the_memory_of_the_gpu() -> None:
    assert best(gpu(24_000), vram_limit_mib=4_000) == "z-image-turbo"


def test_every_large_model_says_what_a_step_needs() -> None:
    assert {card.name for card in MODELS.values() if not card.step_gb} == {DEMO.name}
    assert all(runs(card, PipelineConfig(models_dir=Path("none")), USUAL) for card in MODELS.values())
    assert not runs(SD15, PipelineConfig(models_dir=Path("none")), Machine(gpu=None, memory_mib=2_000))
