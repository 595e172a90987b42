"""The machine pauses for what would go wrong again, and ends its own pauses, never a person's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bot.deadline import Deadline
from bot.errors import StoreUnavailable
from bot.pause import Pause
from bot.scheduling.breaker import BY_ENGINE, BY_STORAGE, FIRST_COOL_DOWN_S, MAX_COOL_DOWN_S, Breaker
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.pauses import PAUSE_SETTING
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore

NIGHT = Pause.by_operator("night")


class Disk:
    """Whether pictures can be saved."""

    is_well = True

    async def __call__(self) -> bool:
        return self.is_well


@pytest.fixture
def make_queue(jobs: JobStore, settings: SettingStore, no_limits) -> Callable[[], JobQueue]:
    pace = Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
    return lambda: JobQueue(jobs, settings, no_limits, assumed_pace=lambda _spec: pace)


@pytest.fixture
def queue(make_queue) -> JobQueue:
    return make_queue()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def breaker(queue: JobQueue, disk: Disk, clock) -> Breaker:
    return Breaker(queue, can_save=disk, max_failures_in_a_row=2, monotonic=clock)


async def test_failures_in_a_row_pause_and_a_success_between_them_does_not(queue, breaker) -> None:
    await breaker.engine_failed()
    await breaker.picture_saved()
    await breaker.engine_failed()
    assert queue.paused is None
    await breaker.engine_failed()
    assert queue.paused == BY_ENGINE


async def test_one_picture_is_tried_after_a_cool_down_that_doubles_up_to_an_hour(queue, breaker, clock) -> None:
    for _ in range(2):
        await breaker.engine_failed()
    cool_down_s = FIRST_COOL_DOWN_S
    for _ in range(6):
        clock.advance(cool_down_s - 1)
        assert not breaker.may_try(queue.paused)
        clock.advance(1)
        assert breaker.may_try(queue.paused)
        await breaker.engine_failed()
        assert queue.paused == BY_ENGINE
        cool_down_s = min(2 * cool_down_s, MAX_COOL_DOWN_S)
    assert cool_down_s == 3600


async def test_success_of_the_tried_picture_resumes_and_forgets_the_long_cool_down(queue, breaker, clock) -> None:
    for _ in range(4):
        await breaker.engine_failed()
    await breaker.picture_saved()
    assert queue.paused is None
    for _ in range(2):
        await breaker.engine_failed()
    clock.advance(FIRST_COOL_DOWN_S)
    assert breaker.may_try(queue.paused)


async def test_restart_tries_at_once(queue, breaker, make_queue, disk, clock) -> None:
    for _ in range(2):
        await breaker.engine_failed()
    restarted = make_queue()
    await restarted.recover(max_attempts=2)
    after = Breaker(restarted, can_save=disk, max_failures_in_a_row=2, monotonic=clock)
    assert restarted.paused == BY_ENGINE and after.may_try(restarted.paused)
    await after.picture_saved()
    assert restarted.paused is None


async def test_picture_that_alone_cannot_be_saved_pauses_nothing(queue, breaker) -> None:
    for _ in range(10):
        await breaker.saving_failed()
    assert queue.paused is None


async def test_pause_of_the_storage_ends_when_pictures_can_be_saved_again(queue, breaker, disk, make_queue) -> None:
    disk.is_well = False
    await breaker.saving_failed()
    await breaker.check()
    assert queue.paused == BY_STORAGE and not breaker.may_try(queue.paused)
    restarted = make_queue()
    await restarted.recover(max_attempts=2)
    assert restarted.paused == BY_STORAGE
    disk.is_well = True
    await breaker.check()
    assert queue.paused is None


async def test_pause_of_an_operator_is_neither_replaced_nor_ended(queue, breaker, disk, clock) -> None:
    await queue.pause(NIGHT)
    disk.is_well = False
    await breaker.saving_failed()
    for _ in range(5):
        await breaker.engine_failed()
    clock.advance(1e6)
    assert queue.paused == NIGHT and not breaker.may_try(queue.paused)
    disk.is_well = True
    await breaker.check()
    await breaker.picture_saved()
    assert queue.paused == NIGHT


@pytest.mark.parametrize("text", ["engine_failures", "storage"])
async def test_operators_text_that_equals_a_code_is_only_text_also_after_a_restart(
    breaker, make_queue, disk, clock, text: str
) -> None:
    await make_queue().pause(Pause.by_operator(text))
    restarted = make_queue()
    await restarted.recover(max_attempts=2)
    after = Breaker(restarted, can_save=disk, max_failures_in_a_row=2, monotonic=clock)
    await after.check()
    await after.picture_saved()
    assert restarted.paused == Pause.by_operator(text) and not after.may_try(restarted.paused)


async def test_machine_that_comes_a_moment_after_an_operator_changes_nothing(queue, settings) -> None:
    """It looked before the operator's pause was there."""
    await asyncio.gather(queue.pause(NIGHT), queue.pause(BY_ENGINE))
    assert queue.paused == NIGHT and Pause.from_stored(await settings.get(PAUSE_SETTING)) == NIGHT
    await queue.resume(only=BY_ENGINE)
    assert queue.paused == NIGHT


async def test_operator_takes_over_a_pause_of_the_machine(queue, breaker, disk) -> None:
    disk.is_well = False
    await breaker.saving_failed()
    await queue.pause(NIGHT)
    disk.is_well = True
    await breaker.check()
    assert queue.paused == NIGHT


async def test_pause_is_written_once_the_database_can_be_used(
    queue, settings, disk, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(Deadline):
        async def pause(self, seconds: float) -> None:
            assert queue.paused is None

    breaker = Breaker(queue, can_save=disk, max_failures_in_a_row=1, deadline=Impatient(), monotonic=clock)
    write, troubles = settings.set, [StoreUnavailable("locked", is_full=False)] * 3

    async def troubled(key: str, value: str | None) -> None:
        if troubles:
            raise troubles.pop()
        await write(key, value)

    monkeypatch.setattr(settings, "set", troubled)
    await breaker.engine_failed()
    assert queue.paused == BY_ENGINE and troubles == []
