"""The worker survives whatever a job does, and every ending is written down."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bot.config import LimitsConfig, WorkerConfig
from bot.deadline import Deadline
from bot.errors import JobAlreadyFinished, StoreUnavailable
from bot.executors.thread import ThreadExecutor
from bot.jobs import FailureCode, Job, JobStatus, Request
from bot.scheduling import worker_pool as worker_module
from bot.scheduling.breaker import BY_ENGINE, BY_STORAGE, Breaker
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.worker_pool import SAVE_PATIENCE_S, WorkerPool
from bot.store import image_store as image_module
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from pipeline import EngineDead, GeneratedImage, ImageSpec
from pipeline.catalog.models import find_model
from pipeline.config import PipelineConfig
from pipeline.errors import ModelFilesMissing
from pipeline.fake import FakeEngine
from pipeline.images.init_image import resolve_with_source, source_png
from pipeline.images.png_metadata import read_spec
from pipeline.images.reference import fit_reference
from tests.bot.scheduling.ending import ended

Put = Callable[..., Awaitable[Job]]


@pytest.fixture
def queue(jobs: JobStore, settings: SettingStore, no_limits: LimitsConfig) -> JobQueue:
    return JobQueue(
        jobs,
        settings,
        no_limits,
        assumed_pace=lambda _spec: Pace(step_s=0.01, fixed_s=0.01, is_rough=True),
    )


@pytest.fixture
def put(queue: JobQueue, make_request: Callable[..., Request]) -> Put:
    async def put(prompt: str = "a red apple", user: str = "ann", **options: object) -> Job:
        request = make_request(user, prompt=prompt, **options)
        return await queue.put(request, find_model("fake").resolve(request.options, random_seed=1))

    return put


class QuickDeadline(Deadline):
    """Nobody really pauses: time passes instead."""

    def __init__(self, clock: Any) -> None:
        super().__init__(monotonic=clock)
        self._clock = clock

    async def pause(self, seconds: float) -> None:
        self._clock.advance(max(seconds, 1))
        await asyncio.sleep(0)


@pytest.fixture
def deadline(clock) -> Deadline:
    return QuickDeadline(clock)


@pytest.fixture
def breaker(queue: JobQueue, images: ImageStore) -> Breaker:
    return Breaker(queue, can_save=partial(images.can_write, min_free_bytes=0), max_failures_in_a_row=3)


@pytest.fixture
def working(queue: JobQueue, images: ImageStore, breaker: Breaker, clock, deadline: Deadline) -> Callable[..., object]:
    """A worker at work for the length of a `with` block, then stopped as a shutdown stops it."""

    @asynccontextmanager
    async def working(**config: object) -> AsyncIterator[asyncio.Task[None]]:
        worker_config = WorkerConfig(**{"job_timeout_s": 20, "stop_grace_s": 2, **config})
        executor = ThreadExecutor(PipelineConfig(model="fake"), stop_grace_s=2.0)
        pool = WorkerPool(queue, [executor], images, breaker, worker_config, deadline=deadline)
        task = asyncio.create_task(pool.run())
        try:
            yield task
        finally:
            deadline.begin(10)
            queue.close()
            await asyncio.wait([task])
            await executor.close(2.0)

    return working


async def test_picture_is_saved_with_its_spec_before_it_is_announced(
    jobs: JobStore, images: ImageStore, put: Put, working
) -> None:
    job = await put()
    async with working():
        done = await ended(jobs, job)
    assert done.status is JobStatus.DONE and done.image_path is not None
    path = await images.find(done.image_path)
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
        assert (await ended(jobs, lost)).failure_code is FailureCode.INPUT_GONE
        await images.write_source(spec.source, source_png(source))
        done = await ended(jobs, await queue.put(replace(request, key="again"), spec))
    assert done.image_path is not None
    path = await images.find(done.image_path)
    assert path is not None
    red, green, blue = Image.open(path).getpixel((32, 32))
    assert red > 250 and green < 5 and blue < 5


async def test_edit_looks_at_the_kept_images_and_fails_with_a_word_of_its_own_without_them(
    jobs: JobStore, queue: JobQueue, images: ImageStore, make_request: Callable[..., Request], working, breaker
) -> None:
    references = [fit_reference(Image.new("RGB", (64, 64), colour)) for colour in ("red", "lime")]
    request = make_request()
    keys = [each.key for each in references]
    spec = find_model("fake").resolve(request.options, random_seed=1, references=keys)
    picture = Image.new("RGB", (64, 64), "red")
    await images.write_source(keys[0], source_png(picture))
    async with working():
        for number in range(3):  # as often as a failing engine would pause the queue
            lost = await queue.put(replace(request, key=f"lost {number}"), spec)
            assert (await ended(jobs, lost)).failure_code is FailureCode.INPUT_GONE
        assert queue.paused is None
        await images.write_source(keys[1], source_png(picture))  # of another image
        damaged = await queue.put(replace(request, key="damaged"), spec)
        assert (await ended(jobs, damaged)).failure_code is FailureCode.STORAGE
        await images.write_source(keys[1], source_png(Image.new("RGB", (64, 64), "lime")))
        done = await ended(jobs, await queue.put(replace(request, key="again"), spec))
    assert done.status is JobStatus.DONE and done.image_path is not None
    path = await images.find(done.image_path)
    assert path is not None and read_spec(path.read_bytes()) == spec


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


async def test_job_is_drawn_though_a_look_ahead_fails_for_any_reason(
    jobs: JobStore, queue: JobQueue, put: Put, working, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_model: str) -> list[str]:
        raise TypeError("a damaged row")

    monkeypatch.setattr(queue, "upcoming", broken)
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
        while queue.paused is None:
            await asyncio.sleep(0.01)
        assert queue.paused == BY_ENGINE
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


@pytest.fixture
def break_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Let writing files fail `times` times; the list returned counts the tries."""

    def break_disk(*, code: int = errno.ENOSPC, times: int = 10**6, only: str = "") -> list[int]:
        tries: list[int] = []
        write = image_module._write_whole

        def failing(path: Path, content: bytes) -> None:
            if only in path.name and len(tries) < times:
                tries.append(1)
                raise OSError(code, os.strerror(code))
            write(path, content)

        monkeypatch.setattr(image_module, "_write_whole", failing)
        return tries

    return break_disk


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENAMETOOLONG, errno.EIO])
async def test_picture_that_cannot_be_saved_is_the_storages_failure_and_no_engines(
    jobs: JobStore, queue: JobQueue, put: Put, working, break_disk, clock, code: int
) -> None:
    tries = break_disk(code=code)
    job, kept = await put(), await put()
    started = clock()
    async with working():
        assert (await ended(jobs, job)).failure_code is FailureCode.STORAGE
        while queue.paused is None:
            await asyncio.sleep(0.01)
    assert queue.paused == BY_STORAGE and (await jobs.get(kept.id)).status is JobStatus.QUEUED
    assert len(tries) > 3 and clock() - started >= SAVE_PATIENCE_S


