"""Pauses the queue when drawing or saving keeps failing, and ends that pause when its cause is gone.

A circuit breaker. Whether the engine works again only a picture can show, so after a cool-down one is tried; whether
pictures can be saved is seen without one. A pause that an operator made is left alone. Knows no engine and no file.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from bot.deadline import Deadline
from bot.pause import Pause, PauseKind
from bot.retry import doubled_s
from bot.scheduling.job_queue import JobQueue
from bot.store.database import retry_until_stored
from bot.supervision import supervise

log = logging.getLogger(__name__)

FIRST_COOL_DOWN_S: Final = 300.0
MAX_COOL_DOWN_S: Final = 3600.0
CHECK_S: Final = 30.0
BY_ENGINE: Final = Pause(kind=PauseKind.ENGINE_FAILURES)
BY_STORAGE: Final = Pause(kind=PauseKind.STORAGE)


class Breaker:
    """What the worker reports to, and asks whether a picture may be tried."""

    def __init__(
        self,
        queue: JobQueue,
        *,
        can_save: Callable[[], Awaitable[bool]],
        max_failures_in_a_row: int,
        deadline: Deadline | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._can_save = can_save
        self._max_failures_in_a_row = max_failures_in_a_row
        self._deadline = deadline or Deadline()
        self._monotonic = monotonic
        self._failures_in_a_row = 0
        self._failed_tries = 0
        self._try_at = monotonic()  # a pause of the last process: a restart may have mended the engine

    def may_try(self, pause: Pause) -> bool:
        """Whether one picture is to be drawn in spite of this pause, to see if the engine works again."""
        return pause == BY_ENGINE and self._monotonic() >= self._try_at

    async def picture_saved(self) -> None:
        """Note a picture that was drawn and saved: whatever the machine paused for is over."""
        self._failures_in_a_row = 0
        self._failed_tries = 0
        await self._resume(BY_ENGINE, "a picture could be drawn")

    async def engine_failed(self) -> None:
        """Note a failure that says something about the engine: after several in a row the next hundred would fail."""
        self._failures_in_a_row += 1
        if self._queue.pauses.made == BY_ENGINE:
            self._failed_tries += 1
            cool_down_s = self._cool_down()
            log.error("the picture that was tried failed too, the next is tried in %.0f min", cool_down_s / 60)
        elif self._queue.pauses.made is None and self._failures_in_a_row >= self._max_failures_in_a_row:
            cool_down_s = self._cool_down()  # before the pause: whoever sees it may ask at once whether to try
            log.critical(
                "%s jobs failed in a row: the queue is paused, one is tried again in %.0f min, all after /admin resume",
                self._failures_in_a_row,
                cool_down_s / 60,
            )
            await retry_until_stored(lambda: self._queue.pause(BY_ENGINE), self._deadline)
            self._failures_in_a_row = 0

    async def saving_failed(self) -> None:
        """Note a picture that could not be saved, or a source that could not be read; it may be that job's alone."""
        if self._queue.pauses.made is None and not await self._can_save():
            log.critical("pictures cannot be saved: the queue is paused until they can be again")
            await retry_until_stored(lambda: self._queue.pause(BY_STORAGE), self._deadline)

    async def check(self) -> None:
        """End a pause of the storage if pictures can be saved again."""
        if self._queue.pauses.made == BY_STORAGE and await self._can_save():
            await self._resume(BY_STORAGE, "pictures can be saved again")

    async def run(self) -> None:
        """Check now and then, for ever."""

        async def turn() -> bool:
            await self.check()
            await asyncio.sleep(CHECK_S)
            return True

        await supervise("looking whether pictures can be saved", turn, self._deadline)

    def _cool_down(self) -> float:
        """Put the next try off, the longer the more of them failed. Returns for how many seconds."""
        cool_down_s = doubled_s(FIRST_COOL_DOWN_S, MAX_COOL_DOWN_S, self._failed_tries)
        self._try_at = self._monotonic() + cool_down_s
        return cool_down_s

    async def _resume(self, pause: Pause, why: str) -> None:
        if self._queue.pauses.made == pause:
            await retry_until_stored(lambda: self._queue.resume(only=pause), self._deadline)
            log.warning("%s: the queue goes on", why)
