"""A mention or a direct message gets one answer per person and hour; nothing else gets any."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from bot.config import DiscordConfig
from bot.frontends.discord_app.command_ids import CommandIds
from bot.frontends.discord_app.greeting import (
    CHANNEL_LIMIT,
    ONCE_PER_S,
    REMEMBERED_CHANNELS,
    REMEMBERED_PEOPLE,
    Greeter,
)
from bot.frontends.discord_app.permissions import AccessPolicy
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.discord_server.permissions import Permission
from tests.discord_server.view import MessageView


def bots_words(stage: Stage, channel: Any = None, viewer: Any = None) -> list[MessageView]:
    messages = stage.discord.messages(channel or stage.discord.channel, viewer)
    return [message for message in messages if message.author_id == stage.discord.bot.id]


async def settled(stage: Stage) -> None:
    """Every message that was said by now has been looked at: a command that comes after them is answered."""
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "quota")
    await use.wait(lambda message: message.embeds)


def mention(stage: Stage) -> str:
    return f"<@{stage.discord.bot.id}>"


async def test_a_mention_is_answered_once_without_pinging_anybody(stage: Stage) -> None:
    asked = stage.discord.say(stage.discord.user, stage.discord.channel, f"{mention(stage)} draw a cat @everyone")
    answer = await stage.discord.wait_message(lambda message: message.author_id == stage.discord.bot.id)
    registered = {command["name"]: command["id"] for command in stage.discord.emu.commands.all(None)}
    assert f"</imagine:{registered['imagine']}>" in answer.content
    assert f"</help:{registered['help']}>" in answer.content
    assert answer.pings == []
    assert answer.reference == asked.id
    stage.discord.say(stage.discord.user, stage.discord.channel, f"hello? {mention(stage)}")
    stage.discord.say(stage.discord.user, stage.discord.add_channel("other"), f"hello? {mention(stage)}")
    await settled(stage)
    assert len(bots_words(stage)) == 2  # the answer and /quota


async def test_another_person_gets_an_answer_of_their_own(stage: Stage) -> None:
    for user in (stage.discord.user, stage.discord.add_user("bob")):
        stage.discord.say(user, stage.discord.channel, mention(stage))
    await settled(stage)
    assert len(bots_words(stage)) == 3


async def test_what_names_nobody_is_not_answered(stage: Stage) -> None:
    discord, channel = stage.discord, stage.discord.channel
    role = discord.add_role("painters")
    other = discord.add_user("bob")
    mine = await stage.client.get_partial_messageable(int(channel.id)).send("a picture")
    sent = await discord.wait_message(lambda message: message.id == str(mine.id))
    discord.say(discord.user, channel, "@everyone look")
    discord.say(discord.user, channel, f"<@&{role.id}> look")
    discord.say(discord.user, channel, f"<@{other.id}> look")
    discord.say(discord.user, channel, "imagine a cat")
    discord.say(discord.user, channel, "nice!", reply_to=sent)  # pings the bot without naming it
    await settled(stage)
    assert len(bots_words(stage)) == 2


async def test_bots_are_not_answered(stage: Stage) -> None:
    robot = stage.discord.add_user("robot")
    robot.bot = True
    stage.discord.say(robot, stage.discord.channel, mention(stage))
    await settled(stage)
    assert len(bots_words(stage)) == 1


@pytest.mark.parametrize(
    ("locale", "words"), [("zh-CN", "输入"), ("zh-TW", "輸入"), ("de", "Write")], ids=["zh-CN", "zh-TW", "de"]
)
async def test_the_servers_language_is_spoken(locale: str, words: str, start: Start) -> None:
    async with start(server={"guild_locale": locale}) as stage:
        stage.discord.say(stage.discord.user, stage.discord.channel, mention(stage))
        answer = await stage.discord.wait_message(lambda message: message.author_id == stage.discord.bot.id)
        assert words in answer.content


async def test_a_direct_message_is_answered_in_both_languages_until_one_is_known(stage: Stage) -> None:
    stranger, known = stage.discord.add_user("bob"), stage.discord.add_user("li", locale="zh-CN")
    await (await stage.discord.slash(known, stage.discord.channel, "quota")).wait(lambda message: message.embeds)
    answers = {}
    for user in (stranger, known):
        channel = stage.discord.dm(user)
        stage.discord.say(user, channel, "a cat please")
        answer = await stage.discord.wait_message(lambda message: message.author_id != user.id, channel)  # noqa: B023
        stage.discord.say(user, channel, "hello?")
        answers[user.username] = answer.content
    await settled(stage)
    assert all(len(bots_words(stage, stage.discord.dm(user), user)) == 1 for user in (stranger, known))
    assert "on a server" in answers["bob"]
    assert "服务器" in answers["bob"]
    assert "on a server" not in answers["li"]
    assert "服务器" in answers["li"]
    assert "`/imagine`" in answers["bob"]  # nothing to be clicked: there are no commands here


async def test_lists_of_the_operator_hold(start: Start) -> None:
    async with start(allowed_channels=[1]) as stage:
        stage.discord.say(stage.discord.user, stage.discord.channel, mention(stage))
        await settled(stage)
        assert len(bots_words(stage)) == 1


async def test_other_servers_are_not_answered(start: Start) -> None:
    async with start(allowed_guilds=[1]) as stage:
        stage.discord.say(stage.discord.user, stage.discord.channel, mention(stage))
        stage.discord.say(stage.discord.user, stage.discord.dm(stage.discord.user), "hi")
        await stage.discord.wait_message(lambda _: True, stage.discord.dm(stage.discord.user))
        assert bots_words(stage) == []


async def test_where_it_may_not_write_it_does_not_try(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bot")
    async with start() as stage:
        stage.discord.set_permissions(stage.discord.channel, stage.discord.bot, deny=Permission.SEND_MESSAGES)
        stage.discord.say(stage.discord.user, stage.discord.channel, f"{mention(stage)} secret words")
        await settled(stage)
        assert len(bots_words(stage)) == 1
        stage.discord.assert_clean()
    assert "secret words" not in caplog.text
    assert "mention" not in caplog.text


async def test_where_it_may_not_read_it_answers_without_a_reply(stage: Stage) -> None:
    stage.discord.set_permissions(stage.discord.channel, stage.discord.bot, deny=Permission.READ_MESSAGE_HISTORY)
    stage.discord.say(stage.discord.user, stage.discord.channel, mention(stage))
    answer = await stage.discord.wait_message(lambda message: message.author_id == stage.discord.bot.id)
    assert answer.reference is None


async def test_a_thread_is_answered(stage: Stage) -> None:
    thread = stage.discord.add_thread(stage.discord.channel, "art")
    stage.discord.say(stage.discord.user, thread, mention(stage))
    await stage.discord.wait_message(lambda message: message.author_id == stage.discord.bot.id, thread)


async def test_a_refused_answer_is_logged_without_content(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "bot")
    async with start() as stage:
        bob = stage.discord.add_user("bob", dms_open=False)
        stage.discord.say(bob, stage.discord.dm(bob), "secret words")
        async with asyncio.timeout(5):
            while "could not be answered" not in caplog.text:
                await asyncio.sleep(0.01)
    assert "secret words" not in caplog.text


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


class Channel:
    """A direct channel would do; what counts is what is sent."""

    def __init__(self, number: int) -> None:
        self.id = number
        self.sent: list[str] = []

    async def send(self, text: str, **_: Any) -> None:
        self.sent.append(text)


ME: Any = SimpleNamespace(id=1)


def greeter(clock: Clock) -> Greeter:
    return Greeter(AccessPolicy(DiscordConfig()), CommandIds(), clock)


def said(channel: Channel, user: int) -> Any:
    guild = SimpleNamespace(id=9, me=None, preferred_locale=SimpleNamespace(value="en-US"))
    return SimpleNamespace(
        id=77, author=SimpleNamespace(id=user, bot=False), webhook_id=None, is_system=lambda: False, guild=guild,
        channel=channel, mentions=[ME], content="<@1>", to_reference=lambda **_: None,
    )  # fmt: skip


async def test_an_hour_later_a_person_is_answered_again() -> None:
    clock, channel = Clock(), Channel(5)
    answering = greeter(clock)
    for at_s in (0, 1, ONCE_PER_S - 1, ONCE_PER_S, ONCE_PER_S + 1):
        clock.now = 50 + at_s
        await answering.answer(said(channel, 3), ME)
    assert len(channel.sent) == 2


async def test_a_crowd_cannot_flood_a_channel_and_is_heard_later() -> None:
    clock, channel = Clock(), Channel(5)
    answering = greeter(clock)
    for user in range(20):
        await answering.answer(said(channel, user), ME)
    assert len(channel.sent) == CHANNEL_LIMIT
    clock.now += 60
    await answering.answer(said(channel, 19), ME)
    assert len(channel.sent) == CHANNEL_LIMIT + 1


async def test_memory_stays_bounded() -> None:
    answering = greeter(Clock())
    for number in range(REMEMBERED_PEOPLE + 10):
        await answering.answer(said(Channel(number), number), ME)
        answering.note_locale(SimpleNamespace(user=SimpleNamespace(id=number), locale=SimpleNamespace(value="de")))  # type: ignore[arg-type]
    sizes = {name: len(value) for name, value in vars(answering).items() if hasattr(value, "popitem")}
    assert sizes == {
        "_greeted": REMEMBERED_PEOPLE,
        "_greeted_in": REMEMBERED_CHANNELS,
        "_locales": REMEMBERED_PEOPLE,
    }