async def test_picture_is_kept_if_the_disk_comes_back_within_a_short_time(
    jobs: JobStore, queue: JobQueue, put: Put, working, break_disk
) -> None:
    break_disk(times=3)
    job = await put()
    async with working():
        assert (await ended(jobs, job)).status is JobStatus.DONE
    assert queue.paused is None


async def test_file_that_alone_cannot_be_written_pauses_nothing_however_often(
    jobs: JobStore, queue: JobQueue, put: Put, working, break_disk
) -> None:
    put_jobs = [await put() for _ in range(5)]
    break_disk(only=".png")
    async with working():
        results = [await ended(jobs, job) for job in put_jobs]
    assert {job.failure_code for job in results} == {FailureCode.STORAGE} and queue.paused is None


async def test_picture_that_cannot_be_saved_while_stopping_is_drawn_again(
    jobs: JobStore, put: Put, working, break_disk, deadline: Deadline
) -> None:
    tries = break_disk()
    deadline.begin(10)
    job = await put()
    async with working() as task:
        while not tries:
            await asyncio.sleep(0.01)
    await task
    latest = await jobs.get(job.id)
    assert (latest.status, latest.attempts) == (JobStatus.QUEUED, 0)


async def test_damaged_source_fails_its_job_alone(
    jobs: JobStore, queue: JobQueue, images: ImageStore, make_request: Callable[..., Request], put: Put, working
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, format="PNG")
    request = make_request(strength=0.5)
    spec, source = resolve_with_source(find_model("fake"), request.options, buffer.getvalue(), random_seed=1)
    whole = source_png(source)
    path = images._source(spec.source)
    path.parent.mkdir(parents=True)
    async with working():
        for number, content in enumerate([b"", whole[:60], whole[:-30], b"no picture at all"]):
            path.write_bytes(content)
            job = await queue.put(replace(request, key=str(number)), spec)
            assert (await ended(jobs, job)).failure_code is FailureCode.STORAGE
        path.unlink()
        path.mkdir()
        job = await queue.put(replace(request, key="folder"), spec)
        assert (await ended(jobs, job)).failure_code is FailureCode.STORAGE
        assert (await ended(jobs, await put("fine"))).status is JobStatus.DONE
    assert queue.paused is None


