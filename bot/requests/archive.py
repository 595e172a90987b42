"""What may be done with a finished picture: keep it, erase it, look at the others of its request. Knows no front end.

Who may act on a picture of somebody else is for the caller to say, as in `Service.cancel`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from bot.clock import Clock
from bot.errors import FileNotDeleted, JobNotFound, KeepsTooMany, NotYourJob, PictureNotReady
from bot.jobs import Delivery, Job, UserKey
from bot.requests.erased import check_not_erased
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore

MAX_KEPT: Final = 200  # per person: kept pictures are never forgotten, and the disk is everybody's


def nobody_else(_job: Job) -> bool:
    """Let nobody but the owner."""
    return False


class Archive:
    """The pictures that were drawn."""

    def __init__(self, jobs: JobStore, images: ImageStore, *, clock: Clock = time.time) -> None:
        self._jobs = jobs
        self._images = images
        self._clock = clock

    async def siblings(self, job: Job) -> list[Job]:
        """Return the jobs of the same request in their order, this one among them, as they are now."""
        if job.batch is None:
            return [await self._jobs.get(job.id) or job]
        return await self._jobs.of_batch(job.batch.batch_id) or [job]

    async def of_message(self, frontend: str, key: str) -> list[Job]:
        """Return the jobs that a message shows, by its `ReplyTo.key`, in their order."""
        return await self._jobs.of_message(frontend, key)

    async def of_request(self, key: str) -> Job | None:
        """Return the job that this request made, the first of several; None if it made none, or none yet."""
        return await self._jobs.by_request_key(key)

    async def is_over(self, key: str) -> bool:
        """Whether the job that this request made has ended; False if it made none, or none yet."""
        job = await self._jobs.by_request_key(key)
        return job is not None and job.status.is_final

    async def set_kept(
        self, job_id: int, *, is_kept: bool, by: UserKey, may: Callable[[Job], bool] = nobody_else
    ) -> Job:
        """Keep a picture from being forgotten with the rest of the history, or do so no longer.

        Raises:
            JobNotFound, NotYourJob, PictureErased, PictureRemoved, PictureNotReady
            KeepsTooMany: MAX_KEPT are kept.
            StoreUnavailable
        """
        job = await self._picture(job_id, by=by, may=may)
        if is_kept:
            kept = await self._jobs.keep(job.id, limit=MAX_KEPT)
            if kept is None:
                raise KeepsTooMany(limit=MAX_KEPT)
            return kept
        return await self._jobs.unkeep(job.id) or job

    async def erase(self, job_id: int, *, by: UserKey) -> Job:
        """Erase the file of one's own picture and its prompt; that it was drawn still counts toward its day.

        Twice is harmless. The file goes first: a crash in between leaves a picture without its file, which can be
        erased again.

        Raises:
            JobNotFound, NotYourJob
            PictureNotReady: it still waits or runs.
            FileNotDeleted
            StoreUnavailable
        """
        job = await self._owned(job_id, by=by, may=nobody_else)
        if not job.status.is_final:
            raise PictureNotReady(job.id)
        if job.image_path is not None and not await self._images.delete(job.image_path):
            raise FileNotDeleted(job.id)
        return await self._jobs.erase(job.id, now=int(self._clock())) or job

    async def taken_back(self, job: Job) -> None:
        """Note that the message of an erased picture is gone, so that nobody looks for it again.

        Raises:
            StoreUnavailable: it is looked for once more, which is harmless.
        """
        await self._jobs.close_delivery(job.id, Delivery.DROPPED)

    async def _owned(self, job_id: int, *, by: UserKey, may: Callable[[Job], bool]) -> Job:
        if (job := await self._jobs.get(job_id)) is None:
            raise JobNotFound(job_id)
        if job.user != by and not may(job):
            raise NotYourJob(job_id)
        return job

    async def _picture(self, job_id: int, *, by: UserKey, may: Callable[[Job], bool]) -> Job:
        job = await self._owned(job_id, by=by, may=may)
        check_not_erased(job)
        if job.image_path is None:
            raise PictureNotReady(job_id)
        return job
