"""Putting, cancelling and foretelling, seen from one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from bot import retry as retry_module
from bot.config import LimitsConfig
from bot.deadline import Deadline
from bot.errors import (
    CoolingDown,
    DailyLimit,
    JobAlreadyFinished,
    JobNotFound,
    JobTooLarge,
    QueueFull,
    StoreUnavailable,
    TooManyJobs,
)
from bot.jobs import FailureCode, Job, JobStatus, Request, StopReason
from bot.pause import Pause, PauseKind
from bot.scheduling import job_queue as jobqueue_module
from bot.scheduling.card_paces import assumed_pace, named_sizes, steps_taken
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.store import database as database_module
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.usage_store import Measurement
from pipeline import ImageOptions, ImageSpec, Progress, Stage
from pipeline.catalog.models import find_model
from tests.bot.rests import Rests

Put = Callable[..., Awaitable[Job]]
GAME_NIGHT = Pause.by_operator("a game night")
ASSUMED = Pace(step_s=10.0, fixed_s=2.0, is_rough=True)


@pytest.fixture
def make_queue(jobs: JobStore, settings: SettingStore, clock, no_limits: LimitsConfig) -> Callable[..., JobQueue]:
    def make(deadline: Deadline | None = None, **limits: int) -> JobQueue:
        config = no_limits.model_copy(update=limits)
        return JobQueue(
            jobs,
            settings,
            config,
            assumed_pace=lambda _spec: ASSUMED,
            deadline=deadline or Deadline(monotonic=clock),
            clock=clock,
        )

    return make


@pytest.fixture
def put(make_request: Callable[..., Request]) -> Put:
    async def put(queue: JobQueue, user: str = "ann", *, key: str | None = None, steps: int = 4) -> Job:
        request = make_request(user, key=key, steps=steps)
        return await queue.put(request, find_model("fake").resolve(request.options, random_seed=1))

    return put


@pytest.mark.parametrize(
    ("limits", "refusal"),
    [
        ({"max_waiting": 1}, QueueFull),
        ({"max_active_per_user": 1}, TooManyJobs),
        ({"max_images_per_day": 1}, DailyLimit),
        ({"cooldown_s": 5}, CoolingDown),
    ],
)
async def test_refusal_names_its_bound_and_a_time_in_the_future(make_queue, put, clock, limits, refusal) -> None:
    queue = make_queue(**limits)
    await put(queue)
    with pytest.raises(refusal) as refused:
        await put(queue)
    assert refused.value.retry_at > clock()


async def test_time_named_by_a_refusal_is_the_time_it_works(make_queue, put, clock) -> None:
    queue = make_queue(cooldown_s=5)
    await put(queue)
    with pytest.raises(CoolingDown) as refused:
        await put(queue)
    clock.now = float(refused.value.retry_at - 1)
    with pytest.raises(CoolingDown):
        await put(queue)
    clock.now = float(refused.value.retry_at)
    await put(queue)


async def test_too_large_a_job_never_reaches_the_table(make_queue, put, jobs: JobStore) -> None:
    with pytest.raises(JobTooLarge):
        await put(make_queue(max_pixel_steps=64 * 64 * 3))
    assert await jobs.unfinished() == []


async def test_repeated_request_returns_the_first_job_even_when_the_queue_is_full(make_queue, put) -> None:
    queue = make_queue(max_waiting=1)
    first = await put(queue, key="same")
    assert await put(queue, key="same") == first


async def test_claim_waits_for_a_job_and_wakes_when_one_is_put(
    make_queue, put, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, rests = make_queue(), Rests(monkeypatch, jobqueue_module)
    claiming = asyncio.create_task(queue.claim())
    await rests.wait(1)
    assert not claiming.done()
    job = await put(queue)
    running = await asyncio.wait_for(claiming, 2)
    assert running is not None and running.job.id == job.id


async def test_closed_queue_hands_out_nothing_and_stops_what_runs(make_queue, put) -> None:
    queue = make_queue()
    await put(queue)
    await put(queue)
    running = await queue.claim()
    queue.close()
    assert running.stop.reason is StopReason.SHUTDOWN
    assert await queue.claim() is None


async def test_cancel_that_overtakes_the_claim_is_not_lost(make_queue, put, jobs: JobStore, clock) -> None:
    queue = make_queue()
    job = await put(queue)
    await jobs.claim(job.id, now=int(clock()))  # in the table, but not back in the process yet
    await queue.cancel(job.id)
    await jobs.requeue(job.id, now=int(clock()))
    assert (await jobs.get(job.id)).status is JobStatus.CANCELLED


async def test_claim_that_comes_back_after_the_close_goes_back_to_its_place(
    make_queue, put, jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue()
    job = await put(queue)
    claim = jobs.claim

    async def slow_claim(job_id: int, *, now: int) -> Job | None:
        claimed = await claim(job_id, now=now)
        queue.close()
        return claimed

    monkeypatch.setattr(jobs, "claim", slow_claim)
    assert await queue.claim() is None
    latest = await jobs.get(job.id)
    assert (latest.status, latest.attempts) == (JobStatus.QUEUED, 0)


async def test_jobs_that_do_not_stop_in_time_go_back_without_counting_the_attempt(make_queue, put, jobs) -> None:
    queue = make_queue()
    job = await put(queue)
    await queue.claim()
    queue.close()
    await queue.requeue_all()
    latest = await jobs.get(job.id)
    assert (latest.status, latest.attempts, latest.interruptions) == (JobStatus.QUEUED, 0, 1)


async def test_ending_is_written_once_the_database_can_be_used_again(
    make_queue, put, jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program holds the file, or the disk is full: nothing is lost, it is tried again."""
    queue = make_queue()
    job = await put(queue)
    await queue.claim()
    fail, troubles = jobs.fail, [StoreUnavailable("locked", is_full=False), StoreUnavailable("full", is_full=True)]

    async def troubled(*args: object, **kwargs: object) -> Job | None:
        if troubles:
            raise troubles.pop()
        return await fail(*args, **kwargs)

    monkeypatch.setattr(jobs, "fail", troubled)
    monkeypatch.setattr(database_module, "FIRST_RETRY_S", 0.01)
    assert (await queue.fail(job.id, FailureCode.TIMEOUT, ran_s=1.0)).status is JobStatus.FAILED


