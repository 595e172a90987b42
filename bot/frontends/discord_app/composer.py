"""Job → message with its files, from what the service knows. Sends nothing.

The message of a request for several images speaks of all of them, whichever is asked for. What a message says is
`embeds.py`; how large a file may be is for the caller to say.
"""

from __future__ import annotations

import asyncio
import functools
import io
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import discord

from bot.delivery.shown import joined
from bot.frontends.discord_app import attachments, embeds
from bot.frontends.discord_app.embeds import StatusMessage
from bot.frontends.discord_app.message_ref import Address
from bot.jobs import NOBODY_KNOWS, Job, JobStatus, QueueStatus
from bot.presentation import job_view
from bot.presentation.batch_view import together
from bot.presentation.job_view import JobView
from bot.presentation.wording import Wording, wording_for
from bot.requests.service import Service

log = logging.getLogger(__name__)

UPLOAD_MARGIN_BYTES: Final = 64 * 1024  # for the rest of the request
REQUEST_LIMIT_BYTES: Final = 25 * 1024 * 1024  # of a whole message


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A message to send: its text, and the files in their order."""

    message: StatusMessage
    uploads: Mapping[int, attachments.Upload]  # by job
    alts: Mapping[int, str]
    spoilers: frozenset[int] = frozenset()

    def files(self) -> list[discord.File]:
        """Make the attachments; each can be sent once."""
        return [
            _file(job_id, upload, alt=self.alts[job_id], is_spoiler=job_id in self.spoilers)
            for job_id, upload in self.uploads.items()
        ]

    @property
    def can_shrink(self) -> bool:
        """Whether a smaller version of some file can be made."""
        return any(upload.rung < attachments.LAST_RUNG for upload in self.uploads.values())

    @property
    def next_rung(self) -> int:
        """The step of the ladder below the largest file that there is."""
        return 1 + min((upload.rung for upload in self.uploads.values()), default=0)


class Composer:
    """Makes the messages of jobs."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def request_of(self, job: Job) -> list[Job]:
        """Return the images of the request that a job belongs to, as they are now; a single one as it was given."""
        return [job] if job.batch is None else await self._service.archive.siblings(job)

    def unfinished(self, jobs: Sequence[Job], standing: QueueStatus, *, with_prompt: bool = True) -> StatusMessage:
        """Compose the message of a request of which an image is unfinished; `standing` is that of the next one."""
        now = time.time()
        views = [self._view(job, standing, now=now) for job in jobs]
        return embeds.status_message(together(views), wording_of(jobs[0]), with_prompt=with_prompt)

    async def ended(
        self,
        jobs: Sequence[Job],
        wording: Wording,
        *,
        limit_bytes: int,
        rung: int = 0,
        with_prompt: bool = True,
        image: tuple[int, Path | None] | None = None,
    ) -> Composed:
        """Compose the message of a request of which at least one image has ended.

        Args:
            limit_bytes: of one file.
            image: the file of one job that is known already.
        """
        jobs = [job for job in jobs if not job.is_erased] or jobs
        drawn = [job for job in jobs if job.status is JobStatus.DONE]
        room = min(limit_bytes, REQUEST_LIMIT_BYTES // max(1, len(drawn))) - UPLOAD_MARGIN_BYTES
        uploads: dict[int, attachments.Upload] = {}
        for job in drawn:
            path = image[1] if image is not None and image[0] == job.id else await self._service.image_file(job)
            if path is not None and (upload := await _fit(path, room, rung)) is not None:
                uploads[job.id] = upload
        alts = {job.id: embeds.alt_text(job, wording, with_prompt=with_prompt) for job in drawn}
        spoilers = frozenset(job.id for job in drawn if job.is_spoiler)
        if not all(job.status.is_final for job in jobs):
            # The last may have ended since: then its own delivery says so in a moment.
            message = self.unfinished(jobs, await self._standing(jobs), with_prompt=with_prompt)
            return Composed(message=message, uploads=uploads, alts=alts, spoilers=spoilers)
        view = together([self.ended_view(job) for job in jobs])
        if not drawn:
            message = embeds.ended_message(view, wording, with_prompt=with_prompt)
            return Composed(message=message, uploads={}, alts={})
        message = embeds.result_message(
            view,
            wording,
            drawn,
            remarks=_remarks(drawn, uploads, wording),
            models=self._service.models,
            with_prompt=with_prompt,
        )
        return Composed(message=message, uploads=uploads, alts=alts, spoilers=spoilers)

    async def picture(self, job: Job, wording: Wording, *, limit_bytes: int) -> discord.File | None:
        """Make the file of one image, to be sent once; None if it is gone or broken.

        Raises:
            OSError: it cannot be read right now.
        """
        path = await self._service.image_file(job)
        upload = None if path is None else await _fit(path, limit_bytes)
        if upload is None:
            return None
        return _file(job.id, upload, alt=embeds.alt_text(job, wording), is_spoiler=job.is_spoiler)

    async def _standing(self, jobs: Sequence[Job]) -> QueueStatus:
        """Where the image stands that the message of a request is to speak of now, until the last of them is done."""
        numbers = {job.id for job in jobs}
        standings = [standing for job, standing in await self._service.unfinished() if job.id in numbers]
        return functools.reduce(joined, standings) if standings else NOBODY_KNOWS

    def _view(self, job: Job, standing: QueueStatus, *, now: float) -> JobView:
        if job.status.is_final:
            return self.ended_view(job)
        return job_view.unfinished_view(
            job, standing, now=now, unread=self._service.unread(job.spec), titles=self._service.models.titles
        )

    def ended_view(self, job: Job) -> JobView:
        """View a job that has ended, with all that is known about its model."""
        models = self._service.models
        return job_view.ended_view(
            job,
            unread=self._service.unread(job.spec),
            titles=models.titles,
            can_upscale=models.can_upscale(job.spec),
        )


def wording_of(job: Job) -> Wording:
    """Return the wording of the server where the message of a job stands."""
    return wording_for(Address.read(job.reply_to).locale)


def _file(job_id: int, upload: attachments.Upload, *, alt: str, is_spoiler: bool) -> discord.File:
    """Name a file as people download it, and as a message menu finds its job; it can be sent once."""
    return discord.File(
        io.BytesIO(upload.body),
        filename=f"imagine-{job_id}.{upload.extension}",
        description=alt,
        spoiler=is_spoiler,  # clients blur what is named SPOILER_…
    )


async def _fit(image: Path, limit_bytes: int, rung: int = 0) -> attachments.Upload | None:
    """Read a picture, made smaller if the limit wants that; None if it is gone or broken.

    Raises:
        OSError: it cannot be read right now.
    """
    try:
        return await asyncio.to_thread(attachments.fit, image, limit_bytes=limit_bytes, rung=rung)
    except FileNotFoundError:
        return None  # pruned meanwhile
    except attachments.BrokenPicture:
        log.exception("%s cannot be sent and counts as removed", image)
        return None


def _remarks(drawn: Sequence[Job], uploads: Mapping[int, attachments.Upload], wording: Wording) -> list[str]:
    remarks = []
    if formats := dict.fromkeys(upload.format for upload in uploads.values() if upload.format):
        remarks.append(wording.say("card-shrunk", format=", ".join(formats)))
    if len(uploads) < len(drawn):
        remarks.append(wording.say("card-picture-pruned"))
    return remarks
