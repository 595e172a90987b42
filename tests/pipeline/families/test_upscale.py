"""Miniatures of FLUX.1, SD 1.5 and SDXL draw an image anew at twice its size: in tiles, on the CPU, by the engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import make_engine
from pipeline.config import PipelineConfig
from pipeline.engine import GeneratedImage, Progress, Stage
from pipeline.errors import GenerationStopped, InvalidSpec, OutOfMemory
from pipeline.families.torch_engine import TorchEngine
from pipeline.runtime import tiles
from pipeline.runtime.out_of_memory import Rung
from pipeline.spec import UPSCALE, ImageOptions, ImageSpec, last_steps
from tests.gpu import test_upscale_gpu
from tests.pipeline.families.flux.random_flux import miniature_card
from tests.pipeline.families.stable_diffusion.random_sd import make_sd15, make_sdxl, write_single_file
from tests.pipeline.seams import texture

FLUX_ALONE = pytest.mark.parametrize("engine", ["flux"], indirect=True)
SIDE = 32
FACTOR = 8


@pytest.fixture(scope="module", params=["flux", "sd15", "sdxl"])
def engine(
    request: pytest.FixtureRequest, miniature_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TorchEngine]:
    folder = miniature_dir
    if request.param == "flux":
        card = miniature_card()
    else:
        folder = tmp_path_factory.mktemp(request.param)
        card = write_single_file({"sd15": make_sd15, "sdxl": make_sdxl}[request.param](), folder)
    made: Any = make_engine(card, PipelineConfig(device="cpu", models_dir=folder))
    made.load()
    yield made
    made.close()


def source_of(side: int = SIDE) -> bytes:
    """Texture in three colours."""
    grey = torch.from_numpy(texture(side, side))
    return bytes((torch.stack([grey, -grey, grey * 0.5], -1) * 127 + 128).to(torch.uint8).numpy().tobytes())


def a_spec(card: ModelCard, **changes: Any) -> ImageSpec:
    """An upscale from 32 to 64 px, in 2 of 4 steps."""
    options = ImageOptions(prompt="a red fox", seed=3, steps=4, strength=0.5, upscale=UPSCALE)
    spec = card.resolve(replace(options, upscale=None), random_seed=0, source=hashlib.sha256(source_of()).hexdigest())
    return replace(spec, **{"width": 2 * SIDE, "height": 2 * SIDE, "upscale": UPSCALE} | changes)


def card_of(engine: TorchEngine) -> ModelCard:
    return engine.card


def draw(engine: TorchEngine, spec: ImageSpec, **options: Any) -> GeneratedImage:
    calls: dict[str, Any] = {"on_progress": lambda _progress: None, "should_stop": lambda: False} | options
    return engine.generate(spec, source=source_of(), **calls)


def sides_seen(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by the side of the latents, in px, each time that the transformer runs."""
    assert engine.loaded is not None
    seen: list[int] = []
    run_step = engine.loaded.model.residency.run_step

    def noted(step: Any) -> Any:
        made = run_step(step)
        seen.append(made.shape[-1] * FACTOR)
        return made

    monkeypatch.setattr(engine.loaded.model.residency, "run_step", noted)
    return seen


def test_upscale_is_twice_as_large_and_takes_the_last_steps_in_four_tiles(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = a_spec(card_of(engine))
    seen, told = sides_seen(engine, monkeypatch), list[Progress]()
    planned: list[tuple[int, int, int]] = []
    cost = card_of(engine).architecture.cost
    architecture = replace(card_of(engine).architecture, cost=lambda *size: planned.append(size) or cost(*size))
    monkeypatch.setattr(engine, "card", replace(card_of(engine), architecture=architecture))
    image = draw(engine, spec, on_progress=told.append)
    steps = last_steps(spec.steps, spec.strength)
    assert (image.width, image.height, len(image.pixels)) == (64, 64, 64 * 64 * 3)
    assert image.steps_taken == steps == 2
    assert seen == [48] * 4 * steps  # never more than a tile
    assert planned[0] == (48, 48, spec.steps)
    assert [each.step for each in told if each.stage is Stage.DENOISING] == list(range(steps + 1))
    last = told[-1].preview
    assert last is not None and (last.width, last.height) == (8, 8)
    again, other = draw(engine, spec), draw(engine, replace(spec, seed=4))
    assert again.pixels == image.pixels != other.pixels


@FLUX_ALONE
def test_whole_images_are_what_they_were_after_an_upscale(engine: TorchEngine) -> None:
    spec = a_spec(card_of(engine), width=SIDE, height=SIDE, upscale=0)
    before = draw(engine, spec).pixels
    draw(engine, a_spec(card_of(engine)))
    assert draw(engine, spec).pixels == before


@pytest.mark.parametrize("engine", ["flux", "sdxl"], indirect=True)
def test_upscale_is_stopped_within_a_tile_and_the_next_image_is_drawn(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, seen = a_spec(card_of(engine)), sides_seen(engine, monkeypatch)
    whole = draw(engine, spec).pixels
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += len(seen) > 8 + 4  # the second tile of the second step is under way
        return asked > 1

    with pytest.raises(GenerationStopped):
        draw(engine, spec, should_stop=should_stop)
    assert len(seen) == 8 + 5
    assert draw(engine, spec).pixels == whole


@FLUX_ALONE
def test_tiles_become_smaller_if_memory_runs_out_and_no_step_is_lost(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine.loaded is not None
    spec, residency = a_spec(card_of(engine)), engine.loaded.model.residency
    run_step, told = residency.run_step, list[int]()

    def too_little(step: Any) -> Any:
        if (made := run_step(step)).shape[-1] * FACTOR >= 48:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return made

    def note(progress: Progress) -> None:
        if progress.stage is Stage.DENOISING:
            told.append(progress.step)

    monkeypatch.setattr(residency, "run_step", too_little)
    with pytest.raises(OutOfMemory):  # a model has to see more than that of an image
        draw(engine, spec)
    monkeypatch.setattr(tiles, "LEAST_TILE_PX", 32)
    climbed = residency.ladder.climbed[Rung.SMALLER_TILES]
    assert draw(engine, spec, on_progress=note).width == 64
    assert told == [0, 1, 2]
    assert residency.ladder.climbed[Rung.SMALLER_TILES] == climbed + 1


@FLUX_ALONE
@pytest.mark.parametrize("changes", [{"width": 32, "height": 32}, {"upscale": 0}])
def test_source_of_another_size_than_the_spec_says_is_refused(engine: TorchEngine, changes: dict[str, int]) -> None:
    with pytest.raises(InvalidSpec, match="image"):
        draw(engine, a_spec(card_of(engine), **changes))


@FLUX_ALONE
def test_what_the_gpu_test_measures_with_runs_here_too(engine: TorchEngine) -> None:
    spec, source = test_upscale_gpu.upscale_of(card_of(engine), SIDE, steps=8)
    image = test_upscale_gpu.draw(engine, spec, source)
    assert (image.width, image.steps_taken) == (2 * SIDE, last_steps(spec.steps, spec.strength))
    assert 0 < test_upscale_gpu.steepness(image) < 10
