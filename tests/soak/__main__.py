"""Kill a bot with `kill -9` at random moments, and count what was lost, doubled or charged wrongly. See README.md."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from bot.store.schema import migrations
from tests.discord_server import BotProcess, Discord, Use
from tests.e2e.conftest import bot_process, rows
from tests.network import attempts, guarded

PEOPLE = 8
CHANNELS = 5
ASKED_AT_ONCE = 20
OLD_ROWS = 20_000
STUCK_S = 120.0


@dataclass
class Soak:
    """One run."""

    discord: Discord
    bot: BotProcess
    data_dir: Path
    chance: random.Random
    people: list[Any] = field(default_factory=list)
    channels: list[Any] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)

    async def ask(self, number: int) -> None:
        """So many people ask, one after the other; who is not heard has asked for nothing."""
        for _ in range(number):
            channel = self.chance.choice(self.channels)
            person = self.chance.choice(self.people)
            prompt = f"[step=0.02] {len(self.uses)}"
            with suppress(Exception):  # the bot is gone
                self.uses.append(await self.discord.slash(person, channel, "imagine", prompt=prompt, steps=2))

    async def start(self) -> None:
        """Start it and wait until it is online, with its commands."""
        await self.bot.start()
        await self.bot.wait_ready()
        await self.discord.wait_command("imagine")

    async def kill(self, moment: str) -> None:
        self.kills[moment] += 1
        await self.bot.kill()

    # ── moments ─────────────────────────────────────────────────────────────────────────────────────

    async def while_starting(self) -> None:
        await self.bot.start()
        await asyncio.sleep(self.chance.uniform(0.1, 3.0))
        await self.kill("while starting")

    async def while_asked(self) -> None:
        await self.start()
        asking = asyncio.create_task(self.ask(ASKED_AT_ONCE))
        await asyncio.sleep(self.chance.uniform(0.0, 2.0))
        await self.kill("while asked")
        asking.cancel()
        await asyncio.wait([asking])

    async def while_drawing(self) -> None:
        await self.start()
        await self.ask(ASKED_AT_ONCE)
        await asyncio.sleep(self.chance.uniform(0.0, 2.0))
        await self.kill("while drawing")

    async def while_writing_a_file(self) -> None:
        await self.start()
        await self.ask(ASKED_AT_ONCE)
        images = self.data_dir / "images"
        there = set(images.rglob("*.png"))
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and not any(images.rglob("*.part")) and there >= set(images.rglob("*.png")):
            await asyncio.sleep(0)
        await self.kill("while a file is written")

    async def between_post_and_note(self) -> None:
        await self.start()
        self.discord.fault(r"(PATCH|POST) /channels/\d+/messages", times=3, hang=30, applied=True)
        await self.ask(ASKED_AT_ONCE // 2)
        await asyncio.sleep(self.chance.uniform(0.3, 1.5))
        await self.kill("between post and note")
        self.discord.clear_faults()

    async def run(self, jobs: int) -> None:
        """Ask and kill until so many jobs are stored: on a busy machine, many requests reach no living process."""
        self.people = [self.discord.add_user(f"person-{number}") for number in range(PEOPLE)]
        self.channels = [self.discord.add_channel(f"art-{number}") for number in range(CHANNELS)]
        moments: list[Callable[[], Awaitable[None]]] = [
            self.while_asked, self.while_drawing, self.while_writing_a_file, self.between_post_and_note,
            self.while_starting,
        ]  # fmt: skip
        while (stored := len(new_rows(self.data_dir))) < jobs:
            await self.chance.choice(moments)()
            typer.echo(f"\r{len(self.uses)} asked, {stored} stored, {self.kills.total()} kills ", nl=False, err=True)
        await self.start()
        await self.settle()
        await self.bot.stop(timeout=20)

    async def settle(self) -> None:
        """Wait until everything is drawn and told, as long as there is progress: what is stuck counts as lost."""
        before, since = [], time.monotonic()
        while time.monotonic() - since < STUCK_S:
            open_rows = [
                (row["id"], row["status"], row["delivery"])
                for row in new_rows(self.data_dir)
                if row["status"] in ("queued", "running") or row["delivery"] == "pending"
            ]
            if not open_rows:
                return
            if open_rows != before:
                before, since = open_rows, time.monotonic()
            typer.echo(f"\r{len(open_rows)} to be drawn or told ", nl=False, err=True)
            await asyncio.sleep(1)
        typer.echo(f"stuck: {before}", err=True)

    async def migrate(self, kills: int) -> None:
        """Begin with a database of the first release, and kill the bot while it is brought up to date."""
        make_old_database(self.data_dir)
        for _ in range(kills):
            await self.bot.start()
            await self.bot.wait_log("drawing with", timeout=30, after=len(self.bot.lines))
            await asyncio.sleep(self.chance.uniform(0.0, 0.3))
            await self.kill("while migrating")


def make_old_database(data_dir: Path) -> None:
    """A database as the first release left it."""
    data_dir.mkdir(mode=0o700)
    first = migrations()[0]
    spec = json.dumps(
        {"version": 1, "prompt": "an old apple", "seed": 1, "steps": 2, "width": 64, "height": 64, "guidance": 1.0,
         "cfg_scale": 1.0, "model": "fake"}
    )  # fmt: skip
    yesterday = int(time.time()) - 86_400
    with closing(sqlite3.connect(data_dir / "imagine-bot.db", isolation_level=None)) as connection:
        connection.executescript(f"{first.sql}; PRAGMA user_version = {first.version};")
        connection.execute("BEGIN")
        connection.executemany(
            """
            INSERT INTO jobs (request_key, user_frontend, user_id, reply_frontend, reply_key, reply_address, spec,
                              model, size_class, status, failure_code, queued_at, finished_at, delivery)
            VALUES (?, 'discord', '1', 'discord', ?, '{}', ?, 'fake', 0, 'failed', 'timeout', ?, ?, 'delivered')
            """,
            ((f"old {n}", f"old {n}", spec, yesterday - n, yesterday) for n in range(OLD_ROWS)),
        )
        connection.execute("COMMIT")


def new_rows(data_dir: Path) -> list[dict[str, Any]]:
    return rows(data_dir, "SELECT * FROM jobs WHERE request_key NOT LIKE 'old %' ORDER BY id")


def result(soak: Soak) -> dict[str, int]:
    """What came of it, in numbers."""
    table = new_rows(soak.data_dir)
    pictures = Counter(
        found[1]
        for channel in soak.channels
        for message in soak.discord.messages(channel)
        if message.images and (found := re.search(r"#(\d+)", message.text))
    )
    answered = [use for use in soak.uses if use.ack_seconds is not None and not use.failed]
    prompts = Counter(json.loads(row["spec"])["prompt"] for row in table)
    charged = Counter(row["user_id"] for row in table if row["status"] != "failed")
    deserved = Counter(row["user_id"] for row in table if row["status"] == "done")
    with closing(sqlite3.connect(soak.data_dir / "imagine-bot.db")) as connection:
        integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]
        old = connection.execute("SELECT COUNT(*) FROM jobs WHERE request_key LIKE 'old %'").fetchone()[0]
    return {
        "asked": len(soak.uses),
        "answered by the bot": len(answered),
        "jobs": len(table),
        "kills": soak.kills.total(),
        "lost: answered, and no job": max(0, len(answered) - len(table)),
        "lost: no picture of a job": sum(row["status"] != "done" or row["delivery"] != "delivered" for row in table),
        "doubled: two jobs of one request": sum(number - 1 for number in prompts.values()),
        "doubled: two messages of one picture": sum(number - 1 for number in pictures.values()),
        "wrongly charged": sum((charged - deserved).values()),
        "rows of the earlier release lost": OLD_ROWS - old,
        "damage found by integrity_check": int(integrity != "ok"),
        "connections to elsewhere": len(attempts(soak.data_dir.parent / "attempts.txt")),
    }


async def soak(jobs: int, seed: int, folder: Path) -> dict[str, int]:
    env = guarded(folder / "attempts.txt")
    async with Discord() as discord:
        bot = bot_process(discord, folder, folder / "data", env, worker__max_attempts=10)
        run = Soak(discord, bot, folder / "data", random.Random(seed))
        try:
            await run.migrate(kills=10)
            await run.run(jobs)
        finally:
            await bot.close()
        for moment, number in sorted(run.kills.items()):
            typer.echo(f"{f'killed {moment}':40}{number:6}")
        return result(run)


def main(
    jobs: Annotated[int, typer.Option(help="How many jobs are to be stored.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 1,
) -> None:
    """Run it and print the table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        numbers = asyncio.run(soak(jobs, seed, Path(folder)))
    typer.echo("\n".join(f"{what:40}{number:6}" for what, number in numbers.items()))
    typer.echo(f"{'minutes':40}{(time.monotonic() - began) / 60:6.1f}")
    harm = [number for what, number in numbers.items() if what not in {"asked", "answered by the bot", "jobs", "kills"}]
    raise typer.Exit(int(any(harm)))


if __name__ == "__main__":
    typer.run(main)
