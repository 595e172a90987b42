"""What commands, polls and claims cost with many rows: `python -m tests.history_time 1000000`.

Makes a database: three in ten of all rows are of one person on Discord, three in ten of one visitor of the page, and
the rest of 50 others. Starts the service on it, asks everything that people, front ends and the service itself ask, and
prints milliseconds of CPU of the whole process, warm. Then what a contact sheet takes, which is made on a thread of its
own. What holds the figures in CI is `tests/bot/store/test_query_plans.py`.

`--folder PATH` keeps the database there, and takes the one that is there already.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import random
import sqlite3
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import discord
import numpy as np
import typer
from PIL import Image, ImageFilter

from bot import app
from bot.app import DATABASE_NAME, Setup, build
from bot.config import Config, LimitsConfig, StorageConfig
from bot.deadline import Deadline
from bot.executors.thread import ThreadExecutor
from bot.frontends.discord_app.commands.history import HistoryCommands
from bot.frontends.discord_app.contact_sheet import Cell, draw_sheet
from bot.frontends.discord_app.message_ref import FRONTEND, Address
from bot.frontends.web.frontend import FRONTEND as PAGE
from bot.frontends.web.handlers import PageHandlers, PageSettings
from bot.frontends.web.identity import Visitor
from bot.jobs import FailureCode, Job, ReplyTo, Request, UserKey
from bot.lifecycle import Assembly
from bot.maintenance import believed_moment
from bot.requests.histories import Page, Turn
from bot.scheduling.placement import RunnerState
from bot.scheduling.survey import RunningJob
from bot.store.database import Database
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from pipeline import ImageOptions, ImageSpec
from pipeline.catalog.models import find_model
from pipeline.config import PipelineConfig

DAYS = 3 * 365
DAY_S = 86_400
GUILDS = 3
HEAVY = UserKey(frontend=FRONTEND, id="4711")  # three in ten rows
VISITOR = UserKey(frontend=PAGE, id="visitor")  # three in ten rows
ORIGIN = "0123456789abcdef"  # of the visitor's network address
SHARE = 0.3
PEOPLE = 50
WAITING = 30
ROUNDS = 100
WHOLE_ROUNDS = 5  # of what reads every row of a person, a few at a time
SEED = 2_356_000_000
PROMPT = "the prompt"
TEXT = (
    "red blue green old new big small apple castle fox snow river mountain city night morning portrait of a young "
    "wizard in the style watercolour oil painting 熊猫 竹林 红色 苹果 中国 山水"
)
WORDS = TEXT.split()
COLUMNS = (
    "request_key, user_frontend, user_id, reply_frontend, reply_key, reply_address, spec, model, size_class, status, "
    "queued_at, started_at, finished_at, ran_s, step_s, fixed_s, image_path, image_bytes, failure_code, delivery"
)
RUN = time.time_ns()  # a database may be asked by several
LIMITS = LimitsConfig(max_waiting=1000, max_active_per_user=1000, max_images_per_day=100_000, cooldown_s=0)

Question = Callable[[], Awaitable[Any]]
Tidy = Callable[[Any], Awaitable[object]]


class NoPage:
    """In place of the page's server."""

    url = ""

    def __init__(self, *_: object, **__: object) -> None:
        self.frontend = SimpleNamespace(name=PAGE)

    async def __aenter__(self) -> NoPage:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""

    async def wait_until_built(self) -> None:
        """It never is."""

    async def run_until_closed(self) -> None:
        """It is not run."""


def past(rows: int, now: int) -> Iterator[tuple[object, ...]]:
    """Rows of three years."""
    chance = random.Random(7)
    spec = ImageSpec(
        prompt=PROMPT, seed=SEED, steps=20, width=1024, height=1024, guidance=3.5, cfg_scale=1.0, model="fake"
    ).to_json()
    address = Address(channel_id=1, message_id=2, guild_id=1, user_id=4711, locale="en").reply_to().address
    for number in range(rows):
        draw = chance.random()
        user = HEAVY if draw < SHARE else VISITOR if draw < 2 * SHARE else None
        user = user or UserKey(frontend=FRONTEND, id=str(int(HEAVY.id) + 1 + chance.randrange(PEOPLE)))
        status = chance.choices(("done", "failed", "cancelled"), (90, 5, 5))[0]
        is_done, at = status == "done", now - DAYS * DAY_S + int(number / rows * (DAYS * DAY_S - 60))
        prompt = " ".join(chance.choices(WORDS, k=chance.randrange(4, 40)))
        written = spec.replace(PROMPT, prompt).replace(str(SEED), str(SEED + number))
        key, place = f"{ORIGIN}-{number}", "{}"
        if user.frontend == FRONTEND:
            key = str(number)
            place = address.replace("4711", user.id).replace('"guild_id": 1', f'"guild_id": {1 + number % GUILDS}')
        image = (f"{number // 1000:05}/{number}.png", 1_500_000) if is_done else (None, None)
        yield (
            f"key {number}", user.frontend, user.id, user.frontend, key, place, written,
            "fake", 4, status, at, at + 1, at + 30, 25.0, 1.0 if is_done else None, 3.0 if is_done else None, *image,
            "timeout" if status == "failed" else None, "delivered",
        )  # fmt: skip


