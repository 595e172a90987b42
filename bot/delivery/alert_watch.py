"""Looks for what the operator is to be told of: a paused queue, a disk that fills, a part that dies."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bot.deadline import Deadline
from bot.delivery.alerts import Alert, AlertKind, Alerts
from bot.jobs import Job, JobStatus
from bot.pause import PauseKind
from bot.presentation.job_view import pause_phrase
from bot.scheduling.job_queue import JobQueue
from bot.supervision import supervise

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 60.0
EARLY: Final = 2  # a disk is low at so many times the space below which requests are refused
LAST_WORD_S: Final = 3.0
MIB: Final = 2**20


class AlertWatch:
    """Reports how the queue and the disk are.

    free_bytes: of the disk that holds the images; raises OSError.
    """

    def __init__(
        self,
        alerts: Alerts,
        queue: JobQueue,
        *,
        free_bytes: Callable[[], Awaitable[int]],
        min_free_mib: int,
        deadline: Deadline,
    ) -> None:
        self._alerts = alerts
        self._queue = queue
        self._free_bytes = free_bytes
        self._min_free_mib = min_free_mib
        self._deadline = deadline

    def look_at_queue(self) -> None:
        """Report whether the queue is paused; cheap, for whoever is called at every change."""
        pause = self._queue.paused
        if pause is None or pause.kind is PauseKind.QUIET_HOURS:  # which are as the operator wants them, every night
            self._alerts.end(AlertKind.PAUSED)
        else:
            # Of what a person typed only a hash is remembered.
            state = hashlib.sha256(pause.to_json().encode()).hexdigest()[:16]
            self._alerts.begin(Alert(kind=AlertKind.PAUSED, state=state, values={"paused": pause_phrase(pause)}))

    async def look_at_disk(self) -> None:
        """Report whether the disk is nearly full."""
        try:
            free_mib = await self._free_bytes() // MIB
        except OSError as error:
            log.warning("how full the disk is cannot be seen: %s", error)
            return
        values = {"free_mib": free_mib, "floor_mib": self._min_free_mib}
        if free_mib < self._min_free_mib:
            self._alerts.begin(Alert(kind=AlertKind.DISK_LOW, state="refusing", values={**values, "is_full": 1}))
        elif free_mib < self._min_free_mib * EARLY:
            self._alerts.begin(Alert(kind=AlertKind.DISK_LOW, state="low", values={**values, "is_full": 0}))
        else:
            self._alerts.end(AlertKind.DISK_LOW, values=values)

    async def run(self) -> None:
        """Look now and then, for ever."""

        async def turn() -> bool:
            self.look_at_queue()
            await self.look_at_disk()
            await asyncio.sleep(LOOK_EVERY_S)
            return True

        await supervise("looking for what the operator is to know", turn, self._deadline)


def restarted(recovered: Sequence[Job]) -> Alert:
    """Tell that the last process ended without warning, and what became of its jobs."""
    kept = sum(job.status is JobStatus.QUEUED for job in recovered)
    lost = sum(job.status is JobStatus.FAILED for job in recovered)
    return Alert(kind=AlertKind.RESTARTED, values={"count": kept, "lost": lost})


async def tell_before_the_end(
    work: Callable[[], Awaitable[None]], alerts: Alerts, kind: AlertKind, deadline: Deadline
) -> None:
    """Run a part of the service; if it dies, and the process with it, tell the operator first."""
    try:
        await work()
    except Exception:
        alerts.begin(Alert(kind=kind))
        await alerts.flush(deadline.remaining(LAST_WORD_S))
        raise
