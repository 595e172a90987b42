"""What an operator sees of the whole service: load, runners, limits, and what lies on the disk. Knows no front end.

No prompts: private ones are for nobody else, and whoever moderates a server reads those of that server there. What an
operator does is `Service.cancel`, with a `may` that allows every job, and `pausing.py`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.clock import Clock
from bot.config import LimitsConfig, StorageConfig
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.placement import RunnerState
from bot.store.database import DATABASE_NAME
from bot.store.image_store import ImageStore

log = logging.getLogger(__name__)

STORAGE_AGE_S: Final = 30.0  # thousands of files are counted, while somebody looks every other second
SIDE_FILES: Final = ("", "-wal", "-shm")  # of SQLite, https://sqlite.org/wal.html


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What lies on the disk.

    database_bytes: with what SQLite keeps beside it.
    images: files, and `image_bytes` of them; with the images that others were made from.
    """

    database_bytes: int
    images: int
    image_bytes: int
    free_bytes: int


class Operating:
    """The service as its operator sees it."""

    def __init__(
        self,
        queue: JobQueue,
        images: ImageStore,
        *,
        limits: LimitsConfig,
        storage: StorageConfig,
        monotonic: Clock = time.monotonic,
    ) -> None:
        bounds = {"history_days": storage.history_days, "min_free_mib": storage.min_free_mib}
        self.limits: Mapping[str, int] = {**limits.model_dump(), **bounds}  # by their keys in the config
        self._queue = queue
        self._images = images
        self._database = storage.data_dir / DATABASE_NAME
        self._monotonic = monotonic
        self._storage: Storage | None = None
        self._storage_at = -math.inf
        self._counting = asyncio.Lock()

    @property
    def runners(self) -> Sequence[RunnerState]:
        """The runners that are left, with the models that they hold."""
        return self._queue.runners

    @property
    def drawn(self) -> Mapping[int, int]:
        """The job that each runner draws, by the runner's number."""
        return self._queue.drawn

    async def storage(self) -> Storage | None:
        """Return what lies on the disk, up to `STORAGE_AGE_S` ago; None if it cannot be read."""
        async with self._counting:
            if self._monotonic() - self._storage_at > STORAGE_AGE_S:
                try:
                    self._storage = await self._count()
                except OSError as error:
                    log.warning("the sizes of the stored files cannot be read: %s", error)
                    self._storage = None
                self._storage_at = self._monotonic()
            return self._storage

    async def _count(self) -> Storage:
        database_bytes = await asyncio.to_thread(_size_with_side_files, self._database)
        images, image_bytes = await self._images.usage()
        free_bytes = await self._images.free_bytes()
        return Storage(database_bytes=database_bytes, images=images, image_bytes=image_bytes, free_bytes=free_bytes)


def _size_with_side_files(database: Path) -> int:
    sizes = []
    for end in SIDE_FILES:
        try:
            sizes.append(database.with_name(database.name + end).stat().st_size)
        except FileNotFoundError:  # the database itself: moved away while the bot runs, which is told elsewhere
            continue
    return sum(sizes)
