"""What every front end promises (`Frontend` in `bot/delivery.py`), asked of each one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from PIL import Image

from bot.delivery import CardGone, DeliveryDelayed, DeliveryImpossible, Frontend
from bot.jobs import FailureCode, Job, JobStatus, Standing
from pipeline import Progress
from pipeline import Stage as RunStage
from tests.bot.chat.conftest import Stage, Start, keep_discord, start  # noqa: F401 - fixtures
from tests.discord_server import MessageView
from tests.discord_server.permissions import Permission

WAITING = Standing(position=1, finish_at=1_900_000_000, is_rough=False)
RUNNING = replace(WAITING, position=None, progress=Progress(stage=RunStage.DENOISING, step=1, steps=4))


class Subject(Protocol):
    """A front end, the world that it speaks to, and the ways to break that world."""

    frontend: Frontend

    async def ask(self) -> Job:
        """Let a person ask for a picture; return the job, whose card is there."""

    def texts(self) -> list[str]:
        """What the person can read, everywhere."""

    def pictures(self) -> list[bytes]:
        """The pictures that the person can see, everywhere."""

    def delete_card(self) -> None: ...

    def lose_the_network(self) -> None: ...

    def mend_the_network(self) -> None: ...

    def shut_every_way(self) -> None: ...


class OnDiscord:
    """The Discord front end before our own Discord."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._discord = stage, stage.discord
        self.frontend: Frontend = stage.client.frontend

    async def ask(self) -> Job:
        use = await self._discord.slash(self._discord.user, self._discord.channel, "imagine", prompt="a red apple")
        await use.wait(lambda message: "in line" in message.content)
        return (await self._stage.service.unfinished())[-1][0]

    def texts(self) -> list[str]:
        return [message.text for message in self._messages()]

    def pictures(self) -> list[bytes]:
        return [picture.data for message in self._messages() for picture in message.images]

    def delete_card(self) -> None:
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


@pytest.fixture
async def subject(start: Start) -> AsyncIterator[Subject]:  # noqa: F811
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


async def test_deleted_card_is_reported_and_not_replaced(subject: Subject, png: Path) -> None:
    job = await subject.ask()
    subject.delete_card()
    with pytest.raises(CardGone):
        await subject.frontend.show(job, WAITING)
    with pytest.raises(CardGone):
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
