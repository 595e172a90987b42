"""What every executor promises, run against each of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from bot.executors.base import Executor
from bot.executors.thread import ThreadExecutor
from bot.jobs import StopReason, StopSignal
from pipeline import EngineDead, GenerationFailed, GenerationStopped, ImageSpec, Progress, Stage
from pipeline.config import PipelineConfig

Make = Callable[..., Executor]


def on_a_thread(*, stop_grace_s: float) -> Executor:
    return ThreadExecutor(PipelineConfig(model="fake"), stop_grace_s=stop_grace_s)


@pytest.fixture(params=[on_a_thread])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes an executor that draws with the fake model; another implementation is another parameter."""
    make: Make = request.param
    return make


@pytest.fixture
async def executor(make: Make) -> AsyncIterator[Executor]:
    executor = make(stop_grace_s=2.0)
    yield executor
    await executor.close(2.0)


def ignore(_progress: Progress) -> None:
    pass


class Begun(asyncio.Event):
    """Is set by the first progress of a run, after which its engine is at work."""

    def __call__(self, _progress: Progress) -> None:
        self.set()


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
    with pytest.raises(GenerationStopped):
        await executor.run(endless, on_progress=lambda _: stop.set(StopReason.USER), stop=stop)
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
    stop, begun = StopSignal(), Begun()
    endless = replace(spec, prompt="[hang] [step=0.05]")
    task = asyncio.create_task(executor.run(endless, on_progress=begun, stop=stop))
    await asyncio.wait_for(begun.wait(), 10)
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


async def test_executor_says_how_much_and_what_it_can_draw(executor: Executor, spec: ImageSpec) -> None:
    assert executor.slots >= 1
    assert executor.models is None or spec.model in executor.models


async def test_close_says_whether_the_engine_came_to_rest(make: Make, spec: ImageSpec) -> None:
    rested = make(stop_grace_s=0.1)
    await rested.run(spec, on_progress=ignore, stop=StopSignal())
    assert await rested.close(2.0) is True

    hung = make(stop_grace_s=0.1)
    stop, begun = StopSignal(), Begun()
    run = asyncio.create_task(hung.run(replace(spec, prompt="[step=1]"), on_progress=begun, stop=stop))
    await asyncio.wait_for(begun.wait(), 10)
    assert await hung.close(0.1) is False
    stop.set(StopReason.SHUTDOWN)
    with pytest.raises(GenerationStopped):
        await run


async def test_release_gives_the_model_back_once_and_the_next_run_loads_again(
    executor: Executor, spec: ImageSpec
) -> None:
    assert not await executor.release()
    await executor.start("fake")
    assert await executor.release()
    assert not await executor.release()
    assert (await executor.run(spec, on_progress=ignore, stop=StopSignal())).spec == spec


async def test_release_waits_for_the_run(executor: Executor, spec: ImageSpec) -> None:
    slow = replace(spec, prompt="x [step=0.02]")
    drawing = asyncio.create_task(executor.run(slow, on_progress=ignore, stop=StopSignal()))
    await asyncio.sleep(0)
    assert await executor.release()
    assert drawing.done() or (await drawing).spec == slow
