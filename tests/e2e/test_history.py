"""A long history survives restarts and releases: its oldest picture is near, and others may show what was public."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.discord_server import BotProcess, Discord, MessageView
from tests.e2e.conftest import imagine, is_result

PICTURES = 34
DAY_S = 86_400


def lengthen(data_dir: Path) -> None:
    """Have the first picture on each of the 33 days before today as well; that of today is the newest."""
    with closing(sqlite3.connect(data_dir / "imagine-bot.db")) as connection, connection:
        known = {row[1] for row in connection.execute("PRAGMA table_info(jobs)")}
        changed = {
            "id": ":id",
            "request_key": "'copy ' || :id",
            "spec": "json_set(spec, '$.prompt', 'fox ' || :id, '$.seed', 5000 + :id)",
            "queued_at": "queued_at - :age_s",
            "finished_at": "finished_at - :age_s",
        }
        connection.execute("UPDATE jobs SET id = :id", {"id": PICTURES})
        same = sorted(known - changed.keys())
        names, values = ", ".join([*changed, *same]), ", ".join([*changed.values(), *same])
        for number in range(1, PICTURES):
            connection.execute(
                f"INSERT INTO jobs ({names}) SELECT {values} FROM jobs WHERE id = :newest",
                {"id": number, "age_s": (PICTURES - number) * DAY_S, "newest": PICTURES},
            )
        connection.execute("UPDATE jobs SET is_private = 1 WHERE id = 30")


def numbers(message: MessageView) -> list[int]:
    return [int(option["value"]) for option in message.selects[0]["options"]]


async def test_long_history_after_a_crash(
    discord: Discord, make_bot: Callable[..., BotProcess], data_dir: Path
) -> None:
    async def history(**options: Any) -> MessageView:
        use = await discord.slash(discord.user, discord.channel, "history", **options)
        return await use.wait(lambda message: message.ephemeral and not message.loading)

    async with make_bot() as bot:
        await bot.wait_ready()
        await discord.wait_command("imagine")
        await (await imagine(discord, "a red apple", seed=7)).wait(is_result)
        await bot.kill()
        lengthen(data_dir)
        await bot.start()
        await bot.wait_ready()

        first = await history()
        assert numbers(first) == list(range(34, 24, -1)) and len(first.images) == 1
        oldest = await (await discord.click(first, "Oldest")).wait(lambda message: "**#1**" in message.text)
        assert numbers(oldest) == list(range(10, 0, -1))
        await bot.kill()  # the pages stay, and so does what stands in their buttons
        await bot.start()
        await bot.wait_ready()
        shown = await (await discord.select(oldest, oldest.selects[0]["custom_id"], "1")).wait(
            lambda message: "Image #1" in message.text
        )
        posted = await (await discord.click(shown, "📣 Post here")).wait(lambda message: bool(message.images))
        assert not posted.ephemeral and "fox 1" in posted.text

        day = time.strftime("%Y-%m-%d", time.localtime(time.time() - 20 * DAY_S))
        for search in ("fox seed:5014", "5014", day, f"{day} FOX", "#14"):
            assert numbers(await history(search=search)) == [14], search
        assert "None of your images matches" in (await history(search="zebra")).content

        bob = discord.add_user("bob")
        suggested = await discord.autocomplete(bob, discord.channel, "show", "id")
        assert [choice["value"] for choice in suggested] == [n for n in range(34, 8, -1) if n != 30]
        of_other = await (await discord.slash(bob, discord.channel, "show", id=2)).wait(is_result)
        assert f"by <@{discord.user.id}> · posted by <@{bob.id}>" in of_other.content
        refused = await (await discord.slash(bob, discord.channel, "show", id=30)).wait()
        assert refused.ephemeral and "belongs to somebody else" in refused.text
        assert "fox" not in bot.output
        assert await bot.stop() == 0
    discord.assert_clean()
