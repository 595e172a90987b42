"""Quiet hours begin and end when the clock on the wall says so, also on the days when clocks change."""

from __future__ import annotations

import time
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import HoursConfig
from bot.config.spans import Span
from bot.scheduling.hours import QuietHours

NEW_YORK, BERLIN = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")


def quiet(*spans: str, zone: str = "UTC") -> QuietHours:
    return QuietHours.of(HoursConfig(quiet=spans, timezone=zone))


def at(text: str, zone: tzinfo = UTC) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


@pytest.mark.parametrize(
    ("spans", "moment", "until"),
    [
        ([], "2027-01-10 03:00", None),
        (["23:00-07:30"], "2027-01-10 22:59:59", None),
        (["23:00-07:30"], "2027-01-10 23:00", "2027-01-11 07:30"),
        (["23:00-07:30"], "2027-01-11 00:00", "2027-01-11 07:30"),
        (["23:00-07:30"], "2027-01-11 07:29:59", "2027-01-11 07:30"),
        (["23:00-07:30"], "2027-01-11 07:30", None),
        (["12:00-13:00"], "2027-01-10 12:30", "2027-01-10 13:00"),
        (["12:00-13:00"], "2027-01-10 23:30", None),
        (["22:00-24:00"], "2027-01-10 23:30", "2027-01-11 00:00"),
        (["22:00-24:00"], "2027-01-11 00:00", None),
        (["22:00-23:00", "23:00-07:00", "06:00-08:00"], "2027-01-10 22:30", "2027-01-11 08:00"),  # they touch
        (["20:00-24:00", "0:00-19:00"], "2027-01-10 21:00", "2027-01-11 19:00"),
        (["01:00-02:00", "03:00-04:00"], "2027-01-10 01:30", "2027-01-10 02:00"),
        (["00:00-23:59"], "2027-02-28 12:00", "2027-02-28 23:59"),
    ],
)
def test_it_is_quiet_in_a_span_and_nowhere_else(spans: list[str], moment: str, until: str | None) -> None:
    assert quiet(*spans).quiet_until(at(moment)) == (None if until is None else at(until))


def test_zone_decides_what_the_clock_on_the_wall_says() -> None:
    hours = quiet("23:00-07:30", zone="Asia/Shanghai")
    assert hours.quiet_until(at("2027-01-10 16:00")) == at("2027-01-10 23:30")
    assert hours.quiet_until(at("2027-01-10 14:00")) is None


def test_without_a_zone_it_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        hours = QuietHours([Span(23 * 60, 7 * 60 + 30)])
        assert hours.quiet_until(at("2027-03-13 23:30", NEW_YORK)) == at("2027-03-14 07:30", NEW_YORK)
        assert hours.quiet_until(at("2027-03-14 22:59", NEW_YORK)) is None
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("night", "length_h"), [("2027-03-27", 7.5), ("2027-10-30", 9.5), ("2027-06-01", 8.5)]
)  # the last Sundays of March and October
def test_night_is_shorter_or_longer_when_clocks_change(night: str, length_h: float) -> None:
    hours, begins = quiet("23:00-07:30", zone="Europe/Berlin"), at(f"{night} 23:00", BERLIN)
    assert hours.quiet_until(begins - 1) is None
    assert hours.quiet_until(begins) == begins + length_h * 3600
    assert hours.quiet_until(begins + length_h * 3600) is None


def test_time_that_is_skipped_counts_on_and_of_one_that_comes_twice_the_first_is_meant() -> None:
    hours = quiet("23:00-02:30", zone="Europe/Berlin")
    skipped = hours.quiet_until(at("2027-03-28 01:00", BERLIN))
    assert skipped == at("2027-03-28 03:30", BERLIN)
    twice = at("2027-10-31 02:30", BERLIN)
    assert hours.quiet_until(at("2027-10-31 01:00", BERLIN)) == twice
    assert hours.quiet_until(twice) is None and hours.quiet_until(twice + 1800) is None  # 02:00 again
    assert hours.quiet_until(twice + 3600) is None  # 02:30 again


def test_next_begin_is_the_next_one() -> None:
    hours = quiet("23:00-07:30", "12:00-13:00")
    assert hours.begin_after(at("2027-01-10 08:00")) == at("2027-01-10 12:00")
    assert hours.begin_after(at("2027-01-10 12:00")) == at("2027-01-10 23:00")
    assert hours.begin_after(at("2027-01-10 23:30")) == at("2027-01-11 12:00")
    assert quiet().begin_after(at("2027-01-10 23:30")) is None


MINUTES = st.integers(0, 1439)


@given(
    st.lists(st.tuples(MINUTES, MINUTES), max_size=4).filter(
        lambda spans: all(a != b for a, b in spans) and sum((b - a) % 1440 for a, b in spans) < 1380
    ),
    st.integers(at("2026-01-01"), at("2028-01-01")),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_quiet_hours_always_end_and_what_follows_is_not_quiet(
    spans: list[tuple[int, int]], moment: int, zone: str
) -> None:
    hours = QuietHours([Span(*span) for span in spans], ZoneInfo(zone))
    until = hours.quiet_until(moment)
    if until is not None:
        assert moment < until < moment + 49 * 3600
        assert hours.quiet_until(until) is None and hours.quiet_until(until - 1) == until
