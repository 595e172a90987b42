"""What a person at the page may do: draw, cancel, look, draw again. Knows no Gradio and no HTTP.

Runs on the loop of the service. Every method takes the visitor and touches that person's jobs only.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from bot.errors import JobNotFound, JobUnreadable, Refusal, StoreUnavailable
from bot.frontends.web import fragments
from bot.frontends.web.identity import FRONTEND, THIS_MACHINE, Visitor, keyed_hash
from bot.jobs import Job, JobStatus, QueueStatus, ReplyTo, Request
from bot.presentation.wording import Wording, wording_for
from bot.requests.service import Service
from bot.scheduling.job_queue import Clock
from pipeline.errors import InvalidSpec
from pipeline.spec import MAX_SEED, RANDOM_SEED, Aspect, ImageOptions

log = logging.getLogger(__name__)

GALLERY_PAGE: Final = 24
MAX_COUNT: Final = 4
MAX_NAME_CHARS: Final = 30
MAX_SEARCH_CHARS: Final = 100
STANDINGS_AGE_S: Final = 0.4  # many pages ask at once; the queue need not be read for each
LOOK_AGAIN_S: Final = 0.4
ADDRESS_RETRY_S: Final = 60


class TooManyFromAddress(Refusal):
    """Everybody at one network address together has as much as the operator allows."""

    def __init__(self, *, used: int, limit: int, retry_at: int) -> None:
        super().__init__(f"{used} of {limit} at one address")
        self.used, self.limit, self.retry_at = used, limit, retry_at


class UploadGone(Refusal):
    """The picture to start from was uploaded too long ago, or before a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What came of pressing the button: the jobs that were queued, and why there are not more."""

    jobs: tuple[Job, ...]
    text: str


class PageHandlers:
    """The service, as one page sees it."""

    def __init__(
        self,
        service: Service,
        *,
        secret: str,
        people_per_address: int,
        release: str,
        root_path: str = "",
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._service = service
        self._secret = secret
        self._people_per_address = people_per_address
        self._release = release
        self._root_path = root_path  # below which the browser finds everything
        self._clock = clock
        self._monotonic = monotonic
        self._standings: list[tuple[Job, QueueStatus]] = []
        self._standings_at = -math.inf
        self._reading = asyncio.Lock()
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by origin

    # ── asking for pictures ─────────────────────────────────────────────────────────────────────────

    async def draw(
        self,
        visitor: Visitor,
        options: ImageOptions,
        *,
        count: int = 1,
        source: bytes | Path | None = None,
        name: str = "",
    ) -> Drawn:
        """Queue `count` pictures, with seeds that follow each other if one is given; some may be refused.

        Raises:
            Refusal, InvalidSpec, StoreUnavailable: not even the first could be queued.
        """
        wording = wording_for(visitor.locale)
        jobs: list[Job] = []
        picture = None
        for number in range(max(1, min(count, MAX_COUNT))):
            request = _request(visitor, options, number, source=source, name=name)
            try:
                if source is not None and picture is None:  # takes a moment, in which others at the address may ask
                    await self._check_address(visitor)
                    picture = await self._service.unpack(request)
                # Between looking at the bound of an address and putting the job nobody else there may do the same.
                async with self._asking.setdefault(visitor.origin, asyncio.Lock()):
                    await self._check_address(visitor)
                    job, _ = await self._service.submit(request, picture=picture)
            except (Refusal, StoreUnavailable) as error:
                if not jobs:
                    raise
                queued = wording.say("console-queued", count=len(jobs))
                return Drawn(jobs=tuple(jobs), text=f"{queued} {self.explain(error, visitor)}")
            jobs.append(job)
        self._standings_at = -math.inf
        return Drawn(jobs=tuple(jobs), text=wording.say("console-queued", count=len(jobs)))

    async def vary(self, visitor: Visitor, job_id: int) -> Drawn:
        """Queue as many pictures as there is room for with the settings of one's own picture, each with a new seed.

        Raises:
            Refusal, InvalidSpec, StoreUnavailable
        """
        job = await self.own(visitor, job_id)
        source = await self.source(job)
        if job.spec.source and source is None:
            raise UploadGone
        quota = await self._service.quota(visitor.user)
        room = max(1, min(MAX_COUNT, quota.active_limit - quota.active))
        return await self.draw(visitor, self.options(job), count=room, source=source, name=_name(job))

    async def cancel(self, visitor: Visitor, job_id: int) -> str:
        """Cancel one's own job and say what came of it.

        Raises:
            JobNotFound, JobAlreadyFinished
        """
        await self.own(visitor, job_id)
        job = await self._service.cancel(job_id, by=visitor.user)
        self._standings_at = -math.inf
        key = "cancel-done" if job.status is JobStatus.CANCELLED else "cancel-stopping"
        return wording_for(visitor.locale).say(key, job_id=job.id)

    async def dismiss(self, visitor: Visitor, job_id: int) -> None:
        """The person has read why a job failed.

        Raises:
            JobNotFound
        """
        await self._service.mark_told([(await self.own(visitor, job_id)).id])

    async def ended(self, visitor: Visitor, job_id: int) -> Job:
        """Wait until one's own job has ended.

        Raises:
            JobNotFound
        """
        while not (job := await self.own(visitor, job_id)).status.is_final:  # noqa: ASYNC110 - the row is the truth
            await asyncio.sleep(LOOK_AGAIN_S)
        return job

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────

    async def own(self, visitor: Visitor, job_id: int) -> Job:
        """One of this person's jobs; those of others do not exist here.

        Raises:
            JobNotFound
        """
        job = await self._service.job(job_id)
        if job.user != visitor.user:
            raise JobNotFound(job_id)
        return job

    async def state(self, visitor: Visitor) -> dict[str, object]:
        """What an open page shows that may change at any moment, as JSON: HTML by key, and the newest picture's id."""
        wording, now, me = wording_for(visitor.locale), self._clock(), visitor.user
        unfinished = await self._unfinished()
        mine = [(job, standing) for job, standing in unfinished if job.user == me]
        newest = await self._service.history(me, limit=1)
        names = {job.id: _name(job) for job, _ in unfinished if job.reply_to.frontend == FRONTEND}
        return {
            "release": self._release,
            "queue": [fragments.queue_list(unfinished, names, me, wording, now=now)],
            "jobs": [
                *(fragments.failure_card(job, wording) for job in await self._service.failures(me)),
                *(
                    fragments.job_card(job, standing, wording, now=now, unread=self._service.unread(job.spec))
                    for job, standing in mine
                ),
            ],
            "is_busy": bool(mine),
            "newest": newest[0].id if newest else None,
            "words": self.words(visitor),
        }

    async def gallery(self, visitor: Visitor, *, search: str, before_id: int | None) -> dict[str, object]:
        """A page of this person's pictures as JSON, newest first; `search` is part of a prompt, or a seed."""
        wording = wording_for(visitor.locale)
        search = search.strip()[:MAX_SEARCH_CHARS]
        jobs = await self._service.history(
            visitor.user, limit=GALLERY_PAGE + 1, before_id=before_id, search=search or None
        )
        page = jobs[:GALLERY_PAGE]
        empty = wording.say("history-nothing-found" if search else "console-empty", search=search)
        return {
            "pictures": [fragments.thumbnail(job, await self._link(job, "webp"), wording) for job in page],
            "older_than": page[-1].id if len(jobs) > GALLERY_PAGE else None,
            "empty": "" if page or before_id is not None else empty,
        }

    async def picture(self, visitor: Visitor, job_id: int) -> str:
        """One's own picture in full, as HTML.

        Raises:
            JobNotFound
        """
        job = await self.own(visitor, job_id)
        if job.status is not JobStatus.DONE:
            raise JobNotFound(job_id)
        unread = self._service.unread(job.spec)
        return fragments.picture_card(job, await self._link(job, "png"), wording_for(visitor.locale), unread=unread)

    async def address(self, job: Job, kind: str) -> str | None:
        """The path of a picture on the page, as `png` or, small, as `webp`; None if its file is gone.

        Nobody can guess it.
        """
        if await self._service.image_file(job) is None:
            return None
        return f"/pictures/{keyed_hash(self._secret, str(job.id))}/{job.id}.{kind}"

    async def file(self, key: str, job_id: int) -> Path | None:
        """The picture behind an address that `address` made; None for any other."""
        if not secrets.compare_digest(key.encode(), keyed_hash(self._secret, str(job_id)).encode()):
            return None
        try:
            return await self._service.image_file(await self._service.job(job_id))
        except JobNotFound:
            return None

    def options(self, job: Job) -> ImageOptions:
        """What would have to be asked for to get such a picture, but for the seed.

        Raises:
            JobUnreadable
        """
        if job.flaw is not None:
            raise JobUnreadable(job.id)
        spec = job.spec
        model = spec.model if spec.model in self._service.cards else None
        sizes = self._service.card_of(model).sizes
        aspect = next((aspect for aspect, size in sizes.items() if size == (spec.width, spec.height)), Aspect.SQUARE)
        strength = spec.strength if spec.source else None
        return ImageOptions(prompt=spec.prompt, steps=spec.steps, aspect=aspect, model=model, strength=strength)

    async def source(self, job: Job) -> bytes | None:
        """The picture that a job starts from, as a file; None if it starts from none, or it is gone."""
        path = await self._service.source_file(job)
        try:
            return None if path is None else await asyncio.to_thread(path.read_bytes)
        except OSError as error:  # pruned meanwhile, or the disk fails
            log.warning("the picture that job %s starts from cannot be read: %s", job.id, error)
            return None

    def explain(self, error: Exception, visitor: Visitor) -> str:
        """Say why something was refused; errors that nobody expected are logged under an id."""
        wording = wording_for(visitor.locale)
        match error:
            case Refusal():
                log.info("refused: %s(%s) for %s", type(error).__name__, error, visitor.user.id)
                return wording.refusal(error, format_time=self._soon(wording), place=FRONTEND)
            case InvalidSpec():
                log.info("refused: %s for %s", error.field, visitor.user.id)
                return wording.invalid(error)
            case StoreUnavailable():
                log.error("refused: the database cannot be used: %s", error)
                return wording.say("store-unavailable")
        error_id = secrets.token_hex(4)
        log.error("error %s at the page", error_id, exc_info=error)
        return wording.say("unexpected-error", error_id=error_id)

    def ending(self, job: Job, visitor: Visitor) -> str:
        """Say why there is no picture of a job that has ended."""
        wording = wording_for(visitor.locale)
        if job.failure_code is not None:
            return wording.failure(job.failure_code)
        key = "note-cancelled" if job.status is JobStatus.CANCELLED else "history-file-gone"
        return wording.say(key, job_id=job.id)

    def words(self, visitor: Visitor) -> dict[str, str]:
        """What the page itself says around the cards."""
        wording = wording_for(visitor.locale)
        return {
            "gallery": wording.say("console-gallery"),
            "search": wording.say("console-search"),
            "older": wording.say("console-older"),
            "offline": wording.say("console-offline"),
            "model": self._service.card.title,
        }

    async def _link(self, job: Job, kind: str) -> str | None:
        address = await self.address(job, kind)
        return None if address is None else f"{self._root_path}{address}"

    def _soon(self, wording: Wording) -> Callable[[int], str]:
        return lambda moment: fragments.soon(moment, wording, now=self._clock())

    async def _unfinished(self) -> list[tuple[Job, QueueStatus]]:
        async with self._reading:
            if self._monotonic() - self._standings_at > STANDINGS_AGE_S:
                self._standings = await self._service.unfinished()
                self._standings_at = self._monotonic()
            return self._standings

    async def _check_address(self, visitor: Visitor) -> None:
        if visitor.origin == THIS_MACHINE:
            return
        quota = await self._service.shared_quota(FRONTEND, f"{visitor.origin}-", people=self._people_per_address)
        retry_at = quota.resets_at or int(self._clock()) + ADDRESS_RETRY_S
        if quota.active >= quota.active_limit:
            raise TooManyFromAddress(used=quota.active, limit=quota.active_limit, retry_at=retry_at)
        if quota.used >= quota.limit:
            raise TooManyFromAddress(used=quota.used, limit=quota.limit, retry_at=retry_at)


def _request(
    visitor: Visitor, options: ImageOptions, number: int, *, source: bytes | Path | None, name: str
) -> Request:
    """Ask for the picture of that number, from 0, of one press of the button."""
    seed = options.seed
    if seed is not None and seed != RANDOM_SEED and number:
        seed = (seed + number) % (MAX_SEED + 1)
    key = f"{visitor.origin}-{secrets.token_hex(8)}"
    return Request(
        user=visitor.user,
        reply_to=ReplyTo(frontend=FRONTEND, key=key, address=json.dumps({"name": _clean_name(name)})),
        options=replace(options, seed=seed),
        key=f"{FRONTEND}:{key}",
        is_more=bool(number),
        source=source,
    )


def _clean_name(name: str) -> str:
    return " ".join("".join(character for character in name if character.isprintable()).split())[:MAX_NAME_CHARS]


def _name(job: Job) -> str:
    try:
        name = json.loads(job.reply_to.address).get("name")
    except (ValueError, AttributeError, RecursionError):  # a damaged row is nobody's name
        return ""
    return _clean_name(name) if isinstance(name, str) else ""
