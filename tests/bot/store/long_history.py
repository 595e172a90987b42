"""What commands, polls and claims cost with a million rows: `python -m tests.bot.store.long_history`.

Makes a database in a temporary folder (about a minute), asks everything that the service asks, and prints milliseconds
of CPU of the whole process, warm. What holds the figures in CI is `test_query_plans.py`. /history and
/show are in `tests/history_time.py`.
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
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import typer

from bot.config import LimitsConfig
from bot.jobs import FailureCode, ReplyTo, Request, UserKey
from bot.maintenance import continue_numbers
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.store.database import Database
from bot.store.history_query import Stretch
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.statistics_store import StatisticsStore
from pipeline import ImageOptions, ImageSpec

DAY_S = 86_400
DAYS = 90
HEAVY = UserKey(frontend="console", id="heavy")
WAITING = 30
GUILD = 1_000_000_000_000_000_000
ADDRESS = f'{{"guild_id": {GUILD}}}'
ROUNDS = 100
TEXT = (
    "red blue green old new big small apple castle fox snow river mountain city night morning portrait of a young "
    "wizard in the style watercolour oil painting 熊猫 竹林 红色 苹果 中国 山水"
)
WORDS = TEXT.split()
COLUMNS = (
    "request_key, user_frontend, user_id, reply_frontend, reply_key, reply_address, spec, model, size_class, status, "
    "queued_at, started_at, finished_at, ran_s, step_s, fixed_s, image_path, image_bytes, failure_code, delivery"
)


def past(rows: int, now: int) -> Iterator[tuple[object, ...]]:
    """Rows of the last 90 days; three in ten are of one person."""
    chance = random.Random(7)
    for number in range(rows):
        frontend = chance.choice(("console", "discord"))
        user = HEAVY if chance.random() < 0.3 else UserKey(frontend=frontend, id=f"user{chance.randrange(50)}")
        status = chance.choices(("done", "failed", "cancelled"), (90, 5, 5))[0]
        is_done, at = status == "done", now - DAYS * DAY_S + int(number / rows * (DAYS * DAY_S - 60))
        prompt = " ".join(chance.choices(WORDS, k=chance.randrange(4, 20)))
        spec = ImageSpec(
            prompt=prompt, seed=number, steps=20, width=1024, height=1024, guidance=3.5, cfg_scale=1.0, model="fake"
        )
        code = "timeout" if status == "failed" else None
        image = (f"{number // 1000:05}/{number}.png", 1_500_000) if is_done else (None, None)
        yield (
            f"key {number}", user.frontend, user.id, user.frontend, f"{user.id}-{number}", ADDRESS, spec.to_json(),
            "fake", 4, status, at, at + 1, at + 30, 25.0, 1.0 if is_done else None, 3.0 if is_done else None, *image,
            code, "delivered",
        )  # fmt: skip


async def measure(path: Path, rows: int) -> None:
    """Ask everything, and print what it cost."""
    now = int(time.time())
    limits = LimitsConfig(max_waiting=1000, max_active_per_user=1000, max_images_per_day=100_000, cooldown_s=0)
    pace = Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
    started = time.perf_counter()
    async with Database.open(path) as database:
        jobs, statistics_store = JobStore(database), StatisticsStore(database)
        queue = JobQueue(jobs, SettingStore(database), limits, assumed_pace=lambda _spec: pace)
        await continue_numbers(jobs, ImageStore(path.parent / "images"))
        await queue.recover(max_attempts=2)
        typer.echo(f"{rows} rows, start: {time.perf_counter() - started:.2f} s")
        numbers = iter(range(1_000_000))

        async def put() -> None:
            number = next(numbers)
            user = HEAVY if number % 3 == 0 else UserKey(frontend="discord", id=f"user{number % 50}")
            request = Request(
                user=user,
                reply_to=ReplyTo(frontend=user.frontend, key=f"{user.id}-new-{number}", address="{}"),
                options=ImageOptions(prompt="a red apple"),
                key=f"new {number}",
            )
            await queue.put(request, spec)

        async def claim() -> None:
            running = await queue.claim()
            assert running is not None
            await queue.fail(running.job.id, FailureCode.TIMEOUT, ran_s=1.0)

        spec = ImageSpec(
            prompt="a red apple", seed=1, steps=20, width=1024, height=1024, guidance=3.5, cfg_scale=1.0, model="fake"
        )
        gc.collect()
        gc.freeze()  # as the service does a minute after its start
        for _ in range(WAITING):
            await put()
        page = await jobs.history(HEAVY, Stretch(limit=25))
        questions: dict[str, Callable[[], Awaitable[object]]] = {
            "/queue, cards": lambda: queue.standings(),
            "/quota": lambda: jobs.usage(HEAVY, now=now),
            "/show, /cancel": lambda: jobs.get(page[-1].id),
            "/admin stats": lambda: jobs.totals(since=now - DAY_S),
            "/admin stats, waits": lambda: statistics_store.waits(now=now),
            "/admin stats, people": lambda: statistics_store.people("discord", GUILD, now=now),
            "/admin stats, models": lambda: statistics_store.models(now=now),
            "/admin stats, failures": lambda: statistics_store.failures(now=now),
            "page, poll": lambda: asyncio.gather(
                jobs.history(HEAVY, Stretch(limit=1)), jobs.failures(HEAVY, since=now - DAY_S)
            ),
            "page, bound of an address": lambda: jobs.shared_usage("console", "heavy-", now=now),
            "results due": lambda: jobs.due(now=now, limit=4),
            "notes": lambda: jobs.undelivered(HEAVY),
            "message deleted": lambda: jobs.drop_message("discord", "1234"),
            "put": put,
            f"claim with {WAITING} waiting": claim,
            "prune, a batch": lambda: jobs.ended_before(now - DAYS * DAY_S + 3600, limit=200),
            "inputs": lambda: jobs.inputs(),
        }
        await tell_costs(questions)


async def tell_costs(questions: Mapping[str, Callable[[], Awaitable[object]]]) -> None:
    """Ask every question many times, and print what it cost."""
    typer.echo(f"{'CPU, ms':42}  median     p99")
    for name, ask in questions.items():
        await ask()
        spent = []
        for _ in range(ROUNDS):
            before = time.process_time()
            await ask()
            spent.append(1000 * (time.process_time() - before))
        typer.echo(f"{name:42}{statistics.median(spent):8.2f}{sorted(spent)[int(0.99 * ROUNDS)]:8.2f}")


def main() -> None:
    """Make the database, migrate it, measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "imagine-bot.db"

        async def make() -> None:
            async with Database.open(path):
                pass

        asyncio.run(make())
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            marks = ", ".join("?" * 20)
            connection.executemany(f"INSERT INTO jobs ({COLUMNS}) VALUES ({marks})", past(rows, int(time.time())))
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        asyncio.run(measure(path, rows))


if __name__ == "__main__":
    main()
