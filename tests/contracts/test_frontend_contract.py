"""What every front end promises (`Frontend` in `bot/delivery/results.py`), asked of each one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest
from PIL import Image

from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible, Frontend, MessageGone
from bot.frontends.web.frontend import WebFrontend
from bot.frontends.web.handlers import PageHandlers
from bot.frontends.web.identity import FRONTEND, THIS_MACHINE, Visitor
from bot.frontends.web.own_images import Looked
from bot.jobs import FailureCode, Job, JobStatus, QueueStatus, ReplyTo, UserKey
from bot.scheduling.job_queue import JobQueue
from bot.store.image_store import ImageStore
from bot.store.usage_store import Measurement
from pipeline import ImageOptions, Progress
from pipeline import Stage as RunStage
from tests.bot.frontends.discord_app.conftest import Stage, Start, keep_discord, start  # noqa: F401 - fixtures
from tests.bot.frontends.web.test_handlers import config, handlers, queue  # noqa: F401 - fixtures
from tests.discord_server import MessageView
from tests.discord_server.permissions import Permission

WAITING = QueueStatus(position=1, finish_at=1_900_000_000, is_rough=False)
RUNNING = replace(WAITING, position=None, progress=Progress(stage=RunStage.DENOISING, step=1, steps=4))


class Subject(Protocol):
    """A front end, the world that it speaks to, and the ways to break that world."""

    frontend: Frontend

    async def ask(self) -> Job:
        """Let a person ask for a picture; return the job, whose message is there."""

    def texts(self) -> list[str]:
        """What the person can read, everywhere."""

    def pictures(self) -> list[bytes]:
        """The pictures that the person can see, everywhere."""

    def delete_message(self) -> None: ...

    def lose_the_network(self) -> None: ...

    def mend_the_network(self) -> None: ...

    def shut_every_way(self) -> None: ...


class OnPage:
    """The local page, which shows what the rows say: this brings the rows to where a job is said to be."""

    def __init__(self, handlers: PageHandlers, queue: JobQueue, images: ImageStore) -> None:  # noqa: F811
        self._handlers, self._queue, self._images = handlers, queue, images
        self._visitor = Visitor(user=UserKey(frontend=FRONTEND, id="ann"), origin=THIS_MACHINE, locale="en")
        self._texts: list[str] = []
        self._pictures: list[bytes] = []
        self.frontend: Frontend = self

    name = WebFrontend.name

    async def show(self, job: Job, standing: QueueStatus) -> None:
        if (await self._handlers.images.own(self._visitor, job.id)).status is JobStatus.QUEUED:
            await self._queue.claim()
        if standing.progress is not None:
            self._queue.report(job.id, standing.progress)
        await WebFrontend().show(job, standing)
        await self._look()

    async def deliver(self, job: Job, image: Path | None) -> ReplyTo:
        if (await self._handlers.images.own(self._visitor, job.id)).status is JobStatus.QUEUED:
            await self._queue.claim()
        if image is not None:
            path = await self._images.write(job.id, image.read_bytes())
            measured = Measurement(step_s=0.1, fixed_s=0.1)
            await self._queue.finish(job.id, image_path=path, image_bytes=1, ran_s=1.0, measured=measured)
        elif job.failure_code is not None:
            await self._queue.fail(job.id, job.failure_code, ran_s=1.0)
        else:
            await self._queue.cancelled(job.id, ran_s=1.0)
        reply_to = await WebFrontend().deliver(job, image)
        await self._look()
        return reply_to

    async def ask(self) -> Job:
        options = ImageOptions(prompt="a red apple", seed=7, steps=4)
        drawn = await self._handlers.draw(self._visitor, options)
        await self._look()
        return drawn.jobs[0]

    def texts(self) -> list[str]:
        return self._texts

    def pictures(self) -> list[bytes]:
        return self._pictures

    def delete_message(self) -> None:
        pytest.skip("messages of the page cannot be deleted, only cancelled")

    def lose_the_network(self) -> None:
        pytest.skip("nothing is sent to the page: it comes and looks")

    def mend_the_network(self) -> None: ...

    def shut_every_way(self) -> None:
        pytest.skip("the gallery is always there")

    async def _look(self) -> None:
        """Open the page, and every picture on it."""
        self._handlers._standings_at = 0.0
        state: dict[str, Any] = await self._handlers.state(self._visitor)
        page: dict[str, Any] = await self._handlers.images.page(self._visitor, Looked())
        ids = [int(re.findall(r'data-id="(\d+)"', html)[0]) for html in page["pictures"]]
        self._texts = [*state["jobs"], *[await self._handlers.images.large(self._visitor, number) for number in ids]]
        addresses = [re.findall(r'src="/pictures/(\w+)/(\d+)\.png"', text) for text in self._texts]
        files = [await self._handlers.addresses.file(key, int(number)) for found in addresses for key, number in found]
        self._pictures = [file.read_bytes() for file in files if file is not None]


class OnDiscord:
    """The Discord front end before our own Discord."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._discord = stage, stage.discord
        self.frontend: Frontend = stage.client.frontend

    async def ask(self) -> Job:
        use = await self._discord.slash(self._discord.user, self._discord.channel, "imagine", prompt="a red apple")
        await use.wait(lambda message: "⏳" in message.content)
        return (await self._stage.service.unfinished())[-1][0]

    def texts(self) -> list[str]:
        return [message.text for message in self._messages()]

    def pictures(self) -> list[bytes]:
        return [picture.data for message in self._messages() for picture in message.images]

    def delete_message(self) -> None:
        self._discord.delete_message(self._discord.messages(self._discord.channel)[0])

    def lose_the_network(self) -> None:
        self._discord.fault(".*", times=1000, reset=True)

    def mend_the_network(self) -> None:
        self._discord.clear_faults()

    def shut_every_way(self) -> None:
        self._discord.user.dms_open = False
        self._discord.set_permissions(self._discord.channel, self._discord.bot, deny=Permission.VIEW_CHANNEL)

    def _messages(self) -> list[MessageView]:
        places = (self._discord.channel, self._discord.dm(self._discord.user))
        return [message for place in places for message in self._discord.messages(place)]


