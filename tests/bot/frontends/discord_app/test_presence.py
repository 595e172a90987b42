"""What stands under the bot's name is true, short, and changes seldom enough for Discord."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC

import pytest

from bot.deadline import Deadline
from bot.frontends.discord_app import presence as module
from bot.frontends.discord_app.presence import MAX_STATE, Presence, commonest, paused_text
from bot.jobs import JobStatus
from bot.pause import Pause
from bot.presentation.spans import span
from bot.presentation.wording import LANGUAGES, wording_for
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.bot.rests import Rests
from tests.discord_server import Discord


@asynccontextmanager
async def shown(stage: Stage, interval_s: float = 0.05) -> AsyncIterator[Presence]:
    presence = Presence(stage.client, stage.service, is_ready=stage.client._has_been_ready, interval_s=interval_s)
    stage.client.presence = presence
    stage.queue.subscribe(presence.wake)
    task = asyncio.create_task(presence.run(Deadline()))
    try:
        yield presence
    finally:
        task.cancel()
        await asyncio.wait([task])


async def ask(discord: Discord) -> None:
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="a secret")
    await use.wait(lambda message: "⏳" in message.content)


async def test_status_follows_the_queue(stage: Stage) -> None:
    async with shown(stage):
        await stage.discord.wait_presence("/imagine")
        await ask(stage.discord)
        await stage.discord.wait_presence("1 waiting, about 1 min")
        await stage.service.pausing.pause("a reason")
        await stage.discord.wait_presence("paused, 1 waiting")
        await stage.service.cancel(1, by=(await stage.job(1)).user)
        await stage.discord.wait_presence("paused")
        await stage.service.pausing.resume()
        await stage.discord.wait_presence("/imagine")
    assert (await stage.job(1)).status is JobStatus.CANCELLED
    assert not any("secret" in text or "reason" in text for text in stage.discord.gateway.online[0].presences)


async def test_a_hundred_changes_at_once_are_one_update(stage: Stage) -> None:
    async with shown(stage, interval_s=20.0):
        await stage.discord.wait_presence("/imagine")
        for _ in range(10):
            await ask(stage.discord)
            await stage.service.pausing.pause("x")
            await stage.service.pausing.resume()
        assert stage.discord.gateway.online[0].presences == ["/imagine"]


async def test_nothing_is_sent_while_nothing_changes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    rests = Rests(monkeypatch, module)
    async with shown(stage, interval_s=0.01) as presence:
        await stage.discord.wait_presence("/imagine")
        await rests.wait(1)
        for looks in range(1, 21):
            presence.wake()
            await rests.wait(looks + 1)
        await stage.service.pausing.pause("")
        await stage.discord.wait_presence("paused")
        assert stage.discord.gateway.online[0].presences == ["/imagine", "paused"]


@pytest.mark.parametrize("is_resumable", [True, False])
async def test_status_survives_a_reconnection(stage: Stage, is_resumable: bool) -> None:
    async with shown(stage):
        await stage.discord.wait_presence("/imagine")
        stage.discord.gateway.drop(resumable=is_resumable)
        await stage.discord.wait_offline()
        await ask_the_service(stage)
        await stage.discord.wait_presence("paused", timeout=20)


async def ask_the_service(stage: Stage) -> None:
    await stage.service.pausing.pause("")


async def test_status_speaks_the_language_of_most_servers(start: Start) -> None:
    async with start(server={"guild_locale": "zh-CN"}) as stage, shown(stage):
        await stage.service.pausing.pause("")
        await stage.discord.wait_presence("已暂停")


def test_language_is_that_of_most_servers_and_english_if_none_has_most() -> None:
    assert commonest([]) == "en-US"
    assert commonest(["zh-CN"]) == "zh-CN"
    assert commonest(["zh-CN", "de", "zh-CN"]) == "zh-CN"
    assert commonest(["zh-CN", "de"]) == "en-US"


@pytest.mark.parametrize("language", LANGUAGES)
def test_spans_are_short_and_every_status_fits(language: str) -> None:
    wording = wording_for(language)
    for seconds in (-5, 0, 59, 61, 89 * 60, 90 * 60, 10**7):
        status = wording.say("presence-waiting-for", count=10_000, time=span(seconds, wording))
        assert len(status) < MAX_STATE


def test_end_of_a_pause_is_said_by_the_operators_clock() -> None:
    english, now = wording_for("en"), 1_000_000_000  # 01:46:40 UTC

    def said(until: int | None, waiting: int = 0) -> str:
        return paused_text(Pause.by_operator("x", until), waiting, english, now=now, zone=UTC)

    assert said(None) == "paused" and said(None, 3) == "paused, 3 waiting"
    assert said(now + 3600) == "paused until 02:46" and said(now + 3600, 3) == "paused until 02:46, 3 waiting"
    assert said(now + 3 * 86_400) == "paused until 2001-09-12"
