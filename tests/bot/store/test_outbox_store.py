"""Results are handed out until they are settled, and told once."""

from __future__ import annotations

from dataclasses import replace

from bot.config import LimitsConfig
from bot.jobs import BatchPlace, Delivery, ReplyTo
from bot.store.horizon import DAY_S
from bot.store.job_store import JobStore
from bot.store.outbox_store import LONGEST_PAUSE_S
from pipeline import ImageSpec
from tests.bot.scheduling.claiming import claim_next
from tests.bot.store.drawing import MEASURED, NOW, draw, end


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


async def test_delivery_postponed_by_a_clock_of_the_future_is_due(jobs: JobStore, put) -> None:
    await put()
    job = await draw(jobs)
    await jobs.postpone(job.id, next_at=NOW + LONGEST_PAUSE_S)
    assert await jobs.due(now=NOW, limit=5) == []
    await jobs.postpone(job.id, next_at=NOW + 365 * DAY_S)
    assert [each.id for each in await jobs.due(now=NOW, limit=5)] == [job.id]


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
