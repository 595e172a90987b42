"""A person's finished images: looked at, kept, deleted, taken along. Knows no Gradio and no HTTP.

Runs on the loop of the service. Every method takes the visitor; the images of others do not exist here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.clock import Clock
from bot.errors import JobNotFound, Refusal
from bot.frontends.web import fragments
from bot.frontends.web.addresses import PictureAddresses
from bot.frontends.web.examples import welcome
from bot.frontends.web.identity import Visitor
from bot.jobs import Job, JobStatus
from bot.presentation.job_view import MENU, Action, ended_view
from bot.presentation.wording import wording_for
from bot.requests.edits import edits
from bot.requests.erased import check_not_erased
from bot.requests.service import Service
from bot.requests.verbs import idle
from pipeline.catalog.architecture import Feature

log = logging.getLogger(__name__)

GALLERY_PAGE: Final = 60
MAX_SEARCH_CHARS: Final = 100
MAX_AT_ONCE: Final = 100  # images that one request keeps, deletes or takes along


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What somebody looks for among their images.

    search: read by `history_search.py`.
    model: the name of a model, or "" for any.
    """

    search: str = ""
    model: str = ""
    is_kept: bool = False

    @property
    def is_anything(self) -> bool:
        """Whether every image is meant."""
        return not (self.search or self.model or self.is_kept)


class OwnImages:
    """The images, as one page sees them; `root_path` is where a browser finds the page."""

    def __init__(
        self, service: Service, addresses: PictureAddresses, *, root_path: str = "", clock: Clock = time.time
    ) -> None:
        self._service = service
        self._addresses = addresses
        self._root_path = root_path
        self._clock = clock

    async def own(self, visitor: Visitor, job_id: int) -> Job:
        """Return one of this person's jobs.

        Raises:
            JobNotFound
        """
        job = await self._service.job(job_id)
        if job.user != visitor.user:
            raise JobNotFound(job_id)
        return job

    async def page(self, visitor: Visitor, looked: Looked, *, before_id: int | None = None) -> dict[str, object]:
        """Return a page of this person's images as JSON, newest first.

        `welcome` is what stands in place of the gallery of somebody who has drawn nothing yet.
        """
        wording, models = wording_for(visitor.locale), self._service.models
        search = looked.search.strip()[:MAX_SEARCH_CHARS]
        found = await self._service.histories.older(
            visitor.user,
            limit=GALLERY_PAGE,
            before_id=before_id,
            search=search,
            model=looked.model or None,
            is_kept=looked.is_kept,
        )
        is_first = not found.jobs and before_id is None and found.older_than is None
        is_new = is_first and looked.is_anything
        nothing = "history-nothing-found" if search else "page-nothing-found"
        links = await asyncio.gather(*(self._link(job, "webp") for job in found.jobs))
        return {
            "pictures": [fragments.thumbnail(*each, wording) for each in zip(found.jobs, links, strict=True)],
            "older_than": found.older_than,
            "empty": wording.say(nothing, search=search) if is_first and not is_new else "",
            "welcome": welcome(models.usual, wording, root_path=self._root_path) if is_new else "",
        }

    async def large(self, visitor: Visitor, job_id: int) -> str:
        """Return one image in full, as HTML.

        Raises:
            JobNotFound, PictureErased, PictureRemoved
        """
        job = await self._drawn(visitor, job_id)
        models = self._service.models
        unread, left_out = self._service.unread(job.spec), idle(job, models)
        view = ended_view(job, unread=unread, titles=models.titles, can_upscale=Action.UPSCALE not in left_out)
        if not any(Feature.INIT_IMAGE in card.supports or edits(card) for card in models.all):
            left_out.add(Action.START_FROM)
        menu = [action for action in MENU if action not in left_out]
        voice = fragments.voice_of(wording_for(visitor.locale), now=self._clock())
        return fragments.picture(view, await self._link(job, "png"), voice, menu=menu)

    async def file(self, visitor: Visitor, job_id: int) -> Path:
        """Return where the file of one image lies.

        Raises:
            JobNotFound, PictureErased, PictureRemoved
        """
        path = await self._service.image_file(await self._drawn(visitor, job_id))
        if path is None:
            raise JobNotFound(job_id)
        return path

    async def files(self, visitor: Visitor, job_ids: Sequence[int]) -> list[tuple[str, Path]]:
        """Return the names and places of several files; those that are not there are left out.

        Raises:
            JobNotFound: there is none at all.
        """
        found = []
        for job_id in dict.fromkeys(job_ids):
            try:
                path = await self.file(visitor, job_id)
            except Refusal:
                continue
            job = await self.own(visitor, job_id)
            found.append((f"{job_id}-{fragments.file_name(job)}", path))
        if not found:
            raise JobNotFound(job_ids[0])
        return found

    async def keep(self, visitor: Visitor, job_ids: Sequence[int], *, is_kept: bool) -> str:
        """Keep images from being forgotten, or do so no longer, and say so.

        Raises:
            JobNotFound, PictureErased, PictureRemoved, PictureNotReady, KeepsTooMany, StoreUnavailable
        """
        for job_id in dict.fromkeys(job_ids):
            await self.own(visitor, job_id)
            await self._service.archive.set_kept(job_id, is_kept=is_kept, by=visitor.user)
        key = "page-kept" if is_kept else "page-kept-no-longer"
        return wording_for(visitor.locale).say(key, count=len(set(job_ids)))

    async def erase(self, visitor: Visitor, job_ids: Sequence[int]) -> str:
        """Delete images for good and say how many; twice is harmless.

        Raises:
            JobNotFound, PictureNotReady, FileNotDeleted, StoreUnavailable: those before it are gone.
        """
        archive = self._service.archive
        for job_id in dict.fromkeys(job_ids):
            await self.own(visitor, job_id)
            erased = await archive.erase(job_id, by=visitor.user)
            await archive.taken_back(erased)  # there is no message: open pages look by themselves
        return wording_for(visitor.locale).say("page-deleted", count=len(set(job_ids)))

    async def _drawn(self, visitor: Visitor, job_id: int) -> Job:
        job = await self.own(visitor, job_id)
        check_not_erased(job)
        if job.status is not JobStatus.DONE:
            raise JobNotFound(job_id)
        return job

    async def _link(self, job: Job, kind: str) -> str | None:
        address = await self._addresses.of(job, kind)
        return None if address is None else f"{self._root_path}{address}"
