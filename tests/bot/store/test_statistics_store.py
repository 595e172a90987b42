"""What operators ask of the history is right, goes along one index, and believes no damaged row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from bot.jobs import UserKey
from bot.store.database import Database, SqlValue
from bot.store.horizon import DAY_S
from bot.store.statistics_store import MAX_NAMES, MAX_PEOPLE, Count, PersonTime, StatisticsStore, Waits

NOW = 10_000_000
GUILD = 2**62


@pytest.fixture
def add(database: Database) -> Callable[..., Any]:
    numbers = iter(range(10_000))

    async def add(waited_s: int = 10, age_s: int = 60, **columns: SqlValue) -> None:
        number = next(numbers)
        values: dict[str, SqlValue] = {
            "request_key": f"key {number}",
            "user_frontend": "discord",
            "user_id": "ann",
            "reply_frontend": "discord",
            "reply_key": str(number),
            "reply_address": json.dumps({"guild_id": GUILD}),
            "spec": "{}",
            "model": "demo",
            "size_class": 1,
            "status": "done",
            "queued_at": NOW - age_s - waited_s,
            "finished_at": NOW - age_s,
            "ran_s": 1.0,
            "image_path": "x.png",
            **columns,
        }
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        await database.fetch_all(f"INSERT INTO jobs ({names}) VALUES ({marks})", values)

    return add


async def test_nothing_was_drawn(statistics: StatisticsStore) -> None:
    assert await statistics.waits(now=NOW) is None
    assert await statistics.people("discord", GUILD, now=NOW) == []
    assert await statistics.models(now=NOW) == await statistics.failures(now=NOW) == []


async def test_waits_are_those_of_the_images_of_a_day(statistics: StatisticsStore, add: Callable[..., Any]) -> None:
    await add(waited_s=7)
    assert await statistics.waits(now=NOW) == Waits(half_s=7, most_s=7)
    for seconds in range(1, 100):
        await add(waited_s=seconds)
    await add(waited_s=5000, age_s=DAY_S + 1)
    await add(waited_s=5000, age_s=-60)  # by a clock that was wrong
    await add(waited_s=5000, status="failed", failure_code="timeout", image_path=None)
    await add(waited_s=-3)  # the clock was set back meanwhile
    assert await statistics.waits(now=NOW) == Waits(half_s=49, most_s=94)


async def test_people_are_those_of_one_server(statistics: StatisticsStore, add: Callable[..., Any]) -> None:
    for age_s, ran_s in ((60, 4.0), (2 * DAY_S, 10.0), (8 * DAY_S, 500.0), (60, -5.0), (60, 1e300)):
        await add(age_s=age_s, ran_s=ran_s)
    await add(user_id="bob", ran_s=2.0, status="failed", failure_code="timeout", image_path=None)
    await add(user_id="eve", reply_address=json.dumps({"guild_id": GUILD + 1}))
    for address in ("not json", "[]", '{"guild_id": null}', "", '{"guild_id": "x"}'):
        await add(user_id="mal", reply_address=address)
    await add(user_id="lurker", ran_s=0.0, status="cancelled", image_path=None)
    people = await statistics.people("discord", GUILD, now=NOW)
    assert people == [
        PersonTime(user=UserKey(frontend="discord", id="ann"), today_s=4.0, week_s=14.0),
        PersonTime(user=UserKey(frontend="discord", id="bob"), today_s=2.0, week_s=2.0),
    ]
    assert await statistics.people("console", GUILD, now=NOW) == []
    for number in range(2 * MAX_PEOPLE):
        await add(user_id=str(number))
    assert len(await statistics.people("discord", GUILD, now=NOW)) == MAX_PEOPLE


async def test_models_and_failures_are_counted(statistics: StatisticsStore, add: Callable[..., Any]) -> None:
    for model in ("demo", "flux1-dev", "demo"):
        await add(model=model)
    await add(status="failed", failure_code="timeout", image_path=None)
    assert await statistics.models(now=NOW) == [Count(name="demo", count=2), Count(name="flux1-dev", count=1)]
    assert await statistics.failures(now=NOW) == [Count(name="timeout", count=1)]
    for number in range(2 * MAX_NAMES):
        await add(model=f"m{number}")
    assert len(await statistics.models(now=NOW)) == MAX_NAMES


async def test_every_question_reads_one_index_and_no_row(
    statistics: StatisticsStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Any]] = []
    run = database.fetch_all

    async def watched(sql: str, values: Any = None) -> Any:
        asked.append((sql, values))
        return await run(sql, values)

    with monkeypatch.context() as patch:
        patch.setattr(database, "fetch_all", watched)
        await statistics.waits(now=NOW)
        await statistics.people("discord", GUILD, now=NOW)
        await statistics.models(now=NOW)
        await statistics.failures(now=NOW)
    assert len(asked) == 4  # one statement each
    for sql, values in asked:
        plan = [row["detail"] for row in await run(f"EXPLAIN QUERY PLAN {sql}", values)]
        looks = [line for line in plan if "jobs" in line]
        assert len(looks) == 1 and re.match(
            r"SEARCH jobs USING (COVERING )?INDEX jobs_(outcomes|of_guild) ", looks[0]
        ), plan
        assert "finished_at>?" in looks[0], plan