async def test_pixels_that_are_no_picture_are_the_engines_failure(
    jobs: JobStore, queue: JobQueue, put: Put, working, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = FakeEngine.generate

    def short(self: FakeEngine, spec: ImageSpec, **options: Any) -> GeneratedImage:
        return replace(generate(self, spec, **options), pixels=b"few")

    monkeypatch.setattr(FakeEngine, "generate", short)
    put_jobs = [await put() for _ in range(3)]
    async with working():
        for job in put_jobs:
            assert (await ended(jobs, job)).failure_code is FailureCode.GENERATION_FAILED
        while queue.paused is None:
            await asyncio.sleep(0.01)
    assert queue.paused == BY_ENGINE


async def test_file_that_the_engine_cannot_read_counts_against_the_engine(
    jobs: JobStore, queue: JobQueue, put: Put, working, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(self: FakeEngine, spec: ImageSpec, **options: Any) -> GeneratedImage:
        raise OSError(errno.EIO, "weights cannot be read")

    monkeypatch.setattr(FakeEngine, "generate", unreadable)
    put_jobs = [await put() for _ in range(3)]
    async with working():
        for job in put_jobs:
            await ended(jobs, job)
        while queue.paused is None:
            await asyncio.sleep(0.01)
    assert queue.paused == BY_ENGINE


async def test_model_whose_files_vanish_fails_its_jobs_and_pauses_nothing(
    jobs: JobStore, queue: JobQueue, put: Put, working, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(*_args: object, **_more: object) -> object:
        raise ModelFilesMissing("mine", [Path("mine.safetensors")], reasons={Path("mine.safetensors"): "is absent"})

    with monkeypatch.context() as unplugged:
        unplugged.setattr(FakeEngine, "generate", generate)
        lost = [await put() for _ in range(4)]
        async with working():
            assert [(await ended(jobs, job)).failure_code for job in lost] == [FailureCode.MODEL_MISSING] * 4
    assert queue.paused is None


async def test_tried_picture_that_works_lets_the_others_follow(
    jobs: JobStore, queue: JobQueue, put: Put, working
) -> None:
    await queue.pause(BY_ENGINE)  # of the last process: tried at once
    put_jobs = [await put() for _ in range(3)]
    async with working():
        for job in put_jobs:
            assert (await ended(jobs, job)).status is JobStatus.DONE
    assert queue.paused is None


async def test_ending_that_cannot_be_written_until_the_end_is_settled_by_the_next_start(
    jobs: JobStore, queue: JobQueue, put: Put, working, deadline: Deadline, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue._deadline = deadline
    is_tried = asyncio.Event()

    async def locked(*_: object, **__: object) -> Job | None:
        is_tried.set()
        raise StoreUnavailable("locked", is_full=False)

    job = await put()
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "finish", locked)
        async with working() as task:
            await is_tried.wait()
        await task  # neither an error nor a failed job
    (settled,) = await jobs.recover(max_attempts=2, now=int(clock()))
    assert (settled.id, settled.status, settled.failure_code) == (job.id, JobStatus.QUEUED, None)


async def test_error_that_nobody_expected_ends_neither_the_worker_nor_the_process(
    jobs: JobStore, put: Put, working, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, troubles = jobs.claim, [KeyError("a column of a later release"), ValueError("no JSON")]

    async def troubled(job_id: int, *, now: int) -> Job | None:
        if troubles:
            raise troubles.pop()
        return await claim(job_id, now=now)

    monkeypatch.setattr(jobs, "claim", troubled)
    job = await put()
    async with working():
        assert (await ended(jobs, job)).status is JobStatus.DONE


async def test_dead_engine_ends_the_worker_though_the_database_is_locked(
    jobs: JobStore, queue: JobQueue, put: Put, working, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: object, **__: object) -> Job | None:
        raise StoreUnavailable("locked", is_full=False)

    monkeypatch.setattr(jobs, "fail", locked)
    monkeypatch.setattr(worker_module, "LAST_WORD_S", 0.05)
    await put("[step=3]")
    async with working(job_timeout_s=1, stop_grace_s=1) as task:
        await asyncio.wait([task])
    with pytest.raises(ExceptionGroup) as group:
        task.result()
    assert group.group_contains(EngineDead)
    assert queue._running == {}


async def test_cancelled_worker_waits_until_the_engine_has_come_to_rest(
    queue: JobQueue, images: ImageStore, breaker: Breaker, put: Put
) -> None:
    at_rest, drawing = asyncio.Event(), asyncio.Event()

    class Slow:
        slots = 1
        models = None

        async def run(self, *_: object, **__: object) -> None:
            drawing.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)  # the engine ends its step
                await asyncio.sleep(0)
                at_rest.set()

    await put()
    task = asyncio.create_task(WorkerPool(queue, [Slow()], images, breaker, WorkerConfig()).run())  # type: ignore[arg-type]
    await drawing.wait()
    task.cancel()
    await asyncio.wait([task])
    assert at_rest.is_set()
