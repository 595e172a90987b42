"""The emulator against real discord.py, the bot being a subprocess."""

from __future__ import annotations

import contextlib
import io
import math
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.discord_server import (
    BotExited,
    BotProcess,
    ClientRefused,
    Discord,
    InteractionFailed,
    MessageView,
    Permission,
    Upload,
    Use,
)
from tests.discord_server.load import fire

BOT = Path(__file__).with_name("picture_bot.py")


def bot_process(d: Discord, token: str | None = None) -> BotProcess:
    env = {"DISCORD_TOKEN": token or d.token, "DISCORD_API": d.api_base}
    return BotProcess(d, [sys.executable, str(BOT)], env=env)


@contextlib.asynccontextmanager
async def running(**config: Any) -> AsyncIterator[tuple[Discord, BotProcess]]:
    """A Discord with the test bot on it; every answer of the emulator's is checked too."""
    async with Discord(validate_responses=True, **config) as d, bot_process(d) as bot:
        await bot.wait_ready()
        await d.wait_command("outlive")
        yield d, bot


async def draw(d: Discord, **options: Any) -> tuple[Use, MessageView]:
    use = await d.slash(d.user, d.channel, "draw", prompt="a cat", **options)
    return use, await use.wait(lambda m: m.images)


async def test_deferred_answer_is_finished_by_the_bot_itself() -> None:
    async with running(guild_locale="fr") as (d, _):
        d.user.locale = "zh-CN"
        use, message = await draw(d, colour="blue")
        assert [e.kind for e in use.timeline] == ["ack", "message", "edit", "edit"]
        assert use.timeline[0].detail == "defer"
        assert [m.content for e in use.timeline if (m := e.message)] == ["", "queued", "done"]
        picture = Image.open(io.BytesIO(message.attachment_bytes(0)))
        assert (picture.size, picture.getpixel((0, 0))) == ((32, 16), (0, 0, 200))
        assert message.text == "done\na cat\nzh-CN fr"
        assert d.requests("PATCH /channels/.*/messages/")
        d.assert_clean()


async def test_embedded_picture_is_an_image_but_no_attachment() -> None:
    async with running() as (d, _):
        _, message = await draw(d, framed=True)
        assert message.attachments == []
        assert message.images[0].place == "embed"
        assert message.image_bytes(0).startswith(b"\x89PNG")
        d.assert_clean()


async def test_commands_and_options_carry_their_translations() -> None:
    async with running() as (d, _):
        command = await d.wait_command("draw")
        assert command["name_localizations"]["zh-CN"] == "绘画"
        assert command["options"][0]["name_localizations"]["zh-CN"] == "提示词"


async def test_autocomplete_suggests_choices() -> None:
    async with running() as (d, _):
        choices = await d.autocomplete(d.user, d.channel, "draw", "colour", "r", prompt="a c")
        assert choices == [{"name": "Red", "value": "red"}]
        d.assert_clean()


async def test_subcommand_group_is_for_those_who_may() -> None:
    async with running() as (d, _):
        admin = d.add_user("admin", roles=[d.add_role("admins", Permission.MANAGE_GUILD)])
        with pytest.raises(ClientRefused, match="lacks the permission"):
            await d.slash(d.user, d.channel, "admin limits set", kind="Per day", user=admin)
        use = await d.slash(admin, d.channel, "admin limits set", kind="Per day", user=d.user)
        assert (await use.wait()).content == "alice day"
        d.assert_clean()


async def test_modal_is_filled_in_and_answered_in_private() -> None:
    async with running() as (d, _):
        bob = d.add_user("bob")
        _, message = await draw(d)
        opened = await d.click(message, "Rename", bob)
        submitted = await d.submit_modal(opened, {"New name": "cat 2"})
        answer = await submitted.wait()
        assert (answer.content, answer.ephemeral) == ("renamed cat 2", True)
        assert answer.id in [m.id for m in d.messages(d.channel, bob)]
        assert answer.id not in [m.id for m in d.messages(d.channel)]
        d.assert_clean()


