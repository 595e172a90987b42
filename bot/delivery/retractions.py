"""Takes messages back, one after the other, until Discord has deleted them or never will. Survives a restart.

Their jobs are gone, and with them whose they were: an address says where a message stands, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bot.clock import Clock, wait_for
from bot.deadline import Deadline
from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible, MessageGone
from bot.jobs import Job
from bot.retry import doubled_s
from bot.store.horizon import DAY_S
from bot.store.retraction_store import LONGEST_PAUSE_S, Retraction, RetractionStore
from bot.supervision import supervise

log = logging.getLogger(__name__)

LOOK_S: Final = 5.0
AT_ONCE: Final = 20  # are looked up together, and taken back one after the other: results come first
FIRST_PAUSE_S: Final = 5.0
MAX_PAUSE_S: Final = 3600.0
GIVE_UP_S: Final = 7 * DAY_S
LEAST_TRIES: Final = 5
FRONTEND_AWAITED_S: Final = 90 * DAY_S  # one that is switched off may come back

# Deletes the message at an address. Raises MessageGone, DeliveryDelayed, DeliveryImpossible.
Withdraw = Callable[[str], Awaitable[None]]


class Retractions:
    """The messages that are to be taken back."""

    def __init__(self, store: RetractionStore, *, deadline: Deadline | None = None, clock: Clock = time.time) -> None:
        self._store = store
        self._deadline = deadline or Deadline()
        self._clock = clock
        self._frontends: dict[str, Withdraw] = {}
        self._wake = asyncio.Event()

    def add_frontend(self, name: str, withdraw: Withdraw) -> None:
        """Take back messages of this front end; those of others wait until it is switched on again."""
        self._frontends[name] = withdraw

    async def add(self, jobs: Sequence[Job]) -> None:
        """Take back the messages of these jobs, copies too, which may be deleted once this returns.

        Raises:
            StoreUnavailable
        """
        messages = {(job.reply_to.frontend, job.reply_to.key): job for job in jobs}
        for (frontend, key), job in messages.items():
            if address := nameless(job):
                await self._store.add(frontend, key, address, now=int(self._clock()))
        await self._store.add_copies([job.id for job in jobs], now=int(self._clock()))
        self._wake.set()

    async def left(self) -> int:
        """Return how many messages are still to be taken back, whosesoever they are."""
        return await self._store.count()

    async def forget_old(self, moment: int) -> None:
        """Forget messages of front ends that have been switched off for long; `moment` is a believed one, see Horizon.

        Raises:
            StoreUnavailable
        """
        await self._store.prune(before=moment - FRONTEND_AWAITED_S)

    async def run(self) -> None:
        """Take messages back for ever; never returns."""

        async def turn() -> bool:
            self._wake.clear()
            if not await self.look():
                await wait_for(self._wake, LOOK_S)
            return True

        await supervise("taking messages back", turn, self._deadline)

    async def look(self) -> bool:
        """Take back what is due now. Returns whether more may be due."""
        due = await self._store.due(self._frontends, now=int(self._clock()), limit=AT_ONCE)
        for retraction in due:
            await self._take_back(retraction)
        return len(due) == AT_ONCE

    async def _take_back(self, retraction: Retraction) -> None:
        try:
            await self._frontends[retraction.frontend](retraction.address)
        except MessageGone:
            pass
        except DeliveryImpossible as error:
            log.warning("a message of somebody who was erased stays: %s", error)
        except DeliveryDelayed as error:
            await self._postpone(retraction, error.after_s)
            return
        except Exception:
            log.exception("a message cannot be taken back now")
            await self._postpone(retraction, 0.0)
            return
        await self._store.remove(retraction)

    async def _postpone(self, retraction: Retraction, after_s: float) -> None:
        now = self._clock()
        is_late = now - retraction.added_at > GIVE_UP_S
        if is_late and retraction.attempts + 1 >= LEAST_TRIES:  # by a clock set ahead everything is late
            log.warning("a message of somebody who was erased stays: gave up after %s tries", retraction.attempts + 1)
            await self._store.remove(retraction)
            return
        pause_s = min(max(after_s, doubled_s(FIRST_PAUSE_S, MAX_PAUSE_S, retraction.attempts)), LONGEST_PAUSE_S - 1)
        await self._store.postpone(retraction, next_at=int(now + pause_s) + 1)


def nameless(job: Job) -> str:
    """Return the address of a job's message without whose it is: its numbers but for the person's; "" if it has none.

    Names that people gave themselves are texts, and left out like all others.
    """
    try:
        stored = json.loads(job.reply_to.address)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(stored, dict):
        return ""
    kept = {key: value for key, value in stored.items() if type(value) is int and str(value) != job.user.id}
    return json.dumps(kept) if kept else ""
