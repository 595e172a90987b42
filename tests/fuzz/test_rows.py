"""Rows: whatever stands in them is read and shown, and the job of somebody else is drawn all the same."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from bot.config import LimitsConfig
from bot.delivery.frontend import DeliveryImpossible
from bot.frontends.discord_app import embeds
from bot.frontends.discord_app.message_ref import Address, DiscordTime
from bot.frontends.web import fragments
from bot.jobs import FailureCode, Job, JobStatus, QueueStatus, ReplyTo, Request, UserKey
from bot.pause import Pause
from bot.presentation.job_view import ended_view, pause_phrase, unfinished_view
from bot.presentation.wording import wording_for
from bot.requests.models import Models
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.pauses import PAUSE_SETTING
from bot.store import spec_codec
from bot.store.database import Database
from bot.store.history_query import Stretch, Wanted
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.usage_store import Measurement
from pipeline import ImageSpec
from pipeline.catalog.models import DEMO
from tests.bot.scheduling.claiming import claim_next
from tests.cards import PAINTER
from tests.fuzz.fuzzing import fuzz
from tests.fuzz.strategies import json_values, leaves, spoilt_bytes, spoilt_json, texts, to_json

NOW = 1_800_000_000
ANN, BEN = (UserKey(frontend="test", id=name) for name in ("ann", "ben"))
SPEC = {
    "version": 1, "prompt": "a red apple", "seed": 7, "steps": 4, "width": 64, "height": 64, "guidance": 3.5,
    "cfg_scale": 1.0, "model": "fake", "source": "", "strength": 1.0,
    "negative_prompt": "rain", "sampler": "ddim", "clip_skip": 2,
}  # fmt: skip
ADDRESS = {"channel_id": 1, "message_id": 2, "guild_id": 3, "user_id": 4, "locale": "en-US"}
COLUMNS = (
    "request_key", "user_frontend", "user_id", "reply_frontend", "reply_key", "reply_address", "spec", "model",
    "size_class", "status", "attempts", "interruptions", "is_cancel_requested", "failure_code", "queued_at",
    "started_at", "finished_at", "ran_s", "step_s", "fixed_s", "image_path", "image_bytes", "delivery",
    "delivery_attempts", "next_delivery_at", "told_at", "batch_id", "batch_index", "derived_from", "derived_by",
)  # fmt: skip
WORDS = (
    "queued", "running", "done", "failed", "cancelled", "none", "pending", "delivered", "undeliverable", "dropped",
    "newer_release", "unreadable", "test", "ann", "fake", "demo", "a.png", "../../etc/passwd",
)  # fmt: skip
sql_values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, -1, NOW, NOW + 1, 2**53, 2**63 - 1, -(2**63)]),
    st.floats(),
    st.binary(max_size=20),
    st.sampled_from(WORDS),
    texts.map(lambda text: text.encode("utf-8", "replace").decode()),
)
specs = spoilt_json(SPEC).flatmap(lambda value: st.sampled_from([to_json(value), to_json(value).decode()]))
noisy_specs = specs | spoilt_bytes(json.dumps(SPEC).encode()) | spoilt_json(SPEC).map(lambda value: to_json(value)[:-1])
addresses = spoilt_json(ADDRESS).map(lambda value: to_json(value).decode())
changes = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(COLUMNS), sql_values),
        st.tuples(st.just("spec"), noisy_specs),
        st.tuples(st.just("reply_address"), addresses),
    ),
    min_size=1,
    max_size=4,
)
LIVES = ("queued", "running", "done", "failed", "cancelled")


@pytest.fixture
async def queue(database: Database, jobs: JobStore, settings: SettingStore, no_limits: LimitsConfig) -> JobQueue:
    await database.fetch_all("PRAGMA ignore_check_constraints = ON")  # as in service
    await database.fetch_all("PRAGMA synchronous = OFF")
    pace = Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
    return JobQueue(jobs, settings, no_limits, assumed_pace=lambda _spec: pace, clock=lambda: NOW)


async def live(jobs: JobStore, request: Request, spec: ImageSpec, limits: LimitsConfig, life: str) -> Job:
    """Put a job and bring it to where it is to be."""
    job = await jobs.insert(request, spec, size_class=0, limits=limits, now=NOW)
    assert job is not None
    if life != "queued":
        claimed = await claim_next(jobs, now=NOW)
        assert claimed is not None and claimed.id == job.id
    measured = Measurement(step_s=0.5, fixed_s=1.0)
    if life == "done":
        await jobs.finish(job.id, image_path="a.png", image_bytes=1, ran_s=1.0, measured=measured, now=NOW)
    elif life == "failed":
        await jobs.fail(job.id, FailureCode.TIMEOUT, ran_s=1.0, now=NOW)
    elif life == "cancelled":
        await jobs.cancel_running(job.id, ran_s=1.0, now=NOW)
    return job


def show(job: Job) -> None:
    """Lay out everything that may be said of a job, on Discord and on the page."""
    for locale in ("en", "zh-CN", "zh-TW"):
        wording = wording_for(locale)
        voice = fragments.voice_of(wording, now=NOW)
        for standing in (
            QueueStatus(position=1, finish_at=NOW, is_rough=True),
            QueueStatus(position=None, finish_at=None, is_rough=False, pause=Pause.by_operator("x")),
        ):
            view = unfinished_view(job, standing, now=NOW)
            embeds.status_message(view, wording)
            fragments.unfinished(view, voice)
            fragments.queue_list([(job, standing)], {}, ANN, voice, now=NOW)
        view = ended_view(job)
        embeds.result_message(view, wording, [view.job], models=Models(usual=DEMO, others=(PAINTER,)))
        embeds.ended_message(view, wording)
        embeds.moved_message(view, wording, to_dm=True)
        fragments.picture(view, "/x", voice)
        fragments.thumbnail(job, None, wording)
        if job.failure_code is not None:
            fragments.failure(view, voice)


@fuzz(60, life=st.sampled_from(LIVES), changes=changes)
async def test_any_row_is_read_and_shown_and_the_next_start_draws_the_job_of_somebody_else(
    database: Database,
    jobs: JobStore,
    queue: JobQueue,
    spec: ImageSpec,
    make_request: Callable[..., Request],
    no_limits: LimitsConfig,
    life: str,
    changes: list[tuple[str, object]],
) -> None:
    await database.fetch_all("DELETE FROM jobs")
    bad = await live(jobs, make_request("ann"), spec, no_limits, life)
    good = await jobs.insert(make_request("ben"), spec, size_class=0, limits=no_limits, now=NOW)
    assert good is not None
    for column, value in changes:  # OR IGNORE: some columns take no NULL
        await database.fetch_all(
            f"UPDATE OR IGNORE jobs SET {column} = :value WHERE id = :id", {"value": value, "id": bad.id}
        )

    for _start in range(2):
        for job in await queue.recover(max_attempts=2):
            show(job)
        for job, _standing in await queue.standings():
            show(job)
        for user in (ANN, BEN):
            for job in await jobs.history(user, Stretch(limit=10), Wanted(with_removed=True)):
                show(job)
            for wanted in (Wanted(words=("apple", "7")), Wanted(seed=7), Wanted(since=1)):
                await jobs.history(user, Stretch(limit=10), wanted)
            await jobs.shared("test", 7, apart_from=user, limit=10)
            await jobs.usage(user, now=NOW)
            await jobs.undelivered(user)
            await jobs.failures(user, since=0)
        await queue.upcoming("fake")
        await queue.paces.measured(spec)
        await jobs.shared_usage("test", "card", now=NOW)
        await jobs.gpu_seconds(now=NOW)
        await jobs.totals(since=0)
        await jobs.inputs()
        await jobs.due(now=NOW, limit=10)
        await jobs.ended_before(NOW + 1, limit=10)
        await jobs.image_paths([bad.id, good.id])
        read = await jobs.get(bad.id)
        assert read is not None
        show(read)
        await queue.resume()
        while True:
            running = await queue.claim()
            assert running is not None
            if running.job.id == good.id:
                break
            await queue.fail(running.job.id, FailureCode.TIMEOUT, ran_s=1.0)
        await queue.requeue(good.id)
    running = await queue.claim()
    assert running is not None and running.job.id == good.id
    measured = Measurement(step_s=0.5, fixed_s=1.0)
    drawn = await queue.finish(good.id, image_path="b.png", image_bytes=1, ran_s=1.0, measured=measured)
    assert drawn is not None and drawn.status is JobStatus.DONE


@fuzz(300, stored=noisy_specs | json_values.map(to_json) | leaves)
def test_any_stored_spec_is_read_as_one_that_can_be_stored_and_shown(stored: object) -> None:
    spec, flaw = spec_codec.decode(stored)
    assert spec_codec.decode(spec_codec.encode(spec))[0].prompt == spec.prompt
    spec_codec.encode(spec).encode()
    if flaw is None:
        assert spec_codec.decode(spec_codec.encode(spec)) == (spec, None)


@fuzz(300, stored=addresses | texts)
def test_any_stored_address_is_read_or_said_to_be_impossible(stored: str) -> None:
    try:
        address = Address.read(ReplyTo(frontend="discord", key="1", address=stored))
    except DeliveryImpossible:
        return
    address.reply_to()
    assert DiscordTime().is_old(address) in (True, False)
    wording_for(address.locale)


@fuzz(60, key=st.sampled_from([PAUSE_SETTING, "x"]), value=sql_values | json_values.map(lambda value: to_json(value)))
async def test_any_stored_setting_is_read_and_spoils_no_start(
    database: Database, settings: SettingStore, queue: JobQueue, key: str, value: object
) -> None:
    await database.fetch_all("DELETE FROM settings")
    await database.fetch_all("INSERT OR IGNORE INTO settings VALUES (:key, :value)", {"key": key, "value": value})
    await settings.get_json(key)
    await queue.recover(max_attempts=2)
    if queue.paused is not None:
        for locale in ("en", "zh-CN", "zh-TW"):
            embeds.voice_of(wording_for(locale)).say(pause_phrase(queue.paused))
    await queue.resume()
    assert await settings.get(PAUSE_SETTING) is None
