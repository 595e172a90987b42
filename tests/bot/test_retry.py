"""Pauses double up to a bound, jitter only shortens them, and nothing is tried beyond the deadline."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.deadline import Deadline
from bot.retry import STOPPING_PAUSE_S, Backoff, doubled_s, retry


@given(st.lists(st.floats(0, 1), min_size=1, max_size=80))
def test_pauses_lie_between_half_of_what_doubles_and_all_of_it(chances: list[float]) -> None:
    left = iter(chances)
    backoff = Backoff(0.5, 60.0, chance=lambda: next(left))
    for taken in range(len(chances)):
        most_s = doubled_s(0.5, 60.0, taken)
        assert most_s / 2 <= backoff.next_s() <= most_s <= 60


def test_success_begins_with_the_first_pause_again() -> None:
    backoff = Backoff(1.0, 60.0, chance=lambda: 1.0)
    assert [backoff.next_s() for _ in range(4)] == [1, 2, 4, 8]
    backoff.reset()
    assert backoff.next_s() == 1


def test_count_of_many_years_overflows_nothing() -> None:
    assert doubled_s(2.0, 300.0, 10**9) == 300


class Pauses(Deadline):
    """Remembers how long anybody wanted to pause, and does not."""

    def __init__(self, seconds: float | None = None, *, clock) -> None:
        super().__init__(*([] if seconds is None else [seconds]), monotonic=clock)
        self.clock = clock
        self.taken: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.taken.append(seconds)
        self.clock.advance(seconds)


def failing(times: int):
    left = [OSError("full")] * times

    async def action() -> str:
        if left:
            raise left.pop()
        return "done"

    return action


async def test_action_is_tried_until_it_works_and_every_failure_is_told(clock) -> None:
    told: list[tuple[str, float]] = []
    pauses = Pauses(clock=clock)
    done = await retry(
        failing(3),
        on=OSError,
        backoff=Backoff(1.0, 60.0, chance=lambda: 1.0),
        deadline=pauses,
        on_failure=lambda error, pause_s: told.append((str(error), pause_s)),
    )
    assert done == "done" and pauses.taken == [1, 2, 4]
    assert told == [("full", 1), ("full", 2), ("full", 4)]


async def test_pauses_are_short_once_the_stop_has_begun_and_the_deadline_ends_the_tries(clock) -> None:
    pauses = Pauses(1.0, clock=clock)
    with pytest.raises(OSError, match="full"):
        await retry(
            failing(10**6),
            on=OSError,
            backoff=Backoff(60.0, 60.0),
            deadline=pauses,
            on_failure=lambda *_: None,
        )
    assert pauses.taken == [STOPPING_PAUSE_S] * 4


async def test_caller_may_give_up_earlier_and_other_errors_are_raised_at_once(clock) -> None:
    pauses = Pauses(clock=clock)
    options = {"backoff": Backoff(1.0, 1.0), "deadline": pauses, "on_failure": lambda *_: None}
    with pytest.raises(OSError, match="full"):
        await retry(failing(5), on=OSError, give_up=lambda: len(pauses.taken) >= 2, **options)
    with pytest.raises(OSError, match="full"):
        await retry(failing(5), on=asyncio.QueueFull, **options)
    assert len(pauses.taken) == 2
