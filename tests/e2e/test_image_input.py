"""Images that people hand over: as an option, through the menu of a message, across restarts."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

from PIL import Image

from tests.discord_server import BotProcess, Discord, MessageView, Upload, Use
from tests.e2e.conftest import imagine, rows


def picture(colour: str = "red", size: tuple[int, int] = (90, 60)) -> Upload:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format="PNG")
    return Upload(f"{colour}.png", buffer.getvalue())


def is_ready(message: MessageView) -> bool:
    return message.content.startswith("✅") and bool(message.images)


def noted(data_dir: Path) -> list[dict[str, object]]:
    return rows(data_dir, "SELECT * FROM settings WHERE key = 'discord.placeholders'")


async def wait_noted(data_dir: Path) -> None:
    async with asyncio.timeout(10):
        while not noted(data_dir):
            await asyncio.sleep(0.02)


async def private(use: Use) -> MessageView:
    return await use.wait(lambda message: message.ephemeral and not message.loading)


async def test_image_that_a_kill_interrupts_twice_leaves_nobody_waiting_and_nothing_on_the_disk(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    for _ in range(2):
        discord.fault("GET /cdn/", slow=30)
        use = await imagine(discord, image=picture())
        await use.wait(lambda message: message.loading)
        await wait_noted(data_dir)
        await bot.kill()
        discord.clear_faults()
        assert use.response is not None and use.response.loading
        await bot.start()
        await bot.wait_ready()
        lost = await use.wait(lambda message: not message.loading)
        assert lost.content.startswith("⚠️ I was restarted before I had your image")
    assert rows(data_dir) == noted(data_dir) == []
    assert not [path for path in (data_dir / "images").rglob("*") if path.is_file()]
    done = await (await imagine(discord, image=picture(), strength="subtle")).wait(is_ready)
    assert "Drawn from a starting image (strength 0.4)" in done.text
    assert done.image_bytes(0).startswith(b"\x89PNG")
    discord.assert_clean()


async def test_menu_of_a_message_works_across_a_restart(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    """A form that was opened before a kill: the message is read again if the bot may, else the person is told."""
    bob = discord.add_user("bob")
    readable = discord.say(discord.user, discord.channel, f"<@{discord.bot.id}> look", files=[picture()])
    other = discord.say(discord.user, discord.channel, "look", files=[picture("blue"), picture("green")])
    forms = [await discord.message_menu(bob, message, "Vary") for message in (readable, other)]
    for form in forms:
        await form.wait_modal()
    asked = await private(await discord.message_menu(bob, other, "Image info"))
    await bot.kill()
    await bot.start()
    await bot.wait_ready()
    done = await (await discord.submit_modal(forms[0], {"prompt": "a pear"})).wait(is_ready)
    assert "Drawn from a starting image (strength 0.4)" in done.text
    lost = await private(await discord.submit_modal(forms[1], {"prompt": "a plum"}))
    assert "Please open its menu again." in lost.content and "a plum" in lost.content
    chosen = await discord.select(asked, asked.selects[0]["custom_id"], asked.selects[0]["options"][1]["value"], bob)
    assert "Please open its menu again." in (await chosen.wait(lambda message: "menu" in message.content)).content
    info = await private(await discord.message_menu(bob, done, "Image info"))
    assert "Image #1" in info.text and "Started from an image" in info.text
    again = await discord.message_menu(bob, done, "Vary")
    await again.wait(is_ready)
    assert [(row["user_id"], row["derived_from"]) for row in rows(data_dir)] == [(bob.id, None), (bob.id, 1)]
    discord.assert_clean()