def fill(path: Path, rows: int) -> None:
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
        connection.executemany(f"INSERT INTO jobs ({COLUMNS}) VALUES ({marks})", past(rows, int(time.time())))
        connection.execute("COMMIT")
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@asynccontextmanager
async def service_on(folder: Path) -> AsyncIterator[tuple[Database, Assembly]]:
    """The service on the fake engine, of which nothing runs by itself; says what its start takes."""
    began, spent = time.perf_counter(), time.process_time()
    config = Config(storage=StorageConfig(data_dir=folder, min_free_mib=0), limits=LIMITS)
    setup = Setup(config=config, token=None, password=None, release="test", card=find_model("fake"))
    executor = ThreadExecutor(PipelineConfig(model="fake"), stop_grace_s=1.0)
    exits = defaultdict[str, contextlib.AsyncExitStack](contextlib.AsyncExitStack)
    async with Database.open(folder / DATABASE_NAME) as database:
        assembly = await build(setup, database, executor, Deadline(), exits)
        await believed_moment(JobStore(database), SettingStore(database), now=int(time.time()))
        took, cpu = time.perf_counter() - began, time.process_time() - spent
        typer.echo(f"start of the service, without imports: {took:.2f} s, {cpu:.2f} s of CPU")
        assembly.queue.use_runners(lambda: [RunnerState(number=0)])
        for job, _ in await assembly.service.unfinished():  # of a run that was broken off
            await assembly.queue.cancel(job.id)
        yield database, assembly
        await executor.close(1.0)


async def measure(folder: Path) -> None:
    """Ask everything, and print what it cost."""
    async with service_on(folder) as (database, assembly):
        await ask_waiting(assembly, WAITING)
        gc.collect()
        gc.freeze()  # as the service does a minute after its start
        typer.echo(f"{'CPU, ms':42}  median     p99")
        await tell_costs(of_service(database, assembly))
        await tell_costs(await of_history(assembly))
        await tell_costs({"/privacy show": lambda: assembly.service.privacy.about(HEAVY)}, WHOLE_ROUNDS)


async def ask_waiting(assembly: Assembly, count: int) -> None:
    """Let so many jobs wait, of many people."""
    for number in range(count):
        await assembly.service.submit(request(f"waiting {number}", HEAVY if number % 3 == 0 else None))


def request(key: str, user: UserKey | None = None) -> Request:
    """Ask for an image, of one of many if nobody is named."""
    user = user or UserKey(frontend=FRONTEND, id=str(int(HEAVY.id) + 1 + hash(key) % PEOPLE))
    prefix = f"{ORIGIN}-" if user.frontend == PAGE else ""
    reply_to = ReplyTo(frontend=user.frontend, key=f"{prefix}{key}", address="{}")
    return Request(user=user, reply_to=reply_to, options=ImageOptions(prompt="a red apple"), key=f"{RUN} {key}")


