"""What an operator and a team read without asking: that the bot is online, how long the queue is, what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.discord_server import BotProcess, Discord, MessageView
from tests.discord_server.permissions import Permission
from tests.e2e.conftest import imagine, rows, wait_row


def alerts(discord: Discord, channel: Any) -> list[str]:
    return [message.content for message in discord.messages(channel) if message.author_id == discord.bot.id]


async def wait_alert(discord: Discord, channel: Any, start: str) -> MessageView:
    return await discord.wait_message(lambda message: message.content.startswith(start), channel)


async def test_troubles_are_told_once_in_the_alert_channel_and_nowhere_else(
    discord: Discord, make_bot: Callable[..., BotProcess], data_dir: Path
) -> None:
    team = discord.add_channel("team")
    other = discord.add_channel("art", guild=discord.add_guild("another server"))
    boss = discord.add_user("boss", roles=[discord.add_role("boss", Permission.MANAGE_GUILD)])
    settings = {"discord__alert_channel": team.id, "discord__allowed_guilds": f"[{discord.guild.id}]"}
    async with make_bot(**settings) as bot:
        await bot.wait_ready()
        await discord.wait_command("admin")
        assert (await bot.wait_log("online as")).startswith(
            f"● online as {discord.bot.username} on 1 server: type /imagine (commands are new"
        )
        await discord.wait_presence("/imagine")
        for reason in ("a *game*", "a *game*"):
            await (await discord.slash(boss, discord.channel, "admin pause", reason=reason)).wait(lambda m: m.content)
        message = await wait_alert(discord, team, "⚠️ No new images are being drawn.")
        assert r"paused: a \*game\*" in message.content
        assert message.pings == []
        await imagine(discord, "a secret [step=0.3]", steps=10)
        await imagine(discord, "another secret")
        await wait_row(data_dir, 1)
        await (await discord.slash(boss, discord.channel, "admin resume")).wait(lambda m: m.content)
        await wait_alert(discord, team, "✅ The queue has resumed.")
        await wait_row(data_dir, status="running")
        await bot.kill()
    discord.set_permissions(discord.channel, discord.bot, deny=Permission.ATTACH_FILES)
    async with make_bot(**settings) as bot:
        await bot.wait_ready()
        message = await wait_alert(discord, team, "🔁 I am back ")
        assert "2 images kept their places." in message.content
        assert "commands are new" not in bot.output and bot.output.count("online as") == 1
        await discord.wait_message(lambda m: bool(m.images), discord.dm(discord.user))
        lost = await wait_alert(discord, team, f"⚠️ I cannot post images in <#{discord.channel.id}> on ")
        assert lost.pings == []
        await bot.stop()
    said = alerts(discord, team)
    assert [text[0] for text in said] == ["⚠", "✅", "🔁", "⚠"]
    assert not any("secret" in text or discord.token in text for text in said)
    assert discord.messages(other) == []
    assert len(rows(data_dir)) == 2
    discord.assert_clean()


async def test_without_a_server_the_line_names_the_invitation_and_logs_stay_json(
    discord: Discord, make_bot: Callable[..., BotProcess]
) -> None:
    discord.remove_member(discord.bot)
    async with make_bot(log__format="json") as bot:
        await bot.wait_ready()
        line = await bot.wait_log("online as")
        assert line.startswith("{") and "on no server yet: `imagine-bot invite`" in line
        assert all(line.startswith("{") for line in bot.lines if line.strip())
        discord.assert_clean()