async def test_cancelling_twice_or_too_late_or_nothing_is_told_apart(make_queue, put) -> None:
    queue = make_queue()
    job = await put(queue)
    assert (await queue.cancel(job.id)).status is JobStatus.CANCELLED
    with pytest.raises(JobAlreadyFinished):
        await queue.cancel(job.id)
    with pytest.raises(JobNotFound):
        await queue.cancel(999)


async def test_pause_holds_new_jobs_back_and_outlives_the_process(
    make_queue, put, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, rests = make_queue(), Rests(monkeypatch, jobqueue_module)
    await queue.pause(GAME_NIGHT)
    await put(queue)
    claiming = asyncio.create_task(queue.claim())
    await rests.wait(1)
    assert not claiming.done()
    restarted = make_queue()
    await restarted.recover(max_attempts=2)
    assert restarted.paused == GAME_NIGHT
    ((_, standing),) = await restarted.standings()
    assert standing.finish_at is None and standing.pause == GAME_NIGHT
    await queue.resume()
    assert (await asyncio.wait_for(claiming, 2)) is not None


@pytest.mark.parametrize("was_paused", [False, True])
async def test_pause_and_resume_that_cannot_be_written_change_nothing(
    make_queue, settings: SettingStore, monkeypatch: pytest.MonkeyPatch, was_paused: bool
) -> None:
    queue = make_queue()
    before = GAME_NIGHT if was_paused else None
    if was_paused:
        await queue.pause(GAME_NIGHT)

    async def unavailable(_key: str, _value: str | None) -> None:
        raise StoreUnavailable("locked", is_full=False)

    monkeypatch.setattr(settings, "set", unavailable)
    heard: list[bool] = []
    queue.subscribe(lambda: heard.append(True))
    for change in (queue.pause(Pause.by_operator("other")), queue.resume()):
        with pytest.raises(StoreUnavailable):
            await change
        assert queue.paused == before
    assert heard == []


async def test_pause_may_let_one_job_through(make_queue, put, jobs: JobStore) -> None:
    queue = make_queue()
    await queue.pause(Pause(kind=PauseKind.ENGINE_FAILURES))
    await put(queue)
    assert (await asyncio.wait_for(queue.claim(may_try=lambda pause: pause.is_by_machine), 2)) is not None


async def test_retry_goes_on_at_once_when_the_stop_begins_and_ends_with_the_deadline(
    make_queue, put, jobs: JobStore, monkeypatch: pytest.MonkeyPatch, clock
) -> None:
    deadline = Deadline(monotonic=clock)
    queue = make_queue(deadline=deadline)
    job = await put(queue)
    await queue.claim()
    tries = asyncio.Semaphore(0)

    async def locked(*_: object, **__: object) -> Job | None:
        tries.release()
        clock.advance(3)
        raise StoreUnavailable("locked", is_full=False)

    monkeypatch.setattr(jobs, "fail", locked)
    monkeypatch.setattr(database_module, "FIRST_RETRY_S", 3600.0)
    monkeypatch.setattr(retry_module, "STOPPING_PAUSE_S", 0.0)
    ending = asyncio.create_task(queue.fail(job.id, FailureCode.TIMEOUT, ran_s=1.0))
    await tries.acquire()
    deadline.begin(10)
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(ending, 5)
    assert 2 <= tries._value <= 5  # the rest of the ten seconds
    settled = await jobs.recover(max_attempts=2, now=int(clock()))  # the next start
    assert [(each.id, each.status) for each in settled] == [(job.id, JobStatus.QUEUED)]


async def test_claim_waits_out_a_locked_database(
    make_queue, put, jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue()
    job = await put(queue)
    claim, troubles = jobs.claim, [StoreUnavailable("locked", is_full=False)]

    async def troubled(job_id: int, *, now: int) -> Job | None:
        if troubles:
            raise troubles.pop()
        return await claim(job_id, now=now)

    monkeypatch.setattr(jobs, "claim", troubled)
    monkeypatch.setattr(jobqueue_module, "SWEEP_S", 0.01)
    running = await asyncio.wait_for(queue.claim(), 5)
    assert running is not None and (running.job.id, running.job.attempts) == (job.id, 1)


async def test_job_that_is_left_to_recovery_is_not_sent_back(make_queue, put, jobs: JobStore) -> None:
    queue = make_queue()
    job = await put(queue)
    await queue.claim()
    queue.leave_to_recovery(job.id)
    await queue.requeue_all()
    assert (await jobs.get(job.id)).status is JobStatus.RUNNING


async def test_standings_foretell_places_and_times(make_queue, put, clock) -> None:
    queue = make_queue()
    await put(queue, "ann", steps=2)
    await put(queue, "ann", steps=2)
    await put(queue, "bob", steps=2)
    await queue.claim()  # ann's first: 2 + 2 × 10 s
    standings = await queue.standings()
    assert [(job.user.id, standing.position) for job, standing in standings] == [("ann", None), ("bob", 1), ("ann", 2)]
    assert [standing.finish_at - clock() for _, standing in standings] == [22, 44, 66]
    assert all(standing.is_rough for _, standing in standings)


async def test_running_job_is_foretold_from_its_own_pace(make_queue, put, clock) -> None:
    queue = make_queue()
    job = await put(queue, steps=10)
    await queue.claim()
    clock.advance(60)  # snapshots may come late and all at once: only what the engine measured counts
    queue.report(job.id, Progress(stage=Stage.DENOISING, step=4, steps=10, denoise_s=4.0))
    queue.report(job.id + 1, Progress(stage=Stage.DENOISING, step=9, steps=10))  # of another job: dropped
    ((_, standing),) = await queue.standings()
    assert standing.finish_at - clock() == 7  # six steps at 1 s, and decoding
    assert standing.progress is not None and standing.progress.step == 4


async def test_forecast_is_measured_after_three_pictures(make_queue, put) -> None:
    queue = make_queue()
    for _ in range(3):
        job = await put(queue, steps=4)
        await queue.claim()
        measured = Measurement(step_s=0.5, fixed_s=1.0)
        await queue.finish(job.id, image_path="x", image_bytes=1, ran_s=3.0, measured=measured)
    job = await put(queue)
    assert await queue.paces.of(job.spec) == Pace(step_s=0.5, fixed_s=1.0, is_rough=False)
    ((_, standing),) = await queue.standings()
    assert not standing.is_rough


async def test_steps_that_an_init_image_saves_are_not_forecast(make_queue, put) -> None:
    queue = make_queue()
    queue.paces.steps_taken = steps_taken
    job = await put(queue, steps=4)
    began_from = {"source": "0" * 64, "strength": 0.6}
    specs = [
        replace(job.spec, steps=25, model="sdxl", **began_from),
        replace(job.spec, steps=25, model="sd15"),
        replace(job.spec, steps=25, model="flux1-dev", **began_from),
        replace(job.spec, steps=25, model="long-gone", **began_from),
        replace(job.spec, steps=25, model="flux1-dev", upscale=2, **began_from),
    ]
    paces = await queue.paces.of_jobs(replace(job, id=number, spec=spec) for number, spec in enumerate(specs))
    seconds = [round(paces[number].seconds(spec.steps)) for number, spec in enumerate(specs)]
    assert seconds[:4] == [152, 252, 252, 252]
    assert paces[4].share == 15 / 25  # an upscale takes the last steps with every model


async def test_size_that_was_never_drawn_is_foretold_from_the_nearest_that_was(make_queue, put) -> None:
    queue = make_queue()
    queue.paces.named_sizes = named_sizes
    for _ in range(3):
        job = await put(queue)
        await queue.claim()
        measured = Measurement(step_s=0.5, fixed_s=1.0)
        await queue.finish(job.id, image_path="x", image_bytes=1, ran_s=3.0, measured=measured)
    draft, large = (replace(job.spec, width=side, height=side) for side in (32, 128))
    assert await queue.paces.of(draft) == Pace(step_s=0.125, fixed_s=0.25, is_rough=True)
    assert await queue.paces.of(large) == Pace(step_s=2.0, fixed_s=4.0, is_rough=True)
    assert await queue.paces.measured(draft) is None  # statistics show what was measured, and nothing else
    assert await queue.paces.of(replace(draft, model="demo")) == ASSUMED
    assert await queue.paces.of(replace(draft, model="long-gone")) == ASSUMED


async def test_edit_is_foretold_from_images_without_references_until_one_was_drawn(make_queue, make_request) -> None:
    """One that looks at three images as large as itself takes four times as long per step."""
    queue = make_queue()
    queue.paces.named_sizes = named_sizes

    async def draw(spec: ImageSpec, step_s: float) -> None:
        for _ in range(3):
            job = await queue.put(make_request(steps=spec.steps), spec)
            await queue.claim()
            measured = Measurement(step_s=step_s, fixed_s=1.0)
            await queue.finish(job.id, image_path="x", image_bytes=1, ran_s=3.0, measured=measured)

    plain = find_model("fake").resolve(ImageOptions(prompt="x"), random_seed=0)
    edit = replace(plain, references="a" * 64, reference_pixels=3 * plain.width * plain.height)
    await draw(plain, 0.5)
    assert (await queue.paces.of(edit)).step_s == pytest.approx(2.0)
    await draw(edit, 1.5)
    assert (await queue.paces.of(edit)).step_s == 1.5
    assert (await queue.paces.of(plain)).step_s == 0.5


def test_guess_for_a_model_is_in_proportion_to_the_pixels() -> None:
    demo = find_model("demo")
    spec = demo.resolve(ImageOptions(prompt="x"), random_seed=0)
    assert assumed_pace(spec).step_s == demo.assumed_step_s
    assert assumed_pace(replace(spec, width=128, height=128)).step_s == demo.assumed_step_s / 4
    assert assumed_pace(replace(spec, model="long-gone")).is_rough


async def test_listeners_hear_of_every_change(make_queue, put) -> None:
    queue = make_queue()
    heard = []
    queue.subscribe(lambda: heard.append(1))
    job = await put(queue)
    await queue.claim()
    queue.report(job.id, Progress(stage=Stage.DENOISING))
    await queue.fail(job.id, FailureCode.TIMEOUT, ran_s=1.0)
    assert len(heard) == 4


async def test_clock_set_back_moves_no_running_picture_into_the_past(make_queue, put, clock, monkeypatch) -> None:
    queue, started = make_queue(), clock.now
    await put(queue)
    await queue.claim()
    ((_, before),) = await queue.standings()
    monkeypatch.setattr(queue, "_monotonic", lambda: started + 3)
    clock.advance(-3600)
    ((_, standing),) = await queue.standings()
    assert standing.finish_at == before.finish_at - 3600 - 3
