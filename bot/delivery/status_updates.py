"""Keeps the status messages of unfinished jobs current, one edit at a time and never too many.

A message is worth an edit if what it says has changed for its reader; what a front end accepted is remembered here.
Knows no front end, and nothing of results but whether one is on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bot.config import DeliveryConfig
from bot.deadline import Deadline
from bot.delivery.frontend import DeliveryDelayed, Frontend, MessageGone
from bot.jobs import Job, QueueStatus
from bot.scheduling.job_queue import Clock, JobQueue
from bot.supervision import supervise

log = logging.getLogger(__name__)

EDITS_PER_INTERVAL: Final = 4  # paces edits below Discord's usual 5 in 5 s per channel, with room for results
BROKEN_MESSAGE_S: Final = 60.0  # until a message is tried again whose edit failed for no known reason
ETA_TOLERANCE_S: Final = 15  # Discord counts down by itself; only a change of plan is worth an edit


@dataclass(frozen=True, slots=True)
class _Shown:
    standing: QueueStatus | None  # None: nothing that the front end accepted
    is_stopping: bool
    at: float  # on the monotonic clock, like `not_before`
    not_before: float = 0.0


class StatusUpdates:
    """The loop that edits status messages."""

    def __init__(
        self,
        queue: JobQueue,
        config: DeliveryConfig,
        *,
        frontends: Mapping[str, Frontend],
        is_held: Callable[[], bool],
        deadline: Deadline,
        clock: Clock = time.time,
    ) -> None:
        self._queue = queue
        self._config = config
        self._frontends = frontends
        self._is_held = is_held
        self._deadline = deadline
        self._clock = clock
        self._monotonic = deadline.monotonic  # of all that is a distance between two looks: the clock may be set
        self._wake = asyncio.Event()
        self._editing = asyncio.Lock()  # the stop announces itself while the loop may be at an edit
        self._shown: dict[int, _Shown] = {}

    def wake(self) -> None:
        """Something changed: a job was put, claimed, moved on, or ended."""
        self._wake.set()

    def card_is_fresh(self, job: Job, standing: QueueStatus) -> None:
        """The front end shows this standing itself."""
        self._shown[job.id] = _Shown(standing, job.is_cancel_requested, self._monotonic())

    def card_is_stale(self, job: Job) -> None:
        """The front end could not show it after all: the next edit is worth making."""
        self._shown.pop(job.id, None)
        self._wake.set()

    async def run(self) -> None:
        """Keep the status messages of unfinished jobs current for ever; never returns."""

        async def turn() -> bool:
            self._wake.clear()
            await self._refresh()
            # A fixed pause, whatever woke us: at most EDITS_PER_INTERVAL edits in an interval.
            await asyncio.sleep(self._config.card_interval_s / EDITS_PER_INTERVAL)
            await wait_for(self._wake, self._config.card_interval_s)
            return True

        await supervise("keeping messages current", turn, self._deadline)

    async def announce_stop(self) -> None:
        """Bring every message up to date once, without pauses: the last act before the front ends leave."""
        for job, standing in await self._queue.standings():
            if self._is_worth_an_edit(job, standing):
                await self._show(job, standing)

    async def _refresh(self) -> None:
        standings = await self._queue.standings()
        unfinished = {job.id for job, _ in standings}
        for job_id in self._shown.keys() - unfinished:
            del self._shown[job_id]
        now = self._monotonic()
        # The message that was left alone longest goes first, so that a long queue cannot starve its own end.
        due = [
            (self._shown[job.id].at if job.id in self._shown else 0.0, job.id, job, standing)
            for job, standing in standings
            if self._is_worth_an_edit(job, standing) and self._may_edit(job, now)
        ]
        if due and not self._is_held():
            _, _, job, standing = min(due)
            await self._show(job, standing)
        if len(due) > 1:
            self._wake.set()

    async def _show(self, job: Job, standing: QueueStatus) -> None:
        async with self._editing:
            if not self._is_worth_an_edit(job, standing):  # any more
                return
            before = self._shown.get(job.id)
            shown = await self._edit(job, standing, before)
            if shown is not None and self._shown.get(job.id) is before:  # else the front end said so meanwhile
                self._shown[job.id] = shown

    async def _edit(self, job: Job, standing: QueueStatus, before: _Shown | None) -> _Shown | None:
        """Let the front end edit a message; returns what its reader sees then, None if nobody has the front end."""
        if (frontend := self._frontends.get(job.reply_to.frontend)) is None:
            return None
        shown = _Shown(standing, job.is_cancel_requested, self._monotonic())
        try:
            await frontend.show(job, standing)
        except MessageGone:
            await self._queue.drop_message(job.reply_to.frontend, job.reply_to.key)
        except Exception as error:
            # The reader still sees what was there before: the edit stays worth making.
            seen = replace(shown, standing=None, is_stopping=False) if before is None else before
            if isinstance(error, DeliveryDelayed):
                return replace(seen, at=shown.at, not_before=self._monotonic() + error.after_s)
            log.exception("the message of job %s could not be edited", job.id)
            return replace(seen, at=shown.at, not_before=self._monotonic() + BROKEN_MESSAGE_S)
        return shown

    def _may_edit(self, job: Job, now: float) -> bool:
        shown = self._shown.get(job.id)
        return shown is None or now >= max(shown.at + self._config.card_interval_s, shown.not_before)

    def _is_worth_an_edit(self, job: Job, standing: QueueStatus) -> bool:
        shown = self._shown.get(job.id)
        if shown is None or shown.standing is None:
            return True
        if job.is_cancel_requested and not shown.is_stopping:
            return True
        before = shown.standing
        if (before.position, before.progress, before.pause) != (
            standing.position,
            standing.progress,
            standing.pause,
        ):
            return True
        if before.finish_at is None or standing.finish_at is None:
            return before.finish_at is not standing.finish_at
        left_s = standing.finish_at - self._clock()
        if before.finish_at <= self._clock():  # the time that it names has run out, the job has not
            return left_s > 0
        return abs(before.finish_at - standing.finish_at) > max(ETA_TOLERANCE_S, 0.2 * left_s)


async def wait_for(event: asyncio.Event, timeout_s: float) -> None:
    """Wait until the event is set, but not longer than this."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
