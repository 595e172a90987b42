"""What the service does by itself while it runs: forget what is old, number what is new, and watch its own loop.

Knows the stores and no other part.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import itertools
import json
import logging
import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from bot import logs
from bot.config import StorageConfig
from bot.deadline import Deadline
from bot.errors import StoreUnavailable
from bot.store.horizon import DAY_S, Horizon
from bot.store.image_store import ImageStore
from bot.store.key_value_store import SettingStore
from bot.store.lock import beat, fall_silent
from bot.store.retention_store import RetentionStore
from bot.supervision import supervise

log = logging.getLogger(__name__)

PROMPTS_FOLDER: Final = "prompts"
MAX_NUMBER: Final = 10**15
HORIZON_SETTING: Final = "history.horizon"
RUNNING_SETTING: Final = "process.running_since"
ORPHAN_AGE_S: Final = 600.0  # a source is written just before its job
PRUNE_EVERY_S: Final = 3600.0
PRUNE_BATCH: Final = 200
STARTED_S: Final = 60.0
BEAT_EVERY_S: Final = 10.0
FOLDED_EVERY_S: Final = 1.0
LAG_PROBE_S: Final = 0.05
LAG_SAMPLES: Final = 100_000


# Forgets what was over at a moment that is believed to have come, in Unix seconds. Raises StoreUnavailable.
Forget = Callable[[int], Awaitable[None]]


async def prune_forever(
    jobs: RetentionStore,
    images: ImageStore,
    settings: SettingStore,
    config: StorageConfig,
    deadline: Deadline,
    forgetful: Sequence[Forget] = (),
) -> None:
    """Forget what is older than the config says, in small batches, once an hour; files without a row once a day.

    Args:
        forgetful: what else forgets once an hour, by the same clock.
    """
    hours = itertools.count()

    async def sweep() -> bool:
        await images.sweep()
        return False

    async def turn() -> bool:
        moment = await believed_moment(jobs, settings, now=int(time.time()))
        for forget in forgetful:
            await forget(moment)
        before = moment - config.history_days * DAY_S
        await asyncio.to_thread(forget_prompts, config.data_dir / PROMPTS_FOLDER, before=before)
        if deleted := await prune(jobs, images, before=before):
            log.info("%s jobs older than %s days were deleted", deleted, config.history_days)
        if next(hours) % 24 == 0 and (deleted := await prune_strays(jobs, images, before=before)):
            log.info("%s pictures without a row, older than %s days, were deleted", deleted, config.history_days)
        await images.delete_sources(kept=await jobs.inputs(), before=time.time() - ORPHAN_AGE_S)
        await asyncio.sleep(PRUNE_EVERY_S)
        return True

    await supervise("deleting half-written files", sweep, deadline)
    await supervise("deleting old jobs", turn, deadline)


async def believed_moment(jobs: RetentionStore, settings: SettingStore, *, now: int) -> int:
    """The moment from which age is counted, whatever the clock says; notes this look at it for the next one."""
    stored = await settings.get_json(HORIZON_SETTING)
    horizon = Horizon.read(stored, newest_at=min(now, await jobs.newest_at() or now)).look(now)
    await settings.set(HORIZON_SETTING, json.dumps(dataclasses.asdict(horizon)))
    if horizon.leapt_at is not None:
        log.warning(
            "the clock is far ahead of the last look at it: what is old by it is deleted after a day, if it stays so"
        )
    return min(horizon.trusted_at, now)


async def prune(jobs: RetentionStore, images: ImageStore, *, before: int) -> int:
    """Delete the jobs that ended before `before`, pictures first: a crash in between leaves no orphans.

    Those whose picture cannot be deleted now are kept for the next time, and hold up no others.
    """
    kept: set[int] = set()
    deleted = 0
    while old := [job for job in await jobs.ended_before(before, limit=PRUNE_BATCH + len(kept)) if job.id not in kept]:
        gone = [job.id for job in old if job.image_path is None or await images.delete(job.image_path)]
        await jobs.delete(gone)
        kept |= {job.id for job in old} - set(gone)
        deleted += len(gone)
    return deleted


async def prune_strays(jobs: RetentionStore, images: ImageStore, *, before: int) -> int:
    """Delete pictures written before `before` that no row names: of a database moved away, or of a crash."""
    deleted = 0
    async for pictures in images.written_before(before):
        named = await jobs.image_paths(pictures.values())
        for path in pictures.keys() - named:
            deleted += await images.delete(path)
    return deleted


async def continue_numbers(jobs: RetentionStore, images: ImageStore) -> None:
    """Never give a number twice: old messages on Discord name jobs by them. Says so if the database lacks some."""
    last, highest = await jobs.last_number(), await images.highest_number()
    if last > MAX_NUMBER:
        log.critical("the database has numbers of jobs that nobody gave, up to %s: they get others", last)
        await jobs.renumber(above=MAX_NUMBER)
        last = await jobs.last_number()
    if highest <= last:
        return
    what = "is empty" if last == 0 else f"knows pictures up to number {last} only"
    log.critical(
        "the database %s, but there are pictures up to number %s: was it moved away, replaced by an older copy, or did "
        "it lose its -wal file? To have queue, history and limits back, stop now and put it back. "
        "New pictures begin at number %s, and those without a row are deleted after [storage] history_days",
        what, highest, highest + 1,
    )  # fmt: skip
    await jobs.number_from(highest)


async def begin_run(settings: SettingStore, *, now: int) -> bool:
    """Note that a process runs. Returns whether the one before ended without saying so: it crashed, or was killed."""
    is_left = await settings.get(RUNNING_SETTING) is not None
    await settings.set(RUNNING_SETTING, str(now))
    return is_left


async def end_run(settings: SettingStore) -> None:
    """Note that the process ends as it should."""
    with contextlib.suppress(StoreUnavailable):
        await settings.set(RUNNING_SETTING, None)


def forget_prompts(folder: Path, *, before: float) -> None:
    """Delete what the engine read of prompts that nobody has drawn since `before`. Blocks."""
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < before:
                path.unlink()


async def freeze_what_stays() -> None:
    """Take what libraries made while starting out of the sight of Python's collector, once all have started.

    It looks at all of it again and again, 50 ms at a time in which nobody is answered (docs/benchmarks.md).
    """
    await asyncio.sleep(STARTED_S)
    gc.collect()
    gc.freeze()
    await asyncio.Event().wait()


async def beat_forever(database: Path, deadline: Deadline) -> None:
    """Give a sign of life as long as the event loop turns and the disk answers, for `imagine-bot alive`."""

    async def turn() -> bool:
        await asyncio.to_thread(beat, database)
        await asyncio.sleep(BEAT_EVERY_S)
        return True

    try:
        await supervise("the sign of life", turn, deadline)
    finally:
        fall_silent(database)


async def tell_folded() -> None:
    """Say of lines that were folded how many there were, when their minute is over."""
    while True:
        await asyncio.sleep(FOLDED_EVERY_S)
        logs.tell_folded()


class LagProbe:
    """Measures how late the event loop is: Discord wants its first answer within 3 seconds."""

    def __init__(self) -> None:
        self._lags_ms: deque[float] = deque(maxlen=LAG_SAMPLES)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PROBE_S
            await asyncio.sleep(LAG_PROBE_S)
            self._lags_ms.append((loop.time() - due) * 1000)

    def report(self, period: str) -> None:
        """Say how it was in the period that ends now, and begin another."""
        if len(self._lags_ms) > 1:
            percentiles = statistics.quantiles(self._lags_ms, n=100)
            worst = max(self._lags_ms)
            log.info(
                "event loop lag %s: p50 %.1f ms, p99 %.1f ms, max %.1f ms",
                period,
                percentiles[49],
                percentiles[98],
                worst,
            )
        self._lags_ms.clear()