@pytest.fixture(params=["discord", "console"])
async def subject(
    request: pytest.FixtureRequest,
    start: Start,  # noqa: F811
    handlers: PageHandlers,  # noqa: F811
    queue: JobQueue,  # noqa: F811
    images: ImageStore,
) -> AsyncIterator[Subject]:
    if request.param == "console":
        yield OnPage(handlers, queue, images)
        return
    async with start(with_delivery=False) as stage:
        yield OnDiscord(stage)


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "1.png"
    Image.new("RGB", (8, 8), "red").save(path)
    return path


def ended(job: Job, status: JobStatus = JobStatus.DONE, code: FailureCode | None = None) -> Job:
    return replace(job, status=status, failure_code=code)


async def test_name_is_the_one_in_its_jobs(subject: Subject) -> None:
    job = await subject.ask()
    assert subject.frontend.name == job.reply_to.frontend == job.user.frontend


async def test_progress_is_shown(subject: Subject) -> None:
    job = await subject.ask()
    before = subject.texts()
    await subject.frontend.show(replace(job, status=JobStatus.RUNNING), RUNNING)
    assert subject.texts() != before and len(subject.texts()) == 1


async def test_picture_arrives_with_what_draws_it_again(subject: Subject, png: Path) -> None:
    job = await subject.ask()
    reply_to = await subject.frontend.deliver(ended(job), png)
    assert subject.pictures() == [png.read_bytes()]
    (text,) = subject.texts()
    assert "a red apple" in text and str(job.spec.seed) in text
    assert reply_to.frontend == subject.frontend.name


@pytest.mark.parametrize(
    ("status", "code"), [(JobStatus.FAILED, FailureCode.OUT_OF_MEMORY), (JobStatus.CANCELLED, None)]
)
async def test_other_endings_are_told_too(subject: Subject, status: JobStatus, code: FailureCode | None) -> None:
    job = await subject.ask()
    before = subject.texts()
    await subject.frontend.deliver(ended(job, status, code), None)
    assert subject.texts() != before and subject.pictures() == []


async def test_delivering_again_is_harmless_from_the_old_and_from_the_new_place(subject: Subject, png: Path) -> None:
    job = ended(await subject.ask())
    reply_to = await subject.frontend.deliver(job, png)
    await subject.frontend.deliver(job, png)
    await subject.frontend.deliver(replace(job, reply_to=reply_to), png)
    assert len(subject.pictures()) == 1


async def test_late_progress_never_overwrites_the_result(subject: Subject, png: Path) -> None:
    job = await subject.ask()
    await subject.frontend.deliver(ended(job), png)
    await subject.frontend.show(replace(job, status=JobStatus.RUNNING), RUNNING)
    assert len(subject.pictures()) == 1


async def test_deleted_message_is_reported_and_not_replaced(subject: Subject, png: Path) -> None:
    job = await subject.ask()
    subject.delete_message()
    with pytest.raises(MessageGone):
        await subject.frontend.show(job, WAITING)
    with pytest.raises(MessageGone):
        await subject.frontend.deliver(ended(job), png)
    assert subject.texts() == []


async def test_lost_network_postpones_and_loses_nothing(subject: Subject, png: Path) -> None:
    job = ended(await subject.ask())
    subject.lose_the_network()
    with pytest.raises(DeliveryDelayed):
        await subject.frontend.deliver(job, png)
    subject.mend_the_network()
    await subject.frontend.deliver(job, png)
    assert len(subject.pictures()) == 1


async def test_person_who_cannot_be_reached_is_reported(subject: Subject, png: Path) -> None:
    job = ended(await subject.ask())
    subject.shut_every_way()
    with pytest.raises(DeliveryImpossible):
        await subject.frontend.deliver(job, png)
