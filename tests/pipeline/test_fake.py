"""The fake engine does on demand what real ones do by accident."""

from __future__ import annotations

import pytest

from pipeline.catalog.models import FAKE
from pipeline.engine import GeneratedImage, Progress
from pipeline.errors import EngineDead, GenerationFailed, GenerationStopped, OutOfMemory
from pipeline.fake import FakeEngine
from pipeline.spec import ImageOptions


def draw(engine: FakeEngine, prompt: str, *, steps: int = 2, stop_after: int = 10**9) -> GeneratedImage:
    questions = iter(range(10**9))
    spec = FAKE.resolve(ImageOptions(prompt=prompt, seed=1, steps=steps), random_seed=0)
    return engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: next(questions) >= stop_after)


@pytest.mark.parametrize(("prompt", "error"), [("[fail]", GenerationFailed), ("x [oom]", OutOfMemory)])
def test_marked_prompt_fails_and_the_engine_lives(prompt: str, error: type[Exception]) -> None:
    engine = FakeEngine(FAKE)
    with pytest.raises(error):
        draw(engine, prompt)
    draw(engine, "a cat")


def test_dead_engine_stays_dead() -> None:
    engine = FakeEngine(FAKE)
    for prompt in ("[dead]", "a cat"):
        with pytest.raises(EngineDead):
            draw(engine, prompt)


def test_hanging_run_ends_only_when_stopped() -> None:
    with pytest.raises(GenerationStopped):
        draw(FakeEngine(FAKE), "[hang]", steps=1, stop_after=20)


def test_prompt_sets_the_seconds_per_step() -> None:
    image = draw(FakeEngine(FAKE, step_s=60), "a cat [step=0.01]", steps=3)
    assert 0.03 <= image.denoise_s < 1


def test_first_run_waits_for_loading() -> None:
    seen: list[Progress] = []
    spec = FAKE.resolve(ImageOptions(prompt="a cat", steps=1), random_seed=0)
    FakeEngine(FAKE, load_s=0.01).generate(spec, on_progress=seen.append, should_stop=lambda: False)
    assert seen[0].stage == "loading"
