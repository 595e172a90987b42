"""Results reach their people once, and one bad job stops nobody."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from functools import partial

import pytest

from bot import supervision
from bot.clock import Clock
from bot.config import DeliveryConfig
from bot.deadline import Deadline
from bot.delivery import results as module
from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible, MessageGone
from bot.delivery.results import DeliveryLoop
from bot.errors import StoreUnavailable
from bot.jobs import Delivery, JobStatus
from tests.bot.delivery.conftest import MEASURED, settled, until
from tests.bot.rests import Rests
from tests.conftest import FrozenClock


@pytest.fixture
def delivery_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Seconds pass at every look at it, so that the next try of a delivery is due at the next look."""
    monkeypatch.setattr(module, "SWEEP_S", 0.01)
    return partial(next, itertools.count(time.time() + 2.0, 2.0))


async def test_result_is_delivered_once_and_its_new_place_remembered(jobs, frontend, delivery, draw) -> None:
    job = await settled(jobs, await draw())
    assert job.delivery is Delivery.DELIVERED and job.reply_to.key == f"answer-{job.id}"
    other = await settled(jobs, await draw())  # a later look, which finds both
    await asyncio.wait_for(delivery.flush(), 5)
    assert frontend.delivered == [(each.id, JobStatus.DONE, b"png") for each in (job, other)]


async def test_delayed_result_is_tried_again_until_it_works(jobs, frontend, delivery, draw) -> None:
    frontend.troubles = [DeliveryDelayed(), DeliveryDelayed(0.5), RuntimeError("a bug in the front end")]
    job = await settled(jobs, await draw())
    assert job.delivery is Delivery.DELIVERED and job.delivery_attempts == 4
    assert len(frontend.delivered) == 1


@pytest.mark.parametrize(
    ("trouble", "outcome"),
    [(MessageGone(), Delivery.DROPPED), (DeliveryImpossible("no way"), Delivery.UNDELIVERABLE)],
)
async def test_final_trouble_ends_the_tries(jobs, frontend, delivery, draw, trouble, outcome) -> None:
    frontend.troubles = [trouble]
    assert (await settled(jobs, await draw())).delivery is outcome
    assert frontend.delivered == []


async def test_old_result_is_given_up_and_told_on_request(jobs, queue, images, frontend, draw, delivery_clock) -> None:
    frontend.troubles = [DeliveryDelayed()] * 100
    config = DeliveryConfig(retry_first_s=0.01, give_up_after_s=1)
    delivery = DeliveryLoop(jobs, queue, images, config, clock=delivery_clock)
    delivery.add_frontend(frontend)
    queue.subscribe(delivery.wake)
    task = asyncio.create_task(delivery.run_results())
    job = await settled(jobs, await draw())
    assert job.delivery is Delivery.UNDELIVERABLE
    assert [note.id for note in await jobs.undelivered(job.user)] == [job.id]
    task.cancel()
    await asyncio.wait([task])


async def test_result_of_a_front_end_that_is_switched_off_waits(jobs, queue, images, draw) -> None:
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(retry_first_s=0.01))
    queue.subscribe(delivery.wake)
    task = asyncio.create_task(delivery.run_results())
    job = await draw()
    async with asyncio.timeout(10):
        while not (looked_at := await jobs.get(job.id)).delivery_attempts and looked_at.delivery is Delivery.PENDING:
            await asyncio.sleep(0.01)
    assert looked_at.delivery is Delivery.PENDING
    task.cancel()
    await asyncio.wait([task])


async def test_failure_and_cancelling_are_told_as_well(jobs, queue, frontend, delivery, put) -> None:
    job = await put()
    await queue.cancel(job.id)
    await settled(jobs, job)
    assert frontend.delivered == [(job.id, JobStatus.CANCELLED, None)]


async def test_deleting_the_card_of_a_delivered_picture_keeps_the_picture(jobs, frontend, delivery, draw) -> None:
    job = await settled(jobs, await draw())
    await delivery.card_deleted("test", job.reply_to.key)
    assert (await jobs.get(job.id)).status is JobStatus.DONE


