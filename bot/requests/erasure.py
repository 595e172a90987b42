"""Erases everything that is stored about one person, in an order that may be interrupted anywhere and begun again.

    noted ──► at rest ──► counted ──► files, then rows ──► copies ──► nobody named ──► swept

*Noted*: the row in `erasures` holds until the end, over restarts, and lets nothing new of the person in. *At rest*:
what waits is cancelled, what runs is stopped, no result is on its way. *Counted*: what was drawn today is kept under a
pseudonym; it counts once its job is gone. *Swept*: the database is written anew without what deleted rows left in it,
embeddings of prompts are deleted (nobody can tell whose one is, and all are made again when needed), and the engine
forgets what it read. This names nobody, and may wait for the image that is being drawn. Knows no front end.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final

from bot.clock import Clock, wait_for
from bot.deadline import Deadline
from bot.delivery.results import DeliveryLoop
from bot.delivery.retractions import Retractions
from bot.errors import JobAlreadyFinished, JobNotFound, StoreUnavailable
from bot.jobs import Job, UserKey
from bot.scheduling.job_queue import JobQueue
from bot.store.backups.erased import FILE_NAME, note_erased
from bot.store.database import Database
from bot.store.database_copies import forget_in_copies
from bot.store.erasure_store import ErasureStore
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.moderation_store import ModerationStore
from bot.store.preset_store import PresetStore
from bot.store.pseudonyms import Pseudonyms
from bot.store.user_quota_store import UserQuotaStore
from bot.store.user_setting_store import UserSettingStore
from bot.supervision import supervise

log = logging.getLogger(__name__)

SWEEP_SETTING: Final = "privacy.sweep"  # there while the database is to be swept
BATCH: Final = 200
LOOK_AGAIN_S: Final = 0.2  # at what comes to rest, beside every change of the queue
HOUR_S: Final = 3600.0
# Somebody waits so long at most to hear that everything of theirs is erased, and then that nothing is left of it.
ANSWER_S: Final = 20.0
SWEEP_ANSWER_S: Final = 3.0

Forget = Callable[[], Awaitable[None]]


class Progress(Enum):
    """How far an erasure is when its person is answered."""

    SWEPT = auto()  # all is done
    ERASED = auto()  # nothing names the person; what is left in memory and in free pages follows
    UNDER_WAY = auto()  # it goes on by itself, also after a restart


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """Everything that holds something of people, on disk or in memory."""

    database: Database
    jobs: JobStore
    erasures: ErasureStore
    choices: UserSettingStore
    presets: PresetStore
    moderation: ModerationStore
    quotas: UserQuotaStore
    settings: SettingStore
    images: ImageStore
    queue: JobQueue
    delivery: DeliveryLoop
    retractions: Retractions
    pseudonyms: Pseudonyms
    prompts_dir: Path


async def nothing() -> None:
    """Forget nothing."""


class Erasure:
    """Erases one person after the other; the loop `run` has to run.

    forget_prompts: makes engines forget what they read of prompts; may wait for the image that is being drawn.
    memories: each drops what another part remembers of somebody whose rows are gone.
    """

    def __init__(self, holders: Holders, *, deadline: Deadline | None = None, clock: Clock = time.time) -> None:
        self.forget_prompts: Forget = nothing
        self.memories: list[Callable[[UserKey], None]] = []
        self._holders = holders
        self._deadline = deadline or Deadline()
        self._clock = clock
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._stepped = asyncio.Condition()
        self._asked: set[UserKey] = set()  # whose rows and files are there yet
        self._is_swept = True
        holders.queue.subscribe(self._changed.set)

    async def erase(self, user: UserKey) -> Progress:
        """Erase everything of a person; waits until it is done, but not for long. Twice is harmless.

        Raises:
            StoreUnavailable: nothing was begun.
        """
        await self._holders.erasures.begin(user, now=int(self._clock()))
        self._asked.add(user)
        self._is_swept = False
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S), self._stepped:
                await self._stepped.wait_for(lambda: user not in self._asked)
            async with asyncio.timeout(SWEEP_ANSWER_S), self._stepped:
                await self._stepped.wait_for(lambda: self._is_swept)
        if user in self._asked:
            return Progress.UNDER_WAY
        return Progress.SWEPT if self._is_swept else Progress.ERASED

    async def run(self) -> None:
        """Carry out what was asked for, by this process or an earlier one, for ever; never returns."""

        async def turn() -> bool:
            self._wake.clear()
            await self.work()
            await wait_for(self._wake, HOUR_S)
            return True

        await supervise("erasing what is stored about somebody", turn, self._deadline)

    async def work(self) -> None:
        """Erase everybody who asked, then sweep if there is anything to be swept.

        Raises:
            StoreUnavailable: the rest is for the next time.
        """
        held, troubles = self._holders, list[StoreUnavailable]()
        erased = set[UserKey]()
        for user in await held.erasures.pending():
            try:
                await self._erase(user)
            except StoreUnavailable as error:  # a file of one person must not hold up the others
                troubles.append(error)
            else:
                erased.add(user)
        if is_due := await held.settings.get(SWEEP_SETTING) is not None:
            await held.database.scrub()
            await asyncio.to_thread(_empty, held.prompts_dir)
        await self._note(erased)
        if is_due:
            await self.forget_prompts()
            await asyncio.to_thread(_empty, held.prompts_dir)  # what the engine wrote until then
            await held.settings.set(SWEEP_SETTING, None)
        await held.erasures.prune_spent(now=int(self._clock()))
        if troubles:
            raise troubles[0]
        await self._note(set(), is_swept=True)

    async def _note(self, erased: set[UserKey], *, is_swept: bool = False) -> None:
        """Tell those who wait who is erased and, if nobody asked meanwhile, that all is swept."""
        async with self._stepped:
            self._asked -= erased
            self._is_swept = is_swept and not self._asked
            self._stepped.notify_all()

    # ── rows and files ──────────────────────────────────────────────────────────────────────────────

    async def _erase(self, user: UserKey) -> None:
        held, count = self._holders, 0
        while True:
            await held.jobs.drop_deliveries(user)
            await self._bring_to_rest(user)
            await self._forget_what_others_started_from(user)
            await held.jobs.spend(user, now=int(self._clock()))
            while batch := await held.jobs.of_user(user, after_id=0, limit=BATCH):
                await self._delete_files(user, batch)
                await held.retractions.add(batch)
                await held.jobs.delete([job.id for job in batch])
                count += len(batch)
            await held.choices.delete(user)
            await held.presets.clear(user)
            await held.moderation.unname_ban(user)
            await held.quotas.unname(user)
            for forget_person in self.memories:
                forget_person(user)
            named = await asyncio.to_thread(forget_in_copies, held.database.path, user)
            await _delete_all(map(held.images.delete, named))
            await self._note_for_backups(user)
            await held.settings.set(SWEEP_SETTING, str(int(self._clock())))
            if await held.erasures.end(user):
                break
        log.info("everything about %s was erased: %s jobs", held.pseudonyms.short(user), count)

    async def _note_for_backups(self, user: UserKey) -> None:
        """See that no backup that was made until now brings the person back."""
        folder, pseudonym = self._holders.database.path.parent, self._holders.pseudonyms.of(user)
        try:
            await asyncio.to_thread(note_erased, folder, pseudonym, now=int(self._clock()))
        except OSError as error:
            raise StoreUnavailable(f"{FILE_NAME}: {error}", is_full=error.errno == errno.ENOSPC) from error

    async def _bring_to_rest(self, user: UserKey) -> None:
        """Wait until nothing of this person waits, runs or is being delivered, and no one draws from their images."""
        held, asked = self._holders, set[int]()
        while True:
            self._changed.clear()
            unfinished = [job for job in await held.jobs.unfinished() if job.user == user]
            unfinished += [job for job in await held.jobs.made_from(user) if not job.status.is_final]
            if not unfinished and not held.delivery.is_telling(user):
                return
            for job in unfinished:
                if job.id not in asked:
                    with contextlib.suppress(JobAlreadyFinished, JobNotFound):  # at this very moment
                        await held.queue.cancel(job.id)
                    asked.add(job.id)
            await wait_for(self._changed, LOOK_AGAIN_S)

    async def _forget_what_others_started_from(self, user: UserKey) -> None:
        """Delete the images that others started from or edited and this person drew; what they drew stays theirs."""
        held = self._holders
        others = await held.jobs.made_from(user)
        ids, keys = [job.id for job in others], {key for job in others for key in job.input_keys}
        kept = await held.jobs.inputs_of_others(user, keys, but=ids)
        await _delete_all(map(held.images.delete_source, keys - kept))
        await held.jobs.drop_inputs(ids)

    async def _delete_files(self, user: UserKey, jobs: Iterable[Job]) -> None:
        """Delete images, and those that only they needed. Rows go after them, so that a kill leaves no file."""
        images = self._holders.images
        await _delete_all(images.delete(job.image_path) for job in jobs if job.image_path is not None)
        keys = {key for job in jobs for key in job.input_keys}
        kept = await self._holders.jobs.inputs_of_others(user, keys, but=())
        await _delete_all(map(images.delete_source, keys - kept))


async def _delete_all(deletions: Iterable[Awaitable[bool]]) -> None:
    """Carry out all deletions.

    Raises:
        StoreUnavailable: a file cannot be deleted now.
    """
    if not all([await deletion for deletion in deletions]):
        raise StoreUnavailable("a file cannot be deleted now", is_full=False)


def _empty(folder: Path) -> None:
    """Delete the files of a folder, which may not be there. Blocks.

    Raises:
        StoreUnavailable
    """
    try:
        for path in folder.glob("*"):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"{folder.name}: {error}", is_full=False) from error
