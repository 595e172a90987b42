"""A front end that remembers what it was asked to say, and the delivery loops on a real queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.clock import Clock
from bot.config import DeliveryConfig, LimitsConfig
from bot.delivery.results import DeliveryLoop
from bot.jobs import Delivery, Job, JobStatus, QueueStatus, ReplyTo, Request
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.usage_store import Measurement
from pipeline.catalog.models import find_model

MEASURED = Measurement(step_s=1.0, fixed_s=1.0)


@dataclass
class RecordingFrontend:
    """Remembers what it was asked to say; `troubles` are raised first, in order."""

    name: str = "test"
    is_live = False
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
    return JobQueue(jobs, settings, no_limits, assumed_pace=lambda _spec: pace)


@pytest.fixture
def frontend() -> RecordingFrontend:
    return RecordingFrontend()


@pytest.fixture
def delivery_clock() -> Clock:
    """The clock of delivery; a module of tests may have another."""
    return time.time


@pytest.fixture
async def delivery(
    jobs: JobStore, queue: JobQueue, images: ImageStore, frontend: RecordingFrontend, delivery_clock: Clock
) -> AsyncIterator[DeliveryLoop]:
    config = DeliveryConfig(card_interval_s=0.2, retry_first_s=0.01, retry_max_s=0.02)
    delivery = DeliveryLoop(jobs, queue, images, config, clock=delivery_clock)
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
