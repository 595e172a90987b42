"""What an operator may see of the whole service at the page, and do: cancel, pause, go on. Knows no HTTP.

Runs on the loop of the service. Shows no prompts: `bot/requests/operating.py` says why.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from bot import logs
from bot.clock import Clock
from bot.errors import InvalidMoment
from bot.frontends.web.corner import fragments
from bot.frontends.web.fragments import voice_of
from bot.frontends.web.identity import FRONTEND
from bot.jobs import Job, JobStatus, UserKey
from bot.pause import MAX_TEXT as MAX_REASON
from bot.presentation.job_view import pause_phrase
from bot.presentation.wording import Wording
from bot.requests.moments import parse_until
from bot.requests.service import Service
from bot.scheduling.model_memory import Release
from bot.store.backups.writing import Backup
from pipeline.errors import InvalidSpec

log = logging.getLogger(__name__)

MAX_LINES: Final = 100  # of the queue
RELEASED: Final = {
    Release.DONE: "operator-released",
    Release.AFTER_IMAGE: "admin-release-after-image",
    Release.NOTHING: "admin-release-nothing",
}
OPERATOR: Final = UserKey(frontend=FRONTEND, id="operator")  # owns no jobs


class CornerHandlers:
    """The service, as its operator sees it."""

    def __init__(self, service: Service, *, people_per_address: int, release: str, clock: Clock = time.time) -> None:
        self._service = service
        self._limits = {**service.operating.limits, "people_per_address": people_per_address}
        self._release = release
        self._clock = clock
        self._backup: asyncio.Task[Backup] | None = None

    async def overview(self, wording: Wording) -> dict[str, object]:
        """Return everything in the corner that changes, as JSON: pieces of HTML by their places."""
        service, now = self._service, self._clock()
        operating, voice = service.operating, voice_of(wording, now=now)
        unfinished, stats = await service.unfinished(), await service.stats()
        titles, queue = service.models.titles, []
        for job, standing in unfinished[:MAX_LINES]:
            # By the pseudonym the lines of the log are found.
            who = f"{fragments.person(job, wording)} ({service.pseudonyms.short(job.user)})"
            queue.append(fragments.queued(job, standing, who=who, titles=titles, voice=voice, now=now))
        if more := len(unfinished) - len(queue):
            queue.append(fragments.nothing("queue-more", wording, count=more))
        return {
            "release": self._release,
            "is_paused": service.paused is not None,
            "state": [fragments.state(service.paused, stats, voice, is_accepting=service.is_accepting)],
            "queue": queue or [fragments.nothing("operator-queue-empty", wording)],
            "runners": [fragments.runners(operating.runners, operating.drawn, titles, voice)],
            "storage": [fragments.storage(await operating.storage(), wording)],
            "limits": [fragments.limits(self._limits, wording)],
            "log": [fragments.log_lines(logs.recent())],
        }

    async def cancel(self, job_id: int, wording: Wording) -> str:
        """Cancel anybody's job and say what came of it.

        Raises:
            JobNotFound, JobAlreadyFinished
        """
        job: Job = await self._service.cancel(job_id, by=OPERATOR, may=lambda _job: True)
        log.info("job %s was cancelled in the operator's corner", job.id)
        key = "cancel-done" if job.status is JobStatus.CANCELLED else "cancel-stopping"
        return wording.say(key, job_id=job.id)

    async def pause(self, reason: str, until: str, wording: Wording) -> str:
        """Start no new job until `until`, as people type it, or until somebody lets the queue go on.

        Raises:
            InvalidSpec: the reason is too long.
            InvalidMoment, StoreUnavailable
        """
        if len(reason) > MAX_REASON:
            raise InvalidSpec("reason", f"must have at most {MAX_REASON} characters")
        pausing = self._service.pausing
        ends_at = parse_until(until, int(self._clock()), zone=pausing.zone) if until.strip() else None
        pause = await pausing.pause(reason, ends_at)
        log.info("the queue was paused in the operator's corner")
        said = voice_of(wording, now=self._clock()).say(pause_phrase(pause))
        return wording.say("admin-paused", paused=said)

    async def resume(self, wording: Wording) -> str:
        """Start jobs again, whoever paused.

        Raises:
            StoreUnavailable
        """
        waiting = await self._service.pausing.resume()
        log.info("the queue was resumed in the operator's corner")
        return wording.say("admin-resumed", waiting=waiting)

    async def back_up(self, wording: Wording) -> str:
        """Make a backup and say where it lies; who asks meanwhile waits for the same one, and nobody ends it.

        Raises:
            BackupFailed
        """
        if self._backup is None or self._backup.done():
            self._backup = asyncio.create_task(self._service.backups.make(), name="the operator's backup")
        backup = await asyncio.shield(self._backup)
        log.info("a backup was made in the operator's corner: %s", backup.path.name)
        size = fragments.size_of(backup.bytes)
        said = wording.say("operator-backup-made", file=str(backup.path), images=backup.images, size=size)
        if backup.missing:
            said = " ".join([said, wording.say("operator-backup-lacks", count=len(backup.missing))])
        return said

    async def release(self, wording: Wording) -> str:
        """Give the memory of the GPU back, as soon as nothing is drawn."""
        released = await self._service.memory.release()
        return wording.say(RELEASED[released])

    def field_of(self, error: Exception) -> str:
        """Return the field of the form that an error is about; "" if none."""
        return "until" if isinstance(error, InvalidMoment) else "reason" if isinstance(error, InvalidSpec) else ""
