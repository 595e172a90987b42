"""Several runners share one queue: each draws what it can, and one that fails or is lost takes nobody with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from bot.config import LimitsConfig, WorkerConfig
from bot.deadline import Deadline
from bot.errors import RunnerLost
from bot.executors.base import Executor
from bot.jobs import FailureCode, Job, JobStatus, Request, StopSignal
from bot.pause import Pause
from bot.scheduling import job_queue
from bot.scheduling.breaker import BY_ENGINE, FIRST_COOL_DOWN_S, Breaker
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.load_times import Load
from bot.scheduling.runner import Health, Runner
from bot.scheduling.worker_pool import WorkerPool
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from pipeline import EngineDead, GeneratedImage, GenerationFailed, GenerationStopped, ImageSpec, Progress, Stage
from tests.bot.rests import Rests
from tests.bot.scheduling.ending import all_ended

SECONDS = {"small": 40.0, "large": 60.0}  # that a picture takes at the usual pace
Put = Callable[..., Awaitable[Job]]


class FakeRunner:
    """Draws at once, or not before it is let; says that it took as long as its speed makes it."""

    slots = 1

    def __init__(self, *models: str, pace: float = 1.0) -> None:
        self.models = frozenset(models)
        self.pace = pace
        self.drawn: list[int] = []
        self.loads: list[str] = []
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.errors: list[Exception] = []

    async def start(self, model: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.loads.append(model)

    async def run(
        self,
        spec: ImageSpec,
        *,
        on_progress: Callable[[Progress], None],
        stop: StopSignal,
        source: bytes | None = None,
        references: object = (),
        upcoming: Sequence[str] = (),
    ) -> GeneratedImage:
        assert spec.model in self.models
        if self.loads[-1:] != [spec.model]:
            self.loads.append(spec.model)
        self.begun.set()
        while not self.may_end.is_set():
            if stop.is_set():
                raise GenerationStopped
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.may_end.wait(), 0.01)
        if self.errors:
            raise self.errors.pop(0)
        self.drawn.append(spec.seed)
        size = spec.width * spec.height * 3
        return GeneratedImage(
            pixels=bytes(size), width=spec.width, height=spec.height, spec=spec, encode_s=0.0,
            denoise_s=SECONDS[spec.model] * self.pace, decode_s=0.0, peak_mib=None,
        )  # fmt: skip

    async def release(self) -> bool:
        return False

    async def close(self, grace_s: float) -> bool:
        return True


@pytest.fixture
def queue(jobs: JobStore, settings: SettingStore, no_limits: LimitsConfig, clock) -> JobQueue:
    def pace(spec: ImageSpec) -> Pace:
        return Pace(step_s=SECONDS[spec.model] / spec.steps, fixed_s=0.0, is_rough=True)

    return JobQueue(jobs, settings, no_limits, assumed_pace=pace, deadline=Deadline(monotonic=clock), clock=clock)


@pytest.fixture
def put(queue: JobQueue, spec: ImageSpec, make_request: Callable[..., Request]) -> Put:
    async def put(user: str = "ann", model: str = "small") -> Job:
        request = make_request(user)
        return await queue.put(request, replace(spec, model=model, seed=request.options.seed))

    return put


@pytest.fixture
def working(queue: JobQueue, images: ImageStore, clock) -> Callable[..., object]:
    """A pool of these runners at work for the length of a `with` block, then stopped as a shutdown stops it."""

    @asynccontextmanager
    async def working(*executors: Executor) -> AsyncIterator[tuple[WorkerPool, asyncio.Task[None]]]:
        deadline = Deadline(monotonic=clock)
        breaker = Breaker(
            queue,
            can_save=partial(images.can_write, min_free_bytes=0),
            max_failures_in_a_row=3,
            deadline=deadline,
            monotonic=clock,
        )
        pool = WorkerPool(queue, executors, images, breaker, WorkerConfig(stop_grace_s=2), deadline=deadline)
        task = asyncio.create_task(pool.run())
        try:
            yield pool, task
        finally:
            queue.close()
            await asyncio.wait([task])

    return working


async def test_three_runners_draw_what_they_can_and_nothing_else(jobs: JobStore, put: Put, working) -> None:
    fast, slow, both = FakeRunner("small", pace=0.5), FakeRunner("large", pace=3.0), FakeRunner("small", "large")
    put_jobs = [await put(user, model) for user in ("ann", "bob") for model in ("small", "large") * 3]
    async with working(fast, slow, both):
        done = await all_ended(jobs, *put_jobs)
    assert {job.status for job in done} == {JobStatus.DONE}
    models = {job.spec.seed: job.spec.model for job in put_jobs}
    assert {models[seed] for seed in fast.drawn} <= {"small"} and {models[seed] for seed in slow.drawn} <= {"large"}
    assert sorted(fast.drawn + slow.drawn + both.drawn) == sorted(models)


async def test_idle_runners_are_given_jobs_of_the_models_they_hold(jobs: JobStore, put: Put, working) -> None:
    small, large = FakeRunner("small", "large"), FakeRunner("small", "large")
    async with working(small, large) as (pool, _):
        pool.runners[0].model, pool.runners[1].model = "small", "large"
        small.may_end.clear()
        large.may_end.clear()
        await put("ann", "large")
        await put("bob", "small")
        await small.begun.wait()
        await large.begun.wait()
        assert (small.loads, large.loads) == (["small"], ["large"])
        small.may_end.set()
        large.may_end.set()


async def test_twelve_pictures_are_drawn_as_foretold_with_four_loads(
    jobs: JobStore, queue: JobQueue, put: Put, working
) -> None:
    """Two people with a model each on one runner: in fair order the model would be read ten times."""
    runner = FakeRunner("small", "large")
    await queue.pause(Pause.by_operator("until all have asked"))
    put_jobs = [await put(*asked) for _ in range(6) for asked in (("ann", "small"), ("bob", "large"))]
    async with working(runner):
        foretold = [job.spec.seed for job, _ in await queue.standings()]
        await queue.resume()
        await all_ended(jobs, *put_jobs)
    assert runner.drawn == foretold
    assert len(runner.loads) == 4


async def test_lost_runner_gives_its_job_back_uncounted_and_the_others_go_on(jobs: JobStore, put: Put, working) -> None:
    lost, other, third = FakeRunner("small"), FakeRunner("small", pace=2.0), FakeRunner("large")
    lost.errors, other.may_end = [RunnerLost("its machine is off")], asyncio.Event()
    lost.may_end.clear()
    first = await put("ann")
    async with working(lost, other, third) as (pool, task):
        await lost.begun.wait()
        lost.may_end.set()
        while pool.runners[0].health is not Health.GONE:
            await asyncio.sleep(0.01)
        await other.begun.wait()
        (again,) = [await jobs.get(first.id)]
        assert (again.status, again.attempts, again.interruptions) == (JobStatus.RUNNING, 1, 1)
        other.may_end.set()
        later = [await put("ann"), await put("bob", "large")]
        done = await all_ended(jobs, first, *later)
        assert not task.done()
    assert [job.status for job in done] == [JobStatus.DONE] * 3
    assert lost.drawn == [] and len(other.drawn) == 2 and len(third.drawn) == 1


async def test_last_runner_that_is_lost_ends_the_pool_and_leaves_its_job_to_recovery(
    jobs: JobStore, put: Put, working, clock
) -> None:
    first, second = FakeRunner("small"), FakeRunner("small")
    first.errors, second.errors = [RunnerLost("off")], [RunnerLost("off")]
    job = await put()
    async with working(first, second) as (_, task):
        await asyncio.wait([task])
    with pytest.raises(ExceptionGroup) as group:
        task.result()
    assert group.group_contains(EngineDead)
    (settled,) = await jobs.recover(max_attempts=2, now=int(clock()))
    assert (settled.id, settled.status, settled.attempts) == (job.id, JobStatus.QUEUED, 1)


async def test_runner_that_is_lost_while_loading_is_left_out(jobs: JobStore, put: Put, working) -> None:
    lost, other = FakeRunner("small"), FakeRunner("small")
    lost.errors = [RunnerLost("off")]
    async with working(lost, other) as (pool, _):
        await pool.load("small")
        assert [runner.health for runner in pool.runners] == [Health.GONE, Health.READY]
        assert (await all_ended(jobs, await put()))[0].status is JobStatus.DONE
    assert len(other.drawn) == 1


async def test_model_is_loaded_ahead_only_where_it_can_be_drawn(working) -> None:
    small, large = FakeRunner("small"), FakeRunner("large")
    async with working(small, large) as (pool, _):
        await pool.load("small")
    assert (small.loads, large.loads) == (["small"], [])


async def test_runner_that_keeps_failing_rests_alone_and_is_tried_again_later(
    jobs: JobStore, queue: JobQueue, put: Put, working, clock
) -> None:
    broken, well = FakeRunner("large"), FakeRunner("small")
    broken.errors = [GenerationFailed("a bad GPU") for _ in range(3)]
    async with working(broken, well) as (pool, _):
        failed = await all_ended(jobs, *[await put("ann", "large") for _ in range(3)])
        assert {job.failure_code for job in failed} == {FailureCode.GENERATION_FAILED}
        while pool.runners[0].health is not Health.COOLING_DOWN:
            await asyncio.sleep(0.01)
        kept = await put("ann", "large")
        assert (await all_ended(jobs, await put("bob", "small")))[0].status is JobStatus.DONE
        assert queue.paused is None and (await jobs.get(kept.id)).status is JobStatus.QUEUED
        (standing,) = [standing for job, standing in await queue.standings() if job.id == kept.id]
        assert standing.finish_at == clock() + FIRST_COOL_DOWN_S + SECONDS["large"]
        clock.advance(FIRST_COOL_DOWN_S)
        await put("bob", "small")  # whoever waits looks again
        assert (await all_ended(jobs, kept))[0].status is JobStatus.DONE
        assert pool.runners[0].health is Health.READY and pool.runners[0].failures_in_a_row == 0


async def test_last_runner_that_is_ready_pauses_the_queue_instead_of_resting(
    jobs: JobStore, queue: JobQueue, put: Put, working
) -> None:
    runner = FakeRunner("small")
    runner.errors = [GenerationFailed("a bad GPU") for _ in range(3)]
    async with working(runner) as (pool, _):
        await all_ended(jobs, *[await put() for _ in range(3)])
        while queue.paused is None:
            await asyncio.sleep(0.01)
        assert queue.paused == BY_ENGINE and pool.runners[0].health is Health.READY


async def test_runner_that_cools_down_is_used_if_no_other_is_left(jobs: JobStore, put: Put, working) -> None:
    cooling, lost = FakeRunner("small"), FakeRunner("small")
    lost.errors = [RunnerLost("off")]
    async with working(cooling, lost) as (pool, _):
        pool.runners[0].cool_down()
        done = await all_ended(jobs, await put())
        assert (done[0].status, done[0].interruptions) == (JobStatus.DONE, 1)
    assert len(cooling.drawn) == 1


async def test_pause_of_the_engine_lets_one_of_several_runners_try(
    jobs: JobStore, queue: JobQueue, put: Put, working, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests, first, second = Rests(monkeypatch, job_queue), FakeRunner("small"), FakeRunner("small")
    first.may_end.clear()
    second.may_end.clear()
    await queue.pause(BY_ENGINE)
    put_jobs = [await put(), await put("bob")]
    async with working(first, second):
        await first.begun.wait()
        looks = rests.count
        put_jobs.append(await put("eve"))  # the other one looks again
        await rests.wait(looks + 1)
        assert not second.begun.is_set()
        first.may_end.set()
        second.may_end.set()
        assert [job.status for job in await all_ended(jobs, *put_jobs)] == [JobStatus.DONE] * 3


async def test_pace_of_a_runner_is_measured_against_what_was_expected(jobs: JobStore, put: Put, working) -> None:
    fast, slow = FakeRunner("small", pace=0.5), FakeRunner("large", pace=3.0)
    async with working(fast, slow) as (pool, _):
        await all_ended(jobs, await put("ann", "small"), await put("bob", "large"))
        while not slow.drawn:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        assert [runner.pace for runner in pool.runners] == [0.5, 3.0]


def test_lone_runner_is_the_measure_of_its_own_pace(clock) -> None:
    runner = Runner(0, FakeRunner("small"), monotonic=clock)
    runner.succeeded(took_s=80.0, expected_s=40.0)
    assert runner.state(is_needed=False, is_alone=False).pace == 2.0
    assert runner.state(is_needed=False, is_alone=True).pace == 1.0


async def test_stop_brings_every_runner_to_rest_and_every_job_back(jobs: JobStore, put: Put, working) -> None:
    first, second = FakeRunner("small"), FakeRunner("large")
    for runner in (first, second):
        runner.may_end.clear()
    put_jobs = [await put("ann", "small"), await put("bob", "large")]
    async with working(first, second):
        await first.begun.wait()
        await second.begun.wait()
    for job in put_jobs:
        latest = await jobs.get(job.id)
        assert (latest.status, latest.attempts) == (JobStatus.QUEUED, 0)


class Reader(FakeRunner):
    """Reports that it reads a model, and how long it takes is up to the clock."""

    def __init__(self, clock, *models: str, load_s: float = 12.0) -> None:
        super().__init__(*models)
        self.clock, self.load_s = clock, load_s

    async def start(self, model: str) -> None:
        await super().start(model)
        self.clock.advance(self.load_s)

    async def run(self, spec: ImageSpec, *, on_progress, **inputs) -> GeneratedImage:
        if self.loads[-1:] != [spec.model]:
            on_progress(Progress(stage=Stage.LOADING, steps=spec.steps))
            if self.errors:
                raise self.errors.pop(0)
            self.clock.advance(self.load_s)
        on_progress(Progress(stage=Stage.ENCODING, steps=spec.steps))
        return await super().run(spec, on_progress=on_progress, **inputs)


async def test_loads_ahead_of_the_first_job_and_between_jobs_are_measured_and_foretold(
    put: Put, queue: JobQueue, jobs: JobStore, working, clock
) -> None:
    reader = Reader(clock, "small", "large")
    async with working(reader) as (pool, _):
        await pool.expect_load("small")
        clock.advance(8.0)  # what comes before the load is part of the wait
        job = await put()
        ((_, standing),) = [each for each in await queue.standings() if each[0].id == job.id]
        await pool.load("small")
        await all_ended(jobs, job, await put(model="large"))
    assert standing.is_loading and standing.position == 1
    assert queue.loads.expected("small", is_first=True) == Load(20.0, is_rough=False)
    assert queue.loads.expected("large", is_first=False) == Load(12.0, is_rough=False)


async def test_load_that_fails_is_not_measured_and_leaves_the_runner_empty(
    put: Put, queue: JobQueue, jobs: JobStore, working, clock
) -> None:
    reader = Reader(clock, "small")
    reader.errors = [GenerationFailed("a broken file")]
    async with working(reader) as (pool, _):
        (failed,) = await all_ended(jobs, await put())
        assert failed.status is JobStatus.FAILED
        while pool.runners[0].model is not None:
            await asyncio.sleep(0.01)
        (done,) = await all_ended(jobs, await put())
    assert done.status is JobStatus.DONE
    assert queue.loads.expected("small", is_first=True) == Load(12.0, is_rough=False)


async def test_load_ahead_that_fails_leaves_the_runner_empty(working, queue: JobQueue, clock) -> None:
    reader = Reader(clock, "small")
    reader.errors = [GenerationFailed("a broken file")]
    async with working(reader) as (pool, _):
        with pytest.raises(ExceptionGroup):
            await pool.load("small")
        assert (pool.runners[0].model, pool.runners[0].loading) == (None, None)
    assert queue.loads.expected("small", is_first=True) == Load(0.0, is_rough=False)
