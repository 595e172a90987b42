"""By how much waits exceed their forecast here, because people who used the GPU less ask later and go first.

Nobody can foretell who will ask, but how often it happens is measured: the forecast of a wait when its job was first
seen, against the wait. Knows no clock, no SQL.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Final

from bot.scheduling.eta import Forecast

NEWEST: Final = 40  # waits that are looked at
FEWEST: Final = 6  # before that, forecasts are taken as they are
SHORTEST_S: Final = 3.0  # a shorter wait says nothing
TOLERANCE: Final = 0.3  # of a wait, by which a promise may be wrong
# Beyond this, those whom nobody overtakes would be told a time that is wrong by more than the tolerance.
STRETCHES: Final = (1.0, 1.05, 1.1, 1.15, 1.2, 1.25)


class Waits:
    """Compares forecasts with what became of them."""

    def __init__(self) -> None:
        self._expected: dict[int, tuple[float, float]] = {}  # when a job was first seen, and its wait then
        self._ratios: deque[float] = deque(maxlen=NEWEST)

    @property
    def stretch(self) -> float:
        """The factor for the time until a job is begun with which most of the newest waits would be as promised."""
        if len(self._ratios) < FEWEST:
            return 1.0
        return max(STRETCHES, key=lambda stretch: (self._kept(stretch), -stretch))

    def expect(self, forecasts: Iterable[Forecast], *, now: float, is_paused: bool) -> None:
        """Note what waiting jobs are told; `now` is on the monotonic clock. What a pause delays is not compared."""
        if is_paused:
            self._expected = {forecast.job_id: (now, 0.0) for forecast in forecasts}
            return
        for forecast in forecasts:
            if forecast.begins_s is not None:
                self._expected.setdefault(forecast.job_id, (now, forecast.begins_s))

    def begun(self, job_id: int, *, now: float) -> None:
        """Note that a job does not wait any more."""
        seen_at, wait_s = self._expected.pop(job_id, (now, 0.0))
        if wait_s >= SHORTEST_S:
            self._ratios.append((now - seen_at) / wait_s)

    def keep(self, waiting: Collection[int]) -> None:
        """Forget jobs that were cancelled."""
        self._expected = {job_id: seen for job_id, seen in self._expected.items() if job_id in waiting}

    def _kept(self, stretch: float) -> int:
        return sum(abs(stretch - ratio) <= TOLERANCE * ratio for ratio in self._ratios)
