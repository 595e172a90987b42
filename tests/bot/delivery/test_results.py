"""Results reach their people once, cards stay current without flooding, and one bad job stops nobody."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot import supervision
from bot.config import DeliveryConfig, LimitsConfig
from bot.deadline import Deadline
from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible, MessageGone
from bot.delivery.results import DeliveryLoop
from bot.delivery.status_updates import BROKEN_CARD_S
from bot.errors import StoreUnavailable
from bot.jobs import Delivery, Job, JobStatus, QueueStatus, ReplyTo, Request
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore, Measurement
from bot.store.key_value_store import SettingStore
from pipeline import Progress, Stage
from pipeline.catalog.models import find_model
from tests.conftest import FrozenClock

MEASURED = Measurement(step_s=1.0, fixed_s=1.0)


@dataclass
class RecordingFrontend:
    """Remembers what it was asked to say; `troubles` are raised first, in order."""

    name: str = "test"
    shown: list[tuple[int, QueueStatus]] = field(default_factory=list)
    delivered: list[tuple[int, JobStatus, bytes | None]] = field(default_factory=list)
    troubles: list[Exception] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.hold.set()

    async def show(self, job: Job, standing: QueueStatus) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        self.shown.append((job.id, standing))

    async def deliver(self, job: Job, image: Path | None) -> ReplyTo:
        await self.hold.wait()
        if self.troubles:
            raise self.troubles.pop(0)
        self.delivered.append((job.id, job.status, image and image.read_bytes()))
        return ReplyTo(frontend="test", key=f"answer-{job.id}", address='{"moved": true}')


@pytest.fixture
def queue(jobs: JobStore, settings: SettingStore, no_limits: LimitsConfig) -> JobQueue:
    pace = Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
    return JobQueue(jobs, settings, no_limits, slots=1, assumed_pace=lambda _spec: pace)


@pytest.fixture
def frontend() -> RecordingFrontend:
    return RecordingFrontend()


@pytest.fixture
async def delivery(
    jobs: JobStore, queue: JobQueue, images: ImageStore, frontend: RecordingFrontend
) -> AsyncIterator[DeliveryLoop]:
    config = DeliveryConfig(card_interval_s=0.2, retry_first_s=0.01, retry_max_s=0.02)
    delivery = DeliveryLoop(jobs, queue, images, config)
    delivery.add_frontend(frontend)
    queue.subscribe(delivery.wake)
    tasks = [asyncio.create_task(delivery.run())]
    yield delivery
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        assert task.cancelled(), task.exception()


@pytest.fixture
def put(queue: JobQueue, make_request: Callable[..., Request]) -> Callable[..., Awaitable[Job]]:
    async def put() -> Job:
        request = make_request()
        return await queue.put(request, find_model("fake").resolve(request.options, random_seed=1))

    return put


@pytest.fixture
def draw(queue: JobQueue, images: ImageStore, put) -> Callable[..., Awaitable[Job]]:
    async def draw() -> Job:
        job = await put()
        await queue.claim()
        path = await images.write(job.id, b"png")
        done = await queue.finish(job.id, image_path=path, image_bytes=3, ran_s=1.0, measured=MEASURED)
        assert done is not None
        return done

    return draw


async def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


async def settled(jobs: JobStore, job: Job) -> Job:
    async with asyncio.timeout(10):
        while (latest := await jobs.get(job.id)).delivery in {Delivery.PENDING, Delivery.NONE}:
            await asyncio.sleep(0.01)
    return latest


async def test_result_is_delivered_once_and_its_new_place_remembered(jobs, frontend, delivery, draw) -> None:
    job = await settled(jobs, await draw())
    assert job.delivery is Delivery.DELIVERED and job.reply_to.key == f"answer-{job.id}"
    delivery.wake()
    await asyncio.sleep(0.05)
    assert frontend.delivered == [(job.id, JobStatus.DONE, b"png")]


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


async def test_old_result_is_given_up_and_told_on_request(
    jobs, queue, images, frontend, draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    frontend.troubles = [DeliveryDelayed()] * 100
    config = DeliveryConfig(retry_first_s=0.01, give_up_after_s=1)
    delivery = DeliveryLoop(jobs, queue, images, config)
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
    await asyncio.sleep(0.1)
    assert (await jobs.get(job.id)).delivery is Delivery.PENDING
    task.cancel()
    await asyncio.wait([task])


async def test_failure_and_cancelling_are_told_as_well(jobs, queue, frontend, delivery, put) -> None:
    job = await put()
    await queue.cancel(job.id)
    await settled(jobs, job)
    assert frontend.delivered == [(job.id, JobStatus.CANCELLED, None)]


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


async def test_note_that_cannot_be_written_while_stopping_is_left_to_the_next_start(
    jobs, queue, images, frontend, draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: object) -> None:
        raise StoreUnavailable("locked", is_full=False)

    deadline = Deadline(0)
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), deadline=deadline)
    delivery.add_frontend(frontend)
    job = await draw()
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "delivered", locked)
        task = asyncio.create_task(delivery.run_results())
        await until(lambda: frontend.delivered)
        await asyncio.wait_for(delivery.flush(), 5)
        for _ in range(5):
            delivery.wake()
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task])
    assert len(frontend.delivered) == 1
    assert (await jobs.get(job.id)).delivery is Delivery.PENDING


async def test_edit_that_failed_for_no_known_reason_stays_worth_making(
    queue, jobs, images, frontend, put, clock
) -> None:
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), deadline=Deadline(monotonic=clock))
    delivery.add_frontend(frontend)
    frontend.troubles = [RuntimeError("a bug in the front end")]
    job = await put()
    await delivery.updates._refresh_cards()
    await delivery.updates._refresh_cards()
    assert frontend.shown == []  # not at once
    clock.advance(BROKEN_CARD_S)
    await delivery.updates._refresh_cards()
    assert [job_id for job_id, _ in frontend.shown] == [job.id]


# ── cards that are not what they seem ───────────────────────────────────────────────────────────────────


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
        await delivery.updates._refresh_cards()
    assert frontend.troubles == [] and [shown[0] for shown in frontend.shown] == [job.id]


async def current(queue, job_id: int):
    return next(job for job, _ in await queue.standings() if job.id == job_id)


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


async def test_clock_set_back_delays_no_card(jobs, queue, images, frontend, put) -> None:
    clock, monotonic = FrozenClock(), FrozenClock(0.0)
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), deadline=Deadline(monotonic=monotonic), clock=clock)
    delivery.add_frontend(frontend)
    job = await put()
    standing = dict(await queue.standings())[job]
    delivery.card_is_fresh(job, dataclasses.replace(standing, position=7))
    clock.advance(-3600)
    monotonic.advance(5)
    await delivery.updates._refresh_cards()
    assert [shown[0] for shown in frontend.shown] == [job.id]


async def test_clock_set_ahead_gives_no_delivery_up_after_one_try(jobs, queue, images, frontend, draw) -> None:
    job = await draw()
    clock = FrozenClock((job.finished_at or 0) + 91 * 86_400.0)
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), clock=clock)
    await delivery._postponed(job, 0.0)()
    assert (await jobs.get(job.id)).delivery is Delivery.PENDING
