"""Every unfinished job at one moment: who draws what, who waits in which order, and until when.

`job_queue.py` asks the store and keeps what changes; here it is put together, with the arithmetic of `eta.py` and
`placement.py`. No clock, no SQL.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bot.jobs import FailureCode, Job, JobStatus, QueueStatus, StopSignal, UserKey
from bot.pause import Pause
from bot.scheduling import eta
from bot.scheduling.eta import Pace
from bot.scheduling.placement import Placement, RunnerState, Ticket, after, fair_order
from pipeline import InvalidSpec, Progress, Stage

STEPS_TO_TRUST: Final = 2  # after so many steps a run's own pace beats the medians


@dataclass(slots=True)
class RunningJob:
    """What is known about a running job beyond its row."""

    job: Job
    stop: StopSignal
    since: float  # on the monotonic clock
    runner: int
    expected_s: float  # how long it was expected to take on an average runner
    progress: Progress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Every unfinished job at one moment, as the placement and the forecast see it."""

    running: list[Job]
    waiting: dict[int, Job]
    paces: Mapping[int, Pace]
    order: list[Ticket]
    now: float

    def standings(
        self, draws: Mapping[int, RunningJob], runners: Sequence[RunnerState], paused: Pause | None, *, since: float
    ) -> list[tuple[Job, QueueStatus]]:
        """Where each job stands: running first, then in the expected order of claim.

        Args:
            draws: what is known about running jobs beyond their rows, by id.
            since: this moment, on the monotonic clock.
        """
        now = self.now
        left_s = {job.id: seconds_left(job, self.paces[job.id], draws.get(job.id), now=since) for job in self.running}
        forecasts = eta.foretell(self.order, runners, _busy_s(left_s, draws, runners))
        is_rough = any(pace.is_rough for pace in self.paces.values())  # a rough job ahead makes everyone's time rough
        standings = [
            (
                job,
                QueueStatus(
                    position=None,
                    finish_at=int(now + left_s[job.id]),
                    is_rough=self.paces[job.id].is_rough,
                    progress=draws[job.id].progress if job.id in draws else None,
                ),
            )
            for job in self.running
        ]
        standings += [
            (
                self.waiting[forecast.job_id],
                QueueStatus(
                    position=place,
                    finish_at=None if paused is not None or forecast.ends_s is None else int(now + forecast.ends_s),
                    is_rough=is_rough,
                    pause=paused,
                ),
            )
            for place, forecast in enumerate(forecasts, start=1)
        ]
        return standings


class Delays:
    """What waiting jobs have on their account of jobs that were begun before their turn."""

    def __init__(self) -> None:
        self._tickets: dict[int, Ticket] = {}

    def note(self, order: Sequence[Ticket], placement: Placement) -> None:
        """Count a job that was begun, for those that wait on."""
        begun = order[placement.index]
        for index, ticket in enumerate(order[: placement.index]):
            # Not what stands in the order: that may count jobs that other runners have not begun yet.
            known = self._tickets.get(ticket.id, replace(ticket, delayed_s=0.0, ahead_s=0.0))
            if (later := after(known, begun, placement, is_passed=index in placement.passed)) != known:
                self._tickets[ticket.id] = later

    def keep(self, waiting: Container[int]) -> None:
        """Forget jobs that do not wait any more."""
        self._tickets = {job_id: ticket for job_id, ticket in self._tickets.items() if job_id in waiting}

    def ticket(self, job: Job, pace: Pace) -> Ticket:
        """A waiting job, as the placement sees it."""
        delayed = self._tickets.get(job.id)
        return Ticket(
            id=job.id,
            user=job.user,
            model=None if flaw_of(job) is not None else job.spec.model,
            seconds=pace.seconds(job.spec.steps),
            delayed_s=0.0 if delayed is None else delayed.delayed_s,
            ahead_s=0.0 if delayed is None else delayed.ahead_s,
        )


def take_survey(
    unfinished: Iterable[Job], paces: Mapping[int, Pace], gpu_s: Mapping[UserKey, float], delays: Delays, *, now: float
) -> Survey:
    """Put unfinished jobs into their order.

    Args:
        unfinished: oldest first.
        paces: how fast each is expected to be drawn, by id.
        gpu_s: GPU seconds of people that count against them; what they have running is added.
    """
    jobs = list(unfinished)
    running = [job for job in jobs if job.status is JobStatus.RUNNING]
    waiting = {job.id: job for job in jobs if job.status is JobStatus.QUEUED}
    used_s = dict(gpu_s)
    for job in running:
        used_s[job.user] = used_s.get(job.user, 0.0) + paces[job.id].seconds(job.spec.steps)
    order = fair_order((delays.ticket(job, paces[job.id]) for job in waiting.values()), used_s)
    return Survey(running=running, waiting=waiting, paces=paces, order=order, now=now)


def seconds_left(job: Job, pace: Pace, draw: RunningJob | None, *, now: float) -> float:
    """How long a running job still takes; `now` is on the monotonic clock."""
    if draw is None or draw.progress is None or draw.progress.stage in (Stage.LOADING, Stage.ENCODING):
        ran_s = 0.0 if draw is None else now - draw.since
        return max(1.0, pace.seconds(job.spec.steps) - ran_s)
    done = draw.progress.step
    step_s = draw.progress.denoise_s / done if done >= STEPS_TO_TRUST else pace.step_s
    return max(1.0, (job.spec.steps - done) * step_s + pace.fixed_s / 2)


def _busy_s(
    left_s: Mapping[int, float], draws: Mapping[int, RunningJob], runners: Sequence[RunnerState]
) -> dict[int, float]:
    """Seconds until each runner that draws is free, by number."""
    busy_s = {draws[job_id].runner: left for job_id, left in left_s.items() if job_id in draws}
    free = (runner.number for runner in runners if runner.number not in busy_s)
    for job_id, left in left_s.items():
        # The claim has not come back from the database yet, or the process ends under the job.
        if job_id not in draws and (number := next(free, None)) is not None:
            busy_s[number] = left
    return busy_s


def flaw_of(job: Job) -> FailureCode | None:
    """Why a stored job cannot be drawn; bounds may have been lowered since it was accepted."""
    if job.flaw is not None:
        return job.flaw
    try:
        job.spec.check()
    except InvalidSpec:
        return FailureCode.INVALID_SPEC
    return None
