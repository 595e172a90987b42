"""What only the executor on a thread does: carry context and progress across, and keep one model in memory."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.executors import create_executor
from bot.executors.thread import ThreadExecutor, _LatestValue
from bot.jobs import StopSignal
from pipeline import GeneratedImage, ImageSpec, Progress, Stage
from pipeline.catalog.models import FAKE, create_engine
from pipeline.config import ModelEntry, PipelineConfig
from pipeline.errors import ModelFilesMissing, ModelUnusable
from pipeline.fake import FakeEngine

job_id: contextvars.ContextVar[int] = contextvars.ContextVar("job_id", default=0)


def ignore(_progress: Progress) -> None:
    pass


async def test_context_variables_reach_the_engine(spec: ImageSpec) -> None:
    """Log lines of the gpu thread carry the id of their job."""
    seen: list[int] = []

    def make_engine(name: str, config: PipelineConfig) -> object:
        engine = create_engine(name, config)
        generate: Callable[..., object] = engine.generate
        engine.generate = lambda *args, **kwargs: (seen.append(job_id.get()), generate(*args, **kwargs))[1]  # type: ignore[method-assign]
        return engine

    executor = ThreadExecutor(PipelineConfig(model="fake"), stop_grace_s=1.0, make_engine=make_engine)  # type: ignore[arg-type]
    token = job_id.set(42)
    try:
        await executor.run(spec, on_progress=ignore, stop=StopSignal())
    finally:
        job_id.reset(token)
        await executor.close(2.0)
    assert seen == [42]


async def test_another_model_replaces_the_loaded_one(spec: ImageSpec) -> None:
    events: list[str] = []

    class Engine:
        def __init__(self, name: str) -> None:
            self.name = name

        def load(self) -> None:
            events.append(f"load {self.name}")

        def generate(self, spec: ImageSpec, **_: object) -> None:
            events.append(f"draw {self.name}")

        def close(self) -> None:
            events.append(f"close {self.name}")

    executor = ThreadExecutor(
        PipelineConfig(model="fake"),
        stop_grace_s=1.0,
        make_engine=lambda name, _config: Engine(name),  # type: ignore[arg-type, return-value]
    )
    await executor.start("a")
    for model in ("a", "b"):
        await executor.run(replace(spec, model=model), on_progress=ignore, stop=StopSignal())
    await executor.close(2.0)
    assert events == ["load a", "draw a", "close a", "draw b", "close b"]


async def test_prompts_are_forgotten_between_two_images_on_the_engines_thread(
    spec: ImageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, str]] = []

    class Engine(FakeEngine):
        def generate(self, spec: ImageSpec, **options: Any) -> GeneratedImage:
            events.append(("draw", threading.current_thread().name))
            image = super().generate(spec, **options)
            events.append(("drawn", threading.current_thread().name))
            return image

        def forget_prompts(self) -> None:
            events.append(("forget", threading.current_thread().name))

    executor = ThreadExecutor(
        PipelineConfig(model="fake"), stop_grace_s=1.0, make_engine=lambda _name, _config: Engine(FAKE, step_s=0.02)
    )
    await executor.forget_prompts()  # nothing is loaded
    drawing = asyncio.create_task(executor.run(spec, on_progress=ignore, stop=StopSignal()))
    while not events:
        await asyncio.sleep(0.001)
    await executor.forget_prompts()
    await drawing
    await executor.close(2.0)
    assert [what for what, _ in events] == ["draw", "drawn", "forget"]
    assert len({thread for _, thread in events}) == 1


async def test_model_whose_files_are_gone_leaves_the_loaded_one_in_memory(
    spec: ImageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[object] = []
    monkeypatch.setattr(FakeEngine, "close", closed.append)
    config = PipelineConfig(
        models_dir=tmp_path, models=(ModelEntry(name="gone", files=(tmp_path / "gone.safetensors",)),)
    )
    executor = create_executor(config, stop_grace_s=1.0)
    await executor.start("fake")
    for model in ("gone", "flux1-dev"):
        with pytest.raises(ModelFilesMissing if model == "flux1-dev" else ModelUnusable):
            await executor.run(replace(spec, model=model), on_progress=ignore, stop=StopSignal())
    await executor.run(spec, on_progress=ignore, stop=StopSignal())
    assert closed == []
    await executor.close(2.0)


async def test_progress_is_not_lost_if_the_loop_takes_the_last_at_that_very_moment() -> None:
    """Between the gpu thread's look whether a call is still to come and its leaving a value for that call."""
    delivered: list[int] = []
    calls: list[Callable[[], None]] = []  # that the loop has been asked for

    class Loop:
        def call_soon_threadsafe(self, call: Callable[[], None]) -> None:
            calls.append(call)

    class Interrupted(_LatestValue):
        """The loop takes its turn, if it can, just after the gpu thread has looked."""

        taking: threading.Thread | None = None

        @property
        def _value(self) -> Progress | None:  # type: ignore[override]
            found: Progress | None = self.__dict__["_value"]
            if found is not None and threading.current_thread().name == "gpu":
                self.taking = threading.Thread(target=calls.pop())
                self.taking.start()
                self.taking.join(0.2)
            return found

        @_value.setter
        def _value(self, value: Progress | None) -> None:
            self.__dict__["_value"] = value

    def put(step: int) -> None:
        latest.put(Progress(stage=Stage.DENOISING, step=step, steps=4))

    latest = Interrupted(lambda progress: delivered.append(progress.step))
    latest._loop = Loop()  # type: ignore[assignment]
    put(1)
    thread = threading.Thread(target=put, args=(2,), name="gpu")
    thread.start()
    thread.join()
    assert latest.taking is not None
    latest.taking.join()
    for call in calls:
        call()
    assert delivered[-1] == 2
