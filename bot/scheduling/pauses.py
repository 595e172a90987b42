"""Whether jobs may be begun: the pause that somebody made, or the machine, and quiet hours. Knows no jobs.

A pause that was made is stored and outlives the process; one with an end is over when that has come, also if the
process was off then. Quiet hours follow from the clock alone, so that nothing has to be stored for them, unless
somebody resumed during them: then they are lifted until they would have ended. Neither ends the other.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from bot.deadline import Deadline
from bot.pause import MAX_MOMENT, Pause, PauseKind
from bot.scheduling.hours import QuietHours
from bot.store.database import retry_until_stored
from bot.store.key_value_store import SettingStore
from bot.supervision import supervise

log = logging.getLogger(__name__)

PAUSE_SETTING: Final = "pause_reason"
LIFTED_SETTING: Final = "quiet_hours_lifted"  # JSON: from, until
LOOK_S: Final = 15.0  # the clock may be set: whatever is foretold, look at it this often


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Whether jobs are begun at this moment, and when they will be.

    pause: why none is; None if they are. Its `until` is when they are again, whatever else holds them back till then.
    at: the first moment, from a moment on, at which a job may be begun; infinite if nobody knows.
    """

    pause: Pause | None = None
    at: Callable[[float], float] = lambda moment: moment


class Pauses:
    """The pauses of one queue; whatever changes them is announced by `on_change`."""

    def __init__(
        self,
        settings: SettingStore,
        on_change: Callable[[], None],
        *,
        deadline: Deadline,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.hours = QuietHours()
        self._settings = settings
        self._on_change = on_change
        self._deadline = deadline
        self._clock = clock
        self._changing = asyncio.Lock()  # a person and the machine may want to pause at the same moment
        self._stored: Pause | None = None
        self._lifted = (0, 0)
        self._seen: Pause | None = None

    async def recover(self) -> None:
        """Read what the last process left."""
        stored = await self._settings.get(PAUSE_SETTING)
        self._stored = None if stored is None else Pause.from_stored(stored)
        self._lifted = _lifted(await self._settings.get_json(LIFTED_SETTING))
        self._seen = self.current

    @property
    def made(self) -> Pause | None:
        """The pause that a person or the machine made, if it is not over."""
        stored = self._stored
        return None if stored is None or stored.is_over(self._clock()) else stored

    @property
    def current(self) -> Pause | None:
        """Why no job is begun at this moment, and until when; None if they are."""
        if (made := self.made) is not None:
            return made if made.until is None else replace(made, until=round(self._opens_at(made.until)))
        quiet_until = self._quiet_until(self._clock())
        return None if quiet_until is None else Pause(kind=PauseKind.QUIET_HOURS, until=quiet_until)

    @property
    def next_quiet_at(self) -> int | None:
        """When the next quiet hours begin that nobody lifted; None without any."""
        now = self._clock()
        return self.hours.begin_after(max(now, self._lifted[1]) if self._is_lifted(now) else now)

    def opening(self) -> Opening:
        """Return the same for a forecast."""
        pause, made = self.current, self.made

        def opens_at(moment: float) -> float:
            return self._opens_at(moment if made is None else max(moment, made.until or math.inf))

        return Opening(pause=pause, at=opens_at)

    def lets_try(self, may_try: Callable[[Pause], bool]) -> bool:
        """Whether one job may be begun in spite of the pause; never in quiet hours."""
        return self._quiet_until(self._clock()) is None and (self.made is None or may_try(self.made))

    async def make(self, pause: Pause) -> Pause:
        """Pause until `end`, also after a restart. Returns the pause that holds then.

        A pause that the machine made gives way to any other; it never takes the place of one that is there. Of an
        operator's, what a further one leaves out stays: the reason, and until when.

        Raises:
            StoreUnavailable: nothing changed.
        """
        async with self._changing:
            made = self.made
            if made is not None and pause.is_by_machine:
                return self.current or made
            if made is not None and not made.is_by_machine:
                until = made.until if pause.until is None else pause.until
                pause = replace(pause, text=pause.text or made.text, until=until)
            await self._settings.set(PAUSE_SETTING, pause.to_json())
            self._stored = pause
            self._seen = self.current
        self._on_change()
        return self._seen or pause

    async def end(self, only: Pause | None = None) -> None:
        """Go on, in quiet hours until the next begin; with `only`, if it is this pause that was made.

        Raises:
            StoreUnavailable: at most the quiet hours were lifted.
        """
        async with self._changing:
            if only is not None and self._stored != only:
                return
            now = int(self._clock())
            if only is None and (quiet_until := self._quiet_until(now)) is not None:
                await self._settings.set(LIFTED_SETTING, json.dumps({"from": now, "until": quiet_until}))
                self._lifted = now, quiet_until
            await self._settings.set(PAUSE_SETTING, None)
            self._stored = None
            self._seen = self.current
        self._on_change()

    async def watch(self) -> None:
        """Begin and end quiet hours, and pauses with an end, for ever."""

        async def turn() -> bool:
            await self.look()
            await asyncio.sleep(self.next_look_s())
            return True

        await supervise("watching the clock for pauses", turn, self._deadline)

    async def look(self) -> None:
        """Look whether a pause has begun, or is over, since the last look."""
        if (stored := self._stored) is not None and stored.is_over(self._clock()):
            # Otherwise a clock that is set back would bring it back.
            await retry_until_stored(lambda: self.end(only=stored), self._deadline)
            log.info("the pause is over")
        current = self.current
        if current == self._seen and stored is self._stored:
            return
        self._seen = current
        if current is None:
            log.info("the queue goes on")
        else:
            log.info("the queue is paused (%s), until %s", current.kind, current.until or "somebody resumes it")
        self._on_change()

    def next_look_s(self) -> float:
        """Return after how many seconds to look again."""
        now = self._clock()
        current, next_quiet_at = self.current, self.hours.begin_after(now)
        moments = [
            each for each in (current and current.until, self._stored and self._stored.until, next_quiet_at) if each
        ]
        return max(0.0, min([LOOK_S, *(moment - now for moment in moments if moment > now)]))

    def _opens_at(self, moment: float) -> float:
        if math.isinf(moment):
            return moment
        quiet_until = self._quiet_until(moment)
        return moment if quiet_until is None else quiet_until

    def _quiet_until(self, moment: float) -> int | None:
        return None if self._is_lifted(moment) else self.hours.quiet_until(moment)

    def _is_lifted(self, moment: float) -> bool:
        since, until = self._lifted
        return since <= moment < until


def _lifted(stored: object) -> tuple[int, int]:
    """Read when quiet hours were lifted; never, if it cannot be read."""
    match stored:
        case {"from": int(since), "until": int(until)} if 0 <= since < until < MAX_MOMENT:
            return since, until
    return 0, 0