async def test_form_with_text_select_and_upload_is_read_by_discordpy() -> None:
    async with running() as (d, _):
        opened = await d.slash(d.user, d.channel, "edit")
        answers = {"Colour": "Blue", "Start from": Upload("start.png", b"12345")}
        answer = await (await d.submit_modal(opened, answers)).wait()
        assert answer.content == "a cat ['blue'] ['start.png 5']"
        opened = await d.slash(d.user, d.channel, "edit")
        answer = await (await d.submit_modal(opened, {"Prompt": "a dog", "Colour": "red"})).wait()
        assert answer.content == "a dog ['red'] []"
        d.assert_clean()


async def test_select_menu_attachments_and_alt_texts_are_those_of_discordpy() -> None:
    async with running() as (d, _):
        start = io.BytesIO()
        Image.new("RGB", (4, 4)).save(start, "PNG")
        use = await d.slash(d.user, d.channel, "pair", start=Upload("start.png", start.getvalue()))
        first = await use.wait()
        assert [i.description for i in first.images] == ["all red", "all blue"]
        message = await use.wait(lambda m: m.content == "pair" and m.images[1].description == "yours")
        assert [i.description for i in message.images] == ["still blue", "yours"]
        assert message.image_bytes(1) == start.getvalue()
        assert [o["default"] for o in message.selects[0]["options"]] == [True, False]
        chosen = await (await d.select(message, "Which one?", "Picture 2")).wait()
        assert (chosen.id, chosen.content) == (message.id, "picture 2")
        d.assert_clean()


async def test_mention_and_dm_are_read_and_answered_without_a_ping() -> None:
    async with running() as (d, _):
        d.say(d.user, d.channel, "nothing for the bot")
        for channel in (d.channel, d.dm(d.user)):
            asked = d.say(d.user, channel, f"<@{d.bot.id}> hi")
            answer = await d.wait_message(lambda m: m.content.startswith("you said"), channel)
            assert (answer.content, answer.reference) == (f"you said {asked.content}", asked.id)
            assert answer.pings == []
        assert len(d.requests("POST .*/messages")) == 2
        d.assert_clean()


async def test_menus_and_reactions_are_those_of_discordpy() -> None:
    async with running() as (d, _):
        message = d.say(d.user, d.channel, "not for the bot", files=[Upload("a.txt", b"a")])
        answer = await (await d.message_menu(d.user, message, "Image info")).wait()
        assert (answer.content, answer.ephemeral) == ("alice: not for the bot [None]", True)
        answer = await (await d.user_menu(d.user, d.channel, "Who is it", d.add_user("bob"))).wait()
        assert answer.content == "bob"
        d.react(d.user, message, "⭐")
        assert (await d.wait_reaction(message, "✅")).reactions == {"⭐": [d.user.id], "✅": [d.bot.id]}
        d.assert_clean()


async def test_button_works_again_after_a_crash() -> None:
    async with running() as (d, bot):
        _, message = await draw(d)
        await bot.kill()
        await d.wait_offline()
        d.config.ack_deadline = 0.1
        dead = await d.click(message, "Again")
        with pytest.raises(InteractionFailed):
            await dead.acked()
        d.config.ack_deadline = 3.0
        await bot.start()
        await bot.wait_ready()
        use = await d.click(message, "again:blue")
        answer = await use.wait(lambda m: m.content == "again")
        assert answer.ephemeral
        assert answer.images
        d.assert_clean()


async def test_closed_dm_and_nonce() -> None:
    async with running() as (d, _):
        shy = d.add_user("shy", dms_open=False)
        for user, wanted in ((shy, "ok, 403 50007"), (d.user, "ok, ok")):
            use = await d.slash(user, d.channel, "post")
            assert (await use.wait(lambda m: m.content.endswith(("ok", "50007")))).content == wanted
        posts = [m for m in d.messages(d.channel) if m.content == "posted"]
        assert len(posts) == 1  # the second had the first one's nonce
        assert [m.content for m in d.messages(d.dm(d.user))] == ["posted"]
        d.assert_clean()


