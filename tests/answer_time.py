"""How long people wait for their first answer while an image is drawn: `python -m tests.answer_time [PEOPLE SECONDS]`.

The whole bot with the demo model on every core of this machine, and 50 people who ask three times each within ten
seconds. `tests/e2e/test_load.py` holds a third of that to a bound, as fast one after the other.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.discord_server import Discord
from tests.discord_server.stats import percentile
from tests.e2e.conftest import bot_process, rows
from tests.e2e.test_load import EACH, PEOPLE, MachineLag, ask

SECONDS: Final = 10.0


async def answer(people: int, seconds: float, folder: Path) -> None:
    """Let everybody ask, and print how they fared."""
    async with Discord() as discord, bot_process(discord, folder, folder / "data", pipeline__model="demo") as bot:
        await bot.wait_ready()
        await bot.wait_log("demo is loaded", timeout=120)
        async with MachineLag(bot.pid) as machine:
            uses = await ask(discord, prompt="a red apple", steps=20, seconds=seconds, people=people)
            acks = [await use.acked() for use in uses]
        drawn = sum(row["status"] == "done" for row in rows(folder / "data"))
        discord.assert_clean()
        discord.assert_thrifty()
    waits = ", ".join(f"{name} {percentile(acks, percent):.3f} s" for name, percent in (("p50", 50), ("p99", 99)))
    print(  # noqa: T201 - its purpose
        f"{people * EACH} commands in {seconds:g} s, {drawn} images drawn meanwhile: first answer {waits}, at most "
        f"{max(acks):.3f} s; the machine itself was late by {machine.p99_s:.3f} s (p99)"
    )


if __name__ == "__main__":
    number, span = (int(sys.argv[1]), float(sys.argv[2])) if len(sys.argv) > 2 else (PEOPLE, SECONDS)
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(answer(number, span, Path(place)))
