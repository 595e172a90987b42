"""The memory of models is given back between images, and the next image loads its model again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from bot.config import LimitsConfig, WorkerConfig
from bot.deadline import Deadline
from bot.errors import RunnerLost
from bot.jobs import Job, JobStatus, Request
from bot.scheduling.breaker import Breaker
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.load_times import Load
from bot.scheduling.model_memory import LOOK_S, MemoryState, ModelMemory, Release
from bot.scheduling.runner import Runner, at_rest
from bot.scheduling.worker_pool import WorkerPool
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from pipeline import ImageSpec
from tests.bot.scheduling.ending import all_ended
from tests.bot.scheduling.test_runners import SECONDS, FakeRunner


class Releasing(FakeRunner):
    """A runner whose memory can be given back, unless it is out of reach."""

    releases = 0
    is_lost = False

    async def release(self) -> bool:
        if self.is_lost:
            raise RunnerLost("off")
        self.releases += 1
        was_there, self.loads[-1:] = bool(self.loads) and self.loads[-1] != "", [*self.loads[-1:], ""]
        return was_there


@pytest.fixture
def queue(jobs: JobStore, settings: SettingStore, no_limits: LimitsConfig, clock) -> JobQueue:
    pace = Pace(step_s=1.0, fixed_s=0.0, is_rough=False)
    deadline = Deadline(monotonic=clock)
    queue = JobQueue(jobs, settings, no_limits, assumed_pace=lambda _: pace, deadline=deadline, clock=clock)
    queue.loads.expected = lambda _model, is_first: Load(100.0 if is_first else 7.0, is_rough=False)
    return queue


@pytest.fixture
def put(queue: JobQueue, spec: ImageSpec, make_request: Callable[..., Request]) -> Callable[[], object]:
    async def put() -> Job:
        request = make_request("ann")
        return await queue.put(request, replace(spec, model="small", seed=request.options.seed))

    return put


@pytest.fixture
def working(queue: JobQueue, images: ImageStore, clock) -> Callable[..., object]:
    @asynccontextmanager
    async def working(*executors: FakeRunner) -> AsyncIterator[tuple[WorkerPool, ModelMemory]]:
        deadline = Deadline(monotonic=clock)
        can_save = partial(images.can_write, min_free_bytes=0)
        breaker = Breaker(queue, can_save=can_save, max_failures_in_a_row=3, deadline=deadline, monotonic=clock)
        pool = WorkerPool(queue, executors, images, breaker, WorkerConfig(stop_grace_s=2), deadline=deadline)
        task = asyncio.create_task(pool.run())
        try:
            yield pool, ModelMemory(lambda: pool.left, queue, deadline=deadline)
        finally:
            queue.close()
            await asyncio.wait([task])

    return working


async def test_release_unloads_the_model_and_the_next_image_loads_it_again(jobs: JobStore, put, working) -> None:
    runner = Releasing("small")
    async with working(runner) as (_, memory):
        assert memory.state is MemoryState.RELEASED
        assert await memory.release() is Release.NOTHING
        await all_ended(jobs, await put())
        assert memory.state is MemoryState.LOADED
        assert await memory.release() is Release.DONE
        assert memory.state is MemoryState.RELEASED
        (done,) = await all_ended(jobs, await put())
    assert done.status is JobStatus.DONE and runner.loads.count("small") == 2


async def test_release_waits_for_the_image_and_says_so(
    jobs: JobStore, put, working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.scheduling.model_memory.ANSWER_S", 0.05)
    runner = Releasing("small")
    runner.may_end.clear()
    async with working(runner) as (_, memory):
        first = await put()
        await runner.begun.wait()
        assert await memory.release() is Release.AFTER_IMAGE
        assert await memory.release() is Release.AFTER_IMAGE, "twice is one wish"
        assert runner.releases == 0, "nothing is taken from under an image"
        second = await put()
        runner.may_end.set()
        done = await all_ended(jobs, first, second)
    assert {job.status for job in done} == {JobStatus.DONE}
    assert runner.releases == 1 and runner.loads.count("small") == 2


async def test_forecast_counts_the_load_that_a_release_leads_to_as_no_first_one(
    jobs: JobStore, queue: JobQueue, put, working, clock
) -> None:
    async with working(Releasing("small")) as (pool, memory):
        await all_ended(jobs, await put())
        await memory.release()
        (state,) = [runner.state(is_needed=True, is_alone=True) for runner in pool.runners]
        assert not state.is_first_load and not state.holds("small")
        queue.use_runners(lambda: [state])
        job = await queue._jobs.get((await put()).id)
        standing = next(standing for other, standing in await queue.standings() if other.id == job.id)
        assert standing.finish_at == clock() + 7 + SECONDS["small"]


async def test_lost_runner_stops_no_release(put, jobs: JobStore, working) -> None:
    lost, other = Releasing("small"), Releasing("small")
    async with working(lost, other) as (pool, memory):
        await pool.load("small")
        lost.is_lost = True
        assert await memory.release() is Release.DONE
        assert other.releases == 1


async def test_idle_model_is_unloaded_and_one_that_draws_is_not(jobs: JobStore, put, working, clock) -> None:
    runner = Releasing("small")
    async with working(runner) as (pool, memory):
        await all_ended(jobs, await put())
        async with at_rest(pool.runners):
            pass
        clock.advance(599)
        assert await memory.look(600.0) == 1.0
        assert memory.state is MemoryState.LOADED
        runner.begun.clear()
        runner.may_end.clear()
        job = await put()
        await runner.begun.wait()
        clock.advance(5000)
        assert await memory.look(600.0) == LOOK_S
        assert runner.releases == 0
        runner.may_end.set()
        await all_ended(jobs, job)
        async with at_rest(pool.runners):
            pass
        await memory.look(600.0)
        assert runner.releases == 0, "it has only just come to rest"
        clock.advance(601)
        watching = asyncio.create_task(memory.watch(600.0))
        while memory.state is not MemoryState.RELEASED:
            await asyncio.sleep(0.01)
        watching.cancel()


async def test_zero_minutes_never_unload(queue: JobQueue, clock) -> None:
    runner = Runner(0, Releasing("small"), monotonic=clock)
    runner.model = "small"
    watching = asyncio.create_task(ModelMemory(lambda: [runner], queue).watch(0.0))
    clock.advance(10**6)
    for _ in range(100):  # a release by this runner waits for nothing else
        await asyncio.sleep(0)
    assert runner.model == "small" and not watching.done()
    watching.cancel()


async def test_engine_that_cannot_be_closed_is_told_and_counts_as_gone(
    put, jobs: JobStore, working, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(Releasing):
        async def release(self) -> bool:
            raise RuntimeError("the graphics card does not answer")

    async with working(Stuck("small")) as (_, memory):
        await all_ended(jobs, await put())
        with pytest.raises(RuntimeError):
            await memory.release()
        await asyncio.sleep(0)
        assert memory.state is MemoryState.RELEASED
    assert "cannot be given back" in caplog.text
