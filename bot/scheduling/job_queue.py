"""The bounded queue: put, claim, cancel, requeue, recover, and where every job stands. No wording, no GPU.

The job table is the queue; what is kept here is only what dies with the process: the stop signals and the
progress of running jobs, who was delayed out of turn, and an event that says "look again".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from bot.clock import Clock, wait_for
from bot.config import LimitsConfig
from bot.deadline import Deadline
from bot.errors import JobAlreadyFinished, JobNotFound, NotYourJob, Refusal, StoreUnavailable
from bot.jobs import FailureCode, Job, QueueStatus, Request, StopReason, StopSignal, UserKey
from bot.pause import Pause
from bot.scheduling import eta, limits
from bot.scheduling.eta import Pace
from bot.scheduling.load_times import LoadTimes
from bot.scheduling.paces import Paces
from bot.scheduling.pauses import Pauses
from bot.scheduling.placement import Placement, RunnerState, Ticket, place, take
from bot.scheduling.survey import Delays, RunningJob, Survey, flaw_of, take_survey
from bot.scheduling.waits import Waits
from bot.store.database import retry_until_stored
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.usage_store import Measurement
from pipeline import ImageSpec, Progress

log = logging.getLogger(__name__)

SWEEP_S: Final = 30.0  # look into the table at least this often, whatever the event says


class JobQueue:
    """The job table with its bounds, for one process."""

    def __init__(
        self,
        jobs: JobStore,
        settings: SettingStore,
        config: LimitsConfig,
        *,
        assumed_pace: Callable[[ImageSpec], Pace],
        deadline: Deadline | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._jobs = jobs
        self._limits = config
        self._runners: Callable[[], Sequence[RunnerState]] = lambda: [RunnerState(number=0)]
        self.paces = Paces(jobs, assumed_pace, clock)
        self._listeners: list[Callable[[], None]] = []
        self._deadline = deadline or Deadline()
        self._clock = clock
        self.loads = LoadTimes(settings)
        self._monotonic = self._deadline.monotonic
        self._changed = asyncio.Event()  # set once, when anything changed; then there is another
        self._placing = asyncio.Lock()
        self._idle: set[int] = set()  # the runners that wait for a job
        self._delays = Delays()
        self._waits = Waits()
        self._running: dict[int, RunningJob] = {}
        self._stops: dict[int, StopSignal] = {}
        self._is_closed = False
        self.pauses = Pauses(settings, self._notify, deadline=self._deadline, clock=clock)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after anything that may move a job or its place."""
        self._listeners.append(listener)

    async def recover(self, *, max_attempts: int) -> list[Job]:
        """Settle what the last process left; call once, before anything else. Returns the jobs it had running."""
        await self.pauses.recover()
        settled = await self._jobs.recover(max_attempts=max_attempts, now=self._now())
        self._notify()
        return settled

    async def put(self, request: Request, spec: ImageSpec, *, cost: float = 1.0) -> Job:
        """Accept a job or refuse it; a repeated request returns the job it made.

        `cost` is for how many images of the day it counts.

        Raises:
            Refusal: BeingErased, CoolingDown, TooManyJobs, DailyLimit, QueueFull, JobTooLarge, UploadGone
                or PictureRemoved.
        """
        bounds = limits.bounds_of(request, self._limits)
        limits.check_size(spec, bounds)
        limits.check_cost(spec, cost, bounds)
        while True:
            job = await self._jobs.insert(
                request, spec, size_class=eta.size_class(spec), limits=bounds, now=self._now(), cost=cost
            )
            if job is not None:
                self._notify()
                return job
            if (earlier := await self._jobs.by_request_key(request.key)) is not None:
                return earlier
            if (spec.source or spec.references) and (origin := request.derived_from) is not None:
                limits.check_origin(await self._jobs.get(origin.job_id))
            if (refusal := await self._refusal(request.user, bounds, cost=cost)) is not None:
                raise refusal
            # Room appeared between the two statements: try again.

    async def put_repeat(self, request: Request, spec: ImageSpec, earlier: Job, *, most_per_day: int) -> Job | None:
        """Accept a request that is about to be answered with the image of another job; see `JobStore.insert_repeat`."""
        return await self._jobs.insert_repeat(
            request, spec, earlier, size_class=eta.size_class(spec), most_per_day=most_per_day, now=self._now()
        )

    async def draw_after_all(self, job_id: int) -> Job | None:
        """Let such a job wait like any other, since its image cannot be copied."""
        return await self._end(job_id, lambda: self._jobs.draw_after_all(job_id))

    async def check(self, request: Request) -> None:
        """Refuse what `put` would refuse at this moment: a look before work that would be in vain.

        Raises:
            Refusal: BeingErased, CoolingDown, TooManyJobs, DailyLimit or QueueFull.
        """
        bounds = limits.bounds_of(request, self._limits)
        refusal = await self._refusal(request.user, bounds, cost=limits.LEAST_COST)  # its size is not known yet
        if refusal is not None and await self._jobs.by_request_key(request.key) is None:
            raise refusal

    def use_runners(self, runners: Callable[[], Sequence[RunnerState]]) -> None:
        """Place jobs on these runners, as they are whenever somebody asks."""
        self._runners = runners

    @property
    def runners(self) -> Sequence[RunnerState]:
        """The runners at this moment."""
        return self._runners()

    @property
    def drawn(self) -> dict[int, int]:
        """The job that each runner draws, by the runner's number."""
        return {running.runner: job_id for job_id, running in self._running.items()}

    async def claim(
        self, runner: int = 0, *, may_try: Callable[[Pause], bool] = lambda _pause: False
    ) -> RunningJob | None:
        """Wait for the next job of a runner and start it; None once closed.

        In spite of a pause, one job at a time is started if `may_try` says so.
        """
        self._idle.add(runner)
        try:
            while not self._is_closed:
                changed = self._changed  # before the look: whatever happens during it is heard of
                if (running := await self._claim_now(runner, may_try)) is not None:
                    return running
                if not self._is_closed:
                    await wait_for(changed, SWEEP_S)
            return None
        finally:
            self._idle.discard(runner)

    async def _claim_now(self, runner: int, may_try: Callable[[Pause], bool]) -> RunningJob | None:
        """Start the job that is this runner's turn, if there is one at this moment."""
        async with self._placing:  # two runners that look at once would choose the same job
            try:
                while not self._is_closed and self._is_open(may_try):
                    if (choice := await self._choose(runner)) is None:
                        return None
                    order, placement = choice
                    ticket = order[placement.index]
                    job = await self._jobs.claim(ticket.id, now=self._now())
                    if job is None:  # cancelled just now
                        continue
                    self._delays.note(order, placement)
                    if self._is_closed:  # while the database worked
                        await self.requeue(job.id)
                        return None
                    if (flaw := flaw_of(job)) is None:
                        return self._start(job, placement.runner, ticket.seconds)
                    log.error("job %s cannot be drawn by this release: %s", job.id, flaw)
                    await self.fail(job.id, flaw, ran_s=0.0)
            except StoreUnavailable as error:
                log.error("no job can be claimed: %s", error)
            return None

    def _is_open(self, may_try: Callable[[Pause], bool]) -> bool:
        return self.paused is None or (not self._running and self.pauses.lets_try(may_try))

    async def _choose(self, runner: int) -> tuple[list[Ticket], Placement] | None:
        """The order and the job in it that this runner is to draw now; None if nothing waits, or only for others."""
        survey = await self._survey()
        self._delays.keep(survey.waiting)
        order = survey.order
        idle = [each for each in self._runners() if each.number in self._idle and not each.ready_in_s]
        while (placement := place(order, idle)) is not None:
            if placement.runner.number == runner:
                return order, placement
            take(order, placement)
            idle.remove(placement.runner)
        return None

    def _start(self, job: Job, runner: RunnerState, expected_s: float) -> RunningJob:
        stop, now, model = self._stops.setdefault(job.id, StopSignal()), self._monotonic(), job.spec.model
        running = RunningJob(job, stop, since=now, runner=runner.number, expected_s=expected_s)
        if not runner.holds(model):
            running.loading = self.loads.begin(model, is_first=runner.is_first_load, now=now)
        self._running[job.id] = running
        self._waits.begun(job.id, now=now)
        self._tell()
        return running

    def report(self, job_id: int, progress: Progress) -> None:
        """Remember the latest progress of a running job; progress of any other job is dropped."""
        if (running := self._running.get(job_id)) is None:
            return
        now, model = self._monotonic(), running.job.spec.model
        running.note(progress, now=now, reloading=lambda: self.loads.begin(model, is_first=False, now=now))
        self._tell()

    async def finish(
        self, job_id: int, *, image_path: str, image_bytes: int, ran_s: float, measured: Measurement | None
    ) -> Job | None:
        """The picture of a running job is saved."""
        return await self._end(
            job_id,
            lambda: self._jobs.finish(
                job_id,
                image_path=image_path,
                image_bytes=image_bytes,
                ran_s=ran_s,
                measured=measured,
                now=self._now(),
            ),
        )

    async def mark_spoiler(self, job_id: int) -> None:
        """Let the picture of a job, which is about to be finished, be shown after a click only."""
        await retry_until_stored(lambda: self._jobs.mark_spoiler(job_id), self._deadline)

    async def fail(self, job_id: int, code: FailureCode, *, ran_s: float) -> Job | None:
        """A running job went wrong."""
        return await self._end(job_id, lambda: self._jobs.fail(job_id, code, ran_s=ran_s, now=self._now()))

    async def cancelled(self, job_id: int, *, ran_s: float) -> Job | None:
        """A running job came to rest because its person wanted so."""
        return await self._end(job_id, lambda: self._jobs.cancel_running(job_id, ran_s=ran_s, now=self._now()))

    async def requeue(self, job_id: int) -> Job | None:
        """A running job stops because the process does: back to its place."""
        return await self._end(job_id, lambda: self._jobs.requeue(job_id, now=self._now()))

    def leave_to_recovery(self, job_id: int) -> None:
        """Forget a running job whose row stays as it is: the process ends under it, and the next start settles it."""
        self._running.pop(job_id, None)

    async def requeue_all(self) -> None:
        """Send back every job that did not come to rest in time; the process is about to end under it.

        Raises:
            StoreUnavailable: the rest is for the next start to settle.
        """
        for job_id in list(self._running):
            log.warning("job %s did not stop in time and goes back to its place", job_id)
            await self.requeue(job_id)

    async def cancel(self, job_id: int, *, by: UserKey | None = None) -> Job:
        """Cancel a waiting job now, or ask a running one to stop within one step; with `by`, only if it is theirs.

        Raises:
            JobNotFound, NotYourJob, JobAlreadyFinished
        """
        if (job := await self._jobs.cancel_queued(job_id, by=by, now=self._now())) is not None:
            self._notify()
            return job
        if (job := await self._jobs.request_cancel(job_id, by=by)) is not None:
            # The claim may not have come back from the database yet; it will find this signal.
            self._stops.setdefault(job_id, StopSignal()).set(StopReason.USER)
            self._tell()  # its message says that it stops
            return job
        if (job := await self._jobs.get(job_id)) is None:
            raise JobNotFound(job_id)
        if by is not None and job.user != by:
            raise NotYourJob(job_id)
        raise JobAlreadyFinished(job_id)

    async def stop(self, jobs: Iterable[Job]) -> None:
        """Let the runners go of jobs whose rows say already that they are over or to be cancelled."""
        for job in jobs:
            if not job.status.is_final:
                with contextlib.suppress(JobAlreadyFinished, JobNotFound):  # just now
                    await self.cancel(job.id)
        self._notify()

    async def drop_message(self, frontend: str, key: str) -> list[Job]:
        """A message was deleted: cancel its jobs that have not ended; nothing is delivered there any more.

        Returns:
            The jobs that it showed, as they were.
        """
        jobs = await self._jobs.drop_message(frontend, key)
        await self.stop(jobs)
        return jobs

    @property
    def paused(self) -> Pause | None:
        """Why no new job is started at this moment; None if they are."""
        return self.pauses.current

    async def pause(self, pause: Pause) -> Pause:
        """Start no new job until `resume`; the running one goes on. See `Pauses.make`."""
        return await self.pauses.make(pause)

    async def resume(self, only: Pause | None = None) -> None:
        """Start jobs again. See `Pauses.end`."""
        await self.pauses.end(only)

    def close(self) -> None:
        """Hand out no more jobs and ask the running ones to stop for the shutdown."""
        self._is_closed = True
        for running in self._running.values():
            running.stop.set(StopReason.SHUTDOWN)
        self._wake()

    async def standings(self) -> list[tuple[Job, QueueStatus]]:
        """Every unfinished job and where it stands: running first, then in the expected order of claim."""
        survey = await self._survey()
        return survey.standings(
            self._running,
            self._runners(),
            self.pauses.opening(),
            since=self._monotonic(),
            load=self.loads.expected,
            waits=self._waits,
        )

    async def _survey(self) -> Survey:
        unfinished = await self._jobs.unfinished()
        paces = await self.paces.of_jobs(unfinished)
        await self.loads.recall(job.spec.model for job in unfinished)
        now, users = self._clock(), {job.user for job in unfinished}
        gpu_s = await self._jobs.gpu_seconds(now=int(now))
        for user, spent_s in (await self._jobs.spent_seconds(users, now=int(now))).items():
            gpu_s[user] = gpu_s.get(user, 0.0) + spent_s
        return take_survey(unfinished, paces, gpu_s, self._delays, now=now)

    async def upcoming(self, model: str) -> list[str]:
        """What a model will read of the prompts that wait for it, in the order in which they will probably be drawn."""
        standings = await self.standings()
        return [job.spec.text for job, stands in standings if stands.position and job.spec.model == model]

    async def _refusal(self, user: UserKey, bounds: LimitsConfig, *, cost: float) -> Refusal | None:
        """Which bound has no room for one more picture of this person, and when it will have; None if all have."""
        usage = await self._jobs.usage(user, now=self._now())

        def find(next_free_at: int, own_free_at: int) -> Refusal | None:
            return limits.find_refusal(
                bounds, usage, next_free_at=next_free_at, own_free_at=own_free_at, now=self._now(), cost=cost
            )

        if find(0, 0) is None:
            return None
        standings = await self.standings()
        refusal = find(*limits.free_times(user, standings, now=self._now()))
        return None if refusal is None else limits.while_paused(refusal, user, standings, self.paused)

    async def _end(self, job_id: int, statement: Callable[[], Awaitable[Job | None]]) -> Job | None:
        job = await retry_until_stored(statement, self._deadline)
        self._running.pop(job_id, None)
        self._stops.pop(job_id, None)
        self._notify()
        return job

    def _notify(self) -> None:
        self._wake()
        self._tell()

    def _wake(self) -> None:
        """Let every runner that waits look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def announce(self) -> None:
        """Say that times have changed, though no job has."""
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _now(self) -> int:
        return int(self._clock())
