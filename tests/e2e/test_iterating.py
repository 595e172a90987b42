"""A picture is worked on with buttons, across restarts, by several people, in both languages."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.discord_server import BotProcess, Discord, MessageView, Use
from tests.discord_server.permissions import Permission
from tests.e2e.conftest import bot_process, imagine, is_result, rows, wait_row

TURNS = ("Again", "Vary", "Edit", "More steps")


def is_ready(message: MessageView) -> bool:
    return message.content.startswith("✅") and bool(message.images)


def button(message: MessageView, word: str) -> str:
    return next(each["label"] for each in message.buttons if word in each["label"])


async def private(use: Use) -> MessageView:
    return await use.wait(lambda message: message.ephemeral and not message.loading)


async def press(discord: Discord, message: MessageView, turn: str, user: Any) -> Use:
    """One step of somebody who works on a picture."""
    if turn == "More steps":
        menu = await private(await discord.click(message, button(message, "More"), user))
        return await discord.click(menu, button(menu, "Same seed"), user)
    use = await discord.click(message, button(message, turn), user)
    if turn == "Edit":
        return await discord.submit_modal(use, {"prompt": f"another apple {message.id}", "steps": "2"})
    return use


@pytest.fixture
async def hasty_discord() -> AsyncIterator[Discord]:
    """One whose windows for rates are a quarter as long: it is they that many edits in one channel wait for."""
    async with Discord(time_scale=0.25) as discord:
        yield discord
        discord.assert_clean()


async def test_twenty_presses_on_buttons_of_buttons_survive_a_kill_and_cost_the_presser(
    hasty_discord: Discord, tmp_path: Path, data_dir: Path
) -> None:
    discord = hasty_discord
    async with bot_process(discord, tmp_path, data_dir) as bot:
        await bot.wait_ready()
        await discord.wait_command("imagine")
        await press_twenty_times(discord, bot, data_dir)


async def press_twenty_times(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    bob = discord.add_user("bob")
    use = await imagine(discord, seed=7)
    message = await use.wait(is_ready)
    for number in range(20):
        if number == 10:
            await bot.kill()
            await bot.start()
            await bot.wait_ready()
        use = await press(discord, message, TURNS[number % len(TURNS)], bob)
        message = await use.wait(is_ready)
    jobs = rows(data_dir)
    assert [row["derived_from"] for row in jobs] == [None, *range(1, 21)]
    assert {row["user_id"] for row in jobs[1:]} == {bob.id} and jobs[0]["user_id"] == discord.user.id
    for user, used in ((discord.user, 1), (bob, 20)):
        answer = await private(await discord.slash(user, discord.channel, "quota"))
        assert f"**{used}** of 1000" in answer.text
    discord.assert_thrifty()
    discord.assert_clean()


async def test_press_that_a_kill_interrupts_draws_once(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    use = await imagine(discord, "[step=0.3]", seed=7)
    message = await use.wait(is_ready)
    again = await discord.click(message, button(message, "Again"))
    await again.wait(lambda message: bool(message.buttons))
    await wait_row(data_dir, 1, status="running")
    await bot.kill()
    await bot.start()
    await again.wait(is_ready, timeout=40)
    assert [row["status"] for row in rows(data_dir)] == ["done", "done"]
    assert len(discord.messages(discord.channel)) == 2


async def test_form_that_was_open_during_a_restart_can_still_be_sent(discord: Discord, bot: BotProcess) -> None:
    message = await (await imagine(discord)).wait(is_ready)
    form = await discord.click(message, button(message, "Edit"))
    await form.wait_modal()
    await bot.kill()
    await bot.start()
    await bot.wait_ready()
    await (await discord.submit_modal(form, {"prompt": "a pear"})).wait(is_ready)


async def test_thirty_iterations_alone_are_never_refused(
    discord: Discord, make_bot: Callable[..., BotProcess], data_dir: Path
) -> None:
    """With the limits that everybody starts with, but for those of a day."""
    limits = {"limits__cooldown_s": 5, "limits__max_active_per_user": 3, "limits__max_waiting": 30}
    async with make_bot(**limits) as bot:
        await bot.wait_ready()
        await discord.wait_command("imagine")
        channels = [discord.channel, *(discord.add_channel(f"art-{number}") for number in range(4))]
        for number in range(15):  # in turns: Discord lets nobody edit more than five times in five seconds in one
            use = await discord.slash(discord.user, channels[number % 5], "imagine", prompt="x", steps=1)
            message = await use.wait(is_ready)
            await (await discord.click(message, button(message, "Again"))).wait(is_ready)
    assert [row["status"] for row in rows(data_dir)] == ["done"] * 30
    discord.assert_thrifty()


async def test_four_pictures_in_one_message_survive_a_kill(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    use = await imagine(discord, "[step=0.2]", count=4, seed=7)
    await use.wait(lambda message: len(message.images) == 1)
    await bot.kill()
    await bot.start()
    done = await use.wait(lambda message: is_ready(message) and len(message.images) == 4, timeout=40)
    assert len(discord.messages(discord.channel)) == 1
    assert [row["spec"].count('"seed": ') for row in rows(data_dir)] == [1] * 4
    assert "seeds 7, 8, 9, 10" in done.text
    discord.assert_clean()


async def test_gallery_that_cannot_be_edited_is_posted_anew_and_only_once(discord: Discord, bot: BotProcess) -> None:
    use = await imagine(discord, "[step=0.2]", count=3)
    await use.wait(lambda message: bool(message.buttons))
    discord.fault(rf"PATCH /channels/\d+/messages/{use.response.id}", times=float("inf"), code=50013)
    first = await discord.wait_message(lambda message: bool(message.images), timeout=40)
    assert first.pings == [discord.user.id]
    done = await discord.wait_message(lambda message: is_ready(message) and len(message.images) == 3, timeout=40)
    assert [message.id for message in discord.messages(discord.channel) if message.images] == [first.id] == [done.id]


@pytest.mark.parametrize("locale", ["zh-CN", "zh-TW"])
async def test_buttons_speak_the_language_of_the_server_and_answers_that_of_the_person(
    locale: str, tmp_path: Path, data_dir: Path
) -> None:
    words = {
        "zh-CN": ("🔄 再来一张", "图片 #1 · a red apple"),
        "zh-TW": ("🔄 再來一張", "圖片 #1 · a red apple"),
    }
    async with Discord(guild_locale=locale) as discord, bot_process(discord, tmp_path, data_dir) as bot:
        await bot.wait_ready()
        reader = discord.add_user("reader", locale=locale)
        message = await (await discord.slash(reader, discord.channel, "imagine", prompt="a red apple", steps=1)).wait(
            is_result
        )
        again, title = words[locale]
        assert message.buttons[0]["label"] == again
        menu = await private(await discord.click(message, message.buttons[-1]["label"], reader))
        assert menu.content == title
        use = await discord.click(message, message.buttons[1]["label"], reader)
        await (await discord.submit_modal(use, {"steps": "2"})).wait(is_result)


# ── being told ──────────────────────────────────────────────────────────────────────────────────────


async def long_wait(discord: Discord, bot: BotProcess, data_dir: Path, seconds: int) -> Use:
    """Somebody whose request was interrupted by a kill, and who has waited for so long."""
    use = await imagine(discord, "[step=0.2]", steps=3)
    await use.wait(lambda message: bool(message.buttons))
    await wait_row(data_dir, status="running")
    await bot.kill()
    with closing(sqlite3.connect(data_dir / "imagine-bot.db")) as connection, connection:
        connection.execute("UPDATE jobs SET queued_at = queued_at - ?", (seconds,))
    await bot.start()
    await bot.wait_ready()
    await use.wait(is_ready, timeout=40)
    return use


async def test_whoever_waited_long_is_mentioned_once_under_the_picture(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    use = await long_wait(discord, bot, data_dir, 61)
    ping = await discord.wait_message(lambda message: "ready" in message.content and not message.images)
    assert ping.pings == [discord.user.id]
    assert use.response is not None and ping.reference == use.response.id
    await bot.kill()
    await bot.start()
    await bot.wait_ready()
    await (await imagine(discord)).wait(is_ready)
    assert sum(bool(message.pings) for message in discord.messages(discord.channel)) == 1
    discord.assert_clean()


async def test_delivery_that_is_repeated_pings_once(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    use = await imagine(discord, "[step=0.2]", steps=3)
    await use.wait(lambda message: bool(message.buttons))
    await wait_row(data_dir, status="running")
    await bot.kill()
    with closing(sqlite3.connect(data_dir / "imagine-bot.db")) as connection, connection:
        connection.execute("UPDATE jobs SET queued_at = queued_at - 100")
    discord.fault(r"POST /channels/\d+/messages$", times=1, hang=30, applied=True)  # the ping is sent, nobody hears
    await bot.start()
    await use.wait(is_ready, timeout=40)
    await discord.wait_message(lambda message: bool(message.pings), timeout=40)
    await bot.kill()
    await bot.start()
    await wait_row(data_dir, delivery="delivered")
    assert sum(bool(message.pings) for message in discord.messages(discord.channel)) == 1


async def test_nobody_is_pinged_after_a_short_wait(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    await long_wait(discord, bot, data_dir, 30)
    await wait_row(data_dir, delivery="delivered")
    assert not any(message.pings for message in discord.messages(discord.channel))


@pytest.mark.parametrize(("choice", "here", "directly"), [("dm", 0, 1), ("off", 0, 0)])
async def test_everybody_chooses_where_to_be_told(
    discord: Discord, bot: BotProcess, data_dir: Path, choice: str, here: int, directly: int
) -> None:
    answer = await private(await discord.slash(discord.user, discord.channel, "settings", ping=choice))
    assert answer.text
    await long_wait(discord, bot, data_dir, 61)
    await wait_row(data_dir, delivery="delivered")
    told = [message for message in discord.messages(discord.channel) if message.pings]
    assert len(told) == here
    assert len(discord.messages(discord.dm(discord.user))) == directly


# ── when the place changes ──────────────────────────────────────────────────────────────────────────


async def test_picture_is_deleted_for_good_by_its_owner_and_never_shown_again(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    message = await (await imagine(discord, "secret words")).wait(is_ready)
    menu = await private(await discord.click(message, button(message, "More")))
    asked = await private(await discord.click(menu, button(menu, "Delete")))
    gone = await discord.click(asked, button(asked, "Delete for good"))
    await gone.wait(lambda shown: "was deleted" in shown.content)
    await bot.kill()
    await bot.start()
    await bot.wait_ready()
    answer = await private(await discord.slash(discord.user, discord.channel, "show", id=1))
    assert answer.content == "Image #1 was deleted, and its prompt with it."
    assert not list((data_dir / "images").rglob("*.png"))
    assert "secret" not in str(rows(data_dir))


async def test_press_in_a_channel_that_takes_no_pictures_any_more_says_why(discord: Discord, bot: BotProcess) -> None:
    message = await (await imagine(discord)).wait(is_ready)
    discord.set_permissions(discord.channel, discord.bot, deny=Permission.SEND_MESSAGES)
    answer = await private(await discord.click(message, button(message, "Again")))
    assert "“Send Messages”" in answer.content


async def test_result_of_a_press_whose_channel_is_deleted_reaches_its_person(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    channel = discord.add_channel("short-lived")
    use = await discord.slash(discord.user, channel, "imagine", prompt="x", steps=1)
    message = await use.wait(is_ready)
    await press(discord, message, "Edit", discord.user)
    await wait_row(data_dir, 1, status="done")
    use = await discord.click(message, button(message, "Vary"))
    await use.wait(lambda message: bool(message.buttons))
    discord.delete_channel(channel)
    await wait_row(data_dir, 2, delivery="delivered")


async def test_too_large_a_gallery_is_sent_smaller(discord: Discord, bot: BotProcess) -> None:
    discord.fault(r"PATCH /channels/\d+/messages/\d+", times=1, code=40005)
    done = await (await imagine(discord, count=2)).wait(
        lambda message: is_ready(message) and len(message.images) == 2, timeout=40
    )
    assert len(done.images) == 2


async def test_press_is_delivered_though_its_token_has_expired(discord: Discord, bot: BotProcess) -> None:
    message = await (await imagine(discord)).wait(is_ready)
    use = await discord.click(message, button(message, "Edit"), age=895)
    sent = await discord.submit_modal(use, {"prompt": "[step=0.4] late", "steps": "2"})
    await sent.wait(lambda shown: bool(shown.buttons))
    discord.expire_token(sent)
    done = await discord.wait_message(lambda shown: is_ready(shown) and "late" in shown.text, timeout=20)
    assert done.images


async def test_rate_limit_on_a_result_delays_it_and_loses_nothing(discord: Discord, bot: BotProcess) -> None:
    message = await (await imagine(discord)).wait(is_ready)
    discord.fault(r"PATCH /channels/\d+/messages/\d+", times=1, retry_after=1)
    again = await (await discord.click(message, button(message, "Again"))).wait(is_ready, timeout=20)
    assert again.images


async def test_press_whose_answer_came_too_late_shows_nothing(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    """Its person was told that the bot did not respond, and will press again."""
    message = await (await imagine(discord)).wait(is_ready)
    discord.fault("POST /interactions/.*", times=1, code=10062)
    await discord.click(message, button(message, "Again"))
    await discord.wait_requests("POST /interactions/.*", count=2)
    await (await imagine(discord, "another")).wait(is_ready)
    await wait_row(data_dir, 2, delivery="delivered")
    assert [row["delivery"] for row in rows(data_dir)] == ["delivered", "dropped", "delivered"]
    assert len(discord.messages(discord.channel)) == 2
