"""Edits by words outlive a kill -9, with the images that they look at."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image

from tests.discord_server import BotProcess, Discord, MessageView, Upload
from tests.e2e.conftest import imagine, rows, wait_row
from tests.e2e.test_image_input import is_ready


def picture(colour: str = "red") -> Upload:
    buffer = io.BytesIO()
    Image.new("RGB", (90, 60), colour).save(buffer, format="PNG")
    return Upload(f"{colour}.png", buffer.getvalue())


def reply(discord: Discord, to: MessageView, words: str, *files: Upload) -> MessageView:
    return discord.say(discord.user, discord.channel, f"<@{discord.bot.id}> {words}", reply_to=to, files=files)


async def answer_to(discord: Discord, asked: MessageView, word: str) -> MessageView:
    def fits(message: MessageView) -> bool:
        return message.reference == asked.id and word in message.text

    return await discord.wait_message(fits, timeout=30)


def keys_of(data_dir: Path) -> list[str]:
    return [json.loads(str(row["spec"])).get("references", "") for row in rows(data_dir)]


async def test_edits_that_a_kill_interrupts_are_drawn_from_the_same_images_or_fail_with_a_clear_word(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    first = await (await imagine(discord, steps=1)).wait(is_ready)
    image = discord.say(discord.user, discord.channel, f"<@{discord.bot.id}> look", files=[picture("blue")])
    asked = reply(discord, first, "[step=0.2] make it night --steps 8", picture())
    shown = await answer_to(discord, asked, "step")
    lost = reply(discord, image, "make it day --steps 1")
    said = await answer_to(discord, lost, "make it day")
    await wait_row(data_dir, 2, status="queued", reply_key=said.id)  # sooner, the answer would be a new message
    await bot.kill()
    before = keys_of(data_dir)
    assert [len(keys.split(",")) for keys in before[1:]] == [2, 1]
    kept = {path.stem: path for path in (data_dir / "images" / "sources").rglob("*.png")}
    kept[before[2]].unlink()
    await bot.start()
    await bot.wait_ready()
    done = await answer_to(discord, asked, "✅")
    assert done.id == shown.id and "Edited by words from 2 images" in done.text
    failed = await answer_to(discord, lost, "❌")
    assert "is no longer stored" in failed.text and "cost you nothing" in failed.text
    again = await (await discord.click(done, "im2:reroll:2")).wait(is_ready)
    assert "Edited by words from 2 images" in again.text
    assert keys_of(data_dir) == [*before, before[1]]
    assert [each.id for each in discord.messages(discord.channel) if each.reference == asked.id] == [shown.id]
    discord.assert_clean()
