"""Everything that a person may do at the page: draw, cancel, look, draw again. Knows no Gradio and no HTTP.

Runs on the loop of the service. Every method takes the visitor and touches that person's jobs only. What can be made
of a job is `bot/requests`; what is said about it is `bot/presentation`, as HTML `fragments.py`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from bot.clock import Clock
from bot.errors import JobNotFound, NotYourJob, Refusal, StoreUnavailable
from bot.frontends.web import fragments
from bot.frontends.web.addresses import PictureAddresses
from bot.frontends.web.exchange import NO_IMAGES, Attached, Drawn, Reuse
from bot.frontends.web.help_page import help_page
from bot.frontends.web.identity import FRONTEND, THIS_MACHINE, Visitor
from bot.frontends.web.names import clean_name, page_name
from bot.frontends.web.own_images import OwnImages
from bot.frontends.web.page_words import page_words
from bot.jobs import Job, JobStatus, QueueStatus, ReplyTo
from bot.presentation.job_view import Action, ended_view, model_title, moderated_phrase, unfinished_view
from bot.presentation.phrases import Phrase, Voice
from bot.presentation.wording import wording_for
from bot.requests import derive
from bot.requests.batch import MAX_BATCH, Asker, Batch
from bot.requests.edits import notes_on, read_change
from bot.requests.models import Models
from bot.requests.prompt_flags import read_prompt
from bot.requests.service import Service
from bot.requests.verbs import VERBS
from bot.scheduling.limits import LEAST_COST
from pipeline.errors import InvalidSpec
from pipeline.spec import Aspect, ImageOptions, Size

log = logging.getLogger(__name__)

STANDINGS_AGE_S: Final = 0.4  # many pages ask at once; the queue need not be read for each
LOOK_AGAIN_S: Final = 0.4
ADDRESS_RETRY_S: Final = 60


class TooManyFromAddress(Refusal):
    """The people at one network address together have reached the operator's limit."""

    def __init__(self, *, used: float, limit: int, retry_at: int) -> None:
        super().__init__(f"{used:g} of {limit} at one address")
        self.used, self.limit, self.retry_at = used, limit, retry_at


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """Facts that the page needs about itself.

    secret: makes addresses of pictures that nobody can guess.
    people_per_address: as much as so many people may have, everybody at one network address may have together.
    root_path: below it the browser finds everything.
    has_corner: there is a corner for the operator, whoever may enter it.
    """

    secret: str
    people_per_address: int
    release: str
    root_path: str = ""
    has_corner: bool = False


