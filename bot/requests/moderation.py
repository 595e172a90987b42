"""What moderators decide: who may not draw, which words are refused, which images are removed. Knows no front end.

Who may decide is for the caller to say. A removed image leaves nothing but its row, which says why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from bot.clock import Clock
from bot.errors import FileNotDeleted, JobNotFound, NotYourJob, PictureRemoved, StoreUnavailable
from bot.jobs import Delivery, Job, JobStatus, ReplyTo, UserKey, Verb
from bot.requests.bans import Bans
from bot.requests.word_list import WordList
from bot.scheduling.job_queue import JobQueue
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.moderation_store import Ban, ModerationStore
from bot.store.pseudonyms import Pseudonyms
from pipeline.spec import clean_prompt

log = logging.getLogger(__name__)

MAX_REASON: Final = 200
MAX_TRIES: Final = 5
LARGER: Final = (Verb.FINAL, Verb.UPSCALE)  # these verbs show the same image at another size


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What moderators decided so far: of people and words in memory, of images in the store."""

    store: ModerationStore
    bans: Bans
    words: WordList


class Moderation:
    """The decisions of moderators, for every front end.

    removes_with_message: whether an image goes for good if somebody deletes its message.
    """

    def __init__(
        self,
        decided: Decided,
        jobs: JobStore,
        queue: JobQueue,
        images: ImageStore,
        *,
        clock: Clock = time.time,
    ) -> None:
        self.removes_with_message = True
        self.bans = decided.bans
        self.words = decided.words
        self._store = decided.store
        self._jobs = jobs
        self._queue = queue
        self._images = images
        self._clock = clock

    @classmethod
    async def open(
        cls,
        store: ModerationStore,
        jobs: JobStore,
        queue: JobQueue,
        images: ImageStore,
        pseudonyms: Pseudonyms,
        *,
        clock: Clock = time.time,
    ) -> Self:
        """Read what was decided, and carry out what a crash interrupted.

        Raises:
            StoreUnavailable
        """
        bans = await Bans.open(store, pseudonyms, clock=clock)
        words = await WordList.open(store, clock=clock)
        moderation = cls(Decided(store=store, bans=bans, words=words), jobs, queue, images, clock=clock)
        for ban in moderation.bans.all:
            if ban.user_id is not None:
                await moderation._stop_all_of(UserKey(frontend=ban.user_frontend, id=ban.user_id), ban.reason)
        return moderation

    async def check(self, user: UserKey, prompts: Iterable[str], *, is_age_restricted: bool) -> None:
        """Check a request.

        Negative prompts are not looked at: whoever lists a word there asks for an image without it.

        Raises:
            Banned, BannedUntil, BlockedWord, RestrictedWord
        """
        self.bans.check(user)
        for prompt in dict.fromkeys(prompts):
            await self.words.check(prompt, is_age_restricted=is_age_restricted)

    # ── people ──────────────────────────────────────────────────────────────────────────────────────

    async def ban(self, user: UserKey, reason: str, *, until_at: int | None) -> tuple[Ban, list[Job]]:
        """Ban a person, and cancel what they have waiting or running. Returns the ban and those jobs.

        Raises:
            StoreUnavailable: repeat it; the ban may hold already.
        """
        ban = await self.bans.put(user, clean_reason(reason), until_at=until_at)
        return ban, await self._stop_all_of(user, ban.reason)

    async def _stop_all_of(self, user: UserKey, reason: str) -> list[Job]:
        stopped = await self._store.stop_all_of(user, reason, now=self._now())
        await self._queue.stop(stopped)
        return stopped

    # ── images ──────────────────────────────────────────────────────────────────────────────────────

    async def remove(self, job_id: int, reason: str, *, may: Callable[[Job], bool]) -> Job:
        """Remove an image for good, with its prompt, its repeats, what shows it larger, and what others start from.

        One that still waits or runs is cancelled. The file goes first: a crash in between leaves an image without its
        file, which can be removed again.

        Raises:
            JobNotFound
            NotYourJob: `may` does not say so.
            PictureRemoved: it was removed before.
            FileNotDeleted
            StoreUnavailable: also if its row changes with every try.
        """
        return await self._remove(job_id, clean_reason(reason), may, set())

    async def _remove(self, job_id: int, reason: str, may: Callable[[Job], bool], seen: set[int]) -> Job:
        """Do so. `seen` are the jobs that are being removed already: rows that are damaged may name each other."""
        seen.add(job_id)
        for _ in range(MAX_TRIES):  # until nothing happens to the job between the look and the statement
            if (job := await self._jobs.get(job_id)) is None:
                raise JobNotFound(job_id)
            if not may(job):
                raise NotYourJob(job_id)
            if job.is_erased and job.moderated_reason is not None:
                raise PictureRemoved(job_id, job.moderated_reason)
            await self._remove_same(job, reason, seen)
            if job.image_path is not None and not await self._images.delete(job.image_path):
                raise FileNotDeleted(job_id)
            if (removed := await self._store.remove(job, reason, now=self._now())) is not None:
                log.info("job %s was removed by a moderator", job_id)
                await self._queue.stop([removed])
                await self._remove_same(job, reason, seen)  # what was asked for meanwhile; from now on it is refused
                return removed
        raise StoreUnavailable("the row keeps changing", is_full=False)  # or names a file that nobody can name

    async def _remove_same(self, job: Job, reason: str, seen: set[int]) -> None:
        """Remove whatever else would show the image, whoever asked for it: else it would come back that way.

        Raises:
            FileNotDeleted, StoreUnavailable
        """
        await self._remove_starts(job, reason)
        larger = [each for each in await self._store.children(job.id) if _shows_larger(each)]
        for other in [*larger, *await self._store.repeats(job)]:
            if other.id not in seen:
                with suppress(JobNotFound, PictureRemoved):
                    await self._remove(other.id, reason, _anybody, seen)

    async def _remove_starts(self, job: Job, reason: str) -> None:
        """Delete what other images start from if it is this one; those that wait for it are cancelled."""
        copies = {key for child in await self._store.children(job.id) for key in _copies_in(child)}
        for copy in copies - set(job.input_keys):
            for waiting in await self._store.waiting_from(copy):
                if (stopped := await self._store.remove(waiting, reason, now=self._now())) is not None:
                    await self._queue.stop([stopped])
            if not await self._images.delete_source(copy):
                raise FileNotDeleted(job.id)

    async def message_deleted(self, frontend: str, key: str, *, is_purge: bool = False) -> None:
        """Take note that somebody else than the bot deleted a message; unknown ones are ignored.

        What waits or runs is cancelled. An image that the message showed is removed for good, unless it went with many
        messages at once, which tidies a channel and judges no image.

        Raises:
            StoreUnavailable
        """
        shown = await self._queue.drop_message(frontend, key)
        copied = await self._store.take_copy(frontend, key)
        if is_purge or not self.removes_with_message:
            return
        seen = {job.id for job in shown if job.status is JobStatus.DONE and job.delivery is Delivery.DELIVERED}
        for job_id in seen | ({copied} if copied is not None else set()):
            try:
                await self.remove(job_id, "", may=_anybody)
            except (JobNotFound, PictureRemoved):
                continue
            except FileNotDeleted:
                log.warning("the image of job %s cannot be removed now, only its message is gone", job_id)

    async def untold(self, user: UserKey) -> list[Job]:
        """Return what was removed or cancelled by moderators and that this person was not told of yet, oldest first."""
        return await self._store.untold(user)

    # ── copies of a message ─────────────────────────────────────────────────────────────────────────

    async def note_copy(self, job: Job, reply_to: ReplyTo) -> None:
        """Note that a message shows an image again, so that it goes with the image.

        Raises:
            StoreUnavailable
        """
        await self._store.note_copy(job.id, reply_to)

    async def copies_of(self, job: Job) -> list[ReplyTo]:
        """Return the messages that show an image again."""
        return await self._store.copies_of(job.id)

    async def copy_deleted(self, reply_to: ReplyTo) -> None:
        """Note that such a message is gone."""
        await self._store.take_copy(reply_to.frontend, reply_to.key)

    def _now(self) -> int:
        return int(self._clock())


def _shows_larger(child: Job) -> bool:
    return child.derived_from is not None and child.derived_from.verb in LARGER


def _copies_in(child: Job) -> tuple[str, ...]:
    """Return which of the images that a job needs are the one that it was made from; an edit has it first."""
    verb = None if child.derived_from is None else child.derived_from.verb
    if verb is Verb.OTHER:  # too much rather than too little
        return child.input_keys
    return child.input_keys[:1] if verb is not None and verb.starts_from_result else ()


def clean_reason(text: str) -> str:
    """Make one visible line of what a moderator typed, of at most MAX_REASON characters."""
    return clean_prompt(text)[:MAX_REASON].rstrip()


def _anybody(_job: Job) -> bool:
    return True
