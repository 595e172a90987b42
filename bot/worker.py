"""Claim → draw → save → announce, one loop per executor slot. Knows no SQL and no front end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, assert_never

import structlog

from bot.config import WorkerConfig
from bot.errors import StoreUnavailable
from bot.executors import Executor
from bot.jobqueue import JobQueue, RunningJob
from bot.jobs import FailureCode, Job, JobStatus, StopReason
from bot.store.database import insist
from bot.store.images import ImageStore
from bot.store.jobstore import Measurement
from pipeline import (
    EngineDead,
    GeneratedImage,
    GenerationStopped,
    InvalidSpec,
    ModelFilesMissing,
    OutOfMemory,
    PipelineError,
    UnknownModel,
)
from pipeline.png import encode_png

log = logging.getLogger(__name__)

SOFTWARE: Final = "imagine-bot"


class Worker:
    """Draws job after job until the queue is closed."""

    def __init__(
        self,
        queue: JobQueue,
        executor: Executor,
        images: ImageStore,
        config: WorkerConfig,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._executor = executor
        self._images = images
        self._config = config
        self._monotonic = monotonic
        self._failures_in_a_row = 0

    async def run(self) -> None:
        """Work until `JobQueue.close`; then bring the running jobs back to the queue and return.

        Raises:
            EngineDead: the process has to end. Its job stays marked as running, for recovery to settle.
        """
        async with asyncio.TaskGroup() as slots:
            for _ in range(self._executor.slots):
                slots.create_task(self._run_slot())

    async def _run_slot(self) -> None:
        while (running := await self._queue.claim()) is not None:
            with structlog.contextvars.bound_contextvars(job=running.job.id):
                await self._work(running)

    async def _work(self, running: RunningJob) -> None:
        """One job, whatever happens to it; only EngineDead gets out."""
        job, started = running.job, self._monotonic()
        image: GeneratedImage | None = None
        ended: Job | None = None
        try:
            image = await self._draw(running)
            ended = await self._save(job, image)
            self._failures_in_a_row = 0
        except GenerationStopped:
            ended = await self._stopped(running, self._monotonic() - started)
        except EngineDead:
            log.critical("the engine is dead: this process ends, its supervisor has to start it again")
            if running.stop.reason is StopReason.TIMEOUT:
                await self._queue.fail(job.id, FailureCode.TIMEOUT, ran_s=self._monotonic() - started)
            raise
        except Exception as error:
            code = failure_code(error)
            # The person is told the code; the details are for the operator.
            log.error("job failed: %s", code, exc_info=error)
            ended = await self._queue.fail(job.id, code, ran_s=self._monotonic() - started)
            await self._count_failure(code)
        self._log_canonical_line(ended or job, image, ran_s=self._monotonic() - started)

    async def _draw(self, running: RunningJob) -> GeneratedImage:
        job = running.job
        source = await self._images.read_source(job.spec.source) if job.spec.source else None
        drawing = asyncio.ensure_future(
            self._executor.run(
                job.spec,
                on_progress=lambda progress: self._queue.report(job.id, progress),
                stop=running.stop,
                source=source,
                upcoming=await self._upcoming(job.spec.model),
            )
        )
        try:
            done, _ = await asyncio.wait([drawing], timeout=self._config.job_timeout_s)
            if not done:
                running.stop.set(StopReason.TIMEOUT)
                done, _ = await asyncio.wait([drawing], timeout=self._config.stop_grace_s)
            if not done:
                raise EngineDead("the engine did not stop: no step ended within the grace time")
            return drawing.result()
        finally:
            drawing.cancel()

    async def _upcoming(self, model: str) -> Sequence[str]:
        try:
            return await self._queue.upcoming(model)
        except StoreUnavailable:  # it only saves time
            return ()

    async def _save(self, job: Job, image: GeneratedImage) -> Job | None:
        """File first, row second, announcement last: a crash in between repeats work and loses nothing."""
        png = await asyncio.to_thread(encode_png, image, SOFTWARE)
        path = await self._images.write(job.id, png)
        return await self._queue.finish(
            job.id,
            image_path=path,
            image_bytes=len(png),
            ran_s=image.seconds,
            measured=Measurement(step_s=image.step_s, fixed_s=image.encode_s + image.decode_s),
        )

    async def _stopped(self, running: RunningJob, ran_s: float) -> Job | None:
        job_id = running.job.id
        match running.stop.reason:
            case StopReason.USER | None:
                return await self._queue.cancelled(job_id, ran_s=ran_s)
            case StopReason.TIMEOUT:
                job = await self._queue.fail(job_id, FailureCode.TIMEOUT, ran_s=ran_s)
                await self._count_failure(FailureCode.TIMEOUT)
                return job
            case StopReason.SHUTDOWN:
                return await self._queue.requeue(job_id)
            case _ as unreachable:
                assert_never(unreachable)

    async def _count_failure(self, code: FailureCode) -> None:
        """Pause the queue after several engine failures in a row: the next hundred would fail as well."""
        if code is FailureCode.INVALID_SPEC:
            return  # says nothing about the engine
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= self._config.max_failures_in_a_row and self._queue.pause_reason is None:
            log.critical(
                "%s jobs failed in a row: the queue is paused until /admin resume or a restart", self._failures_in_a_row
            )
            self._failures_in_a_row = 0
            await insist(lambda: self._queue.pause(PAUSED_BY_FAILURES))

    def _log_canonical_line(self, job: Job, image: GeneratedImage | None, *, ran_s: float) -> None:
        """The one line per job that statistics and complaints are answered from. No prompt in it."""
        log.info(
            "job ended",
            extra={
                "frontend": job.user.frontend,
                "model": job.spec.model,
                "size": f"{job.spec.width}x{job.spec.height}",
                "steps": job.spec.steps,
                "status": job.status if job.status is not JobStatus.QUEUED else "requeued",
                "code": job.failure_code,
                "waited_s": None if job.started_at is None else job.started_at - job.queued_at,
                "ran_s": round(ran_s, 2),
                "step_s": None if image is None else round(image.step_s, 4),
                "peak_mib": None if image is None else image.peak_mib,
                "attempts": job.attempts,
            },
        )


PAUSED_BY_FAILURES: Final = "engine_failures"


def failure_code(error: Exception) -> FailureCode:
    """What a failed run means for its person."""
    match error:
        case OutOfMemory():
            return FailureCode.OUT_OF_MEMORY
        case ModelFilesMissing() | UnknownModel():
            return FailureCode.MODEL_MISSING
        case InvalidSpec():
            return FailureCode.INVALID_SPEC
        case PipelineError():
            return FailureCode.GENERATION_FAILED
        case OSError():
            return FailureCode.STORAGE
        case _:
            return FailureCode.GENERATION_FAILED
