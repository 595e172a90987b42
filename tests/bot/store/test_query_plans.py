"""No statement reads the whole table: everything stays fast however long the history is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest

from bot.config import LimitsConfig
from bot.jobs import Delivery, FailureCode, ReplyTo, Request, UserKey
from bot.store.database import Database, SqlValue
from bot.store.erasure_store import ErasureStore
from bot.store.history_query import Stretch, Wanted
from bot.store.job_store import JobStore
from bot.store.moderation_store import ModerationStore
from bot.store.retraction_store import RetractionStore
from bot.store.statistics_store import StatisticsStore
from bot.store.usage_store import Measurement
from pipeline import ImageSpec

ANN = UserKey(frontend="test", id="ann")
# What a look at every row is called, if it is not of a list made by the statement itself or of an index that holds
# only rows of that kind.
WHOLE_TABLE = re.compile(
    r"SCAN (?!used|json_each|made_from|\(subquery|CONSTANT"
    r"|jobs USING INDEX jobs_(with_source|with_references|to_deliver))"
)
# A history of one person, or of one address, is only ever looked at in part.
WHOLE_HISTORY = re.compile(
    r"INDEX ((jobs_of_user|jobs_of_origin) \((?!.*queued_at)|jobs_of_user_by_id \((?!.*(id|rowid)>))"
)
# It is for the moment in which somebody has everything erased: what others made from any of their images.
WHOLE_BY_NATURE = {"made_from"}
ORDERED = {
    *("history", "history_edge", "shared"),
    *("due", "ended_before", "undelivered", "failures", "measurements", "shared_usage"),
}
SORTED = re.compile(r"USE TEMP B-TREE FOR (?:LAST TERM OF )?ORDER BY")


SEARCHED_INDEX = re.compile("INDEX jobs_(done|seed|moderated|kept)_of_user")
WANTED = (
    Wanted(with_removed=True),
    Wanted(with_removed=True, since=1, until=9),
    Wanted(words=("fox", "123", "Über")),
    Wanted(words=("fox",), since=1),
    Wanted(seed=7, words=("fox",)),
    Wanted(seed=7),
    Wanted(job_id=7),
    Wanted(model="demo"),
    Wanted(model="demo", words=("fox",), since=1),
    Wanted(is_kept=True),
    Wanted(is_kept=True, model="demo", words=("fox",), seed=7, since=1),
)


async def histories(jobs: JobStore) -> None:
    for wanted in WANTED:
        await jobs.history(ANN, Stretch(limit=5, before_id=7), wanted)
        await jobs.history(ANN, Stretch(limit=5, after_id=7, is_ascending=True), wanted)


async def edges(jobs: JobStore) -> None:
    for is_ascending in (False, True):
        await jobs.history_edge(ANN, Stretch(limit=5, is_ascending=is_ascending), searched=1000)


async def repeat(jobs: JobStore, request: Request, spec: ImageSpec) -> None:
    earlier = await jobs.get(1)
    assert earlier is not None
    await jobs.insert_repeat(request, spec, earlier, size_class=0, most_per_day=9, now=9)


@pytest.fixture
async def statements(
    database: Database,
    jobs: JobStore,
    spec: ImageSpec,
    make_request: Callable[..., Request],
    no_limits: LimitsConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, list[tuple[str, Mapping[str, SqlValue] | None]]]:
    """The SQL of every method of `JobStore`, by name."""
    seen: dict[str, list[tuple[str, Mapping[str, SqlValue] | None]]] = {}
    run, name = database.fetch_all, ""

    async def watched(sql: str, values: Mapping[str, SqlValue] | None = None) -> object:
        seen.setdefault(name, []).append((sql, values))
        return await run(sql, values)

    monkeypatch.setattr(database, "fetch_all", watched)
    reply = ReplyTo(frontend="test", key="card", address="{}")
    measured = Measurement(step_s=1.0, fixed_s=1.0)
    calls: dict[str, Callable[[], object]] = {
        "insert": lambda: jobs.insert(make_request(), spec, size_class=0, limits=no_limits, now=9),
        "by_request_key": lambda: jobs.by_request_key("x"),
        "usage": lambda: jobs.usage(ANN, now=9),
        "shared_usage": lambda: jobs.shared_usage("test", "card-", now=9),
        "claim": lambda: jobs.claim(1, now=9),
        "gpu_seconds": lambda: jobs.gpu_seconds(now=9),
        "finish": lambda: jobs.finish(1, image_path="a", image_bytes=1, ran_s=1.0, measured=measured, now=9),
        "same_image": lambda: jobs.same_image(make_request(), spec, "x"),
        "insert_repeat": lambda: repeat(jobs, make_request(), spec),
        "draw_after_all": lambda: jobs.draw_after_all(1),
        "mark_spoiler": lambda: jobs.mark_spoiler(1),
        "fail": lambda: jobs.fail(1, FailureCode.TIMEOUT, ran_s=1.0, now=9),
        "cancel_running": lambda: jobs.cancel_running(1, ran_s=1.0, now=9),
        "requeue": lambda: jobs.requeue(1, now=9),
        "recover": lambda: jobs.recover(max_attempts=2, now=9),
        "cancel_queued": lambda: jobs.cancel_queued(1, now=9),
        "request_cancel": lambda: jobs.request_cancel(1),
        "drop_message": lambda: jobs.drop_message("test", "card"),
        "move_message": lambda: jobs.move_message(1, reply),
        "due": lambda: jobs.due(now=9, limit=5),
        "delivered": lambda: jobs.delivered(1, reply),
        "postpone": lambda: jobs.postpone(1, next_at=9),
        "close_delivery": lambda: jobs.close_delivery(1, Delivery.DROPPED),
        "undelivered": lambda: jobs.undelivered(ANN),
        "failures": lambda: jobs.failures(ANN, since=0),
        "mark_told": lambda: jobs.mark_told([1], now=9),
        "get": lambda: jobs.get(1),
        "of_batch": lambda: jobs.of_batch("x"),
        "of_message": lambda: jobs.of_message("test", "card"),
        "keep": lambda: jobs.keep(1, limit=5),
        "unkeep": lambda: jobs.unkeep(1),
        "erase": lambda: jobs.erase(1, now=9),
        "unfinished": lambda: jobs.unfinished(),
        "history": lambda: histories(jobs),
        "history_edge": lambda: edges(jobs),
        "history_days": lambda: jobs.history_days(ANN, since=1, until=9),
        "shared": lambda: jobs.shared("test", 7, apart_from=ANN, limit=5, wanted=Wanted(words=("fox", "7"))),
        "measurements": lambda: jobs.measurements("fake", 0, now=9),
        "totals": lambda: jobs.totals(since=0, until=9),
        "ended_before": lambda: jobs.ended_before(9, limit=5),
        "inputs": lambda: jobs.inputs(),
        "image_paths": lambda: jobs.image_paths([1]),
        "newest_at": lambda: jobs.newest_at(),
        "last_number": lambda: jobs.last_number(),
        "renumber": lambda: jobs.renumber(10**15),
        "number_from": lambda: jobs.number_from(7),
        "spent_seconds": lambda: jobs.spent_seconds([ANN], now=9),
        "of_user": lambda: jobs.of_user(ANN, after_id=0, limit=5),
        "made_from": lambda: jobs.made_from(ANN),
        "drop_inputs": lambda: jobs.drop_inputs([1]),
        "inputs_of_others": lambda: jobs.inputs_of_others(ANN, ["a"], but=[1]),
        "counts": lambda: jobs.counts(ANN),
        "drop_deliveries": lambda: jobs.drop_deliveries(ANN),
        "spend": lambda: jobs.spend(ANN, now=9),
        "delete": lambda: jobs.delete([1]),
    }
    public = {each for kind in JobStore.__mro__[:-1] for each in vars(kind) if not each.startswith("_")}
    assert calls.keys() == public, "a new method needs its line here"
    for name, call in calls.items():  # noqa: B007 - `watched` reads it
        await call()  # type: ignore[misc]
    monkeypatch.undo()
    return seen


async def test_no_statement_reads_the_whole_table_or_sorts_a_history(database: Database, statements) -> None:
    for name, ran in statements.items():
        for sql, values in ran:
            if "sqlite_sequence" in sql:
                continue
            plan = [row["detail"] for row in await database.fetch_all(f"EXPLAIN QUERY PLAN {sql}", values)]
            assert [line for line in plan if WHOLE_TABLE.search(line)] == [], (name, plan)
            # How SQLite calls the look for a largest value: at all rows, unless it is that of the table's own order.
            assert "SEARCH jobs" not in plan or "MAX(id)" in sql, (name, plan)
            if name not in WHOLE_BY_NATURE:
                assert [line for line in plan if WHOLE_HISTORY.search(line)] == [], (name, plan)
            if name in ORDERED:
                assert [line for line in plan if SORTED.search(line)] == [], (name, plan)


async def test_search_in_a_history_goes_along_indexes_that_hold_all_that_is_searched(
    database: Database, statements
) -> None:
    assert len(statements["history"]) == len(WANTED) * 2
    for sql, values in (*statements["history"], *statements["history_edge"]):
        plan = [row["detail"] for row in await database.fetch_all(f"EXPLAIN QUERY PLAN {sql}", values)]
        searches = [line for line in plan if line.startswith("SEARCH") and "rowid=?" not in line]
        is_by_number = values is not None and values.get("job_id") is not None
        assert bool(searches) != is_by_number and all(SEARCHED_INDEX.search(line) for line in searches), plan
        # Whatever is looked for, one page ends it: the index gives the order.
        assert not any(SORTED.search(line) for line in plan), plan


async def test_pictures_of_a_server_are_found_by_its_number(database: Database, statements) -> None:
    ((sql, values),) = statements["shared"]
    plan = [row["detail"] for row in await database.fetch_all(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert any("INDEX jobs_shared_of_guild (reply_frontend=? AND guild_id=?)" in line for line in plan), plan


async def test_no_statement_of_another_store_reads_all_jobs(
    database: Database,
    jobs: JobStore,
    spec: ImageSpec,
    make_request: Callable[..., Request],
    no_limits: LimitsConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = await jobs.insert(make_request("ann"), spec, size_class=0, limits=no_limits, now=9)
    assert job is not None
    seen: list[tuple[str, Mapping[str, SqlValue] | None]] = []
    run = database.fetch_all

    async def watched(sql: str, values: Mapping[str, SqlValue] | None = None) -> object:
        seen.append((sql, values))
        return await run(sql, values)

    monkeypatch.setattr(database, "fetch_all", watched)
    moderation, erasures = ModerationStore(database), ErasureStore(database)
    statistics, retractions = StatisticsStore(database), RetractionStore(database)
    reply = ReplyTo(frontend="test", key="card", address="{}")
    for ask in (
        lambda: moderation.remove(job, "why", now=9),
        lambda: moderation.stop_all_of(ANN, "why", now=9),
        lambda: moderation.untold(ANN),
        lambda: moderation.children(1),
        lambda: moderation.repeats(job),
        lambda: moderation.waiting_from("a" * 64),
        lambda: moderation.note_copy(1, reply),
        lambda: moderation.copies_of(1),
        lambda: erasures.end(ANN),
        lambda: statistics.waits(now=9),
        lambda: statistics.people("test", 7, now=9),
        lambda: statistics.models(now=9),
        lambda: statistics.failures(now=9),
        lambda: retractions.add_copies([1], now=9),
        lambda: retractions.due(["test"], now=9, limit=5),
    ):
        await ask()
    monkeypatch.undo()
    assert len(seen) >= 15
    for sql, values in seen:
        plan = [row["detail"] for row in await database.fetch_all(f"EXPLAIN QUERY PLAN {sql}", values)]
        assert [line for line in plan if re.search(r"SCAN jobs|SCAN copies|SCAN retractions", line)] == [], (sql, plan)
        if "EXISTS (SELECT 1 FROM jobs" not in sql:  # which ends at the first row
            assert [line for line in plan if WHOLE_HISTORY.search(line)] == [], (sql, plan)
