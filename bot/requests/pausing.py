"""What moderators may do about the queue as a whole: pause it, and let it go on. Knows no front end."""

from __future__ import annotations

from datetime import tzinfo

from bot.jobs import JobStatus
from bot.pause import Pause
from bot.scheduling.job_queue import JobQueue


class Pausing:
    """The pauses that people make, over all front ends."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    async def pause(self, text: str, until: int | None = None) -> Pause:
        """Start no new job until `resume`, or until a moment; the running one goes on, new ones may still be queued.

        Returns:
            The pause that holds. If somebody paused before, what is left out here is as they said.

        Raises:
            StoreUnavailable: nothing changed.
        """
        return await self._queue.pause(Pause.by_operator(text, until))

    async def resume(self) -> int:
        """Start jobs again, whoever paused; during quiet hours until the next begin. Returns how many wait.

        Raises:
            StoreUnavailable: at most the quiet hours were lifted.
        """
        await self._queue.resume()
        return sum(job.status is JobStatus.QUEUED for job, _ in await self._queue.standings())

    @property
    def zone(self) -> tzinfo | None:
        """The time zone of the quiet hours and of what people type; None for that of the machine."""
        return self._queue.pauses.hours.zone

    @property
    def next_quiet_at(self) -> int | None:
        """When quiet hours begin next; None without any."""
        return self._queue.pauses.next_quiet_at
