"""Moderation end to end: what was decided holds after a kill, on Discord, in the database and on the disk."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.discord_server import BotProcess, Discord, MessageView, Use
from tests.discord_server.permissions import Permission
from tests.e2e.conftest import imagine, is_final, rows, wait_row

CHECK = Path(__file__).parents[2] / "docs" / "examples" / "image_check.py"


def is_ready(message: MessageView) -> bool:
    return message.content.startswith("✅") and bool(message.images)


async def told(use: Use) -> str:
    return (await use.wait(lambda message: message.ephemeral and not message.loading, timeout=30)).text


async def admin(discord: Discord, boss: Any, command: str, /, **options: Any) -> str:
    return await told(await discord.slash(boss, discord.channel, f"admin {command}", options=options))


async def restart(bot: BotProcess) -> None:
    await bot.kill()
    await bot.start()
    await bot.wait_ready()


async def test_decisions_survive_kills_and_nothing_comes_back(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    permissions = Permission.MANAGE_GUILD | Permission.MANAGE_MESSAGES
    boss = discord.add_user("boss", roles=[discord.add_role("boss", permissions)])
    ann, bob = discord.user, discord.add_user("bob", locale="zh-CN")
    first = await (await imagine(discord, "a red apple", seed=1)).wait(is_ready)
    use = await discord.slash(bob, discord.channel, "imagine", prompt="a green pear", seed=2, steps=2)
    second = await use.wait(is_ready)

    # A moderator removes one, and deletes the message of the other.
    assert "removed for good" in await admin(discord, boss, "remove", id=1, reason="rude")
    discord.delete_message(second, boss)
    await wait_row(data_dir, 1, moderated_reason="")
    await restart(bot)
    assert [row["status"] for row in rows(data_dir)] == ["cancelled", "cancelled"]
    assert list((data_dir / "images").rglob("*.png")) == []
    assert not any(message.id in (first.id, second.id) for message in discord.messages(discord.channel))
    show = await discord.slash(ann, discord.channel, "show", id=1)
    assert "Image #1 was removed by a moderator: rude" in await told(show)
    note = await show.wait(lambda message: "#1 was removed" in message.text and "🚫" in message.text)
    assert note.ephemeral  # the author is told once
    assert "已被管理员移除" in await told(await discord.slash(bob, discord.channel, "show", id=2))

    # Words and bans hold after a kill; what waits goes, what runs stops.
    assert "Refused" in await admin(discord, boss, "words add", word="nude, 裸体")
    running = await imagine(discord, "[hang] [step=0.05]", seed=3)
    await running.wait(lambda message: "🎨" in message.content)
    waiting = await imagine(discord, "waits", seed=4)
    await waiting.wait(lambda message: "⏳" in message.content)
    assert "Requests cancelled: 2." in await admin(discord, boss, "ban", user=ann, until="3d", reason="spam")
    for use in (running, waiting):
        await use.wait(lambda message: is_final(message) and "cancelled by a moderator: spam" in message.content)
    await restart(bot)
    use = await imagine(discord, "a cat", seed=5)
    refused = await told(use)
    assert "banned you from drawing: spam" in refused and "The ban ends <t:" in refused
    other = await discord.slash(bob, discord.channel, "imagine", prompt="一个裸 体", seed=6)
    assert "裸体" in await told(other)
    assert not any("#1" in message.text for message in use.followups)  # the note was told before the kill
    log = bot.output
    assert "裸" not in log and "red apple" not in log
    discord.assert_clean()


async def test_documented_check_blocks_before_anybody_sees(
    discord: Discord, make_bot: Callable[..., BotProcess], data_dir: Path, tmp_path: Path
) -> None:
    """The example of docs/moderation.md, with its word for dark images."""
    words = f'["{sys.executable}", "{CHECK}", "--block-darker-than", "256"]'
    async with make_bot(moderation__image_check=words) as bot:
        await bot.wait_ready()
        await discord.wait_command("imagine")
        use = await imagine(discord, "a red apple", seed=1)
        message = await use.wait(lambda message: "❌" in message.content, timeout=40)
        assert "image check" in message.content and not message.images
        assert rows(data_dir)[0]["failure_code"] == "blocked"
        assert list((data_dir / "images").rglob("*.png")) == []
        await asyncio.sleep(0)
        discord.assert_clean()
