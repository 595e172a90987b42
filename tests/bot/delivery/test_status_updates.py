"""Status messages stay current without flooding, and what a reader sees is never mistaken."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time

import pytest

from bot import supervision
from bot.config import DeliveryConfig
from bot.deadline import Deadline
from bot.delivery.frontend import DeliveryDelayed, MessageGone
from bot.delivery.results import DeliveryLoop
from bot.delivery.shown import Shown, key_of
from bot.delivery.status_updates import BROKEN_MESSAGE_S
from bot.jobs import Delivery, Job, JobStatus, PassedBy, QueueStatus, ReplyTo
from bot.pause import Pause
from pipeline import Progress, Stage
from pipeline.catalog.models import find_model
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


async def test_nothing_changed_nothing_edited(queue, stepping, put) -> None:
    await shown_at_first(queue, stepping, await put())
    for _ in range(20):
        assert await stepping.look(1.0) == []


async def test_time_that_ran_out_on_a_card_is_replaced(queue, frontend, delivery, put) -> None:
    job = await put()
    standing = dict(await queue.standings())[job]
    delivery.card_is_fresh(job, dataclasses.replace(standing, finish_at=int(time.time()) - 1))
    await until(lambda: frontend.shown)
    assert frontend.shown[0][1].finish_at > time.time()


async def test_edits_of_one_card_keep_their_distance(queue, clock, stepping, put) -> None:
    job = await put()
    await queue.claim()
    edited_at = []
    for step in range(100):
        queue.report(job.id, Progress(stage=Stage.DENOISING, step=step, steps=100))
        edited_at += [clock() for _ in await stepping.look(0.25)]
    distances = [after - before for before, after in itertools.pairwise(edited_at)]
    assert len(distances) >= 2 and min(distances) >= DeliveryConfig().card_interval_s


async def test_no_card_is_edited_while_a_result_is_on_its_way(queue, frontend, delivery, put, draw) -> None:
    frontend.hold.clear()
    job = await draw()
    await until(lambda: delivery.is_telling(job.user))
    await put()
    await delivery.updates.refresh()
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
    await delivery.updates.refresh()
    await delivery.updates.refresh()
    assert frontend.shown == []  # not at once
    clock.advance(BROKEN_MESSAGE_S)
    await delivery.updates.refresh()
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
        await delivery.updates.refresh()
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
    await delivery.updates.refresh()
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
    editing = asyncio.create_task(delivery.updates.refresh())
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
    await delivery.updates.refresh()
    assert shown_of(delivery, job).standing == own


def shown_of(delivery: DeliveryLoop, job: Job) -> Shown | None:
    return delivery.updates._messages.find(key_of(job), {job.id})


@pytest.fixture
def stepping(jobs, queue, images, frontend, clock):
    """Delivery on a clock that moves when a test says so; each look makes one edit at most."""
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), deadline=Deadline(monotonic=clock))
    delivery.add_frontend(frontend)

    async def look(seconds: float = 4.0) -> list[tuple[int, int | None]]:
        clock.advance(seconds)
        before = len(frontend.shown)
        await delivery.updates.refresh()
        return [(job_id, standing.position) for job_id, standing in frontend.shown[before:]]

    delivery.look = look
    return delivery


async def shown_at_first(queue, delivery, job: Job) -> QueueStatus:
    return delivery.card_is_fresh(job, {each.id: stands for each, stands in await queue.standings()}[job.id])


async def test_place_that_another_message_still_shows_is_left_out_until_that_was_edited(queue, stepping, put) -> None:
    first, second = await put(), await put()
    for job in (first, second):
        await shown_at_first(queue, stepping, job)
    await queue.claim()  # the first one, whose message says that it is next; so would the second one's
    third = await put()
    assert (await shown_at_first(queue, stepping, third)).position is None  # the second one's shows that place
    assert await stepping.look() == [(first.id, None)]
    assert await stepping.look(0.0) == [(second.id, 1)]
    assert await stepping.look(0.0) == [(third.id, 2)]


async def test_message_of_several_jobs_has_one_place_and_the_time_of_the_last(
    queue, stepping, make_request, put
) -> None:
    jobs = []
    for number in range(3):
        request = dataclasses.replace(make_request(), reply_to=ReplyTo(frontend="test", key="batch", address="{}"))
        jobs.append(await queue.put(request, find_model("fake").resolve(request.options, random_seed=number)))
        standing = await shown_at_first(queue, stepping, jobs[-1])
    standings = [stands for _, stands in await queue.standings()]
    assert (standing.position, standing.finish_at, standing.others) == (1, standings[-1].finish_at, 2)
    other = await put()
    assert (await shown_at_first(queue, stepping, other)).position == 4
    assert await stepping.look() == []
    await queue.claim()
    assert await stepping.look() == [(jobs[0].id, None)]
    assert await stepping.look(0.0) == [(other.id, 3)]


async def test_message_that_got_another_key_is_not_edited_for_that(queue, jobs, stepping, put) -> None:
    job = await put()
    await shown_at_first(queue, stepping, job)
    await jobs.move_message(job.id, dataclasses.replace(job.reply_to, key="moved"))
    assert await stepping.look() == []
    assert stepping.updates._messages.find(("test", "moved"), ()) is not None


async def test_places_are_left_out_until_messages_of_an_earlier_process_were_edited(queue, stepping, put) -> None:
    old = await put()
    await stepping.updates.recall()
    new = await put()
    assert (await shown_at_first(queue, stepping, new)).position is None
    assert await stepping.look() == [(old.id, 1)]
    assert await stepping.look(0.0) == [(new.id, 2)]


async def test_worse_place_is_explained_by_what_made_it_worse(queue, frontend, stepping, make_request) -> None:
    async def ask(user: str) -> Job:
        request = make_request(user)
        return await queue.put(request, find_model("fake").resolve(request.options, random_seed=1))

    for _ in range(2):
        await shown_at_first(queue, stepping, await ask("ann"))
    await ask("bob")  # has drawn nothing, so that only ann's first goes ahead
    while await stepping.look():
        pass
    notes = {standing.position: standing.passed_by for _, standing in frontend.shown}
    assert notes[3] is PassedBy.PEOPLE and notes[2] is None


async def test_place_of_a_job_that_ended_is_free_once_its_result_is_there(queue, stepping, put) -> None:
    first, second = await put(), await put()
    for job in (first, second):
        await shown_at_first(queue, stepping, job)
    await queue.cancel(first.id)
    assert await stepping.look() == []  # its message still says that it is next
    assert await stepping.look() == [(second.id, 1)]


async def test_paused_queue_promises_nothing_and_prepares_nothing(queue, frontend, stepping, put) -> None:
    job = await put()
    await shown_at_first(queue, stepping, job)
    await queue.pause(Pause.by_operator("a game"))
    assert await stepping.look() == [(job.id, 1)]
    assert (frontend.shown[-1][1].finish_at, frontend.shown[-1][1].is_loading) == (None, False)
    assert await stepping.look(600.0) == []


async def test_what_follows_the_queue_by_itself_is_not_edited_and_claims_no_place(
    queue, jobs, images, frontend, put
) -> None:
    """An open page shows every place as it is; the message of somebody on Discord may say the same one."""
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig())
    delivery.add_frontend(frontend)
    frontend.is_live = True
    on_page = await put()
    first = QueueStatus(position=1, finish_at=None, is_rough=False)
    assert delivery.card_is_fresh(on_page, first) == first
    frontend.is_live = False
    reply_to = dataclasses.replace(on_page.reply_to, key="elsewhere")
    elsewhere = dataclasses.replace(on_page, id=99, reply_to=reply_to)
    assert delivery.card_is_fresh(elsewhere, first).position == 1
    frontend.is_live = True
    await delivery.updates.announce_stop()
    assert frontend.shown == []
