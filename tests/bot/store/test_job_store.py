"""Each statement keeps its own condition, also when many tasks ask at once."""

from __future__ import annotations

import asyncio

import pytest

from bot.config import LimitsConfig
from bot.jobs import Delivery, FailureCode, Job, JobStatus
from bot.store.horizon import DAY_S
from bot.store.job_store import JobStore
from pipeline import ImageSpec
from tests.bot.scheduling.claiming import claim_next
from tests.bot.store.drawing import NOW, draw, end


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


async def test_number_that_no_row_can_have_is_no_job(jobs: JobStore) -> None:
    for number in (2**63 - 1, 2**63, -(2**63), 10**400):
        assert await jobs.get(number) is None


# ── a clock that was wrong ──────────────────────────────────────────────────────────────────────────────


async def test_person_drawn_by_a_clock_of_the_future_is_no_less_favoured(jobs: JobStore, put) -> None:
    await put("ann", now=NOW)
    await draw(jobs, ran_s=1000, now=NOW + DAY_S)
    first, _ = await put("ann", now=NOW), await put("ben", now=NOW)
    claimed = await claim_next(jobs, now=NOW)
    assert first is not None and claimed is not None and claimed.id == first.id


# ── the cool-down ───────────────────────────────────────────────────────────────────────────────────


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
