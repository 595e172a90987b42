"""What a newcomer meets: /help with examples that draw, answers to mentions and direct messages, a note on words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.catalog.models import DEMO, find_model
from tests.discord_server import BotProcess, Discord, MessageView
from tests.e2e.conftest import imagine, is_result, rows

EXAMPLES = find_model("fake").examples


async def helped(discord: Discord, user: object = None) -> MessageView:
    use = await discord.slash(user or discord.user, discord.channel, "help")  # type: ignore[arg-type]
    return await use.wait(lambda message: message.embeds)


def from_bot(discord: Discord) -> Callable[[MessageView], bool]:
    return lambda message: message.author_id == discord.bot.id


@pytest.mark.timeout(120)  # imports torch, beside whatever else this machine does
async def test_demo_draws_its_example_and_names_the_words_that_it_does_not_know(
    discord: Discord, make_bot: Callable[..., BotProcess]
) -> None:
    async with make_bot(pipeline__model="demo") as bot:
        await bot.wait_ready()
        await discord.wait_command("help")
        message = await helped(discord)
        assert [button["label"] for button in message.buttons] == list(DEMO.examples["en"])
        use = await discord.click(message, DEMO.examples["en"][0])
        unknown = await imagine(discord, "Elon Musk and a cat by van Gogh")
        done = await use.wait(is_result, timeout=100)
        assert not done.ephemeral
        assert DEMO.examples["en"][0] in done.text
        assert "does not know" not in done.text
        said = await unknown.wait(is_result, timeout=20)
        assert "The demo model does not know: Elon Musk, van Gogh. `/help` shows what it can draw." in said.text
        discord.assert_clean()


async def test_an_example_is_drawn_by_one_press_in_the_language_of_its_reader(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    newcomers = {language: discord.add_user(f"reader {language}", locale=language) for language in EXAMPLES}
    for language, newcomer in newcomers.items():
        message = await helped(discord, newcomer)
        assert message.ephemeral
        assert [button["label"] for button in message.buttons] == list(EXAMPLES[language])
        uses = [await discord.click(message, EXAMPLES[language][0], newcomer) for _ in range(2)]  # a double click
        done = await uses[0].wait(is_result)
        assert not done.ephemeral
        assert EXAMPLES[language][0] in done.text
    assert [row["user_id"] for row in rows(data_dir)] == [newcomer.id for newcomer in newcomers.values()]
    discord.assert_clean()


async def test_an_example_works_after_a_kill(
    discord: Discord, make_bot: Callable[..., BotProcess], data_dir: Path
) -> None:
    async with make_bot() as bot:
        await bot.wait_ready()
        await discord.wait_command("help")
        message = await helped(discord)
        await bot.kill()
    async with make_bot() as bot:
        await bot.wait_ready()
        await (await discord.click(message, message.buttons[0]["label"])).wait(is_result)
    assert len(rows(data_dir)) == 1


async def test_a_server_that_is_not_served_gets_neither_help_nor_drawings_nor_answers(
    discord: Discord, make_bot: Callable[..., BotProcess], data_dir: Path
) -> None:
    async with make_bot() as bot:
        await bot.wait_ready()
        await discord.wait_command("help")
        message = await helped(discord)
        await bot.stop()
    async with make_bot(discord__allowed_guilds="[1]") as bot:
        await bot.wait_ready()
        refused = await (await discord.click(message, message.buttons[0]["label"])).wait(lambda answer: answer.content)
        assert "do not work on this server" in refused.content
        discord.say(discord.user, discord.channel, f"<@{discord.bot.id}> hello")
        dm = discord.dm(discord.user)
        discord.say(discord.user, dm, "hello")
        await discord.wait_message(from_bot(discord), dm)  # so the mention before it was seen
        public = [answer for answer in discord.messages(discord.channel) if not answer.ephemeral]
        assert [answer.content for answer in public] == [f"<@{discord.bot.id}> hello"]
    assert rows(data_dir) == []


async def test_mentions_and_direct_messages_get_one_answer_per_person(discord: Discord, bot: BotProcess) -> None:
    bob, robot = discord.add_user("bob"), discord.add_user("robot")
    robot.bot = True
    name = f"<@{discord.bot.id}>"
    discord.say(robot, discord.channel, f"{name} beep")
    discord.say(discord.user, discord.channel, "@everyone hello")
    for user in (discord.user, bob, discord.user, bob):
        discord.say(user, discord.channel, f"{name} hello @everyone")
    dm = discord.dm(discord.user)
    discord.say(discord.user, dm, "hello")  # has had an answer on the server
    eve = discord.add_user("eve")
    for _ in range(2):
        discord.say(eve, discord.dm(eve), "hello")
    await discord.wait_message(from_bot(discord), discord.dm(eve))

    def answers() -> list[MessageView]:
        return [message for message in discord.messages(discord.channel) if message.author_id == discord.bot.id]

    await discord.world.changed.wait_for(lambda: len(answers()) >= 2, 10)
    assert len(answers()) == 2
    assert all(message.pings == [] and "</imagine:" in message.content for message in answers())
    assert [message.author_id for message in discord.messages(dm)] == [discord.user.id]
    assert [message.author_id for message in discord.messages(discord.dm(eve), eve)].count(discord.bot.id) == 1
    discord.assert_clean()
    discord.assert_thrifty()
