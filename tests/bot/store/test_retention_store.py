"""What goes, goes a few rows at a time."""

from __future__ import annotations

import pytest

from bot.jobs import Delivery, UserKey
from bot.store import retention_store
from bot.store.database import Database
from bot.store.job_store import JobStore
from bot.store.retention_store import Counts
from tests.bot.store.drawing import NOW, draw


async def test_old_jobs_are_deleted_in_batches(jobs: JobStore, put) -> None:
    for age in (0, 10, 20):
        await put(now=NOW - age)
        await draw(jobs, now=NOW - age)
    (oldest,) = await jobs.ended_before(NOW - 5, limit=1)
    assert len(await jobs.ended_before(NOW - 5, limit=9)) == 2
    await jobs.delete([oldest.id])
    assert len(await jobs.ended_before(NOW - 5, limit=9)) == 1
    assert (await jobs.totals(since=0)).done == 2


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
async def test_rows_of_a_person_are_counted_a_few_at_a_time(
    jobs: JobStore, put, database: Database, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """One statement over a long history would keep everybody else waiting."""
    monkeypatch.setattr(retention_store, "COUNTED_AT_ONCE", at_once)
    ann = UserKey(frontend="test", id="ann")
    assert await jobs.counts(ann) == retention_store.NO_JOBS
    for number in range(3):
        await put(now=NOW - number)
        job = await draw(jobs)
    await jobs.keep(job.id, limit=1)
    await put("ben", now=NOW - 99)
    await put(now=NOW)
    statements: list[str] = []
    run = database.fetch_all

    async def watched(sql: str, values: object = None) -> object:
        statements.append(sql)
        return await run(sql, values)  # type: ignore[arg-type]

    monkeypatch.setattr(database, "fetch_all", watched)
    assert await jobs.counts(ann) == Counts(
        jobs=4, images=3, kept=1, private=0, unfinished=1, bytes=9, oldest_at=NOW - 2
    )
    assert len(statements) == 4 // at_once + 1


async def test_deliveries_of_a_person_are_dropped_a_few_at_a_time(
    jobs: JobStore, put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_store, "CHANGED_AT_ONCE", 1)
    mine = [await put() for _ in range(3)]
    his = await put("ben")
    for _ in range(2):
        await draw(jobs)
    await jobs.drop_deliveries(UserKey(frontend="test", id="ann"))
    assert {(await jobs.get(job.id)).delivery for job in mine} == {Delivery.DROPPED}
    assert (await jobs.get(his.id)).delivery is not Delivery.DROPPED
