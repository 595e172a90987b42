"""Somebody who used everything sees what is stored, takes a copy, and is gone from disk, log and Discord."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.discord_server import BotProcess, Discord, MessageView, Use
from tests.e2e.conftest import imagine, rows, wait_row
from tests.leftovers import leftovers, spellings

WORDS = "crimson zeppelin über Zürich"
BOBS_WORDS = "ochre submarine"


def is_ready(message: MessageView) -> bool:
    return message.content.startswith("✅") and bool(message.images)


def button(message: MessageView, word: str) -> str:
    return next(each["label"] for each in message.buttons if word in each["label"])


async def private(use: Use) -> MessageView:
    return await use.wait(lambda message: message.ephemeral and not message.loading, timeout=40)


async def use_everything(discord: Discord, data_dir: Path) -> None:
    """Eight jobs of the default user, the last of which runs, and two images of Bob's, one made from theirs."""
    bob = discord.add_user("bob")
    first = await (await imagine(discord, WORDS)).wait(is_ready)
    await (await imagine(discord, WORDS, count=2)).wait(lambda message: is_ready(message) and len(message.images) == 2)
    await (await discord.click(first, button(first, "Vary"))).wait(is_ready)
    await (await imagine(discord, f"[fail] {WORDS}")).wait(
        lambda message: "⚠️" in message.content or not message.buttons
    )
    menu = await private(await discord.click(first, button(first, "More")))
    await private(await discord.click(menu, button(menu, "Keep")))
    await private(await discord.slash(discord.user, discord.channel, "settings", ping="off"))
    bobs = await (await discord.slash(bob, discord.channel, "imagine", prompt=BOBS_WORDS, steps=2)).wait(is_ready)
    await (await discord.click(bobs, button(bobs, "Vary"))).wait(is_ready)  # theirs, from his
    menu = await private(await discord.click(first, button(first, "More"), bob))
    form = await discord.click(menu, button(menu, "starting image"), bob)  # his, from theirs
    await (await discord.submit_modal(form, {"prompt": BOBS_WORDS})).wait(is_ready)
    await private(await discord.slash(discord.user, discord.channel, "show", id=999_999))  # a refusal, which is logged
    running = await imagine(discord, f"[hang] {WORDS}", steps=30)
    await running.wait(lambda message: bool(message.buttons))
    await wait_row(data_dir, len(rows(data_dir)) - 1, status="running")
    waiting = await imagine(discord, f"{WORDS} waits")
    await waiting.wait(lambda message: bool(message.buttons))


def zipped(message: MessageView) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(message.attachment_bytes(0))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def until_nobody_is_being_erased(data_dir: Path) -> None:
    async with asyncio.timeout(40):
        while (
            rows(data_dir, "SELECT * FROM erasures")
            or rows(data_dir, "SELECT * FROM settings WHERE key = 'privacy.sweep'")
            or rows(data_dir, "SELECT * FROM retractions")
        ):
            await asyncio.sleep(0.05)


async def test_somebody_who_used_everything_takes_a_copy_and_is_erased_though_killed_meanwhile(
    discord: Discord, make_bot: Callable[..., BotProcess], data_dir: Path
) -> None:
    async with make_bot(limits__max_images_per_day=9) as bot:
        await bot.wait_ready()
        await discord.wait_command("imagine")
        await use_everything(discord, data_dir)
        me, channel = discord.user, discord.channel
        mine = [row for row in rows(data_dir) if row["user_id"] == me.id]
        files = {row["id"]: (data_dir / "images" / row["image_path"]).read_bytes() for row in mine if row["image_path"]}
        assert len(mine) == 8 and len(files) == 5

        shown = await private(await discord.slash(me, channel, "privacy show"))
        assert "Requests: **8** · images: **5**" in shown.text and "kept ⭐: 1" in shown.text and "off" in shown.text
        copied = zipped(await private(await discord.slash(me, channel, "privacy export")))
        assert {name: data for name, data in copied.items() if name.startswith("images/")} == {
            f"images/{job_id}.png": data for job_id, data in files.items()
        }
        assert {record["id"] for record in json.loads(copied["jobs-1.json"])} == {row["id"] for row in mine}

        first, second = [await private(await discord.slash(me, channel, "privacy delete")) for _ in range(2)]
        assert "5 images" in first.content and "⭐" in first.content
        (data_dir / "prompts").mkdir()
        (data_dir / "prompts" / "embedding").write_bytes(WORDS.encode())
        pressed = await discord.click(first, button(first, "Delete everything"))
        await pressed.acked()
        await bot.kill()  # in the middle of it, or before
        await bot.start()
        await bot.wait_ready()
        await until_nobody_is_being_erased(data_dir)
        # The button survives. Once more is harmless, and needed if the kill was faster than the press.
        pressed = await discord.click(second, button(second, "Delete everything"))
        await pressed.wait(lambda shown: "is deleted" in shown.content, timeout=40)
        await until_nobody_is_being_erased(data_dir)

        nothing = await private(await discord.slash(me, channel, "privacy show"))
        assert "No requests and no images." in nothing.text
        quota = await private(await discord.slash(me, channel, "quota"))
        # The one that ran counts with its 30 steps, unless the kill sent it back to the queue.
        assert any(f"**{used}** of 9" in quota.text for used in ("5", "6.5"))
        left = [message for message in discord.messages(channel) if not message.ephemeral]
        assert [message.embeds[0]["description"].splitlines()[0] for message in left] == [BOBS_WORDS] * 2
        assert [row["status"] for row in rows(data_dir)] == ["done", "done"]
    ids_and_words = [me.id, WORDS, "crimson", "Zürich"]
    assert leftovers(data_dir, ids_and_words, [data[-200:] for data in files.values()]) == []
    output = bot.output.encode()
    assert not any(each in output for text in ids_and_words for each in spellings(text))
    assert "refused: JobNotFound" in bot.output
    discord.assert_clean()
