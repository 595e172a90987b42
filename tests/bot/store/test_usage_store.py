"""What jobs used counts once, whatever the clock or a damaged row says."""

from __future__ import annotations

import pytest

from bot.config import LimitsConfig
from bot.jobs import UserKey
from bot.store.database import Database
from bot.store.horizon import DAY_S
from bot.store.job_store import JobStore
from pipeline import ImageSpec
from tests.bot.store.drawing import MEASURED, NOW, draw


async def test_pictures_dated_in_the_future_lock_nobody_out(
    jobs: JobStore, put, no_limits: LimitsConfig, database: Database
) -> None:
    limits = no_limits.model_copy(update={"max_images_per_day": 1, "cooldown_s": 5})
    assert await put(now=NOW + 365 * DAY_S, limits=limits) is not None
    await draw(jobs, now=NOW + 365 * DAY_S)
    ann = UserKey(frontend="test", id="ann")
    assert (await jobs.usage(ann, now=NOW)).counted == ()
    assert await jobs.gpu_seconds(now=NOW) == {}
    assert await put(now=NOW, limits=limits) is not None
    assert await put(now=NOW + 10, limits=limits) is None  # the one of today counts


async def test_pictures_of_a_clock_that_was_ahead_are_in_no_forecast_and_no_number_of_the_day(
    jobs: JobStore, put
) -> None:
    """Otherwise the newest twenty would be those until that moment has come."""
    await put()
    await draw(jobs, now=NOW + 365 * DAY_S)
    assert await jobs.measurements("fake", 0, now=NOW) == []
    assert (await jobs.totals(since=NOW - DAY_S, until=NOW)).done == 0
    await put()
    await draw(jobs, now=NOW)
    assert await jobs.measurements("fake", 0, now=NOW) == [MEASURED]
    assert (await jobs.totals(since=NOW - DAY_S, until=NOW)).done == 1


async def test_days_limit_counts_what_images_cost(
    jobs: JobStore, spec: ImageSpec, make_request, no_limits: LimitsConfig
) -> None:
    limits = no_limits.model_copy(update={"max_images_per_day": 1})

    async def ask(cost: float) -> bool:
        job = await jobs.insert(make_request(), spec, size_class=0, limits=limits, now=100, cost=cost)
        return job is not None

    assert [await ask(cost) for cost in (1.5, 0.25, 0.8, 0.1, 0.65, 0.05)] == [False, True, False, True, True, False]
    usage = await jobs.usage(UserKey(frontend="test", id="ann"), now=100)
    assert sorted(each.cost for each in usage.counted) == [0.1, 0.25, 0.65]


@pytest.mark.parametrize("damaged", ["'x'", "-3", "1e308", "NULL", "x'00'"])
async def test_damaged_cost_counts_as_one_image(
    jobs: JobStore, database: Database, spec: ImageSpec, make_request, no_limits: LimitsConfig, damaged: str
) -> None:
    job = await jobs.insert(make_request(), spec, size_class=0, limits=no_limits, now=100, cost=0.25)
    assert job is not None
    await database.fetch_all("PRAGMA ignore_check_constraints = ON")
    try:
        await database.fetch_all(f"UPDATE OR IGNORE jobs SET cost = {damaged}")
    finally:
        await database.fetch_all("PRAGMA ignore_check_constraints = OFF")
    usage = await jobs.usage(UserKey(frontend="test", id="ann"), now=100)
    assert [each.cost for each in usage.counted] in ([1.0], [0.25])  # NOT NULL keeps what there was
