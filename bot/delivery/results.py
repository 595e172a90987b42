"""Hands finished jobs to their front end, again and again until their person was told.

Never waits for the GPU. Results come first: while one is on its way, `status_updates.py` edits no message.
Knows no front end; they stand behind the protocol in `frontend.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from bot.clock import Clock, wait_for
from bot.config import DeliveryConfig
from bot.deadline import Deadline
from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible, Frontend, MessageGone
from bot.delivery.status_updates import StatusUpdates
from bot.errors import OperatorError, StoreUnavailable
from bot.jobs import Delivery, Job, QueueStatus, UserKey
from bot.retry import doubled_s
from bot.scheduling.job_queue import JobQueue
from bot.store.database import retry_until_stored
from bot.store.image_store import ImageStore
from bot.store.outbox_store import LONGEST_PAUSE_S, OutboxStore
from bot.supervision import supervise

log = logging.getLogger(__name__)

SWEEP_S: Final = 1.0  # look for due results at least this often
CONCURRENT_RESULTS: Final = 4  # one slow channel does not hold up the others
LEAST_TRIES: Final = 5
FLUSH_LOOK_S: Final = 0.05


class DeliveryLoop:
    """The loop of results, and beside it the one of status messages."""

    def __init__(
        self,
        jobs: OutboxStore,
        queue: JobQueue,
        images: ImageStore,
        config: DeliveryConfig,
        *,
        deadline: Deadline | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._jobs = jobs
        self._queue = queue
        self._images = images
        self._frontends: dict[str, Frontend] = {}
        self._config = config
        self._deadline = deadline or Deadline()
        self._clock = clock
        self._wake_results = asyncio.Event()
        self._under_way: dict[int, Job] = {}
        self._unnoted: set[int] = set()  # what became of them cannot be written: left to the next start
        self.updates = StatusUpdates(
            queue,
            config,
            frontends=self._frontends,
            is_held=lambda: bool(self._under_way),
            deadline=self._deadline,
            clock=clock,
        )

    def add_frontend(self, frontend: Frontend) -> None:
        """Deliver the jobs that came through this front end."""
        self._frontends[frontend.name] = frontend

    def wake(self) -> None:
        """Something changed: a job was put, claimed, moved on, or ended."""
        self._wake_results.set()
        self.updates.wake()

    async def run(self) -> None:
        """Deliver results and keep status messages current for ever; never returns."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self.run_results())
            loops.create_task(self.updates.run())

    def card_is_fresh(self, job: Job, standing: QueueStatus) -> QueueStatus:
        """The front end is about to show this job itself. Returns what it is to show."""
        return self.updates.card_is_fresh(job, standing)

    def card_is_stale(self, job: Job) -> None:
        """The front end could not show it after all: the next edit is worth making."""
        self.updates.card_is_stale(job)

    async def card_deleted(self, frontend: str, key: str) -> None:
        """A message was deleted: cancel its jobs that have not ended, and deliver nothing."""
        await self._queue.drop_message(frontend, key)

    def is_telling(self, user: UserKey) -> bool:
        """Whether a result is on its way to this person at this moment."""
        return any(job.user == user for job in self._under_way.values())

    async def run_results(self) -> None:
        """Deliver ended jobs for ever; never returns."""
        async with asyncio.TaskGroup() as tasks:

            async def turn() -> bool:
                self._wake_results.clear()
                taken = self._under_way.keys() | self._unnoted
                due = await self._jobs.due(now=int(self._clock()), limit=CONCURRENT_RESULTS + len(taken))
                free = CONCURRENT_RESULTS - len(self._under_way)
                for job in [job for job in due if job.id not in taken][:free]:
                    self._under_way[job.id] = job
                    tasks.create_task(self._deliver(job))
                await wait_for(self._wake_results, SWEEP_S)
                return True

            await supervise("delivering results", turn, self._deadline)

    async def flush(self) -> None:
        """Wait until nothing that is due now is left; the result loop must be running. Has no time limit."""
        while self._under_way or await self._has_due():
            self._wake_results.set()
            await asyncio.sleep(FLUSH_LOOK_S)

    async def _has_due(self) -> bool:
        due = await self._jobs.due(now=int(self._clock()), limit=1 + len(self._unnoted))
        return any(job.id not in self._unnoted for job in due)

    async def _deliver(self, job: Job) -> None:
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
            self._under_way.pop(job.id, None)
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
            log.info("delivery dropped: the message of job %s was deleted", job.id)
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
        backoff_s = doubled_s(self._config.retry_first_s, self._config.retry_max_s, job.delivery_attempts)
        pause_s = min(max(after_s, backoff_s), LONGEST_PAUSE_S - 1)
        log.info("delivery of job %s postponed by %.0f s", job.id, pause_s)
        return partial(self._jobs.postpone, job.id, next_at=int(now + pause_s) + 1)
