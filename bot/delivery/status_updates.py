"""Keeps the status messages of unfinished jobs current, one edit at a time and never too many.

What is worth an edit, and what a message may say beside the others, is `shown.py`. Edits go from the front of the queue
to its end, so that places get free before the next message needs them; a message that was left alone for long goes
first. Knows no front end, and nothing of results but whether one is on its way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bot.clock import Clock, wait_for
from bot.config import DeliveryConfig
from bot.deadline import Deadline
from bot.delivery.frontend import DeliveryDelayed, Frontend, MessageGone
from bot.delivery.shown import Message, Shown, ShownMessages, joined, key_of, messages_of
from bot.jobs import Job, QueueStatus
from bot.presentation.job_view import unfinished_view
from bot.scheduling.job_queue import JobQueue
from bot.supervision import supervise

log = logging.getLogger(__name__)

EDITS_PER_INTERVAL: Final = 4  # paces edits below Discord's usual 5 in 5 s per channel, with room for results
BROKEN_MESSAGE_S: Final = 60.0  # until a message is tried again whose edit failed for no known reason
LATE_INTERVALS: Final = 5  # a message that was left alone for so many goes first, so that no end of a queue starves
ENDED_GRACE_S: Final = 2.0  # by then the result of a job that has ended is on its way, and holds up the edits


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
        self._messages = ShownMessages()

    def wake(self) -> None:
        """Something changed: a job was put, claimed, moved on, or ended."""
        self._wake.set()

    def card_is_fresh(self, job: Job, standing: QueueStatus) -> QueueStatus:
        """The front end is about to show this job itself. Returns what it is to show.

        The place is left out if another message still shows it. If the message shows an earlier job already, it is
        that one's place, and the finish time of this one.
        """
        if job.status.is_final or not self._has_message(job):
            return standing
        key = key_of(job)
        shown = self._messages.find(key, {job.id})
        message = Message(key=key, job=job, standing=standing, job_ids=frozenset({job.id}))
        if shown is not None and shown.ended_at is None and job.id not in shown.message.job_ids:
            earlier = shown.message
            message = replace(
                earlier, standing=joined(earlier.standing, standing), job_ids=earlier.job_ids | message.job_ids
            )
        standing = message.standing
        if self._messages.is_claimed(standing.position, by_other_than=shown, key=key):
            standing = replace(standing, position=None)
        self._messages.put(self._shown(message, standing))
        return standing

    def card_is_stale(self, job: Job) -> None:
        """The front end could not show it after all: the next edit is worth making."""
        self._messages.drop(key_of(job), {job.id})
        self._wake.set()

    async def recall(self) -> None:
        """Take the messages that an earlier process left behind into account; call once, before any is shown.

        Raises:
            StoreUnavailable
        """
        self._messages.expect_earlier(messages_of(await self._known()))

    async def _known(self) -> list[tuple[Job, QueueStatus]]:
        """The jobs whose message can be edited: a front end that is switched off today may be back tomorrow."""
        return [each for each in await self._queue.standings() if self._has_message(each[0])]

    def _has_message(self, job: Job) -> bool:
        frontend = self._frontends.get(job.reply_to.frontend)
        return frontend is not None and not frontend.is_live

    async def run(self) -> None:
        """Keep the status messages of unfinished jobs current for ever; never returns."""

        async def turn() -> bool:
            self._wake.clear()
            await self.refresh()
            # A fixed pause, whatever woke us: at most EDITS_PER_INTERVAL edits in an interval.
            await asyncio.sleep(self._config.card_interval_s / EDITS_PER_INTERVAL)
            await wait_for(self._wake, self._config.card_interval_s)
            return True

        await supervise("keeping messages current", turn, self._deadline)

    async def announce_stop(self) -> None:
        """Bring every message up to date once, without pauses: the last act before the front ends leave."""
        for message in messages_of(await self._known()):
            await self._show(message, is_late=True)

    async def refresh(self) -> None:
        """Make the one edit that is most worth making now, unless a result is on its way."""
        messages = messages_of(await self._known())
        is_held = self._is_held()
        self._messages.settle(messages, now=self._monotonic(), may_forget=not is_held, grace_s=ENDED_GRACE_S)
        due = self._due(messages)
        if due and not is_held:
            message, is_late = due[0]
            await self._show(message, is_late=is_late)
        if len(due) > 1:
            self._wake.set()

    def _due(self, messages: Sequence[Message]) -> list[tuple[Message, bool]]:
        """The messages whose edit is worth making now and whether it is late, in the order in which to make them."""
        now, clock = self._monotonic(), self._clock()
        late_s = LATE_INTERVALS * self._config.card_interval_s
        due: list[tuple[tuple[bool, float, bool, int], Message]] = []
        for number, message in enumerate(messages):
            shown = self._messages.find(message.key, message.job_ids)
            if shown is not None and now < max(shown.at + self._config.card_interval_s, shown.not_before):
                continue
            is_late = shown is not None and now - shown.at > late_s
            if (standing := self._messages.next_standing(message, now=clock, is_late=is_late)) is None:
                continue
            is_partial = standing.position != message.standing.position
            since = shown.at if shown is not None and is_late else 0.0
            due.append(((not is_late, since, is_partial, number), message))
        due.sort(key=lambda each: each[0])
        return [(message, not order[0]) for order, message in due]

    async def _show(self, message: Message, *, is_late: bool) -> None:
        async with self._editing:
            standing = self._messages.next_standing(message, now=self._clock(), is_late=is_late)
            if standing is None:  # any more
                return
            before = self._messages.find(message.key, message.job_ids)
            self._messages.begin_edit(message.key, standing.position)
            try:
                shown = await self._edit(message, standing, before)
            finally:
                self._messages.end_edit()
            # Unless the front end said so itself meanwhile.
            if self._messages.find(message.key, message.job_ids) is before:
                self._messages.put(shown)

    async def _edit(self, message: Message, standing: QueueStatus, before: Shown | None) -> Shown:
        """Let the front end edit a message; returns what its reader sees then."""
        job = message.job
        shown = self._shown(message, standing)
        try:
            await self._frontends[job.reply_to.frontend].show(job, standing)
        except MessageGone:
            await self._queue.drop_message(job.reply_to.frontend, job.reply_to.key)
            return replace(shown, places=frozenset())
        except Exception as error:
            # As far as known the reader sees what was there before: the edit stays worth making.
            seen = replace(shown, standing=None, view=None) if before is None else before
            seen = replace(seen, at=shown.at, places=seen.places | shown.places)
            if isinstance(error, DeliveryDelayed):
                return replace(seen, not_before=self._monotonic() + error.after_s)
            log.exception("the message of job %s could not be edited", job.id)
            return replace(seen, not_before=self._monotonic() + BROKEN_MESSAGE_S)
        return shown

    def _shown(self, message: Message, standing: QueueStatus) -> Shown:
        return Shown(
            message=message,
            standing=standing,
            view=unfinished_view(message.job, standing, now=self._clock()),
            places=frozenset() if standing.position is None else frozenset({standing.position}),
            at=self._monotonic(),
        )
