"""What every engine promises (`pipeline/engine.py`), asked of each one that runs without a GPU."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import DEMO, FAKE, MODELS, create_engine
from pipeline.config import PipelineConfig
from pipeline.engine import Engine, Progress, Stage
from pipeline.errors import GenerationStopped, InvalidSpec
from pipeline.images.init_image import resolve_with_source
from pipeline.spec import ImageOptions, ImageSpec
from pipeline.streaming.arithmetic import Arithmetic

STEPS = 3


@dataclasses.dataclass(frozen=True)
class Subject:
    """An engine under test and how to make another one of its kind."""

    card: ModelCard
    engine: Engine
    create: Callable[[], Engine]

    def options(self, **changes: Any) -> ImageOptions:
        """Of the smallest image that the model draws: what is promised depends on no size."""
        size = min(self.card.scales, key=lambda size: self.card.scales[size])
        return ImageOptions(**{"prompt": "a red apple", "seed": 1, "steps": STEPS, "size": size, **changes})

    def spec(self, *, seed: int = 1) -> ImageSpec:
        return self.card.resolve(self.options(seed=seed), random_seed=0)


def config_of(models_dir: Path) -> PipelineConfig:
    """Two threads wherever the tests run: the same bytes must not depend on which of them is first."""
    return PipelineConfig(device="cpu", models_dir=models_dir, cpu_threads=2)


def _random_flux(folder: Path) -> tuple[ModelCard, Callable[[], Engine]]:
    from pipeline.families.flux.cards import FLUX1_DEV
    from pipeline.families.flux.engine import FluxEngine
    from tests.pipeline.families.flux.random_flux import Sizes, miniature_card, write_random_flux

    write_random_flux(folder, FLUX1_DEV, Sizes())
    card = miniature_card()
    return card, lambda: FluxEngine(card, config_of(folder))


def _miniature(folder: Path) -> tuple[ModelCard, Callable[[], Engine]]:
    from pipeline.runtime.vram_budget import FakeBudget
    from tests.pipeline.families.miniature.architecture import CARD
    from tests.pipeline.families.miniature.engine import MiniatureEngine
    from tests.pipeline.families.miniature.modules import write_random_miniature

    write_random_miniature(folder)
    return CARD, lambda: MiniatureEngine(CARD, config_of(folder), budget=FakeBudget(2**30))


def _random_z_image(folder: Path) -> tuple[ModelCard, Callable[[], Engine]]:
    from pipeline.families.z_image.engine import ZImageEngine
    from tests.pipeline.families.z_image.random_z_image import make_miniature, write_folder

    card = write_folder(make_miniature(), folder)
    return card, lambda: ZImageEngine(card, config_of(folder))


def _random_flux2(folder: Path) -> tuple[ModelCard, Callable[[], Engine]]:
    from pipeline.families.flux2.engine import Flux2Engine
    from tests.pipeline.families.flux2.random_flux2 import make_miniature, write_folder

    card = write_folder(make_miniature(), folder)
    # On one thread: it has many small layers, for which two threads wait for each other all the time.
    return card, lambda: Flux2Engine(card, config_of(folder).model_copy(update={"cpu_threads": 1}))


MADE = {
    "random flux": _random_flux,
    "another family, streamed": _miniature,
    "random Z-Image": _random_z_image,
    "random FLUX.2": _random_flux2,
}


@pytest.fixture(scope="module", params=["fake", "demo", *MADE])
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    folder = tmp_path_factory.mktemp("models")
    if make := MADE.get(request.param):
        card, create = make(folder)
    else:
        card = {"fake": FAKE, "demo": DEMO}[request.param]

        def create() -> Engine:
            return create_engine(card.name, config_of(folder))

    threads = torch.get_num_threads()
    engine = create()
    yield Subject(card, engine, create)
    engine.close()
    torch.set_num_threads(threads)


def never() -> bool:
    return False


def ignore(_progress: Progress) -> None:
    pass


def test_picture_has_the_size_and_the_spec_that_were_asked_for(subject: Subject) -> None:
    spec = subject.spec()
    image = subject.engine.generate(spec, on_progress=ignore, should_stop=never)
    assert (image.width, image.height) == (spec.width, spec.height)
    assert len(image.pixels) == spec.width * spec.height * 3
    assert len(set(image.pixels)) > 1
    assert image.spec == spec
    assert min(image.encode_s, image.denoise_s, image.decode_s) >= 0
    assert image.step_s == image.denoise_s / STEPS
    assert image.peak_mib is None


def test_progress_counts_every_step_and_ends_at_the_last(subject: Subject) -> None:
    subject.engine.load()
    seen: list[Progress] = []
    subject.engine.generate(subject.spec(), on_progress=seen.append, should_stop=never)
    denoising = [Progress(stage=Stage.DENOISING, step=step, steps=STEPS) for step in range(STEPS + 1)]
    assert seen == [
        Progress(stage=Stage.ENCODING, step=0, steps=STEPS),
        *denoising,
        Progress(stage=Stage.DECODING, step=STEPS, steps=STEPS),
    ]
    clock = [progress.denoise_s for progress in seen]
    assert clock[:2] == [0.0, pytest.approx(0.0, abs=0.01)]
    assert clock == sorted(clock) and clock[-1] > 0


def test_same_spec_draws_the_same_bytes_and_another_seed_others(subject: Subject) -> None:
    first, again, other = (
        subject.engine.generate(subject.spec(seed=seed), on_progress=ignore, should_stop=never, upcoming=upcoming)
        for seed, upcoming in ((7, ()), (7, ("a blue cup",)), (8, ()))
    )
    assert again.pixels == first.pixels
    assert other.pixels != first.pixels


def test_prompts_are_forgotten_and_read_again_to_the_same_bytes(subject: Subject) -> None:
    first = subject.engine.generate(subject.spec(seed=7), on_progress=ignore, should_stop=never)
    subject.engine.forget_prompts()
    loaded = getattr(subject.engine, "loaded", None)
    assert loaded is None or loaded.model.prompts.prompts == []
    again = subject.engine.generate(subject.spec(seed=7), on_progress=ignore, should_stop=never)
    assert again.pixels == first.pixels
    subject.create().forget_prompts()  # nothing is loaded


def test_source_shows_through_less_and_less_as_the_strength_grows(subject: Subject) -> None:
    width, height = subject.spec().width, subject.spec().height
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).save(buffer, format="PNG")
    distances = []
    for strength in (0.1, 0.5, 1.0):
        options = subject.options(strength=strength)
        spec, source = resolve_with_source(subject.card, options, buffer.getvalue(), random_seed=0)
        first, again = (
            subject.engine.generate(spec, on_progress=ignore, should_stop=never, source=source.tobytes()).pixels
            for _ in range(2)
        )
        assert first == again
        distances.append(np.abs(np.frombuffer(first, np.uint8).astype(int) - np.asarray(source).ravel()).mean())
    # The random model cannot undo its own encoder: there only the order is promised by the mathematics.
    assert distances[0] < distances[-1] or subject.card.name not in MODELS
    assert len(set(distances)) == 3


def test_source_that_was_not_asked_for_or_is_missing_is_refused(subject: Subject) -> None:
    spec = subject.spec()
    with pytest.raises(InvalidSpec):
        subject.engine.generate(spec, on_progress=ignore, should_stop=never, source=bytes(spec.width * spec.height * 3))
    with pytest.raises(InvalidSpec):
        sourced = dataclasses.replace(spec, source="0" * 64, strength=0.5)
        subject.engine.generate(sourced, on_progress=ignore, should_stop=never)
    subject.engine.generate(spec, on_progress=ignore, should_stop=never)


def test_stop_takes_effect_within_a_step_and_the_next_run_works(subject: Subject) -> None:
    seen: list[Progress] = []
    with pytest.raises(GenerationStopped):
        subject.engine.generate(
            subject.spec(), on_progress=seen.append, should_stop=lambda: bool(seen) and seen[-1].step == 1
        )
    assert seen[-1].step == 1
    subject.engine.generate(subject.spec(), on_progress=ignore, should_stop=never)


def test_stopped_run_leaves_no_trace_in_the_next_picture(subject: Subject) -> None:
    before = subject.engine.generate(subject.spec(), on_progress=ignore, should_stop=never)
    with pytest.raises(GenerationStopped):
        subject.engine.generate(subject.spec(seed=2), on_progress=ignore, should_stop=lambda: True)
    after = subject.engine.generate(subject.spec(), on_progress=ignore, should_stop=never)
    assert after.pixels == before.pixels


def test_spec_of_another_model_is_refused(subject: Subject) -> None:
    spec = dataclasses.replace(subject.spec(), model="another")
    with pytest.raises(InvalidSpec):
        subject.engine.generate(spec, on_progress=ignore, should_stop=never)


def test_generate_loads_if_nobody_did_and_says_so(subject: Subject) -> None:
    engine = subject.create()
    seen: list[Progress] = []
    engine.generate(subject.spec(), on_progress=seen.append, should_stop=never)
    assert seen[0].stage is Stage.LOADING
    engine.close()


def test_load_and_close_may_be_called_twice(subject: Subject) -> None:
    engine = subject.create()
    engine.load()
    engine.load()
    engine.close()
    engine.close()


def test_transformer_multiplies_as_was_decided_for_this_machine(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every family: without a word, 8-bit weights are multiplied by whatever the library has."""
    told: list[object] = []
    monkeypatch.setattr(Arithmetic, "use_in", lambda _arithmetic, transformer: told.append(transformer))
    engine = subject.create()
    engine.load()
    loaded = getattr(engine, "loaded", None)
    assert told == ([] if loaded is None else [loaded.model.residency.transformer])
    engine.close()
