"""How much longer a person alone takes for pictures in a row than the drawing itself, press after press.

    uv run python -m tests.iteration_time [PICTURES]

The whole bot with the limits that it ships with, the demo model, and a Discord on this machine: one `/imagine`, then
*Again* under every result as soon as it is there. Prints the ratio of the time on the clock to the drawing time that
the bot notes, and how many presses were refused.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.discord_server import Discord
from tests.e2e.conftest import bot_process, rows

PICTURES: Final = 30
LIMITS: Final = {
    "limits__cooldown_s": 5,
    "limits__max_waiting": 30,
    "limits__max_active_per_user": 3,
    "limits__max_images_per_day": 50,
}


async def iterate(pictures: int, folder: Path) -> None:
    async with (
        Discord() as discord,
        bot_process(discord, folder, folder / "data", **LIMITS, pipeline__model="demo") as bot,
    ):
        await bot.wait_ready()
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt="a red apple")
        message = await use.wait(lambda shown: bool(shown.images), timeout=120)  # the model is loaded by then
        refused, began = 0, time.monotonic()
        for _ in range(pictures - 1):
            use = await discord.click(message, "🔄 Again")
            message = await use.wait(lambda shown: bool(shown.images) or shown.ephemeral, timeout=60)
            refused += message.ephemeral
        took_s = time.monotonic() - began
        drawing_s = sum(row["ran_s"] for row in rows(folder / "data")[1:])
    ratio = f"{took_s:.1f} s for {drawing_s:.1f} s of drawing, ratio {took_s / drawing_s:.2f}"
    print(f"{pictures - 1} presses, {refused} refused: {ratio}")  # noqa: T201


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(iterate(int(sys.argv[1]) if len(sys.argv) > 1 else PICTURES, Path(folder)))
