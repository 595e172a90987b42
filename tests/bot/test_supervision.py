"""A loop goes on after whatever happened in a turn, and says each trouble once."""

from __future__ import annotations

import logging

import pytest

from bot import supervision
from bot.deadline import Deadline
from bot.errors import DatabaseUnusable, StoreUnavailable
from bot.retry import Backoff
from bot.supervision import supervise
from pipeline import EngineDead


class Pauses(Deadline):
    """Remembers how long anybody wanted to pause, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.taken.append(seconds)


def turns_of(*outcomes: object):
    left = list(outcomes)

    async def turn() -> bool:
        outcome = left.pop(0) if left else False
        if isinstance(outcome, Exception):
            raise outcome
        return bool(outcome)

    return turn


async def test_turns_go_on_until_one_is_the_last() -> None:
    pauses = Pauses()
    await supervise("part", turns_of(True, True, False, RuntimeError("never")), pauses)
    assert pauses.taken == []


async def test_error_that_repeats_is_logged_whole_once_and_pauses_grow(caplog: pytest.LogCaptureFixture) -> None:
    pauses = Pauses()
    errors = [KeyError("a row") for _ in range(9)]
    with caplog.at_level(logging.ERROR):
        exact = Backoff(supervision.FIRST_PAUSE_S, supervision.MAX_PAUSE_S, chance=lambda: 1.0)
        outcomes = (*errors, True, KeyError("a row"), OSError("else"), False)
        await supervise("part", turns_of(*outcomes), pauses, backoff=exact)
    whole = [record for record in caplog.records if record.exc_info]
    assert [type(record.exc_info[1]) for record in whole] == [KeyError, KeyError, OSError]
    error_id = whole[0].args[1]
    assert [record.getMessage() for record in caplog.records[1:9]] == [f"part: error {error_id} again"] * 8
    assert pauses.taken == [1, 2, 4, 8, 16, 32, 60, 60, 60, 1, 2]
    assert pauses.taken[6] == supervision.MAX_PAUSE_S


async def test_database_that_is_away_for_a_while_has_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    await supervise("part", turns_of(StoreUnavailable("locked", is_full=False)), Pauses())
    assert "part: the database cannot be used: locked" in caplog.text and "Traceback" not in caplog.text


@pytest.mark.parametrize("error", [EngineDead("hangs"), DatabaseUnusable(__import__("pathlib").Path("x"), "damaged")])
async def test_what_no_turn_can_mend_gets_out(error: Exception) -> None:
    with pytest.raises(type(error)):
        await supervise("part", turns_of(error), Pauses())
