"""A draft and the final image made of it hold the same thing in the same place; so does an upscaled image."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bot.jobs import Job, JobStatus
from bot.requests import derive
from bot.requests.models import Models
from pipeline.bench.image_scoring import picture_of, references
from pipeline.catalog.model_card import Bounds, ModelCard
from pipeline.catalog.models import DEMO, create_engine
from pipeline.config import PipelineConfig
from pipeline.engine import Engine
from pipeline.families.flux.architecture import LATENT
from pipeline.families.flux.engine import FluxEngine
from pipeline.images.init_image import resolve_with_source
from pipeline.spec import UPSCALE, Aspect, ImageOptions, Size
from pipeline.tiling import tile_side, tile_starts
from tests.bot.frontends.discord_app.test_embeds import a_job
from tests.pipeline.families.flux.random_flux import miniature_card
from tests.pipeline.seams import seam_ratio

Drawn = tuple[Job, Image.Image]


class Studio:
    """An engine, used as the service uses it."""

    def __init__(self, card: ModelCard, engine: Engine) -> None:
        self.card, self._engine = card, engine

    def draw(self, prompt: str, *, seed: int, size: Size = Size.NORMAL) -> Drawn:
        """As for a request with nothing but these."""
        return self._draw(ImageOptions(prompt=prompt, seed=seed, size=size))

    def finish(self, drawn: Drawn) -> Drawn:
        """As for a press on "final"."""
        job, picture = drawn
        (options,) = derive.final(job, Models(usual=self.card)).images
        return self._draw(options, picture)

    def upscale(self, drawn: Drawn) -> Drawn:
        """As for a press on "upscale"."""
        job, picture = drawn
        (options,) = derive.upscale(job, Models(usual=self.card)).images
        return self._draw(options, picture)

    def _draw(self, options: ImageOptions, start: Image.Image | None = None) -> Drawn:
        pixels = None
        if start is None:
            spec = self.card.resolve(options, random_seed=0)
        else:
            file = io.BytesIO()
            start.save(file, format="PNG")
            spec, fitted = resolve_with_source(self.card, options, file.getvalue(), random_seed=0)
            pixels = fitted.tobytes()
        image = self._engine.generate(
            spec, on_progress=lambda _progress: None, should_stop=lambda: False, source=pixels
        )
        job = replace(a_job(), spec=spec, status=JobStatus.DONE, image_path="00000/42.png")
        return job, Image.frombytes("RGB", (image.width, image.height), image.pixels)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    engine = create_engine("demo", PipelineConfig(device="cpu", models_dir=tmp_path_factory.mktemp("models")))
    engine.load()
    yield Studio(DEMO, engine)
    engine.close()


@pytest.fixture
def flux(miniature_dir: Path) -> Iterator[Studio]:
    """The miniature at 128 × 128 with random weights, and a VAE that undoes what it does, as random ones do not."""
    bounds = Bounds(min_side=64, max_pixels=128**2, max_ratio=1.0)
    card = replace(miniature_card(), sizes={Aspect.SQUARE: (128, 128)}, bounds=bounds)
    engine = FluxEngine(card, PipelineConfig(device="cpu", models_dir=miniature_dir))
    engine.load()
    assert engine.loaded is not None
    engine.loaded.model.encoder.forward = encode
    engine.loaded.model.decoder.forward = decode
    yield Studio(card, engine)
    engine.close()


def encode(picture: torch.Tensor, *_args: object, **_options: object) -> torch.Tensor:
    """(B, 3, H, W) → (B, 16, H/8, W/8): the means of 8 × 8 px, and nothing in the other channels."""
    means = torch.nn.functional.avg_pool2d(picture, LATENT.factor)
    return torch.nn.functional.pad(means, (0, 0, 0, 0, 0, LATENT.channels - 3))


def decode(latents: torch.Tensor, *_args: object, **_options: object) -> torch.Tensor:
    """(B, 16, H/8, W/8) → (B, 3, H, W)."""
    return torch.nn.functional.interpolate(latents[:, :3], scale_factor=LATENT.factor)


def subject_of(drawn: Drawn) -> str:
    picture = drawn[1]
    return references().nearest(picture_of(picture.tobytes(), *picture.size))[0].key


def place_of(drawn: Drawn) -> np.ndarray:
    """Where the picture is not like its border, (64, 64)."""
    pixels = np.asarray(drawn[1].resize((64, 64), Image.Resampling.BOX)).astype(float)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.abs(pixels - np.median(border, axis=0)).max(axis=-1) > 48


def overlap(one: Drawn, other: Drawn) -> float:
    """What both places share, of what either holds."""
    first, second = place_of(one), place_of(other)
    return float((first & second).sum() / (first | second).sum())


def edges(picture: Image.Image, *, share: float = 0.01) -> float:
    """How steep the steepest edges are: so many of all differences are steeper."""
    grey = np.asarray(picture.convert("L")).astype(float)
    return float(np.quantile(np.abs(np.diff(grey, axis=1)), 1 - share))


def compositions(drawn: Sequence[Drawn]) -> np.ndarray:
    """(picture, value): what sets each apart from the others, but for everything finer than an eighth of a side."""
    small = [np.asarray(picture.resize((8, 8), Image.Resampling.BOX)).astype(float).ravel() for _, picture in drawn]
    apart = np.stack(small) - np.mean(small, axis=0)
    unit: np.ndarray = apart / np.linalg.norm(apart, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize(("prompt", "key"), [("一辆汽车", "automobile"), ("a robot", "robot")])
def test_final_of_the_demo_holds_the_same_thing_in_the_same_place_as_the_draft(
    demo: Studio, prompt: str, key: str
) -> None:
    draft = demo.draw(prompt, seed=0, size=Size.DRAFT)
    final = demo.finish(draft)
    assert (draft[1].size, final[1].size) == ((160, 160), (256, 256))
    assert final[0].spec.seed == draft[0].spec.seed == 0
    assert subject_of(draft) == subject_of(final) == key
    others = [demo.draw(prompt, seed=seed) for seed in (1, 2)]
    assert overlap(draft, final) > max(overlap(draft, other) for other in others) + 0.04


def test_final_of_the_demo_is_sharper_than_its_draft(demo: Studio) -> None:
    """Or the enlarged draft itself would do."""
    draft = demo.draw("a castle", seed=7, size=Size.DRAFT)
    final = demo.finish(draft)[1]
    enlarged = draft[1].resize(final.size, Image.Resampling.LANCZOS)
    assert edges(final) > 1.1 * edges(enlarged)


def test_final_of_flux_has_the_composition_of_its_draft_and_of_no_other(flux: Studio) -> None:
    seeds = (1, 2, 3, 4)
    drafts = [flux.draw("a cat", seed=seed, size=Size.DRAFT) for seed in seeds]
    finals = [flux.finish(draft) for draft in drafts]
    assert {final[1].size for final in finals} == {(128, 128)}
    likeness = compositions(drafts) @ compositions(finals).T
    assert np.diag(likeness).min() > 0.35  # of these random weights; of other drafts at most 0.2
    assert likeness[~np.eye(len(seeds), dtype=bool)].max() < 0.2
    # The seed alone does not keep the composition: another size is other noise.
    alone = compositions(drafts) @ compositions([flux.draw("a cat", seed=seed) for seed in seeds]).T
    assert np.diag(alone).max() < 0.3


def test_upscaled_demo_image_is_twice_as_large_sharper_than_enlarged_and_without_a_seam(demo: Studio) -> None:
    drawn = demo.draw("a castle", seed=7)
    upscaled = demo.upscale(drawn)
    size = tuple(2 * side for side in drawn[1].size)
    assert upscaled[1].size == size and upscaled[0].spec.seed == 7
    assert subject_of((upscaled[0], upscaled[1].resize(drawn[1].size))) == subject_of(drawn) == "castle"
    enlarged = drawn[1].resize(upscaled[1].size, Image.Resampling.LANCZOS)
    assert edges(upscaled[1], share=0.002) > 1.1 * edges(enlarged, share=0.002)
    apart = np.abs(np.asarray(upscaled[1]).astype(float) - np.asarray(enlarged))
    assert apart.mean() < 4  # of 255: nothing was added or moved
    borders = [tile_starts(size[0], UPSCALE)[1], tile_side(size[0], UPSCALE)]
    seen, before = (seam_ratio(np.asarray(picture), borders) for picture in (upscaled[1], enlarged))
    assert seen < max(1.25, 1.25 * before)
