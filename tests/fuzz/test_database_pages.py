"""Damage to the database file: whatever it is, it is told in a sentence, or it is not in the way."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from bot.config import LimitsConfig
from bot.errors import DatabaseUnusable, SchemaTooNew, StoreUnavailable
from bot.jobs import FailureCode, ReplyTo, Request, UserKey
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.pauses import PAUSE_SETTING
from bot.store import preflight
from bot.store.database import Database, rehearse_migrations
from bot.store.history_query import Stretch, Wanted
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.usage_store import Measurement
from pipeline import ImageOptions, ImageSpec
from tests.bot.scheduling.claiming import claim_next
from tests.fuzz.fuzzing import fuzz

NOW = 1_800_000_000
PAGE_BYTES = 4096
JOBS = 60
LIMIT_S = 5.0  # of all statements on one file, which take some milliseconds
USERS = [UserKey(frontend="test", id=name) for name in ("ann", "ben", "cem")]
HEADER_BYTES = 100  # https://sqlite.org/fileformat2.html#the_database_header


@st.composite
def damages(draw: Callable[..., Any]) -> list[tuple[str, int, bytes]]:
    """Up to four of: what happens, where (in bytes), with which bytes."""
    offsets = st.one_of(
        st.integers(0, HEADER_BYTES - 1),
        st.tuples(st.integers(0, 63), st.integers(0, 20)).map(lambda place: place[0] * PAGE_BYTES + place[1]),
        st.integers(0, 64 * PAGE_BYTES),
    )
    kinds = st.sampled_from(("write", "write", "zero page", "noise page", "copy page", "cut", "append", "wal"))
    return draw(st.lists(st.tuples(kinds, offsets, st.binary(min_size=1, max_size=16)), min_size=1, max_size=4))


def damage(data: bytes, what: list[tuple[str, int, bytes]]) -> tuple[bytes, bytes]:
    """The file with all of that done to it, and what lies beside it as its -wal file."""
    spoilt, wal = bytearray(data), b""
    for kind, offset, noise in what:
        at = offset % max(len(spoilt), 1)
        page = at - at % PAGE_BYTES
        match kind:
            case "write":
                spoilt[at : at + len(noise)] = noise
            case "zero page":
                spoilt[page : page + PAGE_BYTES] = bytes(PAGE_BYTES)
            case "noise page":
                spoilt[page : page + PAGE_BYTES] = (noise * PAGE_BYTES)[:PAGE_BYTES]
            case "copy page":
                spoilt[page : page + PAGE_BYTES] = data[:PAGE_BYTES] if noise[0] % 2 else data[-PAGE_BYTES:]
            case "cut":
                del spoilt[at if noise[0] % 2 else page :]
            case "append":
                spoilt += noise * 100
            case "wal":
                wal = bytes.fromhex("377f0682002de218") + noise * 200  # https://sqlite.org/fileformat2.html#walformat
    return bytes(spoilt), wal


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database after a busy day, as a clean stop leaves it."""
    path = tmp_path_factory.mktemp("whole") / "x.db"

    async def fill() -> None:
        async with Database.open(path) as database:
            jobs, settings = JobStore(database), SettingStore(database)
            for number in range(JOBS):
                user, options = USERS[number % len(USERS)], ImageOptions(prompt=f"a red apple {number} " * 20)
                reply_to = ReplyTo(frontend="test", key=f"card-{number}", address='{"name": "ann"}')
                request = Request(user=user, reply_to=reply_to, options=options, key=f"request-{number}")
                await jobs.insert(
                    request, replace(SPEC, prompt=options.prompt), size_class=0, limits=NO_LIMITS, now=NOW
                )
                if number % 3:
                    job = await claim_next(jobs, now=NOW)
                    assert job is not None
                    await finish(jobs, job.id) if number % 2 else await jobs.fail(job.id, CODE, ran_s=1, now=NOW)
            for number in range(20):
                await settings.set(f"setting {number}", json.dumps("x" * 500))

    asyncio.run(fill())
    return path


