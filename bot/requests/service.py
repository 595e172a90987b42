"""The one door for front ends: submit, cancel, look. Knows no front end.

Everything a person may ask for passes here, so that a command, a button and a web page obey the same rules. What can
be made of an earlier job is `derive.py`; a request for several images is `batch.py`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from bot.clock import Clock
from bot.config import BackupConfig, LimitsConfig, StorageConfig
from bot.errors import (
    JobAlreadyFinished,
    JobNotFound,
    NotAccepting,
    NotYourJob,
    Refusal,
    StorageFull,
    StoreUnavailable,
)
from bot.jobs import NOBODY_KNOWS, USUAL, Allowance, Job, QueueStatus, ReplyTo, Request, UserKey
from bot.pause import Pause
from bot.requests import quotas
from bot.requests.allowances import permitted
from bot.requests.archive import Archive
from bot.requests.backups import Backups
from bot.requests.batch import Accepted, Asker, Batch
from bot.requests.channel_defaults import ChannelDefaults
from bot.requests.histories import Histories
from bot.requests.init_images import file_of, read_file
from bot.requests.inputs import NO_INPUTS, Inputs, check_count, check_settings, fit_inputs, store
from bot.requests.loras import check as check_loras
from bot.requests.models import Models
from bot.requests.operating import Operating
from bot.requests.parts import Parts
from bot.requests.pausing import Pausing
from bot.requests.quotas import Quota
from bot.requests.repeats import Repeats, may_be_answered
from bot.requests.stats import Stats, collect_stats
from bot.requests.translations import NOT_TRANSLATED, Translated, Translations
from bot.requests.unpacking import Unpacking
from bot.scheduling.model_memory import ModelMemory
from bot.store.horizon import DAY_S
from pipeline.catalog.vocabulary import Unread
from pipeline.spec import MAX_SEED, ImageSpec, clean_prompt
from pipeline.translation.foreign_text import needs_translation

log = logging.getLogger(__name__)

# Entered around each job of a batch; raises a Refusal if a bound that only the front end knows has no room.
Admission = Callable[[], AbstractAsyncContextManager[object]]


class Service:
    """Everything that front ends may ask for."""

    def __init__(
        self,
        parts: Parts,
        models: Models,
        *,
        limits: LimitsConfig,
        storage: StorageConfig,
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self.models = models
        self.is_accepting = True
        self.archive = Archive(parts.jobs, parts.images, clock=clock)
        self.pausing = Pausing(parts.queue)
        self.operating = Operating(parts.queue, parts.images, limits=limits, storage=storage)
        self.histories = Histories(parts.jobs, zone=self.pausing.zone, clock=clock)
        self.preferences = parts.preferences
        self.pseudonyms = parts.pseudonyms
        self.privacy = parts.privacy
        self.statistics = parts.statistics
        self.presets = parts.presets
        self.allowances = parts.allowances
        self.channels = ChannelDefaults(parts.channel_settings, models)
        self.moderation = parts.moderation
        self.translations = Translations()
        self.repeats = Repeats(parts.jobs, parts.queue, parts.images)
        self.backups = Backups(BackupConfig(), storage, release="")
        self.memory = ModelMemory(lambda: (), parts.queue)  # of no runners, until the service gets its pool's
        self._jobs = parts.jobs
        self._queue = parts.queue
        self._delivery = parts.delivery
        self._images = parts.images
        self._limits = limits
        self._storage = storage
        self._clock = clock
        self._monotonic = monotonic
        self._started = monotonic()
        self._unpacking = Unpacking()

    # ── asking for pictures ─────────────────────────────────────────────────────────────────────────

    async def submit_batch(self, batch: Batch, asker: Asker, *, admission: Admission = nullcontext) -> Accepted:
        """Queue the images of a batch, one after the other, until one of them is refused.

        Raises:
            UploadGone: an image that they need is kept no more.
            Refusal, InvalidSpec, StoreUnavailable: not even the first could be queued.
        """
        check_count(batch.references)
        prompts = [image.prompt for image in batch.images]
        await self.moderation.check(asker.user, prompts, is_age_restricted=asker.is_age_restricted)
        batch = batch.with_seeds(secrets.randbelow(MAX_SEED + 1))
        source = None if batch.init_image is None else await file_of(batch.init_image, self._images)
        files = tuple([await file_of(each, self._images) for each in batch.references])
        inputs: Inputs | None = None
        jobs: list[Job] = []
        standing = NOBODY_KNOWS
        translated: dict[tuple[str | None, str, str | None], Translated] = {}  # by model, prompt and negative prompt
        for wanted in batch.requests(asker, source=source, references=files):
            try:
                request = permitted(wanted, self.models)
                words = (request.options.model, request.options.prompt, request.options.negative_prompt)
                if words not in translated:
                    translated[words] = await self._translate(request, is_age_restricted=asker.is_age_restricted)
                if (source is not None or files) and inputs is None:
                    async with admission():  # not held below: unpacking takes a moment, in which others may ask
                        pass
                    inputs = await self.unpack(request)
                async with admission():
                    job, standing = await self.submit(request, inputs=inputs, translated=translated[words])
            except (Refusal, StoreUnavailable) as error:
                if not jobs:
                    raise
                return Accepted(jobs=tuple(jobs), standing=standing, refusal=error)
            jobs.append(job)
        return Accepted(jobs=tuple(jobs), standing=standing)

    async def _translate(self, request: Request, *, is_age_restricted: bool) -> Translated:
        """Return what the model is to read in place of prompts that it cannot read; "" for one that it reads itself.

        What an earlier image was drawn from stays so for what is made of it with the same prompt. A translation takes
        seconds, so it comes after every cheaper check. Moderators' words are looked for in both texts, but never in
        negative prompts.

        Raises:
            Refusal, InvalidSpec: see `_check_before`, `Moderation.check`.
        """
        model, prompt = self.models.demand(request.options.model), clean_prompt(request.options.prompt)
        typed = request.options.negative_prompt
        negative = clean_prompt(model.negative_prompt if typed is None else typed)
        prompts = [prompt, negative if model.offers("negative_prompt") else ""]
        if not any(needs_translation(model, each) for each in prompts):
            return NOT_TRANSLATED
        before = await self._translated_before(request)
        found = [before.get(each, "") for each in prompts]
        for number, each in enumerate(prompts):
            if not found[number] and self.translations.are_there and needs_translation(model, each):
                await self._check_before(request)
                found[number] = await self.translations.of(model, each, user=request.user)
        if found[0]:
            await self.moderation.check(request.user, found[:1], is_age_restricted=is_age_restricted)
        return Translated(*found)

    async def _translated_before(self, request: Request) -> dict[str, str]:
        """Return what was read in place of the prompts of the image that a request was made of."""
        if request.derived_from is None or (job := await self._jobs.get(request.derived_from.job_id)) is None:
            return {}
        if job.is_erased:
            return {}
        return {job.spec.negative_prompt: job.spec.translated_negative, job.spec.prompt: job.spec.translated}

    async def submit(
        self, request: Request, *, inputs: Inputs | None = None, translated: Translated = NOT_TRANSLATED
    ) -> tuple[Job, QueueStatus]:
        """Accept a request, now or never; the row is on disk when this returns.

        A missing seed is drawn here and stored, so that every picture can be drawn again. `inputs` are what `unpack`
        made of the request, or of another with the same files; `translated` is what the model reads in place of the
        prompts.

        Raises:
            Refusal: NotAccepting, StorageFull, or one of `unpack` and `JobQueue.put`.
            InvalidSpec: a value is out of range for the model.
        """
        if not self.is_accepting:
            raise NotAccepting
        model = self.models.demand(request.options.model)
        check_loras(request.options.loras or "", self.models, model)
        random_seed = secrets.randbelow(MAX_SEED + 1)
        if inputs is None:
            inputs = await self.unpack(request)
        fitted = await asyncio.to_thread(fit_inputs, model, request.options, inputs, random_seed=random_seed)
        spec = replace(fitted.spec, translated=translated.prompt, translated_negative=translated.negative)
        if may_be_answered(request):
            self.moderation.bans.check(request.user)
            drawn_with = await asyncio.to_thread(self.repeats.drawn_with, spec)
            if (answered := await self.repeats.answer(request, spec, drawn_with=drawn_with)) is not None:
                return answered, self._delivery.card_is_fresh(answered, NOBODY_KNOWS)
        await asyncio.to_thread(self.models.check_memory, model, spec)
        await self._images.demand_room(self._storage.min_free_mib)
        try:
            await store(fitted, self._images)
        except OSError as error:
            log.error("an image that a job needs cannot be stored: %s", error)
            raise StorageFull from error
        self.moderation.bans.check(request.user)  # again: the init image took a moment
        try:
            job = await self._queue.put(request, spec, cost=quotas.cost_in_images(spec, model))
        except StoreUnavailable as error:
            log.error("a request cannot be stored: %s", error)
            if error.is_full:
                raise StorageFull from error
            raise
        return job, self._delivery.card_is_fresh(job, await self.standing(job) or NOBODY_KNOWS)

    async def unpack(self, request: Request) -> Inputs:
        """Read the images that a request needs, after every cheaper check has passed.

        Raises:
            Refusal: NotAccepting, StorageFull, AlreadyUnpacking, or one of `JobQueue.check`.
            InvalidSpec: a value, or a file, cannot be used.
        """
        if request.source is None and not request.references:
            return NO_INPUTS
        await self._check_before(request)
        return await self._unpacking.of(request)

    async def _check_before(self, request: Request) -> None:
        """Check everything that takes no time, before something that does."""
        if not self.is_accepting:
            raise NotAccepting
        check_settings(request, self.models.demand(request.options.model))
        await self._images.demand_room(self._storage.min_free_mib)
        await self._queue.check(request)

    async def cancel(self, job_id: int, *, by: UserKey, may: Callable[[Job], bool] = lambda _job: False) -> Job:
        """Cancel a job of one's own, or one of somebody else's if `may` says so. A running one stops within a step.

        Raises:
            JobNotFound, NotYourJob, JobAlreadyFinished
        """
        try:
            return await self._queue.cancel(job_id, by=by)
        except NotYourJob:
            if not may(await self.job(job_id)):
                raise
            return await self._queue.cancel(job_id)

    async def cancel_request(self, job_id: int, *, by: UserKey, may: Callable[[Job], bool] = lambda _job: False) -> Job:
        """Cancel every unfinished image of the request that a job belongs to; what is drawn stays.

        Returns:
            One that was cancelled, or is about to be.

        Raises:
            JobNotFound, NotYourJob, JobAlreadyFinished
        """
        cancelled, finished = None, None
        try:
            cancelled = await self.cancel(job_id, by=by, may=may)
        except JobAlreadyFinished as error:
            finished = error
        job = cancelled or await self.job(job_id)
        for sibling in await self.archive.siblings(job) if job.batch is not None else ():
            if not (sibling.status.is_final or sibling.is_cancel_requested):
                with suppress(JobAlreadyFinished):  # at this very moment
                    cancelled = await self.cancel(sibling.id, by=by, may=may)
        if cancelled is None:
            raise finished or JobAlreadyFinished(job_id)
        return cancelled

    async def message_placed(self, job: Job, reply_to: ReplyTo) -> Job:
        """Note that the message of a job that was submitted before it had one now stands at `reply_to`."""
        try:
            await self._jobs.move_message(job.id, reply_to)
            if await self._jobs.get(job.id) is None:  # its person had everything erased meanwhile
                await self.privacy.take_back(replace(job, reply_to=reply_to))
        except StoreUnavailable as error:  # the front end remembers it as well, until a restart
            log.warning("where the message of job %s stands cannot be stored: %s", job.id, error)
        return replace(job, reply_to=reply_to)

    def message_not_shown(self, job: Job) -> None:
        """Try again to show the message of a job that was just submitted; it is there, and says nothing yet."""
        self._delivery.card_is_stale(job)

    async def message_deleted(self, frontend: str, key: str) -> None:
        """Cancel the job whose message somebody deleted, and deliver nothing. Unknown messages are ignored."""
        await self._delivery.card_deleted(frontend, key)

    def stop_accepting(self) -> None:
        """Refuse new requests from now on, because the process is about to stop."""
        self.is_accepting = False

    @property
    def history_days(self) -> int:
        """How long a job and its picture are stored."""
        return self._storage.history_days

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────

    async def job(self, job_id: int) -> Job:
        """Return one job.

        Raises:
            JobNotFound: never existed, or was pruned.
        """
        if (job := await self._jobs.get(job_id)) is None:
            raise JobNotFound(job_id)
        return job

    async def standing(self, job: Job) -> QueueStatus | None:
        """Return where a job stands now; None once it has ended."""
        return next((standing for other, standing in await self._queue.standings() if other.id == job.id), None)

    async def unfinished(self) -> list[tuple[Job, QueueStatus]]:
        """Return the whole queue: running jobs first, then the waiting ones in their expected order."""
        return await self._queue.standings()

    async def active(self, user: UserKey) -> list[Job]:
        """Return this person's waiting and running jobs, oldest first."""
        return [job for job in await self._jobs.unfinished() if job.user == user]

    async def image_file(self, job: Job) -> Path | None:
        """Return the picture of a job; None if it has none, or the file is gone or cannot be read."""
        return None if job.image_path is None else await self._images.find(job.image_path)

    async def references(self, job: Job) -> list[bytes]:
        """Return the images that an edit looked at, as far as they are there and can be read."""
        files = [await read_file(await self._images.find_source(key)) for key in job.spec.reference_keys]
        return [file for file in files if file is not None]

    async def init_image(self, job: Job) -> bytes | None:
        """Return the init image of a job; None if it has none, or the file is gone or cannot be read."""
        return await read_file(await self._images.find_source(job.spec.source)) if job.spec.source else None

    def unread(self, spec: ImageSpec) -> Unread:
        """Return the part of a prompt that the model of a job cannot read, and whether it was not translated."""
        unread, card = self.models.unread(spec), self.models.find(spec.model)
        if card is None or (spec.prompt.isascii() and spec.negative_prompt.isascii()):
            return unread
        is_lacking = self.translations.are_there and not spec.translated and needs_translation(card, spec.prompt)
        is_foreign = not spec.translated_negative and needs_translation(card, spec.negative_prompt)
        return unread._replace(is_untranslated=is_lacking, is_negative_foreign=is_foreign)

    async def quota(self, user: UserKey, allowance: Allowance = USUAL) -> Quota:
        """Return the quota of one person, and when there is room again."""
        return quotas.personal_quota(await self._jobs.usage(user, now=int(self._clock())), self._limits, allowance)

    async def shared_quota(self, frontend: str, key_prefix: str, *, people: int) -> Quota:
        """Return the shared quota of everybody whose reply keys begin with `key_prefix`: that of `people` persons."""
        active, counted = await self._jobs.shared_usage(frontend, key_prefix, now=int(self._clock()))
        return quotas.shared_quota(active, counted, self._limits, people=people)

    async def undelivered(self, user: UserKey) -> list[Job]:
        """Return what could not be delivered, and what moderators removed, to be told on this person's next command."""
        jobs = {job.id: job for job in (*await self._jobs.undelivered(user), *await self.moderation.untold(user))}
        return [jobs[job_id] for job_id in sorted(jobs)]

    async def failures(self, user: UserKey) -> list[Job]:
        """Return failures of the last 24 hours that this person has not read, for front ends that poll."""
        return await self._jobs.failures(user, since=int(self._clock()) - DAY_S)

    async def mark_told(self, job_ids: Sequence[int]) -> None:
        """Note that the person was told of these results, so that they are not mentioned again."""
        await self._jobs.mark_told(job_ids, now=int(self._clock()))

    # ── operating ───────────────────────────────────────────────────────────────────────────────────

    @property
    def paused(self) -> Pause | None:
        """The reason why no new job is started; None while the queue moves."""
        return self._queue.paused

    async def stats(self) -> Stats:
        """Return numbers for the operator."""
        now, uptime_s = int(self._clock()), self._monotonic() - self._started
        return await collect_stats(self._jobs, self._queue, self._images, self.models, now=now, uptime_s=uptime_s)
