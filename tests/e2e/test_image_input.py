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