async def test_lost_permission_is_50013_and_lost_sight_50001() -> None:
    async with running() as (d, _):
        d.set_permissions(d.channel, d.bot, deny=Permission.SEND_MESSAGES)
        use = await d.slash(d.user, d.channel, "post")
        await use.wait(lambda m: m.content == "403 50013, ok")
        d.set_permissions(d.channel, d.bot, deny=Permission.VIEW_CHANNEL)
        use = await d.slash(d.user, d.channel, "post")
        await use.wait(lambda m: m.content == "403 50001, ok")
        d.assert_clean()


async def test_token_expiry_is_50027() -> None:
    async with running() as (d, bot):
        use = await d.slash(d.user, d.channel, "outlive")
        await use.wait()
        d.expire_token(use)
        await bot.wait_log("ended by 401 50027")
        d.assert_clean()


async def test_deleted_message_is_told_and_10008() -> None:
    async with running() as (d, bot):
        use = await d.slash(d.user, d.channel, "outlive")
        message = await use.wait()
        d.delete_message(message)
        await bot.wait_log("ended by 404 10008")
        await bot.wait_log(f"deleted {message.id}")
        d.assert_clean()


async def test_answer_after_three_seconds_is_10062() -> None:
    async with running(ack_deadline=0.001) as (d, bot):
        use = await d.slash(d.user, d.channel, "draw", prompt="too late")
        await use.wait_event("failed")
        await bot.wait_log("10062")
        assert [v.kind for v in d.violations] == ["late_ack"]


async def test_faults_are_retried_or_reported_by_discordpy() -> None:
    async with running() as (d, bot):
        server_error = d.fault("PATCH .*@original", status=502)
        patience = d.fault("PATCH /channels/{channel_id}/messages/{message_id}", retry_after=0.2)
        await draw(d)
        assert server_error.spent
        assert patience.spent
        d.fault("PATCH .*@original", code=200000, times=math.inf)
        await d.slash(d.user, d.channel, "outlive")
        await bot.wait_log("ended by 400 200000")
        d.assert_clean()


@pytest.mark.parametrize("fault", ["cut", "close", "reconnect", "invalid-resumable"])
async def test_resume(fault: str) -> None:
    async with running() as (d, bot):
        match fault:
            case "cut":
                d.gateway.drop()
            case "close":
                d.gateway.drop(4000)
            case "reconnect":
                d.gateway.ask_reconnect()
            case "invalid-resumable":
                d.gateway.invalidate(resumable=True)
        await d.wait_resumed()
        await bot.wait_log("resumed")
        assert await (await d.slash(d.user, d.channel, "post")).wait()
        assert (d.stats()["identifies"], d.stats()["resumes"]) == (1, 1)
        d.assert_clean()


async def test_interaction_in_a_gap_is_replayed_by_the_resume() -> None:
    async with running() as (d, _):
        d.gateway.drop()
        assert await (await d.slash(d.user, d.channel, "post")).wait()
        assert d.stats()["resumes"] == 1


async def test_session_that_cannot_be_resumed_is_made_anew() -> None:
    async with running() as (d, _):
        d.gateway.drop(4000, resumable=False)
        await d.wait_ready(count=2)
        assert await (await d.slash(d.user, d.channel, "post")).wait()
        d.assert_clean()


async def test_stop_by_signal_and_exit_before_ready() -> None:
    async with running() as (d, bot):
        assert await bot.stop() == 0
        assert "stopping" in bot.output
        await d.wait_offline()
    async with Discord() as d, bot_process(d, token="wrong") as bot:
        with pytest.raises(BotExited, match="Improper token"):
            await bot.wait_ready()
        assert d.stats()["bad_tokens"] == 1


async def test_load_report_counts_every_command() -> None:
    async with running() as (d, _):
        report = await fire(
            d, d.channel, "draw", users=5, total=20, rate=20,
            options=lambda i: {"prompt": f"cat {i}"}, done=lambda m: m.content == "queued", timeout=10,
        )  # fmt: skip
        summary = report.summary()
        assert (summary["sent"], summary["done"], summary["lost"], summary["duplicated"]) == (20, 20, 0, 0)
        assert len({s.user.id for s in report.shots}) == 5
        assert summary["violations"] == 0
