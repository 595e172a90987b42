"""Read the moment at which something is to end, as a moderator types it. Pure: text and the time in, Unix seconds out.

A span counts from now: `30m`, `2h`, `3d`, `1w`, `1d 12h`, `3 天`. A date is its first moment, `2026-12-24`, or has a
time, `2026-12-24 18:00`; a time alone is the next one, `18:00`. Dates and times are those of a zone that the
caller names, unless they end in one: `18:00 UTC`, `2026-12-24 18:00+08:00`. Whoever answers should say the result as
Discord's `<t:…>`, which everybody reads in a zone of their own.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from datetime import time as time_of_day
from typing import Final

from bot.errors import InvalidMoment, MomentFlaw

MAX_TEXT: Final = 40  # more than the longest form; longer text is not looked at
MINUTE_S: Final = 60
HOUR_S: Final = 60 * MINUTE_S
DAY_S: Final = 24 * HOUR_S
MAX_AHEAD_S: Final = 3660 * DAY_S  # ten years: what is meant to last longer has no end

UNITS_S: Final = {
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes", "分", "分钟", "分鐘"), MINUTE_S),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "时", "小时", "個小時", "个小时", "時", "小時"), HOUR_S),
    **dict.fromkeys(("d", "day", "days", "天", "日"), DAY_S),
    **dict.fromkeys(("w", "week", "weeks", "周", "週", "星期", "个星期", "個星期"), 7 * DAY_S),
}
_UNIT: Final = "|".join(sorted(UNITS_S, key=len, reverse=True))
_PART: Final = re.compile(rf"\s*(?P<number>[0-9]{{1,6}})\s*(?P<unit>{_UNIT})(?![a-z])")
_CLOCK: Final = r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
_ZONE: Final = r"\s*(?P<zone>z|utc|gmt|[+-][0-9]{2}:?[0-9]{2})?"
_DATE: Final = re.compile(
    rf"(?P<year>[0-9]{{4}})-(?P<month>[0-9]{{1,2}})-(?P<day>[0-9]{{1,2}})(?:(?:\s+|t){_CLOCK})?{_ZONE}"
)
_TIME: Final = re.compile(_CLOCK + _ZONE)


def parse_until(text: str, now: int, *, zone: tzinfo | None = None) -> int:
    """Return the moment that `text` names, in Unix seconds; it lies after `now`.

    Of a local time that exists twice, when clocks are put back, the first that is still to come is meant. One that is
    skipped, when they are put forward, counts on from the last moment before.

    Args:
        zone: of dates and times that name none; None for that of the machine.

    Raises:
        InvalidMoment: it cannot be read, is over, or lies more than ten years ahead.
    """
    plain = unicodedata.normalize("NFKC", text[: 2 * MAX_TEXT]).strip().lower()
    if not plain or len(text) > 2 * MAX_TEXT or len(plain) > MAX_TEXT:
        raise InvalidMoment(MomentFlaw.UNREADABLE)
    try:
        moment = _span(plain, now) or _of_date(plain, now, zone) or _of_time(plain, now, zone)
    except (ValueError, OverflowError, OSError) as error:  # no such day, or a year outside the system's calendar
        raise InvalidMoment(MomentFlaw.UNREADABLE) from error
    if moment is None:
        raise InvalidMoment(MomentFlaw.UNREADABLE)
    if moment <= now:
        raise InvalidMoment(MomentFlaw.PAST)
    if moment - now > MAX_AHEAD_S:
        raise InvalidMoment(MomentFlaw.FAR)
    return moment


def _span(plain: str, now: int) -> int | None:
    total, end = 0, 0
    while end < len(plain):
        if (part := _PART.match(plain, end)) is None:
            return None
        total += int(part["number"]) * UNITS_S[part["unit"]]
        end = part.end()
    return now + total


def _of_date(plain: str, now: int, zone: tzinfo | None) -> int | None:
    if (found := _DATE.fullmatch(plain)) is None:
        return None
    day = date(int(found["year"]), int(found["month"]), int(found["day"]))
    return _first_to_come(datetime.combine(day, _clock(found)), now, _zone(found, zone))


def _of_time(plain: str, now: int, zone: tzinfo | None) -> int | None:
    if (found := _TIME.fullmatch(plain)) is None:
        return None
    named = _zone(found, zone)
    today = datetime.fromtimestamp(now, UTC).astimezone(named).date()
    moment = _first_to_come(datetime.combine(today, _clock(found)), now, named)
    if moment > now:
        return moment
    return _first_to_come(datetime.combine(today + timedelta(days=1), _clock(found)), now, named)


def _clock(found: re.Match[str]) -> time_of_day:
    return time_of_day(int(found["hour"] or 0), int(found["minute"] or 0))


def _zone(found: re.Match[str], usual: tzinfo | None) -> tzinfo | None:
    written = found["zone"]
    if written is None:
        return usual
    if written[0] not in "+-":
        return UTC
    offset = timedelta(hours=int(written[1:3]), minutes=int(written[-2:]))
    return timezone(-offset if written[0] == "-" else offset)


def _first_to_come(local: datetime, now: int, zone: tzinfo | None) -> int:
    """Return the moment of a local time. Without a zone, `timestamp` takes the machine's, with its summer time."""
    first, second = (int(local.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    return second if first <= now < second else first
