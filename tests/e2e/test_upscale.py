"""Upscaling on Discord, from the button to the file: after a kill, of one of several, too large to send."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from tests.discord_server import BotProcess, Discord, MessageView
from tests.e2e.conftest import imagine, rows, wait_row
from tests.e2e.test_iterating import button, is_ready, private


def labels(message: MessageView) -> list[str]:
    return [each["label"] for each in message.buttons]


def pixels(message: MessageView, index: int = 0) -> tuple[int, int]:
    with Image.open(io.BytesIO(message.image_bytes(index))) as image:
        return image.size


async def test_image_is_upscaled_after_a_kill_and_the_original_stays(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    before = await (await imagine(discord, seed=7, size="draft")).wait(is_ready)
    assert labels(before) == ["🔄 Again", "✏️ Edit", "🌱 Vary", "⬆️ Upscale", "⋯ More"]
    await bot.kill()
    await bot.start()
    await bot.wait_ready()
    bob = discord.add_user("bob", locale="zh-CN")
    press = await discord.click(before, button(before, "Upscale"), bob)
    after = await press.wait(is_ready)
    assert (pixels(before), pixels(after)) == ((32, 32), (64, 64))
    assert "64 × 64" in after.text and "seed 7" in after.text and "Upscaled ×2" in after.text
    assert "size:draft" in after.text  # of the command
    row = await wait_row(data_dir, 1, status="done")
    assert (row["derived_from"], row["derived_by"], row["user_id"]) == (1, "upscale", str(bob.id))
    assert len(list((data_dir / "images" / "00000").glob("*.png"))) == 2
    assert before.image_bytes(0)

    assert not any("Upscale" in label for label in labels(after))  # once is all
    again = await (await discord.click(after, button(after, "Again"))).wait(is_ready)
    assert pixels(again) == (32, 32)  # again and others begin at the size before
    discord.assert_clean()


async def test_one_of_several_is_upscaled_and_a_file_that_is_too_large_is_sent_smaller(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    gallery = await (await imagine(discord, "[noise]", count=2, size="1024x1024")).wait(
        lambda message: is_ready(message) and len(message.images) == 2, timeout=40
    )
    which = await discord.click(gallery, button(gallery, "Upscale"))
    press = await discord.select(await private(which), "im2pick:upscale:1", ["2"])
    done = await press.wait(is_ready, timeout=60)
    assert "2048 × 2048" in done.text and "upload limit" in done.text
    assert len(done.image_bytes(0)) < 10 * 2**20
    row = await wait_row(data_dir, 2, status="done")
    assert row["derived_from"] == 2 and row["image_bytes"] > 10 * 2**20
    with Image.open(data_dir / "images" / row["image_path"]) as kept:
        assert kept.size == (2048, 2048)
        assert "Size: 1024x1024" in kept.text["parameters"] and "Hires upscale: 2" in kept.text["parameters"]
    assert len(rows(data_dir)) == 3
    discord.assert_clean()
