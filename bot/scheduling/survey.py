"""Every unfinished job at one moment: who draws what, who waits in which order, and until when.

`job_queue.py` asks the store and keeps what changes; here it is put together, with the arithmetic of `eta.py` and
`placement.py`. No clock, no SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bot.jobs import FailureCode, Job, JobStatus, QueueStatus, StopSignal, UserKey
from bot.scheduling import eta
from bot.scheduling.eta import Forecast, Pace
from bot.scheduling.load_times import Load, Loading, no_load
from bot.scheduling.pauses import Opening
from bot.scheduling.placement import Placement, RunnerState, Ticket, after, fair_order
from bot.scheduling.waits import Waits
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
    progress_at: float | None = None  # like `since`, which is the end of the load if there was one
    loading: Loading | None = None  # its model, which the runner did not hold
    loaded: Loading | None = None  # the same once it ended, and how long it took
    load_took_s: float = 0.0
    is_handed_over: bool = False  # the executor has it

    def note(self, progress: Progress, *, now: float, reloading: Callable[[], Loading]) -> None:
        """Take in what the engine reports. It may read a model anew that it held: `reloading` begins that load."""
        if progress.stage is Stage.LOADING:
            self.loading = self.loading or reloading()
        elif self.loading is not None:
            self.load_took_s = now - self.loading.since
            self.loaded, self.loading, self.since = self.loading, None, now
        self.progress, self.progress_at = progress, now


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Every unfinished job at one moment, as the placement and the forecast see it."""

    running: list[Job]
    waiting: dict[int, Job]
    paces: Mapping[int, Pace]
    order: list[Ticket]
    now: float

    def standings(
        self,
        draws: Mapping[int, RunningJob],
        runners: Sequence[RunnerState],
        opening: Opening,
        *,
        since: float,
        load: Callable[[str, bool], Load] = no_load,
        waits: Waits | None = None,
    ) -> list[tuple[Job, QueueStatus]]:
        """Where each job stands: running first, then in the expected order of claim.

        Args:
            draws: what is known about running jobs beyond their rows, by id.
            opening: whether and when waiting jobs are begun.
            since: this moment, on the monotonic clock.
            load: how long a runner needs to read a model, and whether it is its first.
            waits: told of the forecasts, which it stretches.
        """
        now, paused = self.now, opening.pause
        is_foreseeable = paused is None or paused.until is not None

        def opens_s(moment_s: float) -> float:
            opens_at = opening.at(now + moment_s) if is_foreseeable else 0.0
            return opens_at - now if opens_at > now + moment_s else moment_s

        left_s = {job.id: seconds_left(job, self.paces[job.id], draws.get(job.id), now=since) for job in self.running}
        forecasts = eta.foretell(self.order, runners, _busy_s(left_s, draws, runners), load, opens_s)
        stretch = 1.0
        if waits is not None:
            waits.expect(forecasts, now=since, is_paused=paused is not None)
            waits.keep(self.waiting.keys())
            stretch = waits.stretch
        fair_places = {ticket.id: place for place, ticket in enumerate(self.order, start=1)}
        loads = {job.id: draws[job.id].loading if job.id in draws else None for job in self.running}
        is_load_rough = any(loading.expected.is_rough for loading in loads.values() if loading is not None)
        # A rough job ahead makes everyone's time rough.
        is_rough = is_load_rough or any(pace.is_rough for pace in self.paces.values())
        standings = [
            (
                job,
                QueueStatus(
                    position=None,
                    finish_at=round(now + left_s[job.id]),
                    is_rough=self.paces[job.id].is_rough or is_load_rough,
                    progress=draws[job.id].progress if job.id in draws else None,
                    is_loading=loads[job.id] is not None,
                ),
            )
            for job in self.running
        ]
        standings += [
            (
                self.waiting[forecast.job_id],
                QueueStatus(
                    position=place,
                    finish_at=_finish_at(forecast, now, stretch) if is_foreseeable else None,
                    is_rough=is_rough or forecast.is_rough,
                    pause=paused,
                    is_loading=paused is None and bool(_loads_ahead_of(self.waiting[forecast.job_id], runners)),
                    loading="" if paused is not None else _loads_ahead_of(self.waiting[forecast.job_id], runners),
                    fair_position=fair_places[forecast.job_id],
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
    if draw is not None and draw.loading is not None and draw.loading.expected.seconds > 0:
        return draw.loading.left_s(now) + max(1.0, pace.seconds(job.spec.steps))
    if draw is None or draw.progress is None or draw.progress.stage in (Stage.LOADING, Stage.ENCODING):
        ran_s = 0.0 if draw is None else now - draw.since
        return max(1.0, pace.seconds(job.spec.steps) - ran_s)
    done = draw.progress.step
    step_s = draw.progress.denoise_s / done if done >= STEPS_TO_TRUST else pace.step_s
    ran_s = 0.0 if draw.progress_at is None else now - draw.progress_at  # of the step, or of decoding
    if draw.progress.stage is Stage.DENOISING:
        ran_s = min(ran_s, step_s)
    steps = draw.progress.steps or job.spec.steps * pace.share  # fewer are taken from an init image
    return max(1.0, (steps - done) * step_s + pace.fixed_s / 2 - ran_s)


def _finish_at(forecast: Forecast, now: float, stretch: float) -> int | None:
    if forecast.begins_s is None or forecast.ends_s is None:
        return None
    return round(now + forecast.ends_s + (stretch - 1.0) * (forecast.begins_s - forecast.held_s))


def _loads_ahead_of(job: Job, runners: Sequence[RunnerState]) -> str:
    """The model that a runner is reading as its first, while every runner that may draw a job does so; else ""."""
    able = [runner for runner in runners if runner.can_draw(job.spec.model)]
    if not able or not all(runner.is_loading for runner in able):
        return ""
    own = (runner.model for runner in able if runner.model == job.spec.model)
    return next(own, able[0].model) or job.spec.model


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
