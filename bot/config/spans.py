"""Spans of the day, "23:00-07:30", and time zones, as they are written in the config. Pure."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable
from typing import Final, NamedTuple

from bot.config.messages import did_you_mean

DAY_MIN: Final = 24 * 60
_TIME: Final = r"([0-9]{1,2}):([0-9]{2})"
_SPAN: Final = re.compile(rf"\s*{_TIME}\s*[-–]\s*{_TIME}\s*", re.ASCII)


class Span(NamedTuple):
    """A span of every day, in minutes since midnight; one that ends before it begins goes on over midnight."""

    begins_min: int
    ends_min: int

    @property
    def length_min(self) -> int:
        """How long it lasts on a day of 24 hours."""
        return (self.ends_min - self.begins_min) % DAY_MIN


def read_span(text: str) -> Span:
    """Read a span.

    Raises:
        ValueError: it is none, or has no length.
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError('must be spans like "23:00-07:30"')
    hours, minutes, end_hours, end_minutes = map(int, match.groups())
    begins_min, ends_min = hours * 60 + minutes, end_hours * 60 + end_minutes
    if minutes > 59 or end_minutes > 59 or begins_min >= DAY_MIN or ends_min > DAY_MIN:
        raise ValueError("must be times of a day, from 00:00 to 24:00")
    span = Span(begins_min, ends_min % DAY_MIN)
    if not span.length_min:
        raise ValueError("must end at another time than it begins; all day long nothing would be drawn")
    return span


def read_time(text: str) -> int:
    """Read a time of the day, "04:00". Returns minutes since midnight.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(rf"\s*{_TIME}\s*", text, re.ASCII)
    if match is None or int(match[2]) > 59 or int(match[1]) > 23:
        raise ValueError('must be a time like "04:00"')
    return int(match[1]) * 60 + int(match[2])


def check_time(text: str) -> str:
    """Return a time of the day as it was written.

    Raises:
        ValueError: it is none.
    """
    read_time(text)
    return text


def check_some_left(spans: Iterable[Span]) -> None:
    """Check that spans leave a part of the day.

    Raises:
        ValueError
    """
    covered_to = 0
    for begins_min, ends_min in sorted(part for span in spans for part in _within_a_day(span)):
        if begins_min > covered_to:
            return
        covered_to = max(covered_to, ends_min)
    if covered_to >= DAY_MIN:
        raise ValueError("must leave a part of the day, or nothing would ever be drawn")


def _within_a_day(span: Span) -> list[Span]:
    if span.begins_min < span.ends_min:
        return [span]
    return [Span(span.begins_min, DAY_MIN), Span(0, span.ends_min)]


def check_zone(name: str) -> str:
    """Return the name of a time zone.

    Raises:
        ValueError: this machine knows none of that name.
    """
    known = zoneinfo.available_timezones()
    if name not in known:
        near = did_you_mean(name, sorted(known))
        hint = near if "did you mean" in near else "; for example 'Europe/Berlin'"  # not all six hundred
        raise ValueError(f"must be the name of a time zone{hint}")
    return name
