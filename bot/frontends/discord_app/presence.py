"""What stands under the bot's name: how many wait and for how long, or that the queue is paused.

Everybody on every server reads the same, so it names nobody and quotes nothing. Discord takes five changes in twenty
seconds from one connection; this makes one at most.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Final

import discord

from bot.clock import wait_for
from bot.deadline import Deadline
from bot.frontends.discord_app.http_errors import TROUBLES
from bot.jobs import JobStatus
from bot.pause import Pause
from bot.presentation.spans import span
from bot.presentation.wording import Wording, wording_for
from bot.requests.moments import DAY_S
from bot.requests.service import Service
from bot.supervision import supervise

log = logging.getLogger(__name__)

INTERVAL_S: Final = 20.0
MAX_STATE: Final = 128
MINUTE_S: Final = 60


class Presence:
    """Keeps the bot's status true.

    is_ready: set while the bot is connected.
    """

    def __init__(
        self, client: discord.Client, service: Service, *, is_ready: asyncio.Event, interval_s: float = INTERVAL_S
    ) -> None:
        self._client = client
        self._service = service
        self._is_ready = is_ready
        self._interval_s = interval_s
        self._changed = asyncio.Event()
        self._shown: str | None = None

    def wake(self) -> None:
        """Look again soon: the queue has changed."""
        self._changed.set()

    def forget(self) -> None:
        """Show it again: Discord knows nothing of it in a new session."""
        self._shown = None
        self._changed.set()

    async def run(self, deadline: Deadline) -> None:
        """Change the status at most once in an interval, for ever."""

        async def turn() -> bool:
            await self._is_ready.wait()
            self._changed.clear()
            text = await self.text()
            if text != self._shown:
                await self._show(text)
                await asyncio.sleep(self._interval_s)
            await wait_for(self._changed, self._interval_s)  # times pass also when nothing changes
            return True

        await supervise("showing how many wait", turn, deadline)

    async def _show(self, text: str) -> None:
        try:
            await self._client.change_presence(activity=discord.CustomActivity(text[:MAX_STATE]))
        except (*TROUBLES, discord.ConnectionClosed) as error:
            log.info("the bot's status cannot be shown now: %s", error)
        else:
            self._shown = text

    async def text(self) -> str:
        """Say how things stand, in the language that most servers have."""
        wording = wording_for(commonest(guild.preferred_locale.value for guild in self._client.guilds))
        unfinished = await self._service.unfinished()
        waiting = sum(job.status is JobStatus.QUEUED for job, _ in unfinished)
        if (pause := self._service.paused) is not None:
            zone = self._service.pausing.zone
            return paused_text(pause, waiting, wording, now=time.time(), zone=zone)
        if not waiting:
            return wording.say("presence-idle")
        ends = [standing.finish_at for _, standing in unfinished if standing.finish_at is not None]
        if not ends:
            return wording.say("presence-waiting", count=waiting)
        return wording.say(
            "presence-waiting-for", count=waiting, time=span(_whole_minutes(max(ends) - time.time()), wording)
        )


def _whole_minutes(seconds: float) -> float:
    return max(1, math.ceil(seconds / MINUTE_S)) * MINUTE_S


def commonest(locales: Iterable[str]) -> str:
    """Return the language of most servers; English if none has most of them."""
    counted = Counter(locales).most_common(2)
    is_clear = len(counted) == 1 or (len(counted) == 2 and counted[0][1] > counted[1][1])
    return counted[0][0] if counted and is_clear else "en-US"


def paused_text(pause: Pause, waiting: int, wording: Wording, *, now: float, zone: tzinfo | None) -> str:
    """Say that nothing is drawn, and until when by the operator's clock: a status cannot hold Discord's times."""
    if pause.until is None:
        return wording.say("presence-paused-waiting" if waiting else "presence-paused", count=waiting)
    moment = datetime.fromtimestamp(pause.until, zone)
    is_near = pause.until - now < DAY_S
    when = f"{moment:%H:%M}" if is_near else f"{moment:%Y-%m-%d}"
    key = "presence-paused-waiting-until" if waiting else "presence-paused-until"
    return wording.say(key, count=waiting, time=when)
