"""The worker survives whatever a job does, and every ending is written down."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from bot.config import LimitsConfig, WorkerConfig
from bot.errors import JobAlreadyFinished, StoreUnavailable
from bot.executors.thread import ThreadExecutor
from bot.forecast import Pace
from bot.jobqueue import JobQueue
from bot.jobs import FailureCode, Job, JobStatus, Request
from bot.store.images import ImageStore
from bot.store.jobstore import JobStore
from bot.store.settingstore import SettingStore
from bot.worker import PAUSED_BY_FAILURES, Worker
from pipeline import EngineDead, GeneratedImage, ImageSpec
from pipeline.config import PipelineConfig
from pipeline.fake import FakeEngine
from pipeline.models import find_model
from pipeline.png import read_spec
from pipeline.source import resolve_with_source, source_png

Put = Callable[..., Awaitable[Job]]


@pytest.fixture
def queue(jobs: JobStore, settings: SettingStore, no_limits: LimitsConfig) -> JobQueue:
    return JobQueue(
        jobs,
        settings,
        no_limits,
        slots=1,
        assumed_pace=lambda _spec: Pace(step_s=0.01, fixed_s=0.01, is_rough=True),
    )


@pytest.fixture
def put(queue: JobQueue, make_request: Callable[..., Request]) -> Put:
    async def put(prompt: str = "a red apple", user: str = "ann", **options: object) -> Job:
        request = make_request(user, prompt=prompt, **options)
        return await queue.put(request, find_model("fake").resolve(request.options, random_seed=1))

    return put


@pytest.fixture
def working(queue: JobQueue, images: ImageStore) -> Callable[..., object]:
    """A worker at work for the length of a `with` block, then stopped as a shutdown stops it."""

    @asynccontextmanager
    async def working(**config: object) -> AsyncIterator[asyncio.Task[None]]:
        worker_config = WorkerConfig(**{"job_timeout_s": 20, "stop_grace_s": 2, **config})
        executor = ThreadExecutor(PipelineConfig(model="fake"), stop_grace_s=2.0)
        task = asyncio.create_task(Worker(queue, executor, images, worker_config).run())
        try:
            yield task
        finally:
            queue.close()
            await asyncio.wait([task])
            await executor.close(2.0)

    return working


async def ended(jobs: JobStore, job: Job) -> Job:
    while True:
        latest = await jobs.get(job.id)
        assert latest is not None
        if latest.status.is_final:
            return latest
        await asyncio.sleep(0.01)


async def test_picture_is_saved_with_its_spec_before_it_is_announced(
    jobs: JobStore, images: ImageStore, put: Put, working
) -> None:
    job = await put()
    async with working():
        done = await ended(jobs, job)
    assert done.status is JobStatus.DONE and done.image_path is not None
    path = images.find(done.image_path)
    assert path is not None and path.stat().st_size == done.image_bytes
    assert read_spec(path.read_bytes()) == job.spec


async def test_picture_starts_from_the_kept_source(
    jobs: JobStore, queue: JobQueue, images: ImageStore, make_request: Callable[..., Request], working
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, format="PNG")
    request = make_request(strength=0.01)
    spec, source = resolve_with_source(find_model("fake"), request.options, buffer.getvalue(), random_seed=1)
    lost = await queue.put(request, spec)
    async with working():
        assert (await ended(jobs, lost)).failure_code is FailureCode.STORAGE
        await images.write_source(spec.source, source_png(source))
        done = await ended(jobs, await queue.put(replace(request, key="again"), spec))
    assert done.image_path is not None
    path = images.find(done.image_path)
    assert path is not None
    red, green, blue = Image.open(path).getpixel((32, 32))
    assert red > 250 and green < 5 and blue < 5


async def test_engine_is_told_what_waits_for_its_model(
    jobs: JobStore, put: Put, working, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[list[str]] = []
    generate = FakeEngine.generate

    def note(self: FakeEngine, spec: ImageSpec, *, upcoming: Sequence[str], **options: Any) -> GeneratedImage:
        told.append(list(upcoming))
        return generate(self, spec, **options)

    monkeypatch.setattr(FakeEngine, "generate", note)
    put_jobs = [await put(prompt) for prompt in ("one", "two", "three")]
    async with working():
        for job in put_jobs:
            await ended(jobs, job)
    assert told == [["two", "three"], ["three"], []]


async def test_job_is_drawn_though_what_waits_cannot_be_read(
    jobs: JobStore, queue: JobQueue, put: Put, working, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(_model: str) -> list[str]:
        raise StoreUnavailable("the disk fails", is_full=False)

    monkeypatch.setattr(queue, "upcoming", unavailable)
    job = await put()
    async with working():
        assert (await ended(jobs, job)).status is JobStatus.DONE


async def test_every_third_job_fails_and_the_thirtieth_still_runs(jobs: JobStore, put: Put, working) -> None:
    put_jobs = [await put("[fail]" if number % 3 == 2 else "fine") for number in range(30)]
    async with working():
        results = [await ended(jobs, job) for job in put_jobs]
    assert [job.status for job in results] == [JobStatus.DONE, JobStatus.DONE, JobStatus.FAILED] * 10
    assert {job.failure_code for job in results} == {None, FailureCode.GENERATION_FAILED}


async def test_out_of_memory_has_its_own_code(jobs: JobStore, put: Put, working) -> None:
    job = await put("[oom]")
    async with working():
        assert (await ended(jobs, job)).failure_code is FailureCode.OUT_OF_MEMORY


async def test_three_failures_in_a_row_pause_the_queue_and_keep_the_rest(
    jobs: JobStore, queue: JobQueue, settings: SettingStore, put: Put, working
) -> None:
    failing = [await put("[fail]") for _ in range(3)]
    kept = await put("fine")
    async with working():
        for job in failing:
            await ended(jobs, job)
        while queue.pause_reason is None:
            await asyncio.sleep(0.01)
        assert queue.pause_reason == PAUSED_BY_FAILURES
        assert (await jobs.get(kept.id)).status is JobStatus.QUEUED
        await queue.resume()
        assert (await ended(jobs, kept)).status is JobStatus.DONE


async def test_running_job_is_cancelled_alone(jobs: JobStore, queue: JobQueue, put: Put, working) -> None:
    endless, other = await put("[hang] [step=0.01]"), await put("fine")
    async with working():
        while (await jobs.get(endless.id)).status is not JobStatus.RUNNING:
            await asyncio.sleep(0.01)
        await queue.cancel(endless.id)
        assert (await ended(jobs, endless)).status is JobStatus.CANCELLED
        assert (await ended(jobs, other)).status is JobStatus.DONE


async def test_hundred_cancels_leave_a_queue_that_works(jobs: JobStore, queue: JobQueue, put: Put, working) -> None:
    put_jobs = [await put("[step=0.002]") for _ in range(100)]
    async with working():
        for job in put_jobs[::-1]:
            with contextlib.suppress(JobAlreadyFinished):
                await queue.cancel(job.id)
        for job in put_jobs:
            assert (await ended(jobs, job)).status in {JobStatus.CANCELLED, JobStatus.DONE}
        assert (await ended(jobs, await put("fine"))).status is JobStatus.DONE


async def test_job_over_time_fails_and_the_next_one_runs(jobs: JobStore, put: Put, working) -> None:
    endless, other = await put("[hang] [step=0.01]"), await put("fine")
    async with working(job_timeout_s=1):
        assert (await ended(jobs, endless)).failure_code is FailureCode.TIMEOUT
        assert (await ended(jobs, other)).status is JobStatus.DONE


async def test_engine_that_does_not_stop_ends_the_worker(jobs: JobStore, put: Put, working) -> None:
    hung = await put("[step=4]")
    async with working(job_timeout_s=1, stop_grace_s=1) as task:
        await asyncio.wait([task])
    assert (await ended(jobs, hung)).failure_code is FailureCode.TIMEOUT
    with pytest.raises(ExceptionGroup) as group:
        task.result()
    assert group.group_contains(EngineDead)


async def test_dead_engine_ends_the_worker_and_leaves_its_job_to_recovery(jobs: JobStore, put: Put, working) -> None:
    job = await put("[dead]")
    async with working() as task:
        await asyncio.wait([task])
    assert isinstance(task.exception(), ExceptionGroup)
    assert (await jobs.get(job.id)).status is JobStatus.RUNNING


async def test_shutdown_sends_the_running_job_back_to_its_place(jobs: JobStore, put: Put, working) -> None:
    endless, waiting = await put("[hang] [step=0.01]"), await put("fine")
    async with working():
        while (await jobs.get(endless.id)).status is not JobStatus.RUNNING:
            await asyncio.sleep(0.01)
    back = await jobs.get(endless.id)
    assert (back.status, back.attempts, back.interruptions) == (JobStatus.QUEUED, 0, 1)
    assert [job.id for job in await jobs.unfinished()] == [endless.id, waiting.id]


async def test_full_disk_fails_the_job_and_not_the_worker(
    jobs: JobStore, images: ImageStore, put: Put, working, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_space(_number: int, _png: bytes) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "write", no_space)
    job = await put()
    async with working():
        assert (await ended(jobs, job)).failure_code is FailureCode.STORAGE