async def test_flush_returns_when_every_result_is_out(jobs, frontend, delivery, draw) -> None:
    job = await draw()
    await asyncio.wait_for(delivery.flush(), 5)
    assert (await jobs.get(job.id)).delivery is Delivery.DELIVERED


@pytest.mark.parametrize("how", ["loop", "folder", "fifo"])
async def test_picture_that_cannot_be_read_waits_alone_and_comes_when_it_can(
    jobs, images, frontend, delivery, queue, put, how
) -> None:
    first, second = await put(), await put()
    files = {}
    for job in (first, second):
        await queue.claim()
        files[job.id] = await images.write(job.id, b"png")
    broken = await images.find(files[second.id])
    moved = broken.with_suffix(".kept")
    broken.rename(moved)
    {"loop": lambda: broken.symlink_to(broken), "folder": broken.mkdir, "fifo": lambda: os.mkfifo(broken)}[how]()
    for job in (second, first):  # the broken one ends first
        await queue.finish(job.id, image_path=files[job.id], image_bytes=3, ran_s=1.0, measured=MEASURED)
    assert (await settled(jobs, first)).delivery is Delivery.DELIVERED
    while not (await jobs.get(second.id)).delivery_attempts:
        await asyncio.sleep(0.01)
    assert (await jobs.get(second.id)).delivery is Delivery.PENDING
    broken.rmdir() if how == "folder" else broken.unlink()
    moved.rename(broken)
    assert (await settled(jobs, second)).delivery is Delivery.DELIVERED
    assert frontend.delivered == [(first.id, JobStatus.DONE, b"png"), (second.id, JobStatus.DONE, b"png")]


@pytest.mark.parametrize("method", ["due", "delivered"])
async def test_errors_that_nobody_expected_stop_neither_loop(
    jobs, queue, frontend, delivery, draw, put, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    work, troubles = getattr(jobs, method), [KeyError("reply_address")]

    async def troubled(*args: object, **options: object) -> object:
        if troubles:
            raise troubles.pop()
        return await work(*args, **options)

    monkeypatch.setattr(jobs, method, troubled)
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.01)
    first = await draw()
    await until(lambda: not troubles)
    second = await draw()
    assert (await settled(jobs, second)).delivery is Delivery.DELIVERED
    assert [job_id for job_id, _, _ in frontend.delivered].count(first.id) == 1  # told once, whatever the row says


async def test_note_that_cannot_be_written_while_stopping_is_left_to_the_next_start(
    jobs, queue, images, frontend, draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: object) -> None:
        raise StoreUnavailable("locked", is_full=False)

    deadline, rests = Deadline(0), Rests(monkeypatch, module)
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), deadline=deadline)
    delivery.add_frontend(frontend)
    job = await draw()
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "delivered", locked)
        task = asyncio.create_task(delivery.run_results())
        await until(lambda: frontend.delivered)
        await asyncio.wait_for(delivery.flush(), 5)
        for looks in range(rests.count, rests.count + 5):
            delivery.wake()
            await rests.wait(looks + 1)
        await asyncio.wait_for(delivery.flush(), 5)  # nothing that such a look began is under way
        task.cancel()
        await asyncio.wait([task])
    assert len(frontend.delivered) == 1
    assert (await jobs.get(job.id)).delivery is Delivery.PENDING


async def test_deleted_card_cancels_every_job_that_it_showed(jobs, queue, frontend, delivery, put, database) -> None:
    first, second, other = await put(), await put(), await put()
    await database.fetch_all(
        "UPDATE jobs SET reply_key = :key WHERE id = :id", {"key": first.reply_to.key, "id": second.id}
    )
    await delivery.card_deleted("test", first.reply_to.key)
    for job in (first, second):
        latest = await settled(jobs, job)
        assert (latest.status, latest.delivery) == (JobStatus.CANCELLED, Delivery.DROPPED)
    assert (await jobs.get(other.id)).status is JobStatus.QUEUED


async def test_clock_set_ahead_gives_no_delivery_up_after_one_try(jobs, queue, images, frontend, draw) -> None:
    job = await draw()
    clock = FrozenClock((job.finished_at or 0) + 91 * 86_400.0)
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), clock=clock)
    await delivery._postponed(job, 0.0)()
    assert (await jobs.get(job.id)).delivery is Delivery.PENDING