class PageHandlers:
    """The service, as one page sees it."""

    def __init__(
        self,
        service: Service,
        settings: PageSettings,
        *,
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._service = service
        self.addresses = PictureAddresses(service, settings.secret)
        self.images = OwnImages(service, self.addresses, root_path=settings.root_path, clock=clock)
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._standings: list[tuple[Job, QueueStatus]] = []
        self._standings_at = -math.inf
        self._reading = asyncio.Lock()
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by origin

    @property
    def root_path(self) -> str:
        """Below which path the browser finds everything."""
        return self._settings.root_path

    # ── asking for pictures ─────────────────────────────────────────────────────────────────────────

    async def draw_typed(
        self,
        visitor: Visitor,
        values: Mapping[str, object],
        *,
        count: int = 1,
        most: int = MAX_BATCH,
        attached: Attached = NO_IMAGES,
        name: str = "",
    ) -> Drawn:
        """Queue what a form or a script holds, after flags and pasted settings were taken out of the prompt.

        Args:
            values: by field of ImageOptions, of any type; where a field is as the page opens, a flag wins.
            most: how many pictures a flag may ask for.

        Raises:
            Refusal, InvalidSpec, StoreUnavailable: not even the first could be queued.
        """
        models, named = self._service.models, values.get("model")
        chosen = models.nearest(named if isinstance(named, str) and named else None)
        untouched = {"steps": chosen.default_steps, "aspect": Aspect.SQUARE, "size": Size.NORMAL}
        untouched |= {"model": models.usual.name, "strength": chosen.default_strength}
        asked = None if count == 1 else count
        if attached.is_edit and attached.files:
            given = {key: value for key, value in values.items() if untouched.get(key) != value and key != "strength"}
            return await self._change(visitor, given, models.led_by(chosen), attached.files, count=asked, name=name)
        source = next(iter(attached.files), None)
        read = read_prompt(values["prompt"], models, given=values, untouched=untouched, count=asked, most=most)
        read = read.with_image(is_given=source is not None)
        options, taken = ImageOptions.read(**read.options), read.notes.taken
        if "model" in taken and "steps" not in taken and options.steps == chosen.default_steps:
            options = replace(options, steps=None)  # which the form holds for the model that is chosen there
        batch = replace(Batch.of(options, count=read.count, init_image=source), is_fresh=read.is_fresh)
        drawn = await self._submit(visitor, batch, name=name)
        voice = fragments.voice_of(wording_for(visitor.locale), now=self._clock())
        return replace(drawn, notes=tuple(map(voice.say, read.phrases())))

    async def _change(
        self,
        visitor: Visitor,
        given: Mapping[str, object],
        models: Models,
        files: Sequence[bytes | Path],
        *,
        count: int | None,
        name: str,
    ) -> Drawn:
        """Queue what is to be changed in images, with what was set beside the words."""
        change = read_change(given["prompt"], models, given=given, count=count)
        drawn = await self._submit(visitor, change.batch(models, files), name=name)
        voice = fragments.voice_of(wording_for(visitor.locale), now=self._clock())
        notes = (*change.read.phrases(), *notes_on(change.way, files))
        return replace(drawn, notes=tuple(map(voice.say, notes)))

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
        return await self._submit(visitor, Batch.of(options, count=count, init_image=source), name=name)

    async def draw_again(self, visitor: Visitor, job_id: int, verb: Action) -> Drawn:
        """Queue what one of `VERBS` makes of one's own image.

        Raises:
            Refusal, InvalidSpec, StoreUnavailable
        """
        job = await self.images.own(visitor, job_id)
        return await self._submit(visitor, VERBS[verb](job, self._service.models), name=page_name(job))

    async def reuse(self, visitor: Visitor, job_id: int) -> Reuse:
        """Return the values that draw one's own picture again, seed included.

        Raises:
            JobNotFound, JobUnreadable
        """
        job = await self.images.own(visitor, job_id)
        options = replace(derive.options_of(job, self._service.models), seed=job.spec.seed)
        init_image = None if job.spec.upscale else await self._service.init_image(job)
        references = tuple(await self._service.references(job))
        return Reuse(options=options, init_image=init_image, references=references)

    async def _submit(self, visitor: Visitor, batch: Batch, *, name: str) -> Drawn:
        bound = partial(self._address_bound, visitor)
        accepted = await self._service.submit_batch(batch, _asker(visitor, name), admission=bound)
        self._standings_at = -math.inf
        wording, queued, asked = wording_for(visitor.locale), len(accepted.jobs), len(batch.images)
        if accepted.refusal is None:
            return Drawn(jobs=accepted.jobs, text=wording.say("console-queued", count=queued))
        key = "console-drop-one" if asked - queued == 1 else "console-drop-some"
        counts = {"queued": queued, "asked": asked, "dropped": asked - queued}
        text = wording.say(key, reason=self.explain(accepted.refusal, visitor), **counts)
        return Drawn(jobs=accepted.jobs, text=text)

    async def cancel(self, visitor: Visitor, job_id: int) -> str:
        """Cancel one's own job and say what came of it.

        Raises:
            JobNotFound, JobAlreadyFinished
        """
        try:
            job = await self._service.cancel(job_id, by=visitor.user)
        except NotYourJob:
            raise JobNotFound(job_id) from None
        self._standings_at = -math.inf
        key = "cancel-done" if job.status is JobStatus.CANCELLED else "cancel-stopping"
        return wording_for(visitor.locale).say(key, job_id=job.id)

    async def dismiss(self, visitor: Visitor, job_id: int) -> None:
        """Note that the person has read why a job failed.

        Raises:
            JobNotFound
        """
        await self._service.mark_told([(await self.images.own(visitor, job_id)).id])

    async def ended(self, visitor: Visitor, job_id: int) -> Job:
        """Wait until one's own job has ended.

        Raises:
            JobNotFound
        """
        while not (job := await self.images.own(visitor, job_id)).status.is_final:  # noqa: ASYNC110 - the row is the truth
            await asyncio.sleep(LOOK_AGAIN_S)
        return job

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────

    async def state(self, visitor: Visitor) -> dict[str, object]:
        """Return everything on an open page that may change, as JSON: HTML by key, and the newest picture's id."""
        now, me, titles = self._clock(), visitor.user, self._service.models.titles
        usual = self._service.models.usual
        voice = fragments.voice_of(wording_for(visitor.locale), now=now)
        unfinished = await self._unfinished()
        mine = [(job, standing) for job, standing in unfinished if job.user == me]
        newest, failures, removed, room = await asyncio.gather(
            self._service.histories.newest(me, limit=1),
            self._service.failures(me),
            self._service.moderation.untold(me),
            self._room(visitor, unfinished),
        )
        names = {job.id: page_name(job) for job, _ in unfinished if job.reply_to.frontend == FRONTEND}
        return {
            "release": self._settings.release,
            "queue": [fragments.queue_list(unfinished, names, me, voice, now=now)],
            "jobs": [
                *(fragments.failure(ended_view(job, titles=titles), voice) for job in (*failures, *removed)),
                *(
                    fragments.unfinished(
                        unfinished_view(
                            job,
                            standing,
                            now=now,
                            unread=self._service.unread(job.spec),
                            titles=titles,
                            soon_s=fragments.SOON_S,
                        ),
                        voice,
                    )
                    for job, standing in mine
                ),
            ],
            "is_busy": bool(mine),
            "newest": newest[0].id if newest else None,
            "has_corner": self._settings.has_corner,
            "room": room,
            "words": dict(page_words(voice.wording.language)),
            "model": _title(usual.name, titles, voice),
            "models": [[each.name, _title(each.name, titles, voice)] for each in self._service.models.all],
            "language": voice.wording.language,
        }

    def explain(self, error: Exception, visitor: Visitor) -> str:
        """Say why something was refused; unexpected errors are logged under an id."""
        wording, who = wording_for(visitor.locale), self._service.pseudonyms.short(visitor.user)
        match error:
            case Refusal():
                log.info("refused: %s(%s) for %s", type(error).__name__, error, who)
                write_moment = fragments.voice_of(wording, now=self._clock()).write_moment
                return wording.refusal(error, format_time=write_moment, place=FRONTEND)
            case InvalidSpec():
                log.info("refused: %s for %s", error.field, who)
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
        if job.moderated_reason is not None:
            return fragments.voice_of(wording, now=self._clock()).say(moderated_phrase(job))
        if job.failure_code is not None:
            return wording.failure(job.failure_code)
        key = "note-cancelled" if job.status is JobStatus.CANCELLED else "history-file-gone"
        return wording.say(key, job_id=job.id)

    async def _room(self, visitor: Visitor, unfinished: Sequence[tuple[Job, QueueStatus]]) -> dict[str, object]:
        """Return how many images of the usual size a request may be for now, and what is said if those are few."""
        quota = await self._service.quota(visitor.user)
        waiting = sum(job.status is JobStatus.QUEUED for job, _ in unfinished)
        places = self._service.operating.limits["max_waiting"] - waiting
        left = math.ceil(quota.limit - quota.used) if quota.limit - quota.used < 1 else int(quota.limit - quota.used)
        most = 0 if quota.active >= quota.active_limit else max(0, min(MAX_BATCH, places, left))
        text = "" if most == MAX_BATCH else wording_for(visitor.locale).say("console-room", count=most)
        return {"most": most, "text": text}

    def help(self, visitor: Visitor) -> str:
        """Return the help of the page, as HTML."""
        return help_page(self._service.models.usual, wording_for(visitor.locale), days=self._service.history_days)

    async def _unfinished(self) -> list[tuple[Job, QueueStatus]]:
        async with self._reading:
            if self._monotonic() - self._standings_at > STANDINGS_AGE_S:
                self._standings = await self._service.unfinished()
                self._standings_at = self._monotonic()
            return self._standings

    @asynccontextmanager
    async def _address_bound(self, visitor: Visitor) -> AsyncIterator[None]:
        """Check the bound of the visitor's address, and let nobody else there put a job until leaving.

        Raises:
            TooManyFromAddress
        """
        async with self._asking.setdefault(visitor.origin, asyncio.Lock()):
            await self._check_address(visitor)
            yield

    async def _check_address(self, visitor: Visitor) -> None:
        if visitor.origin == THIS_MACHINE:
            return
        people = self._settings.people_per_address
        quota = await self._service.shared_quota(FRONTEND, f"{visitor.origin}-", people=people)
        retry_at = quota.resets_at or int(self._clock()) + ADDRESS_RETRY_S
        if quota.active >= quota.active_limit:
            raise TooManyFromAddress(used=quota.active, limit=quota.active_limit, retry_at=retry_at)
        if quota.used + LEAST_COST > quota.limit:
            raise TooManyFromAddress(used=quota.used, limit=quota.limit, retry_at=retry_at)


def _title(name: str, titles: Mapping[str, str], voice: Voice) -> str:
    return voice.say(Phrase("page-model", {"model": model_title(name, titles)}))


def _asker(visitor: Visitor, name: str) -> Asker:
    key = f"{visitor.origin}-{secrets.token_hex(8)}"
    address = json.dumps({"name": clean_name(name)})
    reply_to = ReplyTo(frontend=FRONTEND, key=key, address=address)
    return Asker(user=visitor.user, reply_to=reply_to, key=f"{FRONTEND}:{key}")
