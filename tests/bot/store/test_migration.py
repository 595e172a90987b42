"""A database of an earlier release opens, is migrated, and works on: nobody loses a picture or a place by an upgrade.

`version_2.sql` is the dump of a database that the last release before batches wrote, with jobs in every status.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bot.config import LimitsConfig
from bot.errors import JobAlreadyFinished
from bot.jobs import BatchPlace, Delivery, Derivation, FailureCode, JobStatus, Request, UserKey, Verb
from bot.pause import Pause
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.store.database import Database, rehearse_migrations
from bot.store.history_query import Stretch, Wanted
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.schema import migrations
from bot.store.usage_store import Measurement
from pipeline import ImageSpec

FIXTURE = Path(__file__).with_name("version_2.sql")
NOW = 1_800_000_100
ANN = UserKey(frontend="discord", id="ann")
GUEST = UserKey(frontend="console", id="browser-1")


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIXTURE.read_text("utf-8"))
    return path


@pytest.fixture
async def migrated(old_file: Path) -> AsyncIterator[Database]:
    async with Database.open(old_file) as database:
        yield database


def queue_of(database: Database, limits: LimitsConfig) -> JobQueue:
    pace = Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
    return JobQueue(JobStore(database), SettingStore(database), limits, assumed_pace=lambda _: pace, clock=lambda: NOW)


def test_rehearsal_names_the_scripts_that_are_missing(old_file: Path) -> None:
    assert rehearse_migrations(old_file) == [script.name for script in migrations() if script.version > 2]


async def test_every_row_is_read_as_before_and_says_that_it_belongs_to_no_batch(migrated: Database) -> None:
    jobs = [job for number in range(1, 17) if (job := await JobStore(migrated).get(number)) is not None]
    assert [job.id for job in jobs] == list(range(1, 17))
    assert {(job.batch, job.derived_from) for job in jobs} == {(None, None)}
    assert {status: sum(job.status is status for job in jobs) for status in JobStatus} == {
        JobStatus.QUEUED: 3,
        JobStatus.RUNNING: 2,
        JobStatus.DONE: 4,
        JobStatus.FAILED: 4,
        JobStatus.CANCELLED: 3,
    }
    assert {job.delivery for job in jobs} == set(Delivery)
    assert jobs[1].spec.prompt == "a fox <b>in</b> the snow 狐狸"
    assert jobs[3].spec.source == "a" * 64
    assert jobs[7].failure_code is FailureCode.OTHER
    assert jobs[15].flaw is FailureCode.UNREADABLE


async def test_backup_of_the_old_database_lies_beside_it(old_file: Path, migrated: Database) -> None:
    (backup,) = old_file.parent.glob("old.v2.*.db")
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


async def test_schema_is_that_of_a_new_database(migrated: Database, database: Database) -> None:
    schema = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    old, new = await migrated.fetch_all(schema), await database.fetch_all(schema)
    assert [tuple(row) for row in old] == [tuple(row) for row in new]


async def test_queue_goes_on_where_it_was(migrated: Database, no_limits: LimitsConfig) -> None:
    queue, jobs = queue_of(migrated, no_limits), JobStore(migrated)
    await queue.recover(max_attempts=2)
    assert queue.paused == Pause.by_operator("a game")
    stopped = await jobs.get(13)  # was running, and asked to cancel
    assert stopped is not None and stopped.status is JobStatus.CANCELLED
    await queue.resume()
    drawn = []
    for _ in range(4):
        running = await queue.claim()
        assert running is not None
        measured = Measurement(step_s=0.5, fixed_s=1.0)
        await queue.finish(running.job.id, image_path="a.png", image_bytes=3, ran_s=1.0, measured=measured)
        drawn.append(running.job.id)
        if not await jobs.unfinished():
            break
    # Back from running, the newer release's now that it can be read, and two in line.
    assert sorted(drawn) == [7, 12, 14, 15]
    unreadable = await jobs.get(16)
    assert unreadable is not None and unreadable.failure_code is FailureCode.UNREADABLE


async def test_history_outbox_limits_and_settings_are_what_they_were(migrated: Database) -> None:
    jobs = JobStore(migrated)
    assert [job.id for job in await jobs.history(ANN, Stretch(limit=9))] == [3, 2, 1]
    assert [job.id for job in await jobs.history(GUEST, Stretch(limit=9), Wanted(words=("apple",)))] == [4]
    assert [job.id for job in await jobs.undelivered(ANN)] == [3]
    assert [job.id for job in await jobs.failures(GUEST, since=0)] == [5]
    assert (await jobs.usage(ANN, now=NOW)).active == 2
    assert 2 in {job.id for job in await jobs.due(now=NOW, limit=99)}
    assert await jobs.inputs() == {"a" * 64, "b" * 64}
    assert await SettingStore(migrated).get("console.secret") == "s" * 43


async def test_old_jobs_can_be_cancelled_and_new_ones_put_beside_them(
    migrated: Database, no_limits: LimitsConfig, spec: ImageSpec, make_request
) -> None:
    queue, jobs = queue_of(migrated, no_limits), JobStore(migrated)
    assert (await queue.cancel(14)).status is JobStatus.CANCELLED
    with pytest.raises(JobAlreadyFinished):
        await queue.cancel(1)
    request: Request = replace(
        make_request("ann"),
        batch=BatchPlace(batch_id="press", index=1),
        derived_from=Derivation(job_id=1, verb=Verb.VARY),
    )
    job = await queue.put(request, spec)
    assert job.id == 17
    assert await jobs.get(17) == job
    assert (job.batch, job.derived_from) == (request.batch, request.derived_from)


@pytest.mark.parametrize(
    ("column", "value"),
    [("batch_index", "a"), ("batch_index", None), ("derived_from", b"\xff"), ("derived_by", None), ("batch_id", None)],
)
async def test_half_a_batch_or_derivation_is_none(migrated: Database, column: str, value: object) -> None:
    await migrated.fetch_all(
        "UPDATE jobs SET batch_id = 'press', batch_index = 0, derived_from = 1, derived_by = 'vary' WHERE id = 2"
    )
    await migrated.fetch_all(f"UPDATE jobs SET {column} = :value WHERE id = 2", {"value": value})
    job = await JobStore(migrated).get(2)
    assert job is not None
    assert (job.batch if column.startswith("batch") else job.derived_from) is None


async def test_verb_of_a_later_release_is_some_other_one(migrated: Database) -> None:
    await migrated.fetch_all("UPDATE jobs SET derived_from = 1, derived_by = 'outpaint' WHERE id = 2")
    job = await JobStore(migrated).get(2)
    assert job is not None and job.derived_from == Derivation(job_id=1, verb=Verb.OTHER)
