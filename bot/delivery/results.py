"""Tells people: keeps the cards of unfinished jobs current, and hands finished jobs to their front end.

Two loops that never wait for the GPU. Results come first: while one is on its way, no card is edited.
Knows no Discord; the front ends stand behind the `Frontend` protocol below.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from bot.config import DeliveryConfig
from bot.deadline import Deadline
from bot.errors import BotError, JobAlreadyFinished, OperatorError, StoreUnavailable
from bot.jobs import Delivery, Job, QueueStatus, ReplyTo
from bot.scheduling.job_queue import Clock, JobQueue
from bot.store.database import retry_until_stored
from bot.store.image_store import ImageStore
from bot.store.job_store import LONGEST_PAUSE_S, JobStore
from bot.turns import take_turns

log = logging.getLogger(__name__)

SWEEP_S: Final = 1.0  # look for due results at least this often
CONCURRENT_RESULTS: Final = 4  # one slow channel does not hold up the others
CARDS_PER_INTERVAL: Final = 4  # paces edits below Discord's usual 5 in 5 s per channel, with room for results
BROKEN_CARD_S: Final = 60.0  # until a card is tried again whose edit failed for no known reason
LEAST_TRIES: Final = 5
ETA_TOLERANCE_S: Final = 15  # Discord counts down by itself; only a change of plan is worth an edit


class MessageGone(BotError):
    """The card was deleted by its person or a moderator: nothing may be posted in its place."""


class DeliveryDelayed(BotError):
    """The front end cannot take it now; try again, not before `after_s`."""

    def __init__(self, after_s: float = 0.0) -> None:
        super().__init__(f"try again in {after_s:.0f} s")
        self.after_s = after_s


class DeliveryImpossible(BotError):
    """Every way to reach the person failed for good; they are told on their next command."""


class Frontend(Protocol):
    """What a front end does for jobs that came through it."""

    name: str

    async def show(self, job: Job, standing: QueueStatus) -> None:
        """Edit the card of an unfinished job; best effort, one call at a time.

        Raises:
            MessageGone, DeliveryDelayed
        """

    async def deliver(self, job: Job, image: Path | None) -> ReplyTo:
        """Say how a job ended: its picture, its failure, its cancelling. Safe to repeat.

        Returns:
            Where the answer now stands.

        Raises:
            MessageGone, DeliveryDelayed, DeliveryImpossible
        """


@dataclass(slots=True)
class _Shown:
    standing: QueueStatus | None  # None: nothing that the front end accepted
    is_stopping: bool
    at: float  # on the monotonic clock, like `not_before`
    not_before: float = 0.0


class DeliveryLoop:
    """The card loop and the result loop."""

    def __init__(
        self,
        jobs: JobStore,
        queue: JobQueue,
        images: ImageStore,
        config: DeliveryConfig,
        *,
        deadline: Deadline | None = None,
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._queue = queue
        self._images = images
        self._frontends: dict[str, Frontend] = {}
        self._config = config
        self._deadline = deadline or Deadline()
        self._clock = clock
        self._monotonic = monotonic  # of all that is a distance between two looks: the clock may be set
        self._wake_results = asyncio.Event()
        self._wake_cards = asyncio.Event()
        self._under_way: set[int] = set()
        self._unnoted: set[int] = set()  # what became of them cannot be written: left to the next start
        self._shown: dict[int, _Shown] = {}

    def add_frontend(self, frontend: Frontend) -> None:
        """Deliver the jobs that came through this front end."""
        self._frontends[frontend.name] = frontend

    def wake(self) -> None:
        """Something changed: a job was put, claimed, moved on, or ended."""
        self._wake_results.set()
        self._wake_cards.set()

    def card_is_fresh(self, job: Job, standing: QueueStatus) -> None:
        """The front end shows this standing itself."""
        self._shown[job.id] = _Shown(standing, job.is_cancel_requested, self._monotonic())

    def card_is_stale(self, job: Job) -> None:
        """The front end could not show it after all: the next edit is worth making."""
        self._shown.pop(job.id, None)
        self._wake_cards.set()

    async def run_results(self) -> None:
        """Deliver ended jobs for ever; never returns."""
        async with asyncio.TaskGroup() as tasks:

            async def turn() -> bool:
                self._wake_results.clear()
                taken = self._under_way | self._unnoted
                due = await self._jobs.due(now=int(self._clock()), limit=CONCURRENT_RESULTS + len(taken))
                free = CONCURRENT_RESULTS - len(self._under_way)
                for job in [job for job in due if job.id not in taken][:free]:
                    self._under_way.add(job.id)
                    tasks.create_task(self._deliver(job))
                await _wait(self._wake_results, SWEEP_S)
                return True

            await take_turns("delivering results", turn, self._deadline)

    async def run_cards(self) -> None:
        """Keep the cards of unfinished jobs current for ever; never returns."""

        async def turn() -> bool:
            self._wake_cards.clear()
            await self._refresh_cards()
            # A fixed pause, whatever woke us: at most CARDS_PER_INTERVAL edits in an interval.
            await asyncio.sleep(self._config.card_interval_s / CARDS_PER_INTERVAL)
            await _wait(self._wake_cards, self._config.card_interval_s)
            return True

        await take_turns("keeping cards current", turn, self._deadline)

    async def flush(self) -> None:
        """Wait until nothing that is due now is left; the result loop must be running. Has no time limit."""
        while self._under_way or await self._has_due():
            self._wake_results.set()
            await asyncio.sleep(0.05)

    async def announce_stop(self) -> None:
        """Bring every card up to date once, without pauses: the last act before the front ends leave."""
        for job, standing in await self._queue.standings():
            if self._is_worth_an_edit(job, standing):
                await self._show(job, standing)

    async def _has_due(self) -> bool:
        due = await self._jobs.due(now=int(self._clock()), limit=1 + len(self._unnoted))
        return any(job.id not in self._unnoted for job in due)

    # ── results ─────────────────────────────────────────────────────────────────────────────────────

    async def _deliver(self, job: Job) -> None:
        self._shown.pop(job.id, None)
        try:
            await retry_until_stored(await self._tell(job), self._deadline)
        except OperatorError:
            raise
        except Exception as error:
            # Told or not, the row does not say so: another try now could tell a second time.
            self._unnoted.add(job.id)
            is_locked = isinstance(error, StoreUnavailable)
            log.error("job %s is left to the next start: %s", job.id, error, exc_info=None if is_locked else error)
        finally:
            self._under_way.discard(job.id)
            self.wake()

    async def _tell(self, job: Job) -> Callable[[], Awaitable[None]]:
        """Tell how a job ended, if that can be done now. Returns the statement that notes what came of it."""
        frontend = self._frontends.get(job.reply_to.frontend)
        if frontend is None:
            return self._postponed(job, 0.0)  # a front end that is switched off today may be back tomorrow
        try:
            image = None if job.image_path is None else await self._images.locate(job.image_path)
            reply_to = await frontend.deliver(job, image)
        except MessageGone:
            log.info("delivery dropped: the card of job %s was deleted", job.id)
            return partial(self._jobs.close_delivery, job.id, Delivery.DROPPED)
        except DeliveryDelayed as error:
            return self._postponed(job, error.after_s)
        except DeliveryImpossible as error:
            log.warning("job %s cannot be delivered: %s", job.id, error)
            return partial(self._jobs.close_delivery, job.id, Delivery.UNDELIVERABLE)
        except OSError as error:
            log.warning("the picture of job %s cannot be read now: %s", job.id, error)
            return self._postponed(job, 0.0)
        except Exception:
            # One job that a front end cannot digest must not stop everybody's results.
            log.exception("delivery of job %s failed", job.id)
            return self._postponed(job, 0.0)
        return partial(self._jobs.delivered, job.id, reply_to)

    def _postponed(self, job: Job, after_s: float) -> Callable[[], Awaitable[None]]:
        now = self._clock()
        is_late = now - (job.finished_at or now) > self._config.give_up_after_s
        if is_late and job.delivery_attempts + 1 >= LEAST_TRIES:  # by a clock set ahead everything is late
            log.warning("job %s: gave up delivering after %s tries", job.id, job.delivery_attempts + 1)
            return partial(self._jobs.close_delivery, job.id, Delivery.UNDELIVERABLE)
        backoff_s = min(self._config.retry_max_s, self._config.retry_first_s * 2 ** min(job.delivery_attempts, 20))
        pause_s = min(max(after_s, backoff_s), LONGEST_PAUSE_S - 1)
        log.info("delivery of job %s postponed by %.0f s", job.id, pause_s)
        return partial(self._jobs.postpone, job.id, next_at=int(now + pause_s) + 1)

    # ── cards ───────────────────────────────────────────────────────────────────────────────────────

    async def _refresh_cards(self) -> None:
        standings = await self._queue.standings()
        unfinished = {job.id for job, _ in standings}
        for job_id in self._shown.keys() - unfinished:
            del self._shown[job_id]
        now = self._monotonic()
        # The card that was left alone longest goes first, so that a long queue cannot starve its own end.
        due = [
            (self._shown[job.id].at if job.id in self._shown else 0.0, job.id, job, standing)
            for job, standing in standings
            if self._is_worth_an_edit(job, standing) and self._may_edit(job, now)
        ]
        if due and not self._under_way:
            _, _, job, standing = min(due)
            await self._show(job, standing)
        if len(due) > 1:
            self._wake_cards.set()

    async def _show(self, job: Job, standing: QueueStatus) -> None:
        if (frontend := self._frontends.get(job.reply_to.frontend)) is None:
            return
        before = self._shown.get(job.id)
        shown = self._shown[job.id] = _Shown(standing, job.is_cancel_requested, self._monotonic())
        try:
            await frontend.show(job, standing)
        except MessageGone:
            await self.card_deleted(job.reply_to.frontend, job.reply_to.key)
        except Exception as error:
            # The reader still sees what was there before: the edit stays worth making.
            shown.standing = None if before is None else before.standing
            shown.is_stopping = before is not None and before.is_stopping
            if isinstance(error, DeliveryDelayed):
                shown.not_before = self._monotonic() + error.after_s
                return
            shown.not_before = self._monotonic() + BROKEN_CARD_S
            log.exception("the card of job %s could not be edited", job.id)

    async def card_deleted(self, frontend: str, key: str) -> None:
        """A card was deleted: cancel its jobs that have not ended, and deliver nothing. Unknown cards are ignored."""
        for job in await self._jobs.drop_message(frontend, key):
            if not job.status.is_final:
                with contextlib.suppress(JobAlreadyFinished):  # just now
                    await self._queue.cancel(job.id)

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
        if before.finish_at <= self._clock():  # the time on the card has run out, the job has not
            return left_s > 0
        return abs(before.finish_at - standing.finish_at) > max(ETA_TOLERANCE_S, 0.2 * left_s)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