def of_service(database: Database, assembly: Assembly) -> dict[str, Question | tuple[Question, Tidy]]:
    """What commands other than /history and /show ask, and polls, claims and the service itself.

    Beside a question may stand what brings the queue back to its length, which does not count.
    """
    service, queue, jobs = assembly.service, assembly.queue, JobStore(database)
    page = PageHandlers(service, PageSettings(secret="secret", people_per_address=5, release="test"))
    visitor = Visitor(user=VISITOR, origin=ORIGIN, locale="en")
    now, numbers = int(time.time()), itertools.count()

    async def put() -> Job:
        return (await service.submit(request(f"new {next(numbers)}", HEAVY)))[0]

    async def cancel(job: Job) -> Job:
        return await service.cancel(job.id, by=HEAVY)

    async def put_and_cancel() -> None:
        await cancel(await put())

    async def put_again(running: RunningJob) -> None:
        await queue.fail(running.job.id, FailureCode.TIMEOUT, ran_s=1.0)
        await put()

    async def poll() -> None:
        page._standings_at = -1e9  # no two polls share a look at the queue
        await page.state(visitor)

    async def statistics_of_a_week() -> None:
        await service.stats()
        await service.statistics.waits(now=now)
        await service.statistics.people(FRONTEND, 1, now=now)
        await service.statistics.models(now=now)
        await service.statistics.failures(now=now)

    return {
        "/imagine, stored and foretold": (put, cancel),
        "/queue, and the messages that wait": service.unfinished,
        "/quota": lambda: service.quota(HEAVY),
        "/imagine and /cancel": put_and_cancel,
        "suggestions of /cancel": lambda: service.active(HEAVY),
        "notes on the next command": lambda: service.undelivered(HEAVY),
        "/admin stats": statistics_of_a_week,
        "page, poll": poll,
        "page, gallery": lambda: page.gallery(visitor, search="", before_id=None),
        "page, gallery, a word that is nowhere": lambda: page.gallery(visitor, search="zebra", before_id=None),
        "page, bound of an address": lambda: service.shared_quota(PAGE, f"{ORIGIN}-", people=5),
        f"claim with {WAITING} waiting": (queue.claim, put_again),
        "results due": lambda: jobs.due(now=now, limit=4),
        "message deleted": lambda: queue.drop_message(FRONTEND, "1234"),
        "button or menu of a message": lambda: jobs.of_message(FRONTEND, "1234"),
        "pruning: old jobs, a batch": lambda: jobs.ended_before(now - DAYS * DAY_S + 3600, limit=200),
        "pruning: images that are needed": jobs.inputs,
    }


async def of_history(assembly: Assembly) -> dict[str, Question | tuple[Question, Tidy]]:
    """What /history and /show ask."""
    me, service = HEAVY, assembly.service
    histories = service.histories
    newest = (await histories.page(me)).jobs[0]
    old = (await histories.page(me, Turn.OLDEST)).jobs[-1]
    middle = (newest.id + old.id) // 2
    day = (datetime.now(UTC).astimezone() - timedelta(days=DAYS // 2)).date()
    month = f"{day - timedelta(days=60)}..{day}"

    def page(search: str = "", turn: Turn = Turn.NEWEST, at: int | None = None) -> Callable[[], Awaitable[Page]]:
        return lambda: histories.page(me, turn, at=at, search=search)

    def suggest(typed: str) -> Callable[[], Awaitable[object]]:
        context = SimpleNamespace(service=service)
        interaction = SimpleNamespace(
            user=SimpleNamespace(id=int(HEAVY.id)),
            locale=discord.Locale.american_english,
            guild_id=1,
            channel_id=1,
            channel=None,
            guild=None,
            client=SimpleNamespace(context=context),
        )
        return lambda: HistoryCommands(cast("Any", context)).suggest(cast("Any", interaction), typed)

    return {
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


async def nothing(_answer: object) -> None:
    """Leave everything as it is."""


async def tell_costs(questions: Mapping[str, Question | tuple[Question, Tidy]], rounds: int = ROUNDS) -> None:
    """Ask every question many times, and print what it cost."""
    for name, question in questions.items():
        ask, tidy = question if isinstance(question, tuple) else (question, nothing)
        await tidy(await ask())
        spent = []
        for _ in range(rounds):
            before = time.process_time()
            answer = await ask()
            spent.append(1000 * (time.process_time() - before))
            await tidy(answer)
        typer.echo(f"{name:42}{statistics.median(spent):8.2f}{sorted(spent)[int(0.99 * rounds)]:8.2f}")


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
    """Make the database, measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    app.WebServer = NoPage  # type: ignore[assignment,misc]
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = folder / DATABASE_NAME
        if not path.exists():

            async def make() -> None:
                async with Database.open(path):
                    pass

            asyncio.run(make())
            fill(path, options.rows)
        typer.echo(f"{path.stat().st_size / 2**20:.0f} MiB of database")
        asyncio.run(measure(folder))
    with tempfile.TemporaryDirectory() as pictures:
        measure_sheet(Path(pictures))


if __name__ == "__main__":
    main()
