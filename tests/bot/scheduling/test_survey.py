"""What is kept about waiting jobs is what really happened to them, and time left comes from what was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.jobs import Delivery, Job, JobStatus, ReplyTo, StopSignal, UserKey
from bot.scheduling.eta import Pace
from bot.scheduling.load_times import Load, Loading
from bot.scheduling.placement import Placement, RunnerState, place, take
from bot.scheduling.survey import Delays, RunningJob, seconds_left, take_survey
from pipeline import ImageSpec, Progress, Stage

PACE = Pace(step_s=10.0, fixed_s=0.0, is_rough=True)
SMALL, LARGE = RunnerState(number=0, model="small"), RunnerState(number=1, model="large")


def a_job(number: int = 1, user: str = "ann", *, model: str = "small", steps: int = 1) -> Job:
    spec = ImageSpec(prompt="x", seed=1, steps=steps, width=64, height=64, guidance=1.0, cfg_scale=1.0, model=model)
    return Job(
        id=number, user=UserKey(frontend="t", id=user), reply_to=ReplyTo(frontend="t", key=str(number), address="{}"),
        spec=spec, status=JobStatus.QUEUED, attempts=0, interruptions=0, is_cancel_requested=False, failure_code=None,
        queued_at=0, started_at=None, finished_at=None, ran_s=0.0, step_s=None, image_path=None, image_bytes=None,
        delivery=Delivery.NONE, delivery_attempts=0,
    )  # fmt: skip


def jobs(*asked: tuple[str, str]) -> list[Job]:
    """Waiting jobs by person and model."""
    return [a_job(number, user, model=model) for number, (user, model) in enumerate(asked, start=1)]


def order_of(waiting: list[Job], delays: Delays):
    return take_survey(waiting, {job.id: PACE for job in waiting}, {}, delays, now=0.0).order


def test_delay_is_counted_once_though_other_runners_were_thought_ahead_of() -> None:
    delays = Delays()
    waiting = jobs(("ann", "other"), ("bob", "small"), ("cy", "large"))
    order = order_of(waiting, delays)
    first = place(order, [SMALL, LARGE])
    assert first == Placement(runner=SMALL, index=1, passed=(0,))
    take(order, first)  # not begun yet: another runner's turn
    second = place(order, [LARGE])
    assert second is not None
    delays.note(order, second)
    (again, *_) = order_of(waiting, delays)
    assert (again.id, again.delayed_s) == (1, 10.0)


def test_picture_of_the_same_person_that_went_ahead_is_not_held_against_the_older_one() -> None:
    delays = Delays()
    waiting = jobs(("ann", "large"), ("ann", "small"), ("bob", "large"))
    order = order_of(waiting, delays)
    choice = place(order, [SMALL])
    assert choice is not None and order[choice.index].id == 2
    delays.note(order, choice)
    left = [job for job in waiting if job.id != 2]
    ann = waiting[0].user
    survey = take_survey(left, {job.id: PACE for job in left}, {ann: 10.0}, delays, now=0.0)
    assert [(ticket.id, ticket.ahead_s) for ticket in survey.order] == [(1, 10.0), (3, 0.0)]


def test_jobs_that_do_not_wait_any_more_are_forgotten() -> None:
    delays = Delays()
    waiting = jobs(("ann", "large"), ("bob", "small"))
    order = order_of(waiting, delays)
    choice = place(order, [SMALL])
    assert choice is not None
    delays.note(order, choice)
    delays.keep({})
    assert order_of(waiting, delays)[0].delayed_s == 0.0


@pytest.mark.parametrize(
    ("progress", "left_s"),
    [
        (None, 35.0),
        (Progress(stage=Stage.LOADING), 35.0),
        (Progress(stage=Stage.DENOISING, step=1, steps=4, denoise_s=1.0), 30.0),
        (Progress(stage=Stage.DENOISING, step=2, steps=4, denoise_s=6.0), 6.0),
        (Progress(stage=Stage.DENOISING, step=2, steps=3, denoise_s=6.0), 3.0),  # from an init image
        (Progress(stage=Stage.DECODING, step=4, steps=4, denoise_s=6.0), 1.0),
    ],
)
def test_time_left_is_that_of_the_run_itself_once_it_can_be_trusted(progress: Progress | None, left_s: float) -> None:
    job = a_job(steps=4)
    draw = RunningJob(job, StopSignal(), since=100.0, runner=0, expected_s=40.0, progress=progress)
    assert seconds_left(job, PACE, draw, now=105.0) == left_s


def test_steps_that_are_not_taken_count_nowhere() -> None:
    waiting = a_job(1, steps=4)
    running = replace(a_job(2, "bob", steps=4), status=JobStatus.RUNNING)
    half = replace(PACE, share=0.5)
    survey = take_survey([waiting, running], {1: half, 2: half}, {}, Delays(), now=0.0)
    assert [ticket.seconds for ticket in survey.order] == [20.0]
    draw = RunningJob(running, StopSignal(), since=100.0, runner=0, expected_s=20.0)
    assert seconds_left(running, half, draw, now=105.0) == 15.0
    draw.loading = Loading(expected=Load(seconds=9.0, is_rough=False), since=100.0, is_first=False)
    assert seconds_left(running, half, draw, now=105.0) == 4.0 + 20.0
