"""History is deleted by a clock that went on, never by one that leapt."""

from __future__ import annotations

import pytest

from bot.store.horizon import DAY_S, Horizon

NOW = 1_800_000_000
HOUR_S = 3600


def looks(horizon: Horizon, *moments: int) -> Horizon:
    for moment in moments:
        horizon = horizon.look(moment)
    return horizon


def test_clock_that_goes_on_is_followed() -> None:
    assert looks(Horizon(trusted_at=NOW), *(NOW + hour * HOUR_S for hour in range(50))).trusted_at == NOW + 49 * HOUR_S


def test_one_start_far_ahead_moves_nothing() -> None:
    ahead = NOW + 91 * DAY_S
    horizon = looks(Horizon(trusted_at=NOW), ahead, ahead + HOUR_S, NOW + HOUR_S)
    assert horizon == Horizon(trusted_at=NOW + HOUR_S)


def test_leap_is_believed_when_a_look_a_day_later_confirms_it() -> None:
    ahead = NOW + 91 * DAY_S  # the machine was off for a quarter of a year
    horizon = looks(Horizon(trusted_at=NOW), ahead, ahead + DAY_S - 1)
    assert horizon.trusted_at == NOW
    assert looks(horizon, ahead + DAY_S).trusted_at == ahead + DAY_S


def test_clock_set_back_is_believed_at_once_and_a_leap_after_it_again_takes_a_day() -> None:
    believed = looks(Horizon(trusted_at=NOW), NOW + 91 * DAY_S, NOW + 92 * DAY_S)
    assert believed.trusted_at == NOW + 92 * DAY_S
    back = believed.look(NOW + DAY_S)
    assert back == Horizon(trusted_at=NOW + DAY_S)
    assert looks(back, NOW + 91 * DAY_S).trusted_at == NOW + DAY_S


def test_clock_set_back_a_little_changes_nothing() -> None:
    assert looks(Horizon(trusted_at=NOW), NOW - 3600) == Horizon(trusted_at=NOW)


def test_second_leap_begins_its_own_day() -> None:
    horizon = looks(Horizon(trusted_at=NOW), NOW + 91 * DAY_S, NOW + 30 * DAY_S, NOW + 30 * DAY_S + HOUR_S)
    assert horizon == Horizon(trusted_at=NOW, leapt_at=NOW + 30 * DAY_S)


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {},
        {"trusted_at": "x"},
        {"trusted_at": True},
        {"trusted_at": 1, "leapt_at": []},
        {"trusted_at": -1},
        {"trusted_at": 10**400},
    ],
)
def test_without_a_look_before_history_ends_with_its_newest_row(stored: object) -> None:
    assert Horizon.read(stored, newest_at=NOW) == Horizon(trusted_at=NOW)


def test_last_look_is_read_back() -> None:
    assert Horizon.read({"trusted_at": 7, "leapt_at": 9}, newest_at=NOW) == Horizon(trusted_at=7, leapt_at=9)
