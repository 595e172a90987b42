"""A pause ends when it was said to, however often the process or the clock changed in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bot.config import HoursConfig, LimitsConfig
from bot.deadline import Deadline
from bot.errors import QueueFull, StoreUnavailable, TooManyJobs
from bot.jobs import Job, JobStatus
from bot.pause import Pause, PauseKind
from bot.requests.pausing import Pausing
from bot.scheduling import job_queue
from bot.scheduling.breaker import BY_ENGINE, Breaker
from bot.scheduling.eta import Pace
from bot.scheduling.hours import QuietHours
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.pauses import LIFTED_SETTING, LOOK_S, PAUSE_SETTING
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.usage_store import Measurement
from pipeline.catalog.models import find_model
from tests.bot.rests import Rests
from tests.conftest import FrozenClock

DAY = 1_800_000_000 - 1_800_000_000 % 86_400  # a midnight, UTC
HOUR = 3600
NIGHT, MORNING = DAY + 23 * HOUR, DAY + 31 * HOUR + 1800
QUIET = HoursConfig(quiet=("23:00-07:30",), timezone="UTC")
PACE = Pace(step_s=10.0, fixed_s=20.0, is_rough=False)  # a minute for 4 steps

Restart = Callable[[], Awaitable[JobQueue]]


@pytest.fixture
def restart(jobs: JobStore, settings: SettingStore, no_limits: LimitsConfig, clock: FrozenClock) -> Restart:
    """Make the queue of another process on the same database."""

    async def restart(hours: HoursConfig = QUIET, **limits: int) -> JobQueue:
        config = no_limits.model_copy(update=limits)
        deadline = Deadline(monotonic=clock)
        queue = JobQueue(jobs, settings, config, assumed_pace=lambda _: PACE, deadline=deadline, clock=clock)
        queue.pauses.hours = QuietHours.of(hours)
        await queue.recover(max_attempts=2)
        return queue

    return restart


@pytest.fixture
def put(make_request) -> Callable[..., Awaitable[Job]]:
    async def put(queue: JobQueue, user: str = "ann") -> Job:
        request = make_request(user)
        return await queue.put(request, find_model("fake").resolve(request.options, random_seed=1))

    return put


async def begins(queue: JobQueue) -> bool:
    """Whether a waiting job is begun at this moment, rather than waited for."""
    with pytest.MonkeyPatch.context() as patch:
        rests = Rests(patch, job_queue)
        claiming, resting = asyncio.create_task(queue.claim()), asyncio.create_task(rests.wait(1))
        await asyncio.wait([claiming, resting], return_when=asyncio.FIRST_COMPLETED)
        has_begun = claiming.done() and claiming.result() is not None
        for task in (claiming, resting):
            task.cancel()
        await asyncio.wait([claiming, resting])
    return has_begun


# ── quiet hours ─────────────────────────────────────────────────────────────────────────────────────


async def test_in_quiet_hours_nothing_is_begun_and_what_runs_goes_on(restart: Restart, put, clock) -> None:
    clock.now = NIGHT - 1
    queue = await restart()
    await put(queue)
    running = await queue.claim()
    assert running is not None and queue.paused is None
    clock.now = NIGHT
    assert queue.paused == Pause(kind=PauseKind.QUIET_HOURS, until=MORNING)
    waiting = await put(queue)
    assert not await begins(queue) and not running.stop.is_set()
    measured = Measurement(step_s=10.0, fixed_s=20.0)
    done = await queue.finish(running.job.id, image_path="a", image_bytes=1, ran_s=60.0, measured=measured)
    assert done is not None and done.status is JobStatus.DONE
    ((job, standing),) = await queue.standings()
    assert job == waiting and standing.pause == queue.paused and standing.finish_at == MORNING + 60
    clock.now = MORNING - 1
    assert not await begins(queue)
    clock.now = MORNING
    assert queue.paused is None and await begins(queue)


async def test_listeners_hear_when_quiet_hours_begin_and_end(restart: Restart, put, clock) -> None:
    clock.now = NIGHT - 100
    queue = await restart()
    heard: list[Pause | None] = []
    queue.subscribe(lambda: heard.append(queue.paused))
    assert queue.pauses.next_look_s() == LOOK_S  # the clock may be set
    clock.now = NIGHT - 4
    await queue.pauses.look()
    assert heard == [] and queue.pauses.next_look_s() == 4
    clock.now = NIGHT
    await queue.pauses.look()
    await queue.pauses.look()
    clock.now = MORNING + 3 * HOUR  # the machine slept
    await queue.pauses.look()
    await queue.pauses.look()
    assert heard == [Pause(kind=PauseKind.QUIET_HOURS, until=MORNING), None]


async def test_sleeping_queue_wakes_up_by_itself(restart: Restart, put, clock, monkeypatch: pytest.MonkeyPatch) -> None:
    clock.now = MORNING - 1
    queue, rests = await restart(), Rests(monkeypatch, job_queue)
    await put(queue)
    claiming = asyncio.create_task(queue.claim())
    await rests.wait(1)
    assert not claiming.done()
    clock.now = MORNING
    watching = asyncio.create_task(queue.pauses.watch())
    assert (await asyncio.wait_for(claiming, 5)) is not None
    watching.cancel()


@pytest.mark.parametrize(("now", "is_quiet"), [(NIGHT - 1, False), (NIGHT + HOUR, True), (MORNING, False)])
async def test_process_that_starts_obeys_the_clock_alone(restart: Restart, put, clock, now: int, is_quiet) -> None:
    clock.now = NIGHT + 60
    await put(await restart())
    clock.now = now
    assert await begins(await restart()) is not is_quiet


async def test_clock_that_jumps_is_believed(restart: Restart, clock) -> None:
    clock.now = NIGHT + HOUR
    queue = await restart()
    for now, is_quiet in ((MORNING, False), (NIGHT + HOUR, True), (NIGHT - 3 * HOUR, False), (NIGHT + 86_400, True)):
        clock.now = now
        await queue.pauses.look()
        assert (queue.paused is not None) is is_quiet


async def test_resume_in_quiet_hours_holds_until_the_next_begin_also_after_a_restart(
    restart: Restart, put, clock
) -> None:
    clock.now = NIGHT + HOUR
    queue = await restart()
    await put(queue)
    pausing = Pausing(queue)
    assert await pausing.resume() == 1 and pausing.next_quiet_at == NIGHT + 86_400
    assert queue.paused is None and await begins(await restart())
    for now, is_quiet in ((MORNING - 1, False), (NIGHT + 86_399, False), (NIGHT + 86_400, True)):
        clock.now = now
        assert ((await restart()).paused is not None) is is_quiet
    clock.now = NIGHT - 20 * HOUR  # the night before, after the clock was set back
    assert (await restart()).paused is not None


@pytest.mark.parametrize(
    "stored",
    [
        "", "[]", "{}", "{", '{"from": "a", "until": 1}', '{"from": null}', "[[[[", "9",
        f'{{"from": 1, "until": 1{"0" * 400}}}',
    ],
)  # fmt: skip
async def test_damaged_note_lifts_no_quiet_hours(restart: Restart, settings: SettingStore, clock, stored: str) -> None:
    clock.now = NIGHT
    await settings.set(LIFTED_SETTING, stored)
    assert (await restart()).paused is not None


async def test_resume_that_cannot_be_written_changes_nothing(restart: Restart, settings, clock, monkeypatch) -> None:
    clock.now = NIGHT
    queue = await restart()

    async def unavailable(_key: str, _value: str | None) -> None:
        raise StoreUnavailable("locked", is_full=False)

    monkeypatch.setattr(settings, "set", unavailable)
    with pytest.raises(StoreUnavailable):
        await queue.resume()
    assert queue.paused is not None


# ── pauses with an end ──────────────────────────────────────────────────────────────────────────────


async def test_pause_with_an_end_is_over_then(restart: Restart, put, settings: SettingStore, clock) -> None:
    clock.now = DAY + 12 * HOUR
    queue = await restart()
    await put(queue)
    assert await queue.pause(Pause.by_operator("lunch", DAY + 13 * HOUR)) == queue.paused
    clock.now = DAY + 13 * HOUR - 1
    assert not await begins(queue) and not await begins(await restart())
    clock.now = DAY + 13 * HOUR
    assert queue.paused is None
    await queue.pauses.look()
    assert await settings.get(PAUSE_SETTING) is None
    clock.now -= HOUR  # it does not come back
    assert queue.paused is None and await begins(queue)


async def test_pause_that_ended_while_the_process_was_off_is_over(restart: Restart, put, clock) -> None:
    clock.now = DAY + 12 * HOUR
    queue = await restart()
    await put(queue)
    await queue.pause(Pause.by_operator("lunch", DAY + 13 * HOUR))
    clock.now = DAY + 20 * HOUR
    restarted = await restart()
    assert restarted.paused is None and await begins(restarted)
    clock.now = DAY + 12 * HOUR
    await restarted.pauses.look()


@pytest.mark.parametrize(
    ("second", "text", "until"),
    [
        (Pause.by_operator(""), "night", MORNING),
        (Pause.by_operator("a game"), "a game", MORNING),
        (Pause.by_operator("", MORNING + 60), "night", MORNING + 60),
        (Pause.by_operator("a game", MORNING + 60), "a game", MORNING + 60),
    ],
)
async def test_second_pause_keeps_what_it_leaves_out(restart, clock, second: Pause, text: str, until: int) -> None:
    clock.now = DAY + 12 * HOUR
    queue = await restart(HoursConfig())
    await queue.pause(Pause.by_operator("night", MORNING))
    for _ in range(2):
        assert await queue.pause(second) == Pause.by_operator(text, until)
    assert (await restart(HoursConfig())).paused == Pause.by_operator(text, until)


async def test_pause_after_one_that_is_over_or_of_the_machine_keeps_nothing_of_it(restart: Restart, clock) -> None:
    clock.now = DAY + 12 * HOUR
    queue = await restart(HoursConfig())
    await queue.pause(Pause.by_operator("lunch", DAY + 13 * HOUR))
    clock.now = DAY + 14 * HOUR
    assert await queue.pause(Pause.by_operator("")) == Pause.by_operator("")
    await queue.resume()
    await queue.pause(BY_ENGINE)
    assert await queue.pause(Pause.by_operator("")) == Pause.by_operator("")


async def test_end_of_quiet_hours_ends_no_pause_and_the_other_way_round(restart: Restart, put, clock) -> None:
    clock.now = NIGHT + HOUR
    queue = await restart()
    await queue.pause(Pause.by_operator("repairs"))
    clock.now = MORNING + HOUR
    await queue.pauses.look()
    assert queue.paused == Pause.by_operator("repairs")
    clock.now = NIGHT - HOUR + 86_400
    assert await queue.pause(Pause.by_operator("", NIGHT + HOUR + 86_400)) == Pause.by_operator(
        "repairs", MORNING + 86_400
    )  # what is told is when it really goes on
    clock.now = NIGHT + 2 * HOUR + 86_400
    await queue.pauses.look()
    assert queue.paused == Pause(kind=PauseKind.QUIET_HOURS, until=MORNING + 86_400)
    await put(queue)
    ((_, standing),) = await queue.standings()
    assert standing.finish_at == MORNING + 86_400 + 60


async def test_breaker_works_in_quiet_hours_and_tries_nothing_in_them(restart: Restart, put, clock) -> None:
    clock.now = NIGHT + HOUR
    queue = await restart()

    async def can_save() -> bool:
        return True

    breaker = Breaker(queue, can_save=can_save, max_failures_in_a_row=1, monotonic=clock)
    await put(queue)
    await breaker.engine_failed()
    assert queue.pauses.made == BY_ENGINE == queue.paused
    clock.now += HOUR
    assert not queue._is_open(breaker.may_try)
    clock.now = MORNING
    assert queue.paused == BY_ENGINE and queue._is_open(breaker.may_try)
    await breaker.picture_saved()
    assert queue.paused is None


# ── what people are told ────────────────────────────────────────────────────────────────────────────


async def test_forecast_knows_the_quiet_hours_ahead(restart: Restart, put, clock) -> None:
    clock.now = NIGHT - 90
    queue = await restart()
    for _ in range(4):
        await put(queue)
    ends = [standing.finish_at for _, standing in await queue.standings()]
    # The second is begun half a minute before the night and drawn to its end.
    assert ends == [NIGHT - 30, NIGHT + 30, MORNING + 60, MORNING + 120]


async def test_forecast_of_a_pause_without_an_end_is_none(restart: Restart, put, clock) -> None:
    clock.now = DAY + 12 * HOUR
    queue = await restart()
    await put(queue)
    await queue.pause(Pause.by_operator("repairs"))
    ((_, standing),) = await queue.standings()
    assert standing.finish_at is None and standing.position == 1


async def test_refusal_says_when_the_queue_goes_on_or_that_nobody_knows(restart: Restart, put, clock) -> None:
    clock.now = NIGHT + HOUR
    for limits, kind in (({"max_waiting": 1}, QueueFull), ({"max_active_per_user": 1}, TooManyJobs)):
        queue = await restart(**limits)
        while (await queue.standings()) == []:
            await put(queue)
        for pause, detail, opens_at in ((None, "paused-until", MORNING), (Pause.by_operator("x"), "paused", 0)):
            if pause is not None:
                await queue.pause(pause)
            with pytest.raises(kind) as refused:
                await put(queue)
            assert (refused.value.detail, refused.value.opens_at) == (detail, opens_at)
        clock.now = NIGHT - HOUR
        await queue.resume()
        with pytest.raises(kind) as refused:
            await put(queue)
        assert refused.value.detail == "" and refused.value.retry_at == NIGHT - HOUR + 60
        clock.now = NIGHT + HOUR


async def test_who_has_one_being_drawn_is_told_when_that_ends(restart: Restart, put, clock) -> None:
    clock.now = NIGHT - 1
    queue = await restart(max_active_per_user=1)
    await put(queue)
    await queue.claim()
    clock.now = NIGHT
    with pytest.raises(TooManyJobs) as refused:
        await put(queue)
    assert refused.value.detail == "" and refused.value.retry_at <= NIGHT + 60
