"""Claim → draw → save → announce, one loop per runner. Knows no SQL and no front end.

A runner that fails while others do not rests alone; one that is lost gives its job back, and the others go on. If the
last is lost, or an engine of this process is dead, the process ends and its supervisor starts another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, assert_never

import structlog

from bot.config import WorkerConfig
from bot.deadline import Deadline
from bot.errors import RunnerLost, StoreUnavailable
from bot.executors import Executor
from bot.jobs import FailureCode, Job, JobStatus, StopReason
from bot.retry import Backoff, retry
from bot.scheduling.breaker import Breaker
from bot.scheduling.failures import NOT_OF_THE_ENGINE, ImageBlocked, StorageFailed, failure_code
from bot.scheduling.image_policy import ImagePolicy, Verdict
from bot.scheduling.inputs import read_inputs
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.placement import RunnerState
from bot.scheduling.runner import Health, Runner, at_rest
from bot.scheduling.survey import RunningJob
from bot.store.image_store import ImageStore
from bot.store.usage_store import Measurement
from bot.supervision import supervise
from bot.troubles import OF_FAILURES, place
from pipeline import EngineDead, GeneratedImage, GenerationFailed, GenerationStopped, ImageSpec
from pipeline.device.gpu import MIB
from pipeline.images.png_metadata import NO_HASHES, FileHashes, encode_png

log = logging.getLogger(__name__)

SOFTWARE: Final = "imagine-bot"
SAVE_PATIENCE_S: Final = 20.0  # a picture may have taken minutes, and a full disk may have room in a moment
SAVE_PAUSE_S: Final = 4.0
LAST_WORD_S: Final = 3.0


class WorkerPool:
    """Draws job after job on every runner until the queue is closed.

    hashes_of: returns the hashes of the files that an image is drawn with, as far as they are known; for its own file.
    drawn_with: returns what an image is drawn with beside its spec, as a hash; blocks, and never fails.
    image_policy: judges every picture before it is shown; None lets all pass.
    """

    def __init__(
        self,
        queue: JobQueue,
        executors: Sequence[Executor],
        images: ImageStore,
        breaker: Breaker,
        config: WorkerConfig,
        *,
        deadline: Deadline | None = None,
    ) -> None:
        self.hashes_of: Callable[[ImageSpec], FileHashes] = lambda _spec: NO_HASHES
        self.drawn_with: Callable[[ImageSpec], str] = lambda _spec: ""
        self.image_policy: ImagePolicy | None = None
        self._queue = queue
        self._images = images
        self._breaker = breaker
        self._config = config
        self._deadline = deadline or Deadline()
        self._monotonic = self._deadline.monotonic
        slots = [executor for executor in executors for _ in range(executor.slots)]
        self.runners = [Runner(number, slot, monotonic=self._monotonic) for number, slot in enumerate(slots)]
        queue.use_runners(self._states)

    @property
    def left(self) -> list[Runner]:
        """The runners that are not lost."""
        return [runner for runner in self.runners if runner.health is not Health.GONE]

    async def load(self, model: str) -> None:
        """Load a model ahead of the first job, on every executor that can draw it.

        Raises:
            PipelineError, EngineDead: whatever an executor's engine raises, in a group.
        """
        if not any(runner.loading for runner in self.runners):
            await self.expect_load(model)
        async with asyncio.TaskGroup() as loading:
            for executor in {runner.executor: None for runner in self.runners}:
                if executor.models is None or model in executor.models:
                    loading.create_task(self._load(executor, model))

    async def expect_load(self, model: str) -> None:
        """Say that `load` is about to be called: what comes before it is part of the wait, and is measured with it.

        Raises:
            StoreUnavailable
        """
        await self._queue.loads.recall([model])
        loading = self._queue.loads.begin(model, is_first=True, now=self._monotonic())
        for runner in self.left:
            if runner.executor.models is None or model in runner.executor.models:
                runner.model, runner.loading = model, loading

    async def _load(self, executor: Executor, model: str) -> None:
        runners = [runner for runner in self.runners if runner.executor is executor]
        loading, is_loaded = runners[0].loading, False
        async with at_rest(runners):
            try:
                await executor.start(model)
                is_loaded = True
            except RunnerLost as error:
                for runner in runners:
                    self._lose(runner, error)
                return
            finally:
                for runner in runners:
                    runner.model, runner.loading = model if is_loaded else None, None
        if loading is not None:
            await self._queue.loads.note(model, loading, took_s=self._monotonic() - loading.since)
        self._queue.announce()

    async def run(self) -> None:
        """Work until `JobQueue.close`; then bring the running jobs back to the queue and return.

        Raises:
            EngineDead: the process has to end. Its job stays marked as running, for recovery to settle.
        """
        async with asyncio.TaskGroup() as loops:
            for runner in self.left:
                loops.create_task(supervise("drawing", partial(self._turn, runner), self._deadline))

    async def _turn(self, runner: Runner) -> bool:
        """One job, whatever happens to it; False once the queue is closed or the runner is gone."""
        if (running := await self._queue.claim(runner.number, may_try=self._breaker.may_try)) is None:
            return False
        async with at_rest([runner]):  # a release that has just begun ends first
            await self._turn_of(runner, running)
        return runner.health is not Health.GONE

    async def _turn_of(self, runner: Runner, running: RunningJob) -> None:
        held, runner.model = runner.model, running.job.spec.model
        with structlog.contextvars.bound_contextvars(job=running.job.id):
            try:
                await self._work(runner, running)
            except StoreUnavailable as error:
                log.error("how the job ended cannot be written down, the next start settles it: %s", error)
            if running.loaded is not None:
                await self._queue.loads.note(running.job.spec.model, running.loaded, took_s=running.load_took_s)
        if running.loading is not None:  # it failed, or was stopped, before the engine had the model
            runner.model = None if running.is_handed_over else held

    async def _work(self, runner: Runner, running: RunningJob) -> None:
        job, started = running.job, self._monotonic()
        image: GeneratedImage | None = None
        ended: Job | None = None
        try:
            image = await self._draw(runner.executor, running)
            running.loading = None  # of executors that do not report it
            ended = await self._save(running, image)
            runner.succeeded(took_s=image.seconds, expected_s=running.expected_s)
            await self._breaker.picture_saved()
        except GenerationStopped:
            ended = await self._stopped(runner, running, self._monotonic() - started)
        except RunnerLost as error:
            self._lose(runner, error, job=job)
            ended = await self._queue.requeue(job.id)
        except EngineDead:
            log.critical("the engine is dead: this process ends, its supervisor has to start it again")
            if running.stop.reason is StopReason.TIMEOUT:
                with contextlib.suppress(StoreUnavailable, TimeoutError):
                    async with asyncio.timeout(LAST_WORD_S):
                        await self._queue.fail(job.id, FailureCode.TIMEOUT, ran_s=self._monotonic() - started)
            self._queue.leave_to_recovery(job.id)
            raise
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a job that fails in an unknown way fails alone
            ended = await self._failed(runner, job, error, ran_s=self._monotonic() - started)
        self._log_canonical_line(ended or job, image, ran_s=self._monotonic() - started)

    async def _draw(self, executor: Executor, running: RunningJob) -> GeneratedImage:
        job = running.job
        source, references = await read_inputs(job.spec, self._images)
        upcoming = await self._upcoming(job.spec.model)
        running.is_handed_over = True
        drawing = asyncio.ensure_future(
            executor.run(
                job.spec,
                on_progress=lambda progress: self._queue.report(job.id, progress),
                stop=running.stop,
                source=source,
                references=references,
                upcoming=upcoming,
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
            if not drawing.done():  # it stops between two steps
                drawing.cancel()
                await asyncio.wait([drawing], timeout=self._deadline.remaining(self._config.stop_grace_s))

    async def _upcoming(self, model: str) -> Sequence[str]:
        try:
            return await self._queue.upcoming(model)
        except Exception as error:  # noqa: BLE001 - it only saves time
            log.warning("what waits for this model cannot be looked up: %s", error)
            return ()

    async def _save(self, running: RunningJob, image: GeneratedImage) -> Job | None:
        """File first, row second, announcement last: a crash in between repeats work and loses nothing."""
        job = running.job
        png = await asyncio.to_thread(_encode, image, self.hashes_of)
        drawn_with = await asyncio.to_thread(self.drawn_with, job.spec)
        path = await self._write(job.id, png)
        try:
            await self._judge(running, path)
        except BaseException:
            await self._images.delete(path)
            raise
        ended = await self._queue.finish(
            job.id,
            image_path=path,
            image_bytes=len(png),
            ran_s=image.seconds,
            measured=Measurement(
                step_s=image.step_s,
                fixed_s=image.encode_s + image.decode_s,
                drawn_with=drawn_with,
                taken_mib=0 if image.memory is None else image.memory.taken_bytes // MIB,
            ),
        )
        if ended is not None and ended.image_path is None:  # a moderator stopped it meanwhile
            await self._images.delete(path)
        return ended

    async def _judge(self, running: RunningJob, path: str) -> None:
        """Let the image check look at a file that nobody is shown yet.

        Raises:
            ImageBlocked, StorageFailed
            GenerationStopped: its person cancelled it meanwhile.
        """
        if self.image_policy is None:
            return
        if (file := await self._images.find(path)) is None:
            raise StorageFailed("the image that is to be checked cannot be found")
        verdict = await self.image_policy.judge(file)
        if running.stop.reason is StopReason.USER:
            raise GenerationStopped
        if verdict is Verdict.BLOCK:
            raise ImageBlocked
        if verdict is Verdict.SPOILER:
            await self._queue.mark_spoiler(running.job.id)

    async def _write(self, number: int, png: bytes) -> str:
        patience = Deadline(SAVE_PATIENCE_S, monotonic=self._monotonic)
        try:
            return await retry(
                lambda: self._images.write(number, png),
                on=OSError,
                backoff=Backoff(SAVE_PAUSE_S, SAVE_PAUSE_S),
                deadline=self._deadline,
                give_up=lambda: patience.is_over or self._deadline.has_begun,
                on_failure=lambda error, pause_s: log.warning(
                    "the picture cannot be saved now, trying again in %.0f s: %s", pause_s, error
                ),
            )
        except OSError as error:
            raise StorageFailed(f"the picture cannot be saved: {error}") from error

    async def _failed(self, runner: Runner, job: Job, error: Exception, *, ran_s: float) -> Job | None:
        code = failure_code(error)
        if isinstance(error, ImageBlocked):
            log.info("the image check blocked the picture")
            return await self._queue.fail(job.id, code, ran_s=ran_s)
        # The person is told the code; the details are for the operator.
        log.error("job failed: %s, see %s", code, place(OF_FAILURES[code]), exc_info=error)
        if isinstance(error, StorageFailed):
            if self._deadline.has_begun:  # the next process may find the disk in a better state
                return await self._queue.requeue(job.id)
            ended = await self._queue.fail(job.id, code, ran_s=ran_s)
            await self._breaker.saving_failed()
            return ended
        ended = await self._queue.fail(job.id, code, ran_s=ran_s)
        if not isinstance(error, NOT_OF_THE_ENGINE):
            await self._engine_failed(runner)
        return ended

    async def _stopped(self, runner: Runner, running: RunningJob, ran_s: float) -> Job | None:
        job_id = running.job.id
        match running.stop.reason:
            case StopReason.USER | None:
                return await self._queue.cancelled(job_id, ran_s=ran_s)
            case StopReason.TIMEOUT:
                job = await self._queue.fail(job_id, FailureCode.TIMEOUT, ran_s=ran_s)
                await self._engine_failed(runner)
                return job
            case StopReason.SHUTDOWN:
                return await self._queue.requeue(job_id)
            case _ as unreachable:
                assert_never(unreachable)

    # ── runners ─────────────────────────────────────────────────────────────────────────────────────

    def _states(self) -> list[RunnerState]:
        left = self.left
        is_needed = not any(runner.health is Health.READY for runner in left)
        return [runner.state(is_needed=is_needed, is_alone=len(self.runners) == 1) for runner in left]

    async def _engine_failed(self, runner: Runner) -> None:
        """Let a runner that keeps failing cool down if others are ready; if none is, the breaker pauses the queue."""
        runner.failed()
        if not any(other.health is Health.READY for other in self.runners if other is not runner):
            await self._breaker.engine_failed()
        elif runner.failures_in_a_row >= self._config.max_failures_in_a_row:
            cool_down_s = runner.cool_down()
            log.error(
                "runner %s: %s jobs failed in a row, it draws nothing for %.0f min",
                runner.number,
                runner.failures_in_a_row,
                cool_down_s / 60,
            )

    def _lose(self, runner: Runner, error: RunnerLost, *, job: Job | None = None) -> None:
        """Go on without a runner.

        Raises:
            EngineDead: there is no other. Its job stays marked as running, for recovery to settle: one that takes
                every runner with it must not do so for ever.
        """
        runner.lost()
        log.error("runner %s is lost: %s", runner.number, error)
        if not self.left:
            log.critical("the last runner is lost: this process ends, its supervisor has to start it again")
            if job is not None:
                self._queue.leave_to_recovery(job.id)
            raise EngineDead("no runner is left") from error

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
                "memory": None if image is None or image.memory is None else image.memory.summary(),
                "attempts": job.attempts,
            },
        )


def _encode(image: GeneratedImage, hashes_of: Callable[[ImageSpec], FileHashes]) -> bytes:
    """Make the file. Pixels that do not fit their size are the engine's doing. Blocks."""
    try:
        return encode_png(image, SOFTWARE, hashes=hashes_of(image.spec))
    except Exception as error:
        raise GenerationFailed(f"what was drawn is no picture: {error}") from error
