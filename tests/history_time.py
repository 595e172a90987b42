"""What /history and /show cost with many rows: `python -m tests.history_time 1000000`.

Makes two databases in a temporary folder, one after the other: half of all rows of one person, and 50 people with as
many each. Prints milliseconds of CPU of the event loop and of the database's thread, warm, for whoever has most; and
what a contact sheet takes, which is made on a thread of its own. What holds the figures in CI is
`tests/bot/store/test_query_plans.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import discord
import numpy as np
import typer
from PIL import Image, ImageFilter

from bot.frontends.discord_app.commands.history import HistoryCommands
from bot.frontends.discord_app.contact_sheet import Cell, draw_sheet
from bot.frontends.discord_app.message_ref import FRONTEND, Address
from bot.jobs import UserKey
from bot.requests.histories import Histories, Page, Turn
from bot.store.database import Database
from bot.store.job_store import JobStore
from pipeline import ImageSpec
from tests.bot.store.long_history import COLUMNS, WORDS, tell_costs

DAYS = 3 * 365
DAY_S = 86_400
GUILDS = 3
HEAVY = 4711  # the Discord id of whoever has most
PEOPLE = 50
SEED = 2_356_000_000
PROMPT = "the prompt"


def past(rows: int, now: int, share: float) -> Iterator[tuple[object, ...]]:
    """Rows of three years; `share` of them are of one person."""
    chance = random.Random(7)
    spec = ImageSpec(
        prompt=PROMPT, seed=SEED, steps=20, width=1024, height=1024, guidance=3.5, cfg_scale=1.0, model="fake"
    ).to_json()
    address = Address(channel_id=1, message_id=2, guild_id=1, user_id=HEAVY, locale="en").reply_to().address
    for number in range(rows):
        user = HEAVY if chance.random() < share else HEAVY + 1 + chance.randrange(PEOPLE - 1)
        status = chance.choices(("done", "failed", "cancelled"), (90, 5, 5))[0]
        is_done, at = status == "done", now - DAYS * DAY_S + int(number / rows * (DAYS * DAY_S - 60))
        prompt = " ".join(chance.choices(WORDS, k=chance.randrange(4, 40)))
        written = spec.replace(PROMPT, prompt).replace(str(SEED), str(SEED + number))
        place = address.replace("4711", str(user)).replace('"guild_id": 1', f'"guild_id": {1 + number % GUILDS}')
        image = (f"{number // 1000:05}/{number}.png", 1_500_000) if is_done else (None, None)
        yield (
            f"key {number}", FRONTEND, str(user), FRONTEND, str(number), place, written,
            "fake", 4, status, at, at + 1, at + 30, 25.0, 1.0 if is_done else None, 3.0 if is_done else None, *image,
            "timeout" if status == "failed" else None, "delivered",
        )  # fmt: skip


def fill(path: Path, rows: int, share: float) -> None:
    """Write the rows; indexes are made afterwards, in a fraction of the time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> ''"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("BEGIN")
        marks = ", ".join("?" * 20)
        connection.executemany(f"INSERT INTO jobs ({COLUMNS}) VALUES ({marks})", past(rows, int(time.time()), share))
        connection.execute("COMMIT")
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def measure(path: Path) -> None:
    """Ask everything, and print what it cost."""
    me = UserKey(frontend=FRONTEND, id=str(HEAVY))
    async with Database.open(path) as database:
        jobs = JobStore(database)
        histories = Histories(jobs)
        newest = (await histories.page(me)).jobs[0]
        old = (await histories.page(me, Turn.OLDEST)).jobs[-1]
        middle = (newest.id + old.id) // 2
        day = (datetime.now(UTC).astimezone() - timedelta(days=DAYS // 2)).date()
        month = f"{day - timedelta(days=60)}..{day}"

        def page(search: str = "", turn: Turn = Turn.NEWEST, at: int | None = None) -> Callable[[], Awaitable[Page]]:
            return lambda: histories.page(me, turn, at=at, search=search)

        def suggest(typed: str) -> Callable[[], Awaitable[object]]:
            preferences = SimpleNamespace(language=lambda _user: None)
            service = SimpleNamespace(histories=histories, job=jobs.get, preferences=preferences)
            context = SimpleNamespace(service=service)
            interaction = SimpleNamespace(
                user=SimpleNamespace(id=HEAVY),
                locale=discord.Locale.american_english,
                guild_id=1,
                channel_id=1,
                channel=None,
                guild=None,
                client=SimpleNamespace(context=context),
            )
            return lambda: HistoryCommands(cast("Any", context)).suggest(cast("Any", interaction), typed)

        questions: dict[str, Callable[[], Awaitable[object]]] = {
            "page, newest": page(),
            "page, older": page(turn=Turn.OLDER, at=middle),
            "page, newer": page(turn=Turn.NEWER, at=middle),
            "page, oldest": page(turn=Turn.OLDEST),
            "a word": page("castle"),
            "a Chinese word": page("熊猫"),
            "three words": page("castle fox 熊猫"),
            "a word, oldest": page("castle", Turn.OLDEST),
            "a word that is nowhere": page("zebra"),
            "a capital of another alphabet, nowhere": page("Über"),
            "three words, two of them everywhere": page("zebra fox castle"),
            "25 letters": page("a b c d e f g h i j k l m n o p q r s t u v w y z"),
            "a seed": page(f"seed:{old.spec.seed}"),
            "a seed without its name, the oldest": page(str(old.spec.seed)),
            "a seed that is nowhere": page("seed:17"),
            "a number that is nowhere": page("1717171717"),
            "a day": page(str(day)),
            "a day that has none": page("2001-01-01"),
            "two months": page(month),
            "two months and a word": page(f"{month} castle"),
            "two months and a word that is nowhere": page(f"{month} zebra"),
            "suggestions, nothing typed": suggest(""),
            "suggestions, a word": suggest("castle"),
            "suggestions, a word that is nowhere": suggest("zebra"),
            "suggestions, a number": suggest(str(middle)),
        }
        gc.collect()
        gc.freeze()  # as the service does a minute after its start
        await tell_costs(questions)


def measure_sheet(folder: Path) -> None:
    """Print what a sheet of ten images with as much detail as photographs takes."""
    noise = np.random.default_rng(7)
    cells = []
    for number in range(10):
        picture = Image.fromarray(noise.integers(0, 256, (1024, 1024, 3), dtype=np.uint8))
        picture.filter(ImageFilter.GaussianBlur(1.5)).save(folder / f"{number}.png")
        cells.append(Cell(number=number, path=folder / f"{number}.png"))
    spent = []
    for _ in range(10):
        before = time.process_time()
        sheet = draw_sheet(cells)
        spent.append(1000 * (time.process_time() - before))
    files_mib = sum(cell.path.stat().st_size for cell in cells if cell.path is not None) / 2**20
    typer.echo(
        f"contact sheet of ten 1024 × 1024 ({files_mib:.0f} MiB of PNG): {statistics.median(spent):.0f} ms of CPU on a "
        f"thread, {len(sheet) / 1000:.0f} kB"
    )


def main() -> None:
    """Make the databases, measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    rows = parser.parse_args().rows
    for title, share in {"half of them of one person": 0.5, f"of {PEOPLE} people": 1 / PEOPLE}.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "imagine-bot.db"

            async def make(path: Path = path) -> None:
                async with Database.open(path):
                    pass

            asyncio.run(make())
            fill(path, rows, share)
            typer.echo(f"{rows} rows, {title}: {path.stat().st_size / 2**20:.0f} MiB")
            asyncio.run(measure(path))
    with tempfile.TemporaryDirectory() as folder:
        measure_sheet(Path(folder))


if __name__ == "__main__":
    main()
