"""Upscaling at full size on a real GPU with random weights: 1024² to 2048² within the limit, time against plain steps.

`--log-cli-level=INFO` shows the figures. What the images look like needs the real weights; that no seam is seen is
measured on textures here as well, since random weights leave them as they are at a strength near 0.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import FLUX1_DEV, make_engine
from pipeline.config import PipelineConfig
from pipeline.device.gpu import find_gpu
from pipeline.engine import GeneratedImage
from pipeline.errors import GenerationStopped
from pipeline.spec import UPSCALE, ImageOptions, ImageSpec, last_steps
from pipeline.tiling import tile_side, tile_starts
from tests.pipeline.seams import seam_ratio, texture

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]

log = logging.getLogger(__name__)
LIMIT_MIB = 7200  # of the whole process, CUDA's own part included
STEPS_RATIO = 4 * 1.16 * 1.25  # four tiles, a sixth more px than the image has, and attention over more tokens each


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if find_gpu() is None:
        pytest.skip("there is no CUDA GPU")
    import torch

    from tests.pipeline.families.flux.random_flux import FULL, write_random_flux

    folder = tmp_path_factory.mktemp("models")
    write_random_flux(folder, FLUX1_DEV, FULL, dtype=torch.bfloat16, dit_dtype=torch.float8_e4m3fn, device="cuda")
    torch.cuda.empty_cache()
    made = make_engine(FLUX1_DEV, PipelineConfig(device="cuda", models_dir=folder, vram_limit_mib=LIMIT_MIB))
    made.load()
    yield made
    made.close()
    shutil.rmtree(folder)


def source_of(width: int, height: int) -> bytes:
    """Texture in grey."""
    grey = (texture(height, width) * 127 + 128).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2).tobytes()


def upscale_of(card: ModelCard, side: int, **changes: Any) -> tuple[ImageSpec, bytes]:
    """An upscale of a square to twice its side as a button asks for it, and the image that it starts from."""
    source = source_of(side, side)
    options = ImageOptions(prompt="a red apple", seed=1, strength=card.upscale_strength, **changes)
    spec = card.resolve(options, random_seed=0, source=hashlib.sha256(source).hexdigest())
    return replace(spec, width=UPSCALE * side, height=UPSCALE * side, upscale=UPSCALE), source


def draw(engine: Any, spec: ImageSpec, source: bytes, **options: Any) -> GeneratedImage:
    calls: dict[str, Any] = {"on_progress": lambda _progress: None, "should_stop": lambda: False} | options
    image: GeneratedImage = engine.generate(spec, source=source, **calls)
    log.info(
        "%d × %d, %d steps: encode %.2f s, %.3f s/step, decode %.2f s, peak %s MiB; %s",
        image.width, image.height, image.steps_taken or spec.steps, image.encode_s, image.step_s, image.decode_s,
        image.peak_mib, image.memory and image.memory.summary(),
    )  # fmt: skip
    return image


def steepness(image: GeneratedImage) -> float:
    """Of the columns at the borders of tiles against all others."""
    pixels = np.frombuffer(image.pixels, np.uint8).reshape(image.height, image.width, 3)
    borders = [tile_starts(image.width, UPSCALE)[-1], tile_side(image.width, UPSCALE)]
    return seam_ratio(pixels, borders)


def test_upscale_of_a_megapixel_stays_within_the_limit_and_takes_its_pixels_times_the_time(engine: Any) -> None:
    spec, source = upscale_of(FLUX1_DEV, 1024)
    plain = replace(spec, width=1024, height=1024, upscale=0, steps=last_steps(spec.steps, spec.strength))
    draw(engine, plain, source)  # compiles what is left to compile
    usual, image = draw(engine, plain, source), draw(engine, spec, source)
    log.info("a step takes %.2f times as long as at 1024 px", image.step_s / usual.step_s)
    assert (image.width, image.steps_taken) == (2048, 5)
    assert image.peak_mib is not None and image.peak_mib <= LIMIT_MIB
    assert image.memory is not None and not image.memory.climbed.get("an upscale is drawn in smaller tiles")
    assert image.step_s <= STEPS_RATIO * usual.step_s
    assert draw(engine, spec, source).pixels == image.pixels
    log.info("steepness at the borders of tiles: %.2f", steepness(image))


def test_no_seam_is_seen_where_little_is_redrawn(engine: Any) -> None:
    spec, source = upscale_of(FLUX1_DEV, 1024)
    image = draw(engine, replace(spec, strength=0.05), source)
    assert steepness(image) < 1.25


def test_upscale_is_stopped_within_a_step_and_memory_is_given_back(engine: Any) -> None:
    import torch

    spec, source = upscale_of(FLUX1_DEV, 1024)
    before = torch.cuda.memory_allocated()
    with pytest.raises(GenerationStopped):
        draw(engine, spec, source, should_stop=iter([False] * 100 + [True] * 10_000).__next__)
    assert torch.cuda.memory_allocated() - before < 64 * 2**20
    assert draw(engine, spec, source).width == 2048
