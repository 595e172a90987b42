"""A row that this release cannot read is failed as such, shown as such, and hurts nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bot.config import LimitsConfig
from bot.jobs import Delivery, FailureCode, Job, JobStatus, Request, UserKey
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.store.database import Database
from bot.store.history_query import Stretch, Wanted
from bot.store.job_store import AWAITED_S, JobStore
from bot.store.key_value_store import SettingStore
from bot.store.usage_store import Measurement
from pipeline import ImageSpec
from tests.bot.scheduling.claiming import claim_next

NOW = 1_800_000_000
ANN = UserKey(frontend="test", id="ann")
MEASURED = Measurement(step_s=0.5, fixed_s=1.0)
GOOD = (
    '{"version": 1, "prompt": "x", "seed": 1, "steps": 4, "width": 64, "height": 64, '
    '"guidance": 1.0, "cfg_scale": 1.0, "model": "fake"}'
)
WITH_FIELD, WITH_TEXT, WITH_999 = GOOD[:-1] + ', "lora": 1}', GOOD.replace("4", '"4"'), GOOD.replace("4", "999")
# What a column may hold after damage, a careless hand or another release: any type at all.
BAD_VALUES = {
    "spec": ["{", "", "[]", "null", b"\xff\xfe", WITH_FIELD, WITH_TEXT, WITH_999],
    "status": ["asleep", b"\xff"],
    "attempts": ["many", 2**62],
    "interruptions": ["many"],
    "failure_code": ["struck_by_lightning", 7, None],
    "queued_at": ["yesterday", 1e300, -5, b"x"],
    "started_at": ["yesterday"],
    "ran_s": ["long", float("inf"), float("-inf"), -1e308],
    "step_s": ["long", float("inf")],
    "fixed_s": ["long"],
    "image_path": [b"\xff", "../../etc/passwd", 7, "x" * 5000, "a\x00b"],
    "image_bytes": ["big"],
    "delivery": ["by_pigeon"],
    "delivery_attempts": ["many"],
    "next_delivery_at": ["later"],
    "user_id": [b"\xff", 7],
    "reply_address": ["{", "[]", "7", "null"],
    "size_class": ["large"],
    "repeat_of": ["first", 2**62, -1, 1.5, b"\xff"],
    "drawn_with": [7, b"\xff", ""],
    "taken_mib": ["much", -5, 2**62, float("inf")],
    "model": [b"\xff", "of a newer release"],
}  # fmt: skip


@pytest.fixture
async def queue(database: Database, jobs: JobStore, settings: SettingStore, no_limits: LimitsConfig) -> JobQueue:
    await database.fetch_all("PRAGMA ignore_check_constraints = ON")  # as in service
    pace = Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
    return JobQueue(jobs, settings, no_limits, assumed_pace=lambda _spec: pace, clock=lambda: NOW)


Put = Callable[..., object]


@pytest.fixture
def put(jobs: JobStore, spec: ImageSpec, make_request: Callable[..., Request], no_limits: LimitsConfig) -> Put:
    async def put(user: str) -> Job:
        job = await jobs.insert(make_request(user), spec, size_class=0, limits=no_limits, now=NOW)
        assert job is not None
        return job

    return put


async def end(jobs: JobStore, job: Job, how: str) -> None:
    if how == "queued":
        return
    while (claimed := await claim_next(jobs, now=NOW)) is not None and claimed.id != job.id:
        pass
    if how == "done":
        await jobs.finish(job.id, image_path="a.png", image_bytes=1, ran_s=1.0, measured=MEASURED, now=NOW)
    elif how == "failed":
        await jobs.fail(job.id, FailureCode.TIMEOUT, ran_s=1.0, now=NOW)


@pytest.mark.parametrize("life", ["queued", "running", "done", "failed"])
@pytest.mark.parametrize("column", BAD_VALUES)
async def test_any_value_in_any_column_spoils_no_statement_and_no_list(
    database: Database, jobs: JobStore, queue: JobQueue, put, make_request, spec: ImageSpec, column: str, life: str
) -> None:
    for value in BAD_VALUES[column]:
        bad = await put("ann")
        await end(jobs, bad, life)
        await database.fetch_all(f"UPDATE jobs SET {column} = :value WHERE id = :id", {"value": value, "id": bad.id})
        good = await put("ben")

        await queue.recover(max_attempts=2)
        await queue.standings()
        for user in (ANN, UserKey(frontend="test", id="ben")):
            await jobs.history(user, Stretch(limit=10), Wanted(words=("apple",), since=5))
            await jobs.history(user, Stretch(limit=10), Wanted(with_removed=True))
            await jobs.history_days(user, since=0, until=NOW + 1)
            await jobs.shared("test", 7, apart_from=user, limit=10)
            await jobs.usage(user, now=NOW)
            await jobs.undelivered(user)
            await jobs.failures(user, since=0)
        await jobs.shared_usage("test", "card", now=NOW)
        await jobs.gpu_seconds(now=NOW)
        await jobs.totals(since=0)
        await jobs.inputs()
        await jobs.due(now=NOW, limit=10)
        await jobs.ended_before(NOW, limit=10)
        await queue.paces.measured(spec)
        while good.status is not JobStatus.RUNNING:  # whatever becomes of the other, this one is drawn
            running = await queue.claim()
            assert running is not None
            if running.job.id == good.id:
                good = running.job
            await queue.fail(running.job.id, FailureCode.TIMEOUT, ran_s=1.0)
        await jobs.delete([bad.id, good.id])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", FailureCode.UNREADABLE),
        (GOOD.replace("1.0", "true"), FailureCode.UNREADABLE),
        (GOOD.replace('"version": 1', '"version": 2'), FailureCode.NEWER_RELEASE),
        (GOOD.replace("4", "999"), FailureCode.INVALID_SPEC),  # a bound that was lowered since
    ],
)
async def test_waiting_job_that_cannot_be_read_is_failed_with_the_reason_and_costs_nothing(
    database: Database, jobs: JobStore, queue: JobQueue, put, text: str, code: FailureCode
) -> None:
    bad = await put("ann")
    await database.fetch_all("UPDATE jobs SET spec = :spec WHERE id = :id", {"spec": text, "id": bad.id})
    good = await put("ben")
    running = await queue.claim()
    assert running is not None and running.job.id == good.id
    job = await jobs.get(bad.id)
    assert job is not None
    assert (job.status, job.failure_code, job.delivery) == (JobStatus.FAILED, code, Delivery.PENDING)
    assert (await jobs.usage(ANN, now=NOW)).counted == ()


async def test_later_releases_row_survives_a_downgrade_and_an_upgrade_again(
    database: Database, jobs: JobStore, queue: JobQueue, put, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {**json.loads(GOOD), "version": 2, "lora": "watercolour"}
    theirs = json.dumps(fields)
    waiting, done = await put("ann"), await put("ann")
    await database.fetch_all("UPDATE jobs SET spec = :spec", {"spec": theirs})
    await database.fetch_all(
        "UPDATE jobs SET status = 'done', finished_at = :now, image_path = 'a.png' WHERE id = :id",
        {"now": NOW, "id": done.id},
    )
    ours = await put("ben")
    await queue.recover(max_attempts=2)
    running = await queue.claim()
    assert running is not None and running.job.id == ours.id  # theirs was failed on the way
    (shown,) = await jobs.history(ANN, Stretch(limit=5), Wanted(words=("x",)))
    assert (shown.id, shown.spec.prompt, shown.flaw) == (done.id, "x", FailureCode.NEWER_RELEASE)
    rows = await database.fetch_all("SELECT spec FROM jobs WHERE user_id = 'ann'")
    assert {row["spec"] for row in rows} == {theirs}

    from bot.store import spec_codec

    fields = {**json.loads(GOOD), "source": "", "strength": 1.0}
    del fields["version"]

    def forget_lora(text: object) -> tuple[ImageSpec, FailureCode | None]:
        return ImageSpec.accepted(**fields), None

    monkeypatch.setattr(spec_codec, "decode", forget_lora)  # the later release again
    await jobs.recover(max_attempts=2, now=NOW + AWAITED_S - 1)
    back = await jobs.get(waiting.id)
    assert back is not None
    assert (back.status, back.failure_code, back.delivery) == (JobStatus.QUEUED, None, Delivery.NONE)


async def test_job_that_waited_for_a_later_release_for_too_long_stays_failed(
    database: Database, jobs: JobStore, queue: JobQueue, put
) -> None:
    job = await put("ann")
    await end(jobs, job, "failed")
    await database.fetch_all("UPDATE jobs SET failure_code = 'newer_release'")
    await jobs.recover(max_attempts=2, now=NOW + AWAITED_S)
    kept = await jobs.get(job.id)
    assert kept is not None and kept.status is JobStatus.FAILED


async def test_unknown_failure_code_is_shown_as_one_and_kept(database: Database, jobs: JobStore, put) -> None:
    job = await put("ann")
    await end(jobs, job, "failed")
    await database.fetch_all("UPDATE jobs SET failure_code = 'struck_by_lightning'")
    (failed,) = await jobs.failures(ANN, since=0)
    assert failed.failure_code is FailureCode.OTHER
    assert (await database.fetch_all("SELECT failure_code FROM jobs"))[0][0] == "struck_by_lightning"


async def test_setting_that_is_no_json_counts_as_not_set(settings: SettingStore) -> None:
    assert await settings.get_json("x") is None
    for text in ("{", "", "[" * 100_000, "nul"):
        await settings.set("x", text)
        assert await settings.get_json("x") is None
    await settings.set("x", '{"a": 1}')
    assert await settings.get_json("x") == {"a": 1}


async def test_times_that_are_none_count_as_none(database: Database, jobs: JobStore, queue: JobQueue, put) -> None:
    for ran_s in (float("inf"), float("-inf"), -5.0, 1e300):
        job = await put("ann")
        await end(jobs, job, "failed")
        await database.fetch_all("UPDATE jobs SET ran_s = :ran_s WHERE id = :id", {"ran_s": ran_s, "id": job.id})
    await put("ann")
    assert await jobs.gpu_seconds(now=NOW) == {ANN: 0.0}
    assert (await jobs.totals(since=0)).gpu_s == 0
    assert [standing.position for _, standing in await queue.standings()] == [1]


async def test_failed_row_without_a_code_is_shown_as_failed_for_another_reason(
    database: Database, jobs: JobStore, queue: JobQueue, put
) -> None:
    job = await put("ann")
    await end(jobs, job, "failed")
    await database.fetch_all("UPDATE jobs SET failure_code = NULL")
    (failed,) = await jobs.failures(ANN, since=0)
    assert failed.failure_code is FailureCode.OTHER


async def test_numbers_that_nobody_gave_become_others(database: Database, jobs: JobStore, put) -> None:
    first, second, third = await put("ann"), await put("ann"), await put("ann")
    await database.fetch_all("UPDATE jobs SET id = 9223372036854775807 WHERE id = :id", {"id": second.id})
    await database.fetch_all("UPDATE jobs SET id = 9223372036854775806 WHERE id = :id", {"id": third.id})
    await jobs.number_from(2**63 - 1)
    assert await jobs.last_number() == 2**63 - 1
    await jobs.renumber(above=10**15)
    assert [job.id for job in await jobs.unfinished()] == [first.id, first.id + 1, first.id + 2]
    assert (await put("ben")).id == first.id + 3