SPEC = ImageSpec(prompt="x", seed=7, steps=4, width=64, height=64, guidance=3.5, cfg_scale=1.0, model="fake")
NO_LIMITS = LimitsConfig(max_waiting=1000, max_active_per_user=1000, max_images_per_day=1000, cooldown_s=0)
CODE = FailureCode.TIMEOUT


async def finish(jobs: JobStore, job_id: int) -> None:
    measured = Measurement(step_s=0.5, fixed_s=1.0)
    await jobs.finish(job_id, image_path="a.png", image_bytes=1, ran_s=1.0, measured=measured, now=NOW)


async def work(database: Database) -> None:
    """What a start and a day do: every statement that reads or moves rows."""
    jobs, settings = JobStore(database), SettingStore(database)
    pace = Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
    queue = JobQueue(jobs, settings, NO_LIMITS, assumed_pace=lambda _spec: pace, clock=lambda: NOW)
    await queue.recover(max_attempts=2)
    await queue.standings()
    for user in USERS:
        await jobs.history(user, Stretch(limit=25), Wanted(words=("apple",)))
        await jobs.usage(user, now=NOW)
        await jobs.undelivered(user)
        await jobs.failures(user, since=0)
    await queue.paces.measured(SPEC)
    await jobs.shared_usage("test", "card", now=NOW)
    await jobs.gpu_seconds(now=NOW)
    await jobs.totals(since=0)
    await jobs.inputs()
    await jobs.due(now=NOW, limit=10)
    await jobs.ended_before(NOW + 1, limit=10)
    await jobs.last_number()
    await settings.get_json("setting 3")
    await settings.set(PAUSE_SETTING, None)
    request = Request(
        user=USERS[0],
        reply_to=ReplyTo(frontend="test", key="new", address="{}"),
        options=ImageOptions(prompt="x"),
        key="new",
    )
    await jobs.insert(request, SPEC, size_class=0, limits=NO_LIMITS, now=NOW)
    if (job := await claim_next(jobs, now=NOW)) is not None:
        await finish(jobs, job.id)
    if (job := await claim_next(jobs, now=NOW)) is not None:
        await jobs.fail(job.id, CODE, ran_s=1, now=NOW)
    await jobs.delete([1, 2, 3])


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Path]:
    """A path that nothing was at before, each time."""
    return (tmp_path / f"{number}" / "x.db" for number in itertools.count())


@fuzz(60, what=damages())
async def test_any_damage_is_told_in_a_sentence_and_hangs_nothing(
    whole: Path, paths: Iterator[Path], what: list[tuple[str, int, bytes]]
) -> None:
    path = next(paths)
    path.parent.mkdir()
    data, wal = damage(whole.read_bytes(), what)
    path.write_bytes(data)
    if wal:
        path.with_name("x.db-wal").write_bytes(wal)
    started = time.monotonic()

    with contextlib.suppress(DatabaseUnusable, SchemaTooNew):
        rehearse_migrations(path)
    preflight.look(path)
    for _start in range(2):
        with contextlib.suppress(DatabaseUnusable, SchemaTooNew, StoreUnavailable):
            async with asyncio.timeout(LIMIT_S), Database.open(path) as database:
                await work(database)
    assert time.monotonic() - started < LIMIT_S
    # The way out that the sentence names works.
    path.rename(path.with_name("moved"))
    path.with_name("x.db-wal").unlink(missing_ok=True)
    path.with_name("x.db-shm").unlink(missing_ok=True)
    async with Database.open(path) as database:
        await work(database)


async def test_whole_database_is_found_whole(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(whole.read_bytes())
    assert rehearse_migrations(path) == []
    assert whole.stat().st_size > 20 * PAGE_BYTES
    async with Database.open(path) as database:
        await work(database)
        with contextlib.closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
