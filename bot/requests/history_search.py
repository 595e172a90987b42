"""What somebody types to find pictures of theirs → what those have to have. Pure; never refuses anything.

Words in any order, "a phrase", a seed (`seed:7`, or a bare number), a number (`#35`), and days: `2026-11-29`, `11-29`,
`2026-11`, `yesterday`, `2026-11-01..2026-11-10`, `昨天`, `11月29日`. What is no day of the calendar is a word. Days are
those of the zone that the operator chose: Discord does not say where people live.
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from bot.store.history_query import ANYTHING, MAX_ID, Wanted

MAX_WORDS: Final = 25
FIRST_YEAR: Final = 1971  # before it no image was drawn, and systems count differently

_DAYS_AGO: Final = {
    "today": 0, "今天": 0, "今日": 0, "yesterday": 1, "昨天": 1, "昨日": 1, "前天": 2,
}  # fmt: skip
_SEED: Final = re.compile(r"(?:seed|种子|種子)[:=：]?([0-9]{1,18})", re.IGNORECASE)
_SEED_ALONE: Final = re.compile(r"(?:seed|种子|種子)[:=：]?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"#([0-9]{1,18})")
_CHINESE_DAY: Final = r"(?:[0-9]{4}年)?[0-9]{1,2}月(?:[0-9]{1,2}[日号號])?|今天|今日|昨天|昨日|前天"
_RANGE_MARKS: Final = r"\.\.\.?|…|至|到|~|–|—"
_QUOTED: Final = re.compile(r"[\"“”「『]([^\"“”「」『』]+)[\"“”」』]")
_PIECES: Final = re.compile(r"\S+")
_DATE: Final = re.compile(
    r"(?:(?P<year>[0-9]{4})[-/.年])?(?P<month>[0-9]{1,2})(?:[-/.月](?P<day>[0-9]{1,2})[日号號]?|月)"
)
_MONTH: Final = re.compile(r"(?P<year>[0-9]{4})[-/](?P<month>[0-9]{1,2})")

Midnight = Callable[[date], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """A run of days, both included; None has no bound."""

    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What was typed, understood."""

    wanted: Wanted = ANYTHING
    days: Days | None = None


def midnight_in(day: date, zone: tzinfo | None = None) -> int:
    """Return when a day begins in a zone, None for that of the machine, in Unix seconds; 0 before FIRST_YEAR."""
    if day.year < FIRST_YEAR:
        return 0
    try:
        return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
    except (OverflowError, OSError, ValueError):  # what the system's calendar does not have
        return MAX_ID


def read_search(text: str, *, today: date, midnight: Midnight = midnight_in) -> Search:
    """Understand what somebody typed."""
    wanted, days = ANYTHING, None
    words: list[str] = []
    phrases = [phrase.strip() for phrase in _QUOTED.findall(text)]
    rest = _QUOTED.sub(" ", text)
    rest = re.sub(rf"({_CHINESE_DAY})的?", r" \1 ", unicodedata.normalize("NFKC", rest) if _is_wide(rest) else rest)
    rest = re.sub(rf"(?:(?<=[0-9]{{2}})|(?<=[日号號月天]))\s*({_RANGE_MARKS})\s*(?=[0-9今昨前])", r"\1", rest)
    pieces = _PIECES.findall(rest)
    while pieces:
        piece = pieces.pop(0)
        if _SEED_ALONE.fullmatch(piece) and pieces and re.fullmatch(r"[0-9]{1,18}", pieces[0]):
            piece = f"seed:{pieces.pop(0)}"
        if (match := _SEED.fullmatch(piece)) and wanted.seed is None:
            wanted = replace(wanted, seed=int(match[1]))
        elif (match := _NUMBER.fullmatch(piece)) and wanted.job_id is None:
            wanted = replace(wanted, job_id=int(match[1]))
        elif days is None and (found := _days(piece, today)) is not None:
            days = found
        else:
            words.append(piece)
    kept = tuple(dict.fromkeys(word for word in (*phrases, *words) if word))[:MAX_WORDS]
    wanted = replace(wanted, words=tuple(sorted(kept, key=len, reverse=True)))  # long ones are rare, and asked first
    if days is not None:
        since = None if days.first is None else midnight(days.first)
        until = None if days.last is None else midnight(_after(days.last))
        wanted = replace(wanted, since=since, until=until)
    return Search(wanted=wanted, days=days)


def _is_wide(text: str) -> bool:
    """Whether a Chinese keyboard wrote digits or signs in their wide forms."""
    return re.search(r"[０-９－／：＃．～]", text) is not None


def _days(piece: str, today: date) -> Days | None:
    """Read a day, a month or a range of them."""
    if (one := _day_or_month(piece, today)) is not None:
        return one
    parts = re.split(_RANGE_MARKS, piece)
    if len(parts) != 2 or not any(parts):
        return None
    first, last = (_day_or_month(part, today) if part else Days() for part in parts)
    if first is None or last is None:
        return None
    if first.first is not None and last.last is not None and first.first > last.last:
        first, last = last, first
    return Days(first=first.first, last=last.last)


def _day_or_month(piece: str, today: date) -> Days | None:
    if (ago := _DAYS_AGO.get(piece.lower())) is not None:
        day = today - timedelta(days=ago)
        return Days(first=day, last=day)
    if match := _MONTH.fullmatch(piece):
        return _month(int(match["year"]), int(match["month"]))
    if not (match := _DATE.fullmatch(piece)):
        return None
    year, month = match["year"], int(match["month"])
    if match["day"] is None:
        return _month(int(year) if year else _year_of(month, 1, today), month)
    if year is None and "." in piece:
        return None  # 3.5 is a number that stands in prompts
    there = _date(int(year) if year else _year_of(month, int(match["day"]), today), month, int(match["day"]))
    return None if there is None else Days(first=there, last=there)


def _year_of(month: int, day: int, today: date) -> int:
    """Return the last year in which there was this day, and it is not ahead."""
    years = range(today.year, max(0, today.year - 9), -1)
    return next((year for year in years if (past := _date(year, month, day)) and past <= today), today.year)


def _month(year: int, month: int) -> Days | None:
    if (first := _date(year, month, 1)) is None:
        return None
    return Days(first=first, last=first.replace(day=calendar.monthrange(year, month)[1]))


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _after(day: date) -> date:
    return day if day == date.max else day + timedelta(days=1)
