"""Rows and files that are not as they were left: one clear sentence, or one failed picture, and nobody else is hurt."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import ExitCode
from tests.discord_server import BotProcess, Discord
from tests.e2e.conftest import imagine, imagine_in_order, is_final, is_result, rows, wait_row


def change(data_dir: Path, sql: str, *values: object) -> None:
    """Do to the bot's database what no release does."""
    with closing(sqlite3.connect(data_dir / "imagine-bot.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(sql, values)


async def test_rows_that_cannot_be_read_fail_alone_and_every_later_start_works(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    uses = await imagine_in_order(discord, ["[step=3]"] * 4)
    await bot.kill()
    change(data_dir, "UPDATE jobs SET spec = replace(spec, '\"strength\": 1.0', '\"strength\": true') WHERE id = 1")
    change(data_dir, "UPDATE jobs SET spec = '{' WHERE id = 2")
    change(data_dir, "UPDATE jobs SET spec = replace(spec, '\"version\": 1', '\"version\": 9') WHERE id = 3")
    change(data_dir, "UPDATE jobs SET spec = replace(spec, '[step=3]', 'a red apple') WHERE id = 4")
    await bot.start()
    await uses[3].wait(is_result, timeout=20)
    for use, text in zip(uses[:3], ("are damaged", "are damaged", "newer version"), strict=True):
        assert text in (await use.wait(is_final, timeout=20)).text
    history = await discord.slash(discord.user, discord.channel, "history")
    await history.wait(lambda message: message.ephemeral and message.images)
    assert await bot.stop(timeout=20) == ExitCode.OK
    assert [row["failure_code"] for row in rows(data_dir)] == ["unreadable", "unreadable", "newer_release", None]
    assert "Traceback" not in bot.output
    discord.assert_clean()


@pytest.mark.parametrize("when", ["before the start", "while running"])
async def test_damaged_database_ends_the_service_with_one_sentence_and_no_restart(
    discord: Discord, make_bot: Callable[..., BotProcess], data_dir: Path, when: str
) -> None:
    async with make_bot() as bot:
        await bot.wait_ready()
        await (await imagine(discord)).wait(is_result)
        await wait_row(data_dir, delivery="delivered")
        if when == "before the start":
            await bot.stop()
            change(data_dir, "PRAGMA wal_checkpoint(TRUNCATE)")
            with (data_dir / "imagine-bot.db").open("r+b") as file:
                file.seek(4096)
                file.write(os.urandom(8192))
            await bot.start()
        else:
            change(data_dir, "DROP TABLE jobs")
        assert await bot.wait_exit(timeout=20) == ExitCode.USAGE
    assert "cannot be used: it is damaged" in bot.output and "restore a backup" in bot.output
    assert "Traceback" not in bot.output
