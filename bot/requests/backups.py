"""Backups that the service makes by itself: one every night, as the config says, and one whenever somebody asks.

What is in a backup is `bot/store/backups/`. Knows no front end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final

from bot.clock import Clock
from bot.config import BackupConfig, StorageConfig
from bot.config.spans import read_time
from bot.deadline import Deadline
from bot.errors import BackupFailed
from bot.store.backups.nightly import backup_name, is_half_written, made_at, nightly_backups
from bot.store.backups.writing import Backup, Stopped, make_backup
from bot.supervision import supervise

log = logging.getLogger(__name__)

LOOK_S: Final = 60.0  # between two looks at the clock
FIRST_LOOK_S: Final = 60.0  # a start has enough to do with the disk
AGAIN_S: Final = 3600.0  # after a night in which it did not work
LEFT_OVER_S: Final = 86_400.0  # what a killed process left half written
MIB: Final = 2**20
FOLDER: Final = "backups"  # in the data folder, if the config names none


class Backups:
    """The backups of one data folder."""

    def __init__(
        self,
        config: BackupConfig,
        storage: StorageConfig,
        *,
        release: str,
        zone: Callable[[], tzinfo | None] = lambda: None,
        deadline: Deadline | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._config = config
        self._storage = storage
        self._release = release
        self._zone = zone
        self._deadline = deadline or Deadline()
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._failed_at = float("-inf")

    @property
    def folder(self) -> Path:
        """Where backups are put."""
        return self._config.folder or self._storage.data_dir / FOLDER

    async def make(self) -> Backup:
        """Make one now. Waits for one that is being made.

        Raises:
            BackupFailed
        """
        return await self._make("backup")

    def nightly(self) -> list[Path]:
        """Return the nightly backups that are there, oldest first. Blocks."""
        return nightly_backups(self.folder)

    async def run(self) -> None:
        """Make a backup every night, if the config names a folder for them. Never returns."""
        if self._config.folder is None:
            await asyncio.Event().wait()
        await self._deadline.pause(FIRST_LOOK_S)
        await supervise("the nightly backup", self._turn, self._deadline)

    async def _turn(self) -> bool:
        await self.look()
        await self._deadline.pause(LOOK_S)
        if self._deadline.has_begun:
            await asyncio.Event().wait()  # the loop is cancelled
        return True

    async def look(self) -> None:
        """Make the backup of this night if it is due, also if the program was off then; and delete the oldest ones."""
        now = self._clock()
        if now < self._failed_at + AGAIN_S or not await asyncio.to_thread(self._is_due, now):
            return
        try:
            backup = await self._make("nightly")
        except BackupFailed as error:
            if self._deadline.has_begun:  # the next start makes it
                return
            self._failed_at = now
            log.critical("there is no backup of this night, it is tried again in an hour: %s", error)
            return
        log.info("backup verified: %s, %s images, %.0f MB", backup.path.name, backup.images, backup.bytes / 1e6)
        if backup.missing:
            log.warning("%s images that the database names cannot be opened, and are not in it", len(backup.missing))
        await asyncio.to_thread(self._prune)

    def _is_due(self, now: float) -> bool:
        local = datetime.fromtimestamp(now, UTC).astimezone(self._zone())
        due = local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(minutes=read_time(self._config.at))
        due_at = due.timestamp()
        if due_at > now:
            due_at = (due - timedelta(days=1)).timestamp()
        # A file of the future was made while the clock was wrong: it is none of this night.
        return not any(due_at <= made_at(path) <= now for path in self.nightly())

    async def _make(self, kind: str) -> Backup:
        async with self._one_at_a_time:
            path = self.folder / backup_name(self._clock(), kind=kind)
            await asyncio.to_thread(self._sweep, self._clock())
            try:
                return await asyncio.to_thread(
                    make_backup,
                    self._storage.data_dir,
                    path,
                    release=self._release,
                    with_images=self._config.images,
                    min_free_bytes=self._storage.min_free_mib * MIB,
                    should_stop=lambda: self._deadline.has_begun,
                )
            except Stopped as error:
                raise BackupFailed("the program is about to stop") from error

    def _prune(self) -> None:
        """Delete the nightly backups beyond those that are kept. Blocks."""
        for path in self.nightly()[: -self._config.keep]:
            with contextlib.suppress(OSError):
                path.unlink()
                log.info("deleted an old backup: %s", path.name)

    def _sweep(self, now: float) -> None:
        """Delete what killed processes left half written, which may be as large as a backup. Blocks."""
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if is_half_written(path.name) and path.stat().st_mtime < now - LEFT_OVER_S:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
