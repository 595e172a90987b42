"""What the image check says of an image is done before anybody is shown it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from bot.config import WorkerConfig
from bot.executors.thread import ThreadExecutor
from bot.jobs import FailureCode, Job, JobStatus, Request
from bot.scheduling.breaker import Breaker
from bot.scheduling.eta import Pace
from bot.scheduling.image_policy import Verdict
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.worker_pool import WorkerPool
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.moderation_store import ModerationStore
from pipeline.catalog.models import find_model
from pipeline.config import PipelineConfig
from tests.bot.scheduling.ending import ended


class Judge:
    """Says what a test wants, when it wants."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.seen: list[Path] = []
        self.may_answer = asyncio.Event()

    async def judge(self, image: Path) -> Verdict:
        assert image.read_bytes().startswith(b"\x89PNG")
        self.seen.append(image)
        await self.may_answer.wait()
        return self.verdict


Judged = Callable[[Judge], AbstractAsyncContextManager[Job]]


@pytest.fixture
def queue(jobs: JobStore, settings, no_limits) -> JobQueue:
    pace = Pace(step_s=0.01, fixed_s=0.01, is_rough=True)
    return JobQueue(jobs, settings, no_limits, assumed_pace=lambda _spec: pace)


@pytest.fixture
def judged(queue: JobQueue, images: ImageStore, make_request: Callable[..., Request]) -> Judged:
    """Draw an image until the judge looks at it."""

    @asynccontextmanager
    async def judged(judge: Judge) -> AsyncIterator[Job]:
        executor = ThreadExecutor(PipelineConfig(model="fake"), stop_grace_s=2.0)
        breaker = Breaker(queue, can_save=partial(images.can_write, min_free_bytes=0), max_failures_in_a_row=1)
        pool = WorkerPool(queue, [executor], images, breaker, WorkerConfig())
        pool.image_policy = judge
        request = make_request()
        job = await queue.put(request, find_model("fake").resolve(request.options, random_seed=1))
        task = asyncio.create_task(pool.run())
        try:
            while not judge.seen:
                await asyncio.sleep(0.01)
            yield job
        finally:
            judge.may_answer.set()
            queue.close()
            await asyncio.wait([task])
            await executor.close(2.0)

    return judged


async def test_blocked_image_fails_its_job_and_leaves_no_file(jobs: JobStore, queue: JobQueue, judged: Judged) -> None:
    judge = Judge(Verdict.BLOCK)
    async with judged(judge) as job:
        unseen = await jobs.get(job.id)
        assert unseen is not None and (unseen.status, unseen.image_path) == (JobStatus.RUNNING, None)
        judge.may_answer.set()
        failed = await ended(jobs, job)
    assert (failed.status, failed.failure_code) == (JobStatus.FAILED, FailureCode.BLOCKED)
    assert not judge.seen[0].exists()
    assert queue.paused is None  # the engine is not to blame


@pytest.mark.parametrize("verdict", [Verdict.ALLOW, Verdict.SPOILER])
async def test_other_verdicts_show_it(jobs: JobStore, judged: Judged, verdict: Verdict) -> None:
    judge = Judge(verdict)
    async with judged(judge) as job:
        judge.may_answer.set()
        done = await ended(jobs, job)
    assert (done.status, done.is_spoiler) == (JobStatus.DONE, verdict is Verdict.SPOILER)
    assert judge.seen[0].exists()


async def test_cancelling_during_the_check_is_heard(jobs: JobStore, queue: JobQueue, judged: Judged) -> None:
    judge = Judge(Verdict.ALLOW)
    async with judged(judge) as job:
        await queue.cancel(job.id)
        judge.may_answer.set()
        cancelled = await ended(jobs, job)
    assert cancelled.status is JobStatus.CANCELLED and not judge.seen[0].exists()


async def test_image_of_a_ban_during_the_check_is_never_there(
    jobs: JobStore, judged: Judged, moderation_store: ModerationStore
) -> None:
    judge = Judge(Verdict.ALLOW)
    async with judged(judge) as job:
        await moderation_store.stop_all_of(job.user, "spam", now=9)  # the stop signal comes too late
        judge.may_answer.set()
        cancelled = await ended(jobs, job)
    assert (cancelled.status, cancelled.image_path) == (JobStatus.CANCELLED, None)
    assert not judge.seen[0].exists()


async def test_shutdown_during_the_check_keeps_the_image(jobs: JobStore, queue: JobQueue, judged: Judged) -> None:
    judge = Judge(Verdict.ALLOW)
    async with judged(judge) as job:
        queue.close()
        judge.may_answer.set()
        assert (await ended(jobs, job)).status is JobStatus.DONE
