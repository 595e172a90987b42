"""Status messages stay current without flooding, and what a reader sees is never mistaken."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest

from bot import supervision
from bot.config import DeliveryConfig
from bot.deadline import Deadline
from bot.delivery.frontend import DeliveryDelayed, MessageGone
from bot.delivery.results import DeliveryLoop
from bot.delivery.shown import Shown, key_of
from bot.delivery.status_updates import BROKEN_MESSAGE_S
from bot.jobs import Delivery, Job, JobStatus, QueueStatus
from pipeline import Progress, Stage
from tests.bot.delivery.conftest import settled, until
from tests.conftest import FrozenClock


async def test_cards_of_everybody_waiting_are_brought_up_to_date(queue, frontend, delivery, put, draw) -> None:
    standings = []
    for _ in range(3):
        job = await put()
        standing = dict(await queue.standings())[job]
        delivery.card_is_fresh(job, standing)
        standings.append((job.id, standing.position))
    assert [position for _, position in standings] == [1, 2, 3]
    await queue.claim()
    await until(lambda: len(frontend.shown) >= 3)
    latest = {job_id: standing.position for job_id, standing in frontend.shown}
    assert list(latest.values()) == [None, 1, 2]


async def test_nothing_changed_nothing_edited(queue, frontend, delivery, put) -> None:
    job = await put()
    delivery.card_is_fresh(job, dict(await queue.standings())[job])
    for _ in range(20):
        delivery.wake()
        await asyncio.sleep(0.02)
    assert frontend.shown == []


async def test_time_that_ran_out_on_a_card_is_replaced(queue, frontend, delivery, put) -> None:
    job = await put()
    standing = dict(await queue.standings())[job]
    delivery.card_is_fresh(job, dataclasses.replace(standing, finish_at=int(time.time()) - 1))
    await until(lambda: frontend.shown)
    assert frontend.shown[0][1].finish_at > time.time()


async def test_edits_of_one_card_keep_their_distance(queue, frontend, delivery, put) -> None:
    job = await put()
    await queue.claim()
    for step in range(100):
        queue.report(job.id, Progress(stage=Stage.DENOISING, step=step, steps=100))
        await asyncio.sleep(0.01)
    assert 2 <= len(frontend.shown) <= 8  # a second and a bit, one edit in 0.2 s


async def test_no_card_is_edited_while_a_result_is_on_its_way(queue, frontend, delivery, put, draw) -> None:
    frontend.hold.clear()
    await draw()
    await asyncio.sleep(0.1)
    await put()
    await asyncio.sleep(0.4)
    assert frontend.shown == []
    frontend.hold.set()
    await until(lambda: frontend.shown)


async def test_edit_that_was_delayed_is_made_later(queue, frontend, delivery, put) -> None:
    frontend.troubles = [DeliveryDelayed(0.3)]
    job = await put()
    await until(lambda: frontend.shown)
    assert frontend.shown[0][0] == job.id


async def test_card_deleted_under_an_edit_cancels_the_job(jobs, queue, frontend, delivery, put) -> None:
    frontend.troubles = [MessageGone()]
    job = await put()
    latest = await settled(jobs, job)
    assert (latest.status, latest.delivery) == (JobStatus.CANCELLED, Delivery.DROPPED)
    assert frontend.delivered == []


async def test_error_in_the_queue_stops_no_card(
    queue, frontend, delivery, put, monkeypatch: pytest.MonkeyPatch
) -> None:
    standings, troubles = queue.standings, [KeyError("a row of a later release")]

    async def troubled() -> object:
        if troubles:
            raise troubles.pop()
        return await standings()

    monkeypatch.setattr(queue, "standings", troubled)
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.01)
    await put()
    await until(lambda: frontend.shown)
    assert troubles == []


async def test_edit_that_failed_for_no_known_reason_stays_worth_making(
    queue, jobs, images, frontend, put, clock
) -> None:
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), deadline=Deadline(monotonic=clock))
    delivery.add_frontend(frontend)
    frontend.troubles = [RuntimeError("a bug in the front end")]
    job = await put()
    await delivery.updates._refresh()
    await delivery.updates._refresh()
    assert frontend.shown == []  # not at once
    clock.advance(BROKEN_MESSAGE_S)
    await delivery.updates._refresh()
    assert [job_id for job_id, _ in frontend.shown] == [job.id]


async def test_card_that_could_not_be_opened_is_shown_soon(queue, frontend, delivery, put) -> None:
    job = await put()
    delivery.card_is_fresh(job, dict(await queue.standings())[job])
    delivery.card_is_stale(job)
    await until(lambda: frontend.shown)
    assert frontend.shown[0][0] == job.id


async def test_card_of_a_running_job_that_is_cancelled_says_that_it_stops(queue, frontend, delivery, put) -> None:
    job = await put()
    running = await queue.claim()
    delivery.card_is_fresh(running.job, dict(await queue.standings())[await current(queue, job.id)])
    await queue.cancel(job.id)
    await until(lambda: frontend.shown)
    assert frontend.shown[-1][0] == job.id


async def test_card_whose_edit_failed_still_has_to_say_that_its_job_stops(jobs, queue, images, frontend, put) -> None:
    monotonic = FrozenClock(0.0)
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), deadline=Deadline(monotonic=monotonic))
    delivery.add_frontend(frontend)
    job = await put()
    await queue.claim()
    delivery.card_is_fresh(*(await queue.standings())[0])
    await queue.cancel(job.id)
    frontend.troubles.append(DeliveryDelayed(0.0))
    for _ in range(2):
        monotonic.advance(60)
        await delivery.updates._refresh()
    assert frontend.troubles == [] and [shown[0] for shown in frontend.shown] == [job.id]


async def current(queue, job_id: int):
    return next(job for job, _ in await queue.standings() if job.id == job_id)


async def test_clock_set_back_delays_no_card(jobs, queue, images, frontend, put) -> None:
    clock, monotonic = FrozenClock(), FrozenClock(0.0)
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), deadline=Deadline(monotonic=monotonic), clock=clock)
    delivery.add_frontend(frontend)
    job = await put()
    standing = dict(await queue.standings())[job]
    delivery.card_is_fresh(job, dataclasses.replace(standing, position=7))
    clock.advance(-3600)
    monotonic.advance(5)
    await delivery.updates._refresh()
    assert [shown[0] for shown in frontend.shown] == [job.id]


async def test_edit_counts_only_once_it_was_made(queue, jobs, images, frontend, put) -> None:
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig())
    delivery.add_frontend(frontend)
    job = await put()
    is_asked, may_answer, show = asyncio.Event(), asyncio.Event(), frontend.show

    async def slow(job: Job, standing: QueueStatus) -> None:
        is_asked.set()
        await may_answer.wait()
        await show(job, standing)

    frontend.show = slow
    editing = asyncio.create_task(delivery.updates._refresh())
    await is_asked.wait()
    assert shown_of(delivery, job) is None
    announcing = asyncio.create_task(delivery.updates.announce_stop())  # waits for the edit, and finds it made
    may_answer.set()
    await asyncio.gather(editing, announcing)
    assert [job_id for job_id, _ in frontend.shown] == [job.id]
    assert shown_of(delivery, job).standing == frontend.shown[0][1]


async def test_word_of_the_front_end_during_an_edit_is_not_overwritten(queue, jobs, images, frontend, put) -> None:
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig())
    delivery.add_frontend(frontend)
    job = await put()
    own = QueueStatus(position=7, finish_at=None, is_rough=False)

    async def show(_job: Job, _standing: QueueStatus) -> None:
        delivery.card_is_fresh(job, own)

    frontend.show = show
    await delivery.updates._refresh()
    assert shown_of(delivery, job).standing == own


def shown_of(delivery: DeliveryLoop, job: Job) -> Shown | None:
    return delivery.updates._messages.find(key_of(job), {job.id})
