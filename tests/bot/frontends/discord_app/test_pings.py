"""Whoever waited long is told once, whatever happens to channel, message, rights and direct messages meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.frontends.discord_app import pings
from bot.jobs import Delivery, JobStatus, UserKey
from bot.requests.preferences import Ping, Setting
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.discord_server.view import MessageView

POST = r"POST /channels/\d+/messages$"


@pytest.fixture
async def stage(start: Start, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A bot to which every wait is a long one."""
    monkeypatch.setattr(pings, "LONG_WAIT_S", 0)
    async with start() as stage, stage.drawing():
        yield stage
        stage.discord.assert_clean()


async def drawn(stage: Stage, *, prompt: str = "x", user: Any = None, **options: Any) -> MessageView:
    """Ask, and wait until the result was delivered and everybody told."""
    user = user or stage.discord.user
    use = await stage.discord.slash(user, stage.discord.channel, "imagine", prompt=prompt, steps=1, **options)
    message = await use.wait(lambda shown: shown.content[:1] in ("✅", "❌"))
    async with asyncio.timeout(10):
        while any(job.delivery is not Delivery.DELIVERED for job in await of_person(stage, user)):
            await asyncio.sleep(0.01)
    return message


async def of_person(stage: Stage, user: Any) -> list[Any]:
    rows = await stage.jobs._database.fetch_all("SELECT id FROM jobs WHERE user_id = :id", {"id": user.id})
    return [await stage.job(row["id"]) for row in rows]


def told(stage: Stage, channel: Any = None) -> list[MessageView]:
    messages = stage.discord.messages(channel or stage.discord.channel)
    return [each for each in messages if each.author_id == stage.discord.bot.id and not each.images and each.reference]


async def test_one_message_tells_of_all_images_of_a_request_and_of_a_failure(stage: Stage) -> None:
    gallery = await drawn(stage, count=3)
    failed = await drawn(stage, prompt="[fail]")
    first, second = told(stage)
    assert (first.reference, second.reference) == (gallery.id, failed.id)
    assert first.pings == second.pings == [stage.discord.user.id]
    assert "Your images are ready" in first.content and "ready" not in second.content
    assert (await stage.job(4)).status is JobStatus.FAILED


@pytest.mark.parametrize("fault", [{"code": 50013}, {"code": 10003}, {"reset": True}], ids=["rights", "channel", "cut"])
async def test_ping_that_cannot_be_sent_costs_nobody_the_image(stage: Stage, fault: dict[str, Any]) -> None:
    stage.discord.fault(POST, times=99, **fault)
    assert (await drawn(stage)).images
    assert told(stage) == []


async def test_closed_direct_messages_of_whoever_wants_to_be_told_there_cost_nobody_the_image(stage: Stage) -> None:
    shy = stage.discord.add_user("shy", dms_open=False)
    await stage.service.preferences.set(UserKey(frontend="discord", id=shy.id), Setting.PING, Ping.DM)
    assert (await drawn(stage, user=shy)).images
    assert told(stage) == []


async def test_direct_message_leads_to_the_image_and_names_nobody(stage: Stage) -> None:
    me = stage.discord.user
    await stage.service.preferences.set(UserKey(frontend="discord", id=me.id), Setting.PING, Ping.DM)
    message = await drawn(stage)
    (note,) = stage.discord.messages(stage.discord.dm(me), me)
    place = f"{stage.discord.guild.id}/{stage.discord.channel.id}/{message.id}"
    assert note.content.endswith(f"https://discord.com/channels/{place}") and f"<@{me.id}>" not in note.content
    assert told(stage) == []
