"""Alerts are posted in one channel, in its server's language, and mention nobody."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bot.config import DiscordConfig
from bot.delivery.alerts import Alert, AlertKind
from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible
from bot.frontends.discord_app import alert_channel
from bot.frontends.discord_app.alert_channel import AlertChannel
from bot.frontends.discord_app.channel_watch import ChannelWatch
from bot.frontends.discord_app.message_ref import Address
from bot.jobs import JobStatus
from bot.pause import Pause
from bot.presentation.job_view import pause_phrase
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.discord_server import MessageView
from tests.discord_server.permissions import Permission

TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcDE.abcdefghijklmnopqrstuvwxyz0123456789AB"


def paused(text: str = "a game") -> Alert:
    return Alert(kind=AlertKind.PAUSED, values={"paused": pause_phrase(Pause.by_operator(text))})


def channel_of(stage: Stage, channel: Any = None, **config: Any) -> AlertChannel:
    channel_id = int((channel or stage.discord.channel).id)
    settings = DiscordConfig(alert_channel=channel_id, **config)
    return AlertChannel(stage.client, settings, stage.client._has_been_ready)


def posted(stage: Stage) -> list[MessageView]:
    return [each for each in stage.discord.messages(stage.discord.channel) if each.author_id == stage.discord.bot.id]


async def test_alert_is_one_message_that_mentions_nobody_and_shows_no_token(stage: Stage) -> None:
    text = f"@everyone <@{stage.discord.user.id}> {TOKEN} # x https://example.org"
    await channel_of(stage).post(paused(text))
    (message,) = posted(stage)
    assert message.content.startswith("⚠️ No new images are being drawn. ⏸️ paused: \\@everyone")
    assert message.pings == [] and not message.embeds
    assert TOKEN not in message.content


async def test_alert_speaks_the_language_of_its_server(start: Start) -> None:
    async with start(server={"guild_locale": "zh-TW"}) as stage:
        await channel_of(stage).post(paused())
        assert posted(stage)[0].content.startswith("⚠️ 不再開始繪製新圖片。")


async def test_a_channel_that_takes_none_is_said_once(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    channel = channel_of(stage)
    me = stage.discord.bot
    stage.discord.set_permissions(stage.discord.channel, me, deny=Permission.SEND_MESSAGES)
    for _ in range(3):
        await channel.post(paused())
    assert caplog.text.count("alerts cannot be posted in [discord] alert_channel") == 1
    stage.discord.set_permissions(stage.discord.channel, me)
    await channel.post(paused())
    assert len(posted(stage)) == 1


async def test_unknown_and_foreign_channels_get_nothing(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    channel = AlertChannel(stage.client, DiscordConfig(alert_channel=77), stage.client._has_been_ready)
    await channel.post(paused())
    assert "the bot sees no such channel" in caplog.text
    _, foreign = await stage.other_server()
    listed = channel_of(stage, foreign, allowed_guilds=(int(stage.discord.guild.id),))
    await listed.post(paused())
    assert "not among [discord] allowed_guilds" in caplog.text
    assert stage.discord.messages(foreign) == [] and posted(stage) == []


async def test_alert_whose_answer_is_lost_is_tried_again_and_there_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_channel, "POST_TIMEOUT_S", 0.3)
    stage.discord.fault("POST .*/messages", times=1, hang=2.0, applied=True)
    channel, alert = channel_of(stage), paused()
    with pytest.raises(DeliveryDelayed):
        await channel.post(alert)
    await channel.post(alert)
    assert len(posted(stage)) == 1


class Arriving:
    """A front end whose results arrive where the test says."""

    name, is_live = "discord", False

    def __init__(self) -> None:
        self.reply_to: Any = None

    async def show(self, *_: object) -> None:
        pass

    async def deliver(self, *_: object) -> Any:
        if self.reply_to is None:
            raise DeliveryImpossible("nowhere")
        return self.reply_to


class Heard:
    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []

    def begin(self, alert: Alert) -> None:
        self.said.append((alert.key, alert.values["channel"]))

    def end(self, kind: AlertKind, subject: str = "", values: Any = None) -> None:
        self.said.append((f"{kind} {subject} over", values["channel"]))


async def test_channel_that_takes_no_images_any_more_is_reported_until_it_does(stage: Stage) -> None:
    async with stage.drawing():
        use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x")
        await use.wait(lambda message: bool(message.images))
    job = await stage.job(1)
    assert job.status is JobStatus.DONE
    frontend, heard = Arriving(), Heard()
    watch = ChannelWatch(frontend, stage.client, heard)
    channel = stage.discord.channel.id
    with pytest.raises(DeliveryImpossible):
        await watch.deliver(job, None)
    frontend.reply_to = job.reply_to
    await watch.deliver(job, None)
    assert heard.said == [
        (f"permission-lost {channel}", f"<#{channel}>"),
        (f"permission-lost {channel} over", f"<#{channel}>"),
    ]
    stage.discord.delete_channel(stage.discord.channel)
    while stage.client.get_channel(int(channel)) is not None:
        await asyncio.sleep(0.01)
    frontend.reply_to = None
    with pytest.raises(DeliveryImpossible):
        await watch.deliver(job, None)
    assert len(heard.said) == 2  # a channel that was deleted lacks no permission


async def test_way_of_a_private_image_says_nothing_of_its_channel(stage: Stage) -> None:
    discord = stage.discord
    async with stage.drawing():
        await discord.slash(discord.user, discord.channel, "imagine", prompt="x", private=True)
        await discord.wait_message(lambda message: message.images, channel=discord.dm(discord.user))
    async with asyncio.timeout(5):
        while not Address.read((job := await stage.job(1)).reply_to).is_direct:
            await asyncio.sleep(0.01)
    frontend, heard = Arriving(), Heard()
    frontend.reply_to = job.reply_to
    asked = replace(job, reply_to=replace(Address.read(job.reply_to), channel_id=int(discord.channel.id)).reply_to())
    watch = ChannelWatch(frontend, stage.client, heard)
    await watch.deliver(asked, None)
    frontend.reply_to = None
    with pytest.raises(DeliveryImpossible):
        await watch.deliver(asked, None)
    assert heard.said == []
    with pytest.raises(DeliveryImpossible):
        await watch.deliver(replace(asked, is_private=False), None)
    assert len(heard.said) == 1
