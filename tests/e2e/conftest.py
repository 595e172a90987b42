"""The whole bot as a subprocess against the emulator, with the fake engine unless a test says otherwise."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.discord_server import BotProcess, Discord, MessageView, Use

EMULATOR_TOKEN = "emulator.bot.token"


def bot_process(
    discord: Discord, folder: Path, data_dir: Path, env: Mapping[str, str] | None = None, **settings: Any
) -> BotProcess:
    """A bot with every waiting time short and no limit in the way; settings as `section__key`."""
    defaults = {
        "discord__api_url": discord.api_base,
        "storage__data_dir": data_dir,
        "storage__min_free_mib": 0,
        "pipeline__model": "fake",
        "limits__cooldown_s": 0,
        "limits__max_waiting": 1000,
        "limits__max_active_per_user": 100,
        "limits__max_images_per_day": 1000,
        "delivery__retry_first_s": 0.2,
        "worker__stop_grace_s": 5,
        "log__format": "console",
    }
    settings_env = {f"IMAGINE_BOT__{name.upper()}": str(value) for name, value in {**defaults, **settings}.items()}
    root = str(Path(__file__).parents[2])
    return BotProcess(
        discord,
        [sys.executable, "-m", "bot", "run"],
        env={"PYTHONPATH": root, **settings_env, "DISCORD_TOKEN": discord.token, **(env or {})},
        cwd=folder,
        preload="bot.app,bot.frontends.discord_app.client",
    )


@pytest.fixture
async def discord() -> AsyncIterator[Discord]:
    async with Discord() as discord:
        yield discord
        discord.assert_clean()  # whatever happens to the bot: it keeps to Discord's rules


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def make_bot(discord: Discord, tmp_path: Path, data_dir: Path) -> Callable[..., BotProcess]:
    """See `bot_process`."""

    def make(**settings: Any) -> BotProcess:
        return bot_process(discord, tmp_path, data_dir, **settings)

    return make


@pytest.fixture
async def bot(discord: Discord, make_bot: Callable[..., BotProcess]) -> AsyncIterator[BotProcess]:
    """A bot that is online with its commands registered."""
    async with make_bot() as bot:
        await bot.wait_ready()
        await discord.wait_command("imagine")
        yield bot


def is_result(message: MessageView) -> bool:
    return bool(message.images)


def is_final(message: MessageView) -> bool:
    """Whether the card says how its job ended: nothing left to cancel."""
    return not message.loading and not any(button["label"] == "Cancel" for button in message.buttons)


async def imagine(discord: Discord, prompt: str = "a red apple", **options: Any) -> Use:
    """The default user asks in the default channel; `steps` is 2 unless given."""
    return await discord.slash(discord.user, discord.channel, "imagine", prompt=prompt, **{"steps": 2, **options})


async def imagine_in_order(discord: Discord, prompts: Sequence[str], **options: Any) -> list[Use]:
    """Ask for several pictures so that the rows have the order of `prompts`: each is stored before the next is sent."""
    uses = []
    for prompt in prompts:
        use = await imagine(discord, prompt, **options)
        await use.wait(lambda message: message.buttons)
        uses.append(use)
    return uses


def rows(data_dir: Path, sql: str = "SELECT * FROM jobs ORDER BY id") -> list[dict[str, Any]]:
    """Look into the bot's database from outside."""
    with closing(sqlite3.connect(data_dir / "imagine-bot.db")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


async def wait_row(data_dir: Path, number: int = 0, **values: Any) -> dict[str, Any]:
    """Wait until the bot's row of job number `number` (0 = first) has these values."""
    async with asyncio.timeout(40):
        while True:
            table = rows(data_dir)
            if len(table) > number and values.items() <= table[number].items():
                return table[number]
            await asyncio.sleep(0.02)
