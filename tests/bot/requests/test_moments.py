"""The moment until which something lasts, as a moderator types it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import InvalidMoment, MomentFlaw
from bot.requests.moments import DAY_S, HOUR_S, MAX_AHEAD_S, MINUTE_S, parse_until

BERLIN = ZoneInfo("Europe/Berlin")
NOW = int(datetime(2026, 11, 30, 12, 0, tzinfo=BERLIN).timestamp())


def at(*fields: int, zone: object = BERLIN, fold: int = 0) -> int:
    return int(datetime(*fields, tzinfo=zone, fold=fold).timestamp())  # type: ignore[arg-type,misc]


@pytest.fixture
def machine_in_new_york() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize(
    ("text", "span_s"),
    [
        ("30m", 30 * MINUTE_S),
        ("2h", 2 * HOUR_S),
        ("3d", 3 * DAY_S),
        ("1w", 7 * DAY_S),
        (" 1D 12h ", DAY_S + 12 * HOUR_S),
        ("1d12h30m", DAY_S + 12 * HOUR_S + 30 * MINUTE_S),
        ("90 minutes", 90 * MINUTE_S),
        ("2小时", 2 * HOUR_S),
        ("2 個小時", 2 * HOUR_S),
        ("3天", 3 * DAY_S),
        ("１ｈ", HOUR_S),
        ("1 星期", 7 * DAY_S),
        ("3650d", 3650 * DAY_S),
    ],
)
def test_span_counts_from_now(text: str, span_s: int) -> None:
    assert parse_until(text, NOW) == NOW + span_s


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-12-24", at(2026, 12, 24)),
        ("2026-12-24 18:00", at(2026, 12, 24, 18)),
        ("2026-12-24T18:00", at(2026, 12, 24, 18)),
        ("2026-12-24 18:00Z", at(2026, 12, 24, 18, zone=UTC)),
        ("2026-12-24 18:00 UTC", at(2026, 12, 24, 18, zone=UTC)),
        ("2026-12-24 18:00+08:00", at(2026, 12, 24, 10, zone=UTC)),
        ("2026-12-24 18:00 -0330", at(2026, 12, 24, 21, 30, zone=UTC)),
        ("2027-1-2", at(2027, 1, 2)),
        ("2028-02-29", at(2028, 2, 29)),
        ("18:00", at(2026, 11, 30, 18)),
        ("11:59", at(2026, 12, 1, 11, 59)),
        ("12:00", at(2026, 12, 1, 12)),  # now is over
        ("7:30", at(2026, 12, 1, 7, 30)),
        ("01:00 UTC", at(2026, 12, 1, 1, zone=UTC)),
    ],
)
def test_date_and_time_are_those_of_the_zone(text: str, moment: int) -> None:
    assert parse_until(text, NOW, zone=BERLIN) == moment


def test_time_that_clocks_skip_counts_on_from_the_last_before() -> None:
    """On 2027-03-28 at 2:00, Berlin's clocks are put to 3:00."""
    assert parse_until("2027-03-28 02:30", NOW, zone=BERLIN) == at(2027, 3, 28, 3, 30)


def test_time_that_exists_twice_is_the_first_that_is_to_come() -> None:
    """On 2027-10-31 at 3:00, Berlin's clocks are put to 2:00."""
    first, second = (at(2027, 10, 31, 2, 30, fold=fold) for fold in (0, 1))
    assert second - first == HOUR_S
    assert parse_until("2027-10-31 02:30", NOW, zone=BERLIN) == first
    assert parse_until("02:30", first - 60, zone=BERLIN) == first
    assert parse_until("02:30", first + 60, zone=BERLIN) == second
    assert parse_until("02:30", second + 60, zone=BERLIN) == at(2027, 11, 1, 2, 30)


def test_span_over_a_change_of_clocks_is_of_true_hours() -> None:
    before = at(2027, 3, 27, 12)
    assert parse_until("1d", before, zone=BERLIN) == at(2027, 3, 28, 13)


@pytest.mark.usefixtures("machine_in_new_york")
def test_machine_says_the_zone_if_nobody_does() -> None:
    new_york = ZoneInfo("America/New_York")
    assert parse_until("2027-07-04 09:00", NOW) == at(2027, 7, 4, 9, zone=new_york)
    assert parse_until("2027-01-04 09:00", NOW) == at(2027, 1, 4, 9, zone=new_york)
    assert parse_until("2027-03-14 02:30", NOW) == at(2027, 3, 14, 3, 30, zone=new_york)
    assert parse_until("06:30", NOW) == at(2026, 11, 30, 6, 30, zone=new_york)  # it is 6:00 there


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("2020-01-01", MomentFlaw.PAST),
        ("2026-11-30", MomentFlaw.PAST),  # the day has begun
        ("0h", MomentFlaw.PAST),
        ("2099-01-01", MomentFlaw.FAR),
        ("9999-12-31 23:59", MomentFlaw.FAR),
        ("9999-12-31 23:59 -2359", MomentFlaw.FAR),
        ("999999w", MomentFlaw.FAR),
        *(
            (text, MomentFlaw.UNREADABLE)
            for text in (
                "",
                " ",
                "soon",
                "2",
                "h",
                "2x",
                "2hello",
                "-2h",
                "+2h",
                "1.5h",
                "1e3h",
                "2027-02-29",
                "2026-13-01",
                "0000-01-01",
                "24:00",
                "12:60",
                "12:5",
                "2026-12-24 18",
                "2026-12-24 18:00+99:00",
                "2026-12-24 18:00 CET",
                "10000-01-01",
                "1234567h",
                "2h\x00",
                "٢h",
                "²²²²²²²h",
                "1h " * 20,
                "9" * 5000,
                "1m" * 100_000,
                "\ufdfa" * 30,  # each becomes eighteen characters
            )
        ),
    ],
)
def test_moment_that_cannot_be_used_is_refused(text: str, flaw: MomentFlaw) -> None:
    with pytest.raises(InvalidMoment) as raised:
        parse_until(text, NOW, zone=BERLIN)
    assert raised.value.flaw is flaw


@given(st.text(max_size=60), st.integers(0, 4_000_000_000))
def test_any_text_is_a_moment_ahead_or_a_refusal(text: str, now: int) -> None:
    try:
        moment = parse_until(text, now, zone=BERLIN)
    except InvalidMoment:
        return
    assert now < moment <= now + MAX_AHEAD_S


@given(st.from_regex(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}( [0-9]{1,2}:[0-9]{2})?( ?[+-][0-9]{4})?", fullmatch=True))
def test_any_date_is_a_moment_ahead_or_a_refusal(text: str) -> None:
    try:
        moment = parse_until(text, NOW, zone=None)
    except InvalidMoment:
        return
    assert NOW < moment <= NOW + MAX_AHEAD_S
