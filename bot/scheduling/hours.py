"""Quiet hours: spans of every day in which no job is begun. Pure: moments in and out, in Unix seconds.

A span is one stretch of real time on each day, from the moment of its first local time to that of its second. As in
RFC 5545, a local time that is skipped when clocks are put forward counts on from the last moment before, and of one
that comes twice the first is meant. So a span may be an hour longer or shorter than usual, and is never entered twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, Self
from zoneinfo import ZoneInfo

from bot.config import HoursConfig
from bot.config.spans import Span, read_span

LOOK_AHEAD_DAYS: Final = 2  # every span begins at least once in them


class QuietHours:
    """The quiet hours of the config.

    zone: None for that of the machine.
    """

    def __init__(self, spans: Sequence[Span] = (), zone: tzinfo | None = None) -> None:
        self._spans = tuple(spans)
        self.zone = zone

    @classmethod
    def of(cls, config: HoursConfig) -> Self:
        """Make those of a config."""
        zone = None if config.timezone is None else ZoneInfo(config.timezone)
        return cls([read_span(text) for text in config.quiet], zone)

    def quiet_until(self, moment: float) -> int | None:
        """Return when it is quiet no more; None if it is not quiet at that moment. Spans that touch are one."""
        end = None
        while (further := self._end_of_span(moment if end is None else end)) is not None:
            end = further
        return end

    def begin_after(self, moment: float) -> int | None:
        """Return when the next span begins after a moment; None without quiet hours."""
        begins = (
            begins_at for begins_at, ends_at in self._around(moment) if begins_at > moment and ends_at > begins_at
        )
        return min(begins, default=None)

    def _end_of_span(self, moment: float) -> int | None:
        return max(
            (ends_at for begins_at, ends_at in self._around(moment) if begins_at <= moment < ends_at), default=None
        )

    def _around(self, moment: float) -> Iterator[tuple[int, int]]:
        if not self._spans:
            return
        today = datetime.fromtimestamp(moment, UTC).astimezone(self.zone).date()
        for days in range(-1, LOOK_AHEAD_DAYS + 1):
            day = today + timedelta(days=days)
            for begins_min, ends_min in self._spans:
                last = day if begins_min < ends_min else day + timedelta(days=1)
                yield self._moment(day, begins_min), self._moment(last, ends_min)

    def _moment(self, day: date, minutes: int) -> int:
        local = datetime.combine(day, time(*divmod(minutes, 60)))
        return int(local.replace(tzinfo=self.zone).timestamp())  # without a zone, that of the machine
