"""An identical request is answered with the image that is there: at once, and it costs nothing.

Identical is what would become the same bytes: the same spec, seed included, drawn with the same files, program and
machine. The image is one's own, or one that was asked for in public on the same server; never a private image of
somebody else, and never one that was deleted or removed.

The row is put first, as one that runs, so that no runner takes it and a kill leaves a job that is drawn at the next
start; then its file, under its own number; then it is done, and delivered like any other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from bot.jobs import Job, Request
from bot.scheduling.job_queue import JobQueue
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from pipeline.spec import RANDOM_SEED, ImageSpec

log = logging.getLogger(__name__)

MOST_PER_DAY: Final = 500  # of one person: each is a row; beyond that, images are drawn and count


class Repeats:
    """Looks for images that are what a request asks for.

    drawn_with: returns what an image of a spec would be drawn with now, as a hash; "" if that is not known. Blocks.
    """

    def __init__(self, jobs: JobStore, queue: JobQueue, images: ImageStore) -> None:
        self.drawn_with: Callable[[ImageSpec], str] = lambda _spec: ""
        self._jobs = jobs
        self._queue = queue
        self._images = images
        self._answering: set[asyncio.Task[Job | None]] = set()

    async def answer(self, request: Request, spec: ImageSpec, *, drawn_with: str) -> Job | None:
        """Answer a request with an image that is there, if there is one. Returns its job, which is done.

        Raises:
            StoreUnavailable
        """
        if not drawn_with:
            return None
        earlier = await self._jobs.same_image(request, spec, drawn_with)
        if earlier is None or earlier.image_path is None or await self._images.find(earlier.image_path) is None:
            return None
        # Whoever goes away meanwhile, as a browser does, leaves no row that seems to run for ever.
        answering = asyncio.create_task(self._answer(request, spec, earlier, earlier.image_path), name="a repeat")
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)
        return await asyncio.shield(answering)

    async def _answer(self, request: Request, spec: ImageSpec, earlier: Job, image_path: str) -> Job | None:
        job = await self._queue.put_repeat(request, spec, earlier, most_per_day=MOST_PER_DAY)
        if job is None:  # it was removed at this moment, or this person may have no more of them today
            return None
        try:
            path = await self._images.copy(image_path, job.id)
        except OSError as error:
            log.warning("job %s is drawn, since the image that is there cannot be copied: %s", job.id, error)
            return await self._queue.draw_after_all(job.id)
        ended = await self._queue.finish(
            job.id, image_path=path, image_bytes=earlier.image_bytes or 0, ran_s=0.0, measured=None
        )
        if ended is None or ended.image_path is None:  # a moderator stopped it meanwhile
            await self._images.delete(path)
        log.info("job %s is answered with the image of job %s", job.id, earlier.id)
        return ended or job


def may_be_answered(request: Request) -> bool:
    """Whether somebody asks for one certain image, and not for a new one."""
    return not request.is_fresh and request.options.seed not in (None, RANDOM_SEED)
