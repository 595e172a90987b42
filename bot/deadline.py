"""How long anything may still wait: a moment on the monotonic clock that is set when the service begins to stop.

One value passes through every part that waits for something from outside. While the service runs it has no end; from
the moment the stop begins, every wait is cut short and nothing lasts beyond it. Knows no part.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable


class Deadline:
    """A moment after which nobody waits any more; `seconds` from now, or not known before `begin`."""

    def __init__(self, seconds: float = math.inf, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic  # the clock that it is on
        self._ends_at = monotonic() + seconds
        self._begun = asyncio.Event()
        if self.has_begun:
            self._begun.set()

    @property
    def has_begun(self) -> bool:
        """Whether there is an end."""
        return self._ends_at < math.inf

    @property
    def is_over(self) -> bool:
        """Whether the moment has passed."""
        return self.remaining() <= 0

    def begin(self, seconds: float) -> None:
        """Set the moment, once; who pauses wakes up. Later calls change nothing."""
        if not self.has_begun:
            self._ends_at = self.monotonic() + seconds
            self._begun.set()

    async def wait_for_begin(self) -> None:
        """Wait until the moment is set, however far away it is."""
        await self._begun.wait()

    def remaining(self, at_most: float = math.inf) -> float:
        """Return how many seconds are left, never less than 0 and never more than `at_most`."""
        return min(at_most, max(0.0, self._ends_at - self.monotonic()))

    async def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the moment, and not on when it is set meanwhile."""
        if self.has_begun:
            await asyncio.sleep(self.remaining(seconds))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._begun.wait()
