"""Each statement keeps its own condition, also when many tasks ask at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.config import LimitsConfig
from bot.jobs import BatchPlace, Delivery, FailureCode, Job, JobStatus, ReplyTo, Request, UserKey
from bot.store import job_store
from bot.store.database import Database
from bot.store.history_query import Stretch, Wanted
from bot.store.job_store import DAY_S, LONGEST_PAUSE_S, Counts, JobStore, Measurement
from pipeline import ImageSpec
from tests.bot.scheduling.claiming import claim_next

NOW = 1_800_000_000
MEASURED = Measurement(step_s=0.5, fixed_s=1.0)


@pytest.fixture
def put(
    jobs: JobStore, spec: ImageSpec, make_request: Callable[..., Request], no_limits: LimitsConfig
) -> Callable[..., object]:
    async def put(user: str = "ann", *, now: int = NOW, limits: LimitsConfig = no_limits) -> Job | None:
        return await jobs.insert(make_request(user), spec, size_class=0, limits=limits, now=now)

    return put


async def draw(jobs: JobStore, *, ran_s: float = 10.0, now: int = NOW) -> Job:
    """Claim the next job and finish it."""
    job = await claim_next(jobs, now=now)
    assert job is not None
    done = await jobs.finish(job.id, image_path="a.png", image_bytes=3, ran_s=ran_s, measured=MEASURED, now=now)
    assert done is not None
    return done


@pytest.mark.parametrize(
    ("limits", "people", "accepted"),
    [
        ({"max_waiting": 4}, 10, 4),
        ({"max_active_per_user": 3}, 1, 3),
        ({"max_images_per_day": 2}, 1, 2),
        ({"cooldown_s": 5}, 1, 1),
        ({"cooldown_s": 5}, 3, 3),
    ],
)
async def test_bounds_hold_when_everybody_asks_in_the_same_moment(
    put, no_limits: LimitsConfig, limits: dict[str, int], people: int, accepted: int
) -> None:
    config = no_limits.model_copy(update=limits)
    answers = await asyncio.gather(*(put(f"user-{number % people}", limits=config) for number in range(10)))
    assert sum(job is not None for job in answers) == accepted


async def test_repeated_request_makes_one_job(jobs: JobStore, spec, make_request, no_limits) -> None:
    first = await jobs.insert(make_request(key="same"), spec, size_class=0, limits=no_limits, now=NOW)
    second = await jobs.insert(make_request(key="same"), spec, size_class=0, limits=no_limits, now=NOW)
    assert first is not None and second is None
    assert await jobs.by_request_key("same") == first


async def test_failed_and_unstarted_jobs_do_not_count_against_the_day(jobs: JobStore, put, no_limits) -> None:
    one_a_day = no_limits.model_copy(update={"max_images_per_day": 1})
    failed = await put()
    await claim_next(jobs, now=NOW)
    await jobs.fail(failed.id, FailureCode.OUT_OF_MEMORY, ran_s=1.0, now=NOW)
    cancelled = await put(limits=one_a_day)
    await jobs.cancel_queued(cancelled.id, now=NOW)
    third = await put(limits=one_a_day)
    assert third is not None
    await claim_next(jobs, now=NOW)
    await jobs.cancel_running(third.id, ran_s=1.0, now=NOW)  # it took GPU time: this one counts
    assert await put(limits=one_a_day) is None
    assert await put(limits=one_a_day, now=NOW + 86_400) is not None


async def test_claim_prefers_the_person_who_used_the_gpu_least(jobs: JobStore, put) -> None:
    await put("greedy")
    await draw(jobs, ran_s=100.0)
    await put("greedy")
    await put("modest")
    await draw(jobs, ran_s=5.0)
    await put("modest")
    order = []
    while (job := await claim_next(jobs, now=NOW)) is not None:
        order.append(job.user.id)
        await jobs.cancel_running(job.id, ran_s=1.0, now=NOW)
    assert order == ["modest", "greedy"]


async def test_gpu_time_is_forgotten_after_an_hour(jobs: JobStore, put) -> None:
    await put("greedy")
    await draw(jobs, ran_s=100.0, now=NOW)
    await put("greedy")
    await put("modest")
    job = await claim_next(jobs, now=NOW + 3600)
    assert job is not None and job.user.id == "greedy"  # the older job again


async def test_claim_is_first_come_first_served_for_one_person(jobs: JobStore, put) -> None:
    expected = [(await put()).id for _ in range(5)]
    claimed = []
    while (job := await claim_next(jobs, now=NOW)) is not None:
        claimed.append(job.id)
    assert claimed == expected


async def test_two_claims_at_once_never_get_the_same_job(jobs: JobStore, put) -> None:
    for _ in range(5):
        await put()
    claimed = await asyncio.gather(*(claim_next(jobs, now=NOW) for _ in range(10)))
    ids = [job.id for job in claimed if job is not None]
    assert sorted(ids) == sorted(set(ids)) and len(ids) == 5


async def test_recovery_settles_what_a_dead_process_left(jobs: JobStore, put) -> None:
    waiting, retried, exhausted, cancelled = [await put(name) for name in "abcd"]
    await jobs.cancel_queued(waiting.id, now=NOW)
    waiting = await put("a")
    for _ in range(3):
        await claim_next(jobs, now=NOW)
    await jobs.recover(max_attempts=2, now=NOW)
    for _ in range(2):
        await claim_next(jobs, now=NOW)
    await jobs.requeue(retried.id, now=NOW)  # a stop of the process does not count as an attempt
    await claim_next(jobs, now=NOW)
    await jobs.recover(max_attempts=2, now=NOW)
    settled = {job.id: job for job in await jobs.unfinished()}
    assert retried.id not in settled  # claimed three times, twice for good
    job = await jobs.get(retried.id)
    assert job is not None and (job.status, job.failure_code) == (JobStatus.FAILED, FailureCode.INTERRUPTED)
    assert settled[waiting.id].attempts == 0 and settled[waiting.id].interruptions == 2
    assert exhausted.id != cancelled.id


async def test_job_asked_to_cancel_stays_cancelled_through_a_crash(jobs: JobStore, put) -> None:
    job = await put()
    await claim_next(jobs, now=NOW)
    assert await jobs.request_cancel(job.id) is not None
    (settled,) = await jobs.recover(max_attempts=2, now=NOW)
    assert (settled.status, settled.delivery) == (JobStatus.CANCELLED, Delivery.PENDING)


async def test_cancel_that_was_promised_holds_through_a_stop_of_the_process(jobs: JobStore, put) -> None:
    job = await put()
    await claim_next(jobs, now=NOW)
    await jobs.request_cancel(job.id)
    back = await jobs.requeue(job.id, now=NOW)
    assert back is not None and (back.status, back.delivery) == (JobStatus.CANCELLED, Delivery.PENDING)


async def test_resumed_job_keeps_its_place(jobs: JobStore, put) -> None:
    first, _second = await put(), await put()
    await claim_next(jobs, now=NOW)
    await jobs.requeue(first.id, now=NOW)
    job = await claim_next(jobs, now=NOW)
    assert job is not None and job.id == first.id and job.attempts == 1 and job.interruptions == 1


async def test_late_endings_change_nothing(jobs: JobStore, put) -> None:
    job = await put()
    await draw(jobs)
    assert await jobs.fail(job.id, FailureCode.TIMEOUT, ran_s=1.0, now=NOW) is None
    assert await jobs.cancel_running(job.id, ran_s=1.0, now=NOW) is None
    assert await jobs.cancel_queued(job.id, now=NOW) is None
    assert await jobs.request_cancel(job.id) is None
    assert await jobs.requeue(job.id, now=NOW) is None


async def test_outbox_hands_out_each_result_until_it_is_settled(jobs: JobStore, put) -> None:
    await put()
    done = await draw(jobs)
    assert [job.id for job in await jobs.due(now=NOW, limit=9)] == [done.id]
    await jobs.postpone(done.id, next_at=NOW + 10)
    assert await jobs.due(now=NOW + 9, limit=9) == []
    assert [job.delivery_attempts for job in await jobs.due(now=NOW + 10, limit=9)] == [1]
    await jobs.delivered(done.id, done.reply_to)
    assert await jobs.due(now=NOW + 99, limit=9) == []


async def test_deleted_card_is_never_delivered(jobs: JobStore, put) -> None:
    job = await put()
    await claim_next(jobs, now=NOW)
    (dropped,) = await jobs.drop_message(job.reply_to.frontend, job.reply_to.key)
    assert dropped.delivery is Delivery.DROPPED
    await jobs.finish(job.id, image_path="a.png", image_bytes=1, ran_s=1.0, measured=MEASURED, now=NOW)
    assert await jobs.due(now=NOW, limit=9) == []
    assert await jobs.drop_message("test", "no such card") == []


async def test_undeliverable_result_is_told_once(jobs: JobStore, put) -> None:
    await put()
    done = await draw(jobs)
    await jobs.close_delivery(done.id, Delivery.UNDELIVERABLE)
    assert [job.id for job in await jobs.undelivered(done.user)] == [done.id]
    assert [job.id for job in await jobs.undelivered(done.user)] == [done.id]  # looking is not telling
    await jobs.mark_told([done.id], now=NOW)
    assert await jobs.undelivered(done.user) == []


async def test_history_pages_and_searches(jobs: JobStore, make_request, no_limits, spec: ImageSpec) -> None:
    import dataclasses

    for number, prompt in enumerate(["a red apple", "100 % cotton", "under_score", "熊猫"]):
        drawn = dataclasses.replace(spec, prompt=prompt, seed=number)
        await jobs.insert(make_request(), drawn, size_class=0, limits=no_limits, now=NOW)
        await draw(jobs)
    ann = UserKey(frontend="test", id="ann")

    async def prompts(*words: str, limit: int = 10, before_id: int | None = None) -> list[str]:
        stretch = Stretch(limit=limit, before_id=before_id)
        return [job.spec.prompt for job in await jobs.history(ann, stretch, Wanted(words=words))]

    assert await prompts() == ["熊猫", "under_score", "100 % cotton", "a red apple"]
    assert await prompts(limit=2) == ["熊猫", "under_score"]
    newest = (await jobs.history(ann, Stretch(limit=1)))[0]
    assert await prompts(before_id=newest.id, limit=1) == ["under_score"]
    assert await prompts("APPLE") == ["a red apple"]
    assert await prompts("%") == ["100 % cotton"]
    assert await prompts("_") == ["under_score"]
    assert await prompts("3") == ["熊猫"]  # a seed
    assert await prompts("'; DROP TABLE jobs; --") == []
    assert await jobs.history(UserKey(frontend="test", id="bob"), Stretch(limit=9)) == []


async def test_old_jobs_are_deleted_in_batches(jobs: JobStore, put) -> None:
    for age in (0, 10, 20):
        await put(now=NOW - age)
        await draw(jobs, now=NOW - age)
    (oldest,) = await jobs.ended_before(NOW - 5, limit=1)
    assert len(await jobs.ended_before(NOW - 5, limit=9)) == 2
    await jobs.delete([oldest.id])
    assert len(await jobs.ended_before(NOW - 5, limit=9)) == 1
    assert (await jobs.totals(since=0)).done == 2


async def test_number_that_no_row_can_have_is_no_job(jobs: JobStore) -> None:
    for number in (2**63 - 1, 2**63, -(2**63), 10**400):
        assert await jobs.get(number) is None


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
async def test_rows_of_a_person_are_counted_a_few_at_a_time(
    jobs: JobStore, put, database: Database, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """One statement over a long history would keep everybody else waiting."""
    monkeypatch.setattr(job_store, "COUNTED_AT_ONCE", at_once)
    ann = UserKey(frontend="test", id="ann")
    assert await jobs.counts(ann) == job_store.NO_JOBS
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
    monkeypatch.setattr(job_store, "CHANGED_AT_ONCE", 1)
    mine = [await put() for _ in range(3)]
    his = await put("ben")
    for _ in range(2):
        await draw(jobs)
    await jobs.drop_deliveries(UserKey(frontend="test", id="ann"))
    assert {(await jobs.get(job.id)).delivery for job in mine} == {Delivery.DROPPED}
    assert (await jobs.get(his.id)).delivery is not Delivery.DROPPED


# ── a clock that was wrong ──────────────────────────────────────────────────────────────────────────────


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


async def test_person_drawn_by_a_clock_of_the_future_is_no_less_favoured(jobs: JobStore, put) -> None:
    await put("ann", now=NOW)
    await draw(jobs, ran_s=1000, now=NOW + DAY_S)
    first, _ = await put("ann", now=NOW), await put("ben", now=NOW)
    claimed = await claim_next(jobs, now=NOW)
    assert first is not None and claimed is not None and claimed.id == first.id


async def test_delivery_postponed_by_a_clock_of_the_future_is_due(jobs: JobStore, put) -> None:
    await put()
    job = await draw(jobs)
    await jobs.postpone(job.id, next_at=NOW + LONGEST_PAUSE_S)
    assert await jobs.due(now=NOW, limit=5) == []
    await jobs.postpone(job.id, next_at=NOW + 365 * DAY_S)
    assert [each.id for each in await jobs.due(now=NOW, limit=5)] == [job.id]


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


# ── the cool-down ───────────────────────────────────────────────────────────────────────────────────


async def end(jobs: JobStore, job: Job) -> None:
    await jobs.claim(job.id, now=1)
    await jobs.finish(job.id, image_path="a", image_bytes=1, ran_s=1.0, measured=MEASURED, now=1)


async def test_cool_down_lets_somebody_alone_with_nothing_unfinished_go_on(
    jobs: JobStore, spec: ImageSpec, make_request, no_limits: LimitsConfig
) -> None:
    limits = no_limits.model_copy(update={"cooldown_s": 5})

    async def ask(key: str, user: str = "ann") -> Job | None:
        return await jobs.insert(make_request(user, key=key), spec, size_class=0, limits=limits, now=100)

    first = await ask("1")
    assert first is not None
    assert await ask("2") is None  # the first is unfinished
    await end(jobs, first)
    second = await ask("3")
    assert second is not None
    await end(jobs, second)
    other = await ask("4", user="other")
    assert other is not None
    assert await ask("5") is None  # the other one waits
    await jobs.claim(other.id, now=1)
    assert await ask("6") is not None  # nobody waits


async def test_moving_a_message_moves_that_of_the_whole_request(
    jobs: JobStore, spec: ImageSpec, make_request, no_limits: LimitsConfig
) -> None:
    old, new = (ReplyTo(frontend="test", key=key, address="{}") for key in ("old", "new"))
    ids = []
    for index in range(3):
        batch = BatchPlace(batch_id="b", index=index) if index < 2 else None
        request = replace(make_request(), batch=batch, reply_to=old)
        job = await jobs.insert(request, spec, size_class=0, limits=no_limits, now=1)
        assert job is not None
        ids.append(job.id)
    await jobs.move_message(ids[0], new)
    assert [(await jobs.get(job_id)).reply_to.key for job_id in ids] == ["new", "new", "old"]  # type: ignore[union-attr]
    newer = ReplyTo(frontend="test", key="newer", address="{}")
    first = await jobs.get(ids[0])
    assert first is not None
    await end(jobs, first)
    await jobs.delivered(ids[0], newer)
    stored = [await jobs.get(job_id) for job_id in ids]
    assert [(job.reply_to.key, job.delivery) for job in stored if job] == [
        ("newer", Delivery.DELIVERED),
        ("newer", Delivery.NONE),
        ("old", Delivery.NONE),
    ]


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
