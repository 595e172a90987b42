"""Roles, quotas of single members, pauses with an end and quiet hours, across kills and restarts."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.discord_server import Discord
from tests.discord_server.permissions import Permission
from tests.e2e.conftest import imagine, is_result


def around_now(minutes: int) -> str:
    """A span of the day, in UTC, that is neither about to end nor to begin."""
    now = datetime.now(UTC)
    begin, end = now - timedelta(minutes=minutes), now + timedelta(minutes=minutes)
    return json.dumps([f"{begin:%H:%M}-{end:%H:%M}"])


def end_stored_pause(data_dir: Path, at: int) -> None:
    """Let the pause of a bot that is not running end at a moment, as if so much time had passed."""
    with closing(sqlite3.connect(data_dir / "imagine-bot.db")) as database, database:
        ((stored,),) = database.execute("SELECT value FROM settings WHERE key = 'pause_reason'")
        value = json.dumps({**json.loads(stored), "until": at})
        database.execute("UPDATE settings SET value = ? WHERE key = 'pause_reason'", (value,))


async def told(discord: Discord, who: Any, command: str, /, **options: Any) -> str:
    use = await discord.slash(who, discord.channel, command, options=options)
    return (await use.wait(lambda message: message.ephemeral and not message.loading)).text


async def test_bounds_of_a_role_and_of_one_member_survive_a_kill(discord: Discord, make_bot, tmp_path: Path) -> None:
    role, boss = discord.add_role("guests", Permission(0)), discord.add_role("boss", Permission.MANAGE_GUILD)
    guest, manager = discord.add_user("guest", roles=[role]), discord.add_user("manager", roles=[boss])
    preset = "[presets.'Team night']\nsuffix = 'at night'\nsteps = 2\n"
    (tmp_path / "config.toml").write_text(f"[roles.{role.id}]\nmax_images_per_day = 1\nmax_steps = 3\n{preset}")
    async with make_bot() as bot:
        await bot.wait_ready()
        drawn = await (await discord.slash(guest, discord.channel, "imagine", prompt="a red apple")).wait(is_result)
        assert "3 steps" in drawn.text
        assert "your roles allow up to 3" in await told(discord, guest, "imagine", prompt="x", steps=4)
        assert "You have used 1 of your 1 images" in await told(discord, guest, "imagine", prompt="x")
        use = await discord.slash(manager, discord.channel, "imagine", prompt="a red apple", preset="team night")
        assert "prompt:a red apple, at night" in (done := await use.wait(is_result)).text and "2 steps" in done.text
        assert "may now draw 2 images" in await told(discord, manager, "admin quota", user=guest, images=2)
        await bot.kill()
        await bot.start()
        await bot.wait_ready()
        await (await discord.click(drawn, "🔄 Again", guest)).wait(is_result)
        await asyncio.sleep(0.6)  # sooner, it would be a double click
        use = await discord.click(drawn, "🔄 Again", guest)
        refused = await use.wait(lambda message: message.ephemeral and not message.loading)
        assert "You have used 2 of your 2 images" in refused.text
    discord.assert_clean()


async def test_pauses_and_quiet_hours_end_by_themselves_and_survive_kills(
    discord: Discord, make_bot, data_dir: Path
) -> None:
    manager = discord.add_user("manager", roles=[discord.add_role("boss", Permission.MANAGE_GUILD)])
    async with make_bot(hours__quiet=around_now(90), hours__timezone="UTC") as bot:
        await bot.wait_ready()
        first = await imagine(discord, "a pear")
        await first.wait(lambda message: "⏸️ paused until <t:" in message.content and "quiet hours" in message.content)
        assert "One image is waiting.\nQuiet hours begin at <t:" in await told(discord, manager, "admin resume")
        await first.wait(is_result)
        await told(discord, manager, "admin pause", reason="a game", until="2h")
        second = await imagine(discord, "a red apple")
        waiting = await second.wait(lambda message: "⏸️ paused until <t:" in message.content)
        assert waiting.content.endswith(":R>): a game")
        await bot.kill()
        end_stored_pause(data_dir, ends_at := int(time.time()) + 6)
        await bot.start()
        await bot.wait_ready()
        await second.wait(is_result, timeout=30)  # though it is quiet: somebody resumed until the next begin
        assert time.time() >= ends_at
    discord.assert_clean()
