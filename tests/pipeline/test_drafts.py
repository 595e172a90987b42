"""A draft and the final image made of it hold the same thing in the same place."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bot.jobs import Job, JobStatus
from bot.requests import derive
from bot.requests.models import Models
from pipeline.bench.image_scoring import picture_of, references
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import DEMO, create_engine
from pipeline.config import PipelineConfig
from pipeline.engine import Engine
from pipeline.families.flux.engine import FluxEngine
from pipeline.images.init_image import resolve_with_source
from pipeline.spec import Aspect, ImageOptions, Size
from tests.bot.frontends.discord_app.test_embeds import a_job
from tests.pipeline.families.flux.random_flux import miniature_card

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

    def again_from(self, picture: Image.Image, strength: float) -> Image.Image:
        """A picture at normal size as the model itself would draw it, which a random one cannot do well."""
        return self._draw(ImageOptions(prompt="x", seed=1, steps=1, strength=strength), picture)[1]

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
    yield Studio(DEMO, engine)
    engine.close()


@pytest.fixture
def flux(miniature_dir: Path) -> Iterator[Studio]:
    """The miniature with random weights, at 128 × 128."""
    card = replace(miniature_card(), sizes={Aspect.SQUARE: (128, 128)}, bounds=DEMO.bounds)
    card = replace(card, bounds=replace(card.bounds, min_side=64))
    engine = FluxEngine(card, PipelineConfig(device="cpu", models_dir=miniature_dir))
    yield Studio(card, engine)
    engine.close()


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


def likeness(one: Image.Image, other: Image.Image) -> float:
    """The correlation of brightness and colours, but for everything finer than an eighth of a side."""
    first, second = (
        np.asarray(each.resize((8, 8), Image.Resampling.BOX)).astype(float).ravel() for each in (one, other)
    )
    return float(np.corrcoef(first, second)[0, 1])


def test_flux(flux):
    drafts = [flux.draw("a cat", seed=s, size=Size.DRAFT) for s in (1, 2, 3)]
    finals = [flux.finish(d) for d in drafts]
    rounds = [flux.again_from(d[1], 0.02) for d in drafts]
    normals = [flux.draw("a cat", seed=s) for s in (1, 2, 3)]
    print()
    for i, f in enumerate(finals):
        print(
            i,
            f[1].size,
            [round(likeness(f[1], r), 3) for r in rounds],
            [round(likeness(f[1], d[1]), 3) for d in drafts],
            [round(likeness(r, n[1]), 3) for n, r in zip(normals, rounds)],
            round(likeness(normals[i][1], rounds[i]), 3),
        )
