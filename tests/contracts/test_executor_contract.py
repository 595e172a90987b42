"""What every executor promises, run against each of them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from bot.executors.base import Executor
from bot.executors.thread import ThreadExecutor, _LatestValue
from bot.jobs import StopReason, StopSignal
from pipeline import EngineDead, GenerationFailed, GenerationStopped, ImageSpec, Progress, Stage
from pipeline.catalog.models import create_engine
from pipeline.config import PipelineConfig

job_id: contextvars.ContextVar[int] = contextvars.ContextVar("job_id", default=0)


@pytest.fixture(params=[ThreadExecutor])
async def executor(request: pytest.FixtureRequest) -> AsyncIterator[Executor]:
    executor: Executor = request.param(PipelineConfig(model="fake"), stop_grace_s=2.0)
    yield executor
    await executor.close(2.0)


def ignore(_progress: Progress) -> None:
    pass


async def test_run_draws_the_spec(executor: Executor, spec: ImageSpec) -> None:
    await executor.start("fake")
    image = await executor.run(spec, on_progress=ignore, stop=StopSignal())
    assert image.spec == spec
    assert len(image.pixels) == spec.width * spec.height * 3


async def test_progress_arrives_on_the_event_loop_and_ends_with_the_last_step(
    executor: Executor, spec: ImageSpec
) -> None:
    seen: list[tuple[Progress, int]] = []
    slow = replace(spec, prompt="x [step=0.02]")
    await executor.run(
        slow, on_progress=lambda progress: seen.append((progress, threading.get_ident())), stop=StopSignal()
    )
    assert {thread for _, thread in seen} == {threading.get_ident()}
    steps = [progress.step for progress, _ in seen if progress.stage is Stage.DENOISING]
    assert steps == sorted(steps) and len(steps) >= 2


async def test_stop_signal_ends_the_run_within_a_step(executor: Executor, spec: ImageSpec) -> None:
    stop = StopSignal()
    endless = replace(spec, prompt="[hang] [step=0.01]")
    asyncio.get_running_loop().call_later(0.1, stop.set, StopReason.USER)
    with pytest.raises(GenerationStopped):
        await executor.run(endless, on_progress=ignore, stop=stop)
    await executor.run(spec, on_progress=ignore, stop=StopSignal())


async def test_failure_leaves_the_executor_usable(executor: Executor, spec: ImageSpec) -> None:
    with pytest.raises(GenerationFailed):
        await executor.run(replace(spec, prompt="[fail]"), on_progress=ignore, stop=StopSignal())
    await executor.run(spec, on_progress=ignore, stop=StopSignal())


async def test_dead_engine_is_told_as_such(executor: Executor, spec: ImageSpec) -> None:
    with pytest.raises(EngineDead):
        await executor.run(replace(spec, prompt="[dead]"), on_progress=ignore, stop=StopSignal())


async def test_cancelling_the_task_waits_until_the_engine_rests(executor: Executor, spec: ImageSpec) -> None:
    """A thread goes on when its task is cancelled: the next run must not meet a ghost."""
    stop = StopSignal()
    endless = replace(spec, prompt="[hang] [step=0.05]")
    task = asyncio.create_task(executor.run(endless, on_progress=ignore, stop=stop))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stop.reason is StopReason.SHUTDOWN
    started = time.monotonic()
    await executor.run(spec, on_progress=ignore, stop=StopSignal())
    assert time.monotonic() - started < 1.0


async def test_loop_stays_free_while_a_picture_is_drawn(executor: Executor, spec: ImageSpec) -> None:
    drawing = asyncio.create_task(
        executor.run(replace(spec, prompt="[step=0.05]"), on_progress=ignore, stop=StopSignal())
    )
    turns = 0
    while not drawing.done():
        await asyncio.sleep(0.005)
        turns += 1
    assert turns > 10


async def test_close_says_whether_the_engine_came_to_rest(spec: ImageSpec) -> None:
    rested = ThreadExecutor(PipelineConfig(model="fake"), stop_grace_s=0.1)
    await rested.run(spec, on_progress=ignore, stop=StopSignal())
    assert await rested.close(2.0) is True

    hung = ThreadExecutor(PipelineConfig(model="fake"), stop_grace_s=0.1)
    stop = StopSignal()
    run = asyncio.create_task(hung.run(replace(spec, prompt="[step=1]"), on_progress=ignore, stop=stop))
    await asyncio.sleep(0.05)
    assert await hung.close(0.1) is False
    stop.set(StopReason.SHUTDOWN)
    with pytest.raises(GenerationStopped):
        await run


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
