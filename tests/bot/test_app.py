"""The whole service ends every part in its turn, whatever hangs or fails."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from bot import app, lifecycle, maintenance
from bot.app import Setup, build
from bot.config import NO_PASSWORDS, Config, LimitsConfig, StorageConfig, WorkerConfig
from bot.deadline import Deadline
from bot.delivery.results import DeliveryLoop
from bot.delivery.status_updates import StatusUpdates
from bot.errors import DatabaseUnusable, StoreUnavailable
from bot.executors.thread import ThreadExecutor
from bot.frontends.web.frontend import WebFrontend
from bot.jobs import Job, JobStatus, Request
from bot.lifecycle import Lifecycle
from bot.maintenance import HORIZON_SETTING
from bot.requests.service import Service
from bot.scheduling.card_paces import assumed_pace
from bot.store.database import Database
from bot.store.horizon import DAY_S
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from pipeline import ImageSpec
from pipeline.catalog import models
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.models import find_model
from pipeline.config import PipelineConfig

NOW = 1_800_000_000


def test_job_of_a_model_that_is_gone_has_a_pace_all_the_same(spec: ImageSpec) -> None:
    import dataclasses

    assert assumed_pace(dataclasses.replace(spec, model="of an older release")).is_rough


class HangingPage:
    """A front end that is well until it has to leave."""

    latest: ClassVar[HangingPage | None] = None

    def __init__(self, *_: object, service: Service, **__: object) -> None:
        self.service = service
        self.frontend = WebFrontend()
        HangingPage.latest = self

    async def __aenter__(self) -> HangingPage:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.Event().wait()

    async def wait_until_built(self) -> None:
        """It is there at once."""

    async def run_until_closed(self) -> None:
        await asyncio.Event().wait()


Serve = Callable[..., tuple[asyncio.Task[list[BaseException]], Lifecycle]]


@pytest.fixture
def serve(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """The service on the fake engine, with a page that hangs when it has to leave."""
    config = Config(
        storage=StorageConfig(data_dir=tmp_path, min_free_mib=0),
        worker=WorkerConfig(stop_grace_s=1),
        limits=LimitsConfig(cooldown_s=0),
    )
    monkeypatch.setattr(app, "WebServer", HangingPage)
    monkeypatch.setattr(HangingPage, "latest", None)
    monkeypatch.setattr(app, "usable_models", lambda _config: [find_model("fake")])
    monkeypatch.setattr(lifecycle, "FRONTENDS_S", 0.1)
    monkeypatch.setattr(lifecycle, "begin_to_end", lambda deadline, seconds, _code: deadline.begin(seconds))

    def serve() -> tuple[asyncio.Task[list[BaseException]], Lifecycle]:
        life = Lifecycle(grace_s=1)
        executor = ThreadExecutor(PipelineConfig(model="fake"), stop_grace_s=1.0)
        setup = Setup(config=config, token=None, passwords=NO_PASSWORDS, release="test", card=find_model("fake"))

        async def live() -> list[BaseException]:
            try:
                return await life.serve(partial(build, setup, database, executor, life.deadline))
            finally:
                await executor.close(2.0)

        return asyncio.create_task(live()), life

    return serve


async def running_job(jobs: JobStore, make_request: Callable[..., Request]) -> Job:
    while HangingPage.latest is None:
        await asyncio.sleep(0.01)
    request = make_request(prompt="[hang] [step=0.01]")
    job, _ = await HangingPage.latest.service.submit(request)
    while (await jobs.get(job.id)).status is not JobStatus.RUNNING:
        await asyncio.sleep(0.01)
    return job


async def test_stop_takes_every_step_though_each_fails_or_hangs(
    jobs: JobStore,
    make_request: Callable[..., Request],
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = []

    async def announce(_: StatusUpdates) -> None:
        raise KeyError("a bug in announcing")

    async def flush(_: DeliveryLoop) -> None:
        said.append("flush")
        raise StoreUnavailable("locked", is_full=False)

    monkeypatch.setattr(StatusUpdates, "announce_stop", announce)
    monkeypatch.setattr(DeliveryLoop, "flush", flush)
    task, life = serve()
    job = await running_job(jobs, make_request)
    life.deadline.begin(10)
    life.stop.set()
    assert await asyncio.wait_for(task, 10) == []
    assert said == ["flush"]
    assert "bringing messages up to date failed" in caplog.text and "delivering results failed" in caplog.text
    assert "leaving the page takes too long and is given up" in caplog.text
    latest = await jobs.get(job.id)
    assert (latest.status, latest.attempts) == (JobStatus.QUEUED, 0)


async def test_no_forecast_searches_for_own_files_on_the_event_loop(
    jobs: JobStore, serve: Serve, make_request: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    askers: set[threading.Thread] = set()
    real = models.catalog_of

    def catalog_of(config: PipelineConfig) -> Catalog:
        askers.add(threading.current_thread())
        return real(config)

    monkeypatch.setattr(models, "catalog_of", catalog_of)
    task, life = serve()
    await running_job(jobs, make_request)
    assert HangingPage.latest is not None
    service = HangingPage.latest.service
    job, _ = await service.submit(make_request("bob"))
    service.unread(job.spec)
    life.deadline.begin(10)
    life.stop.set()
    assert await asyncio.wait_for(task, 15) == []
    assert threading.main_thread() not in askers


async def test_database_that_stays_locked_does_not_hold_the_stop_and_the_next_start_has_the_job(
    jobs: JobStore, make_request: Callable[..., Request], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: object, **__: object) -> None:
        raise StoreUnavailable("locked", is_full=False)

    task, life = serve()
    job = await running_job(jobs, make_request)
    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "requeue", locked)
        started = time.monotonic()
        life.deadline.begin(4)
        life.stop.set()
        assert await asyncio.wait_for(task, 10) == []
        assert time.monotonic() - started < 8
    assert not life.shutdown.is_hung
    (settled,) = await jobs.recover(max_attempts=2, now=NOW)
    assert (settled.id, settled.status) == (job.id, JobStatus.QUEUED)


async def test_part_that_dies_ends_all_others_and_is_named(
    jobs: JobStore, make_request: Callable[..., Request], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = asyncio.Event()

    async def die(_: HangingPage) -> None:
        await died.wait()
        raise DatabaseUnusable(Path("x.db"), "damaged")

    monkeypatch.setattr(HangingPage, "run_until_closed", die)
    task, _ = serve()
    await running_job(jobs, make_request)
    died.set()
    (error,) = await asyncio.wait_for(task, 10)
    assert isinstance(error, DatabaseUnusable)


async def test_database_that_cannot_be_used_at_the_start_is_told_with_a_way_out(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: object, **__: object) -> None:
        raise StoreUnavailable("locked", is_full=False) from sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(HangingPage, "__aenter__", locked)  # it reads its secret from there
    task, _ = serve()
    (error,) = await asyncio.wait_for(task, 10)
    assert isinstance(error, DatabaseUnusable) and "locked" in str(error)


@pytest.mark.parametrize("has_page", [True, False])
async def test_engine_is_loaded_once_the_page_is_built(has_page: bool) -> None:
    """Both imports occupy the interpreter for seconds."""
    built, done = asyncio.Event(), []

    async def wait() -> None:
        await built.wait()

    async def load(model: str) -> None:
        done.append(model)

    async def work() -> None:
        done.append("work")

    pool, lag = cast("Any", SimpleNamespace(load=load, run=work)), cast("Any", SimpleNamespace(report=str))
    after, loaded = wait if has_page else None, asyncio.Event()
    task = asyncio.create_task(
        app._load_and_draw(pool, find_model("fake"), lag, after=after, is_loaded=loaded, deadline=Deadline())
    )
    for _ in range(5):
        await asyncio.sleep(0)
    assert done == ([] if has_page else ["fake", "work"])
    built.set()
    await task
    assert done == ["fake", "work"]


async def test_stop_while_the_page_is_built_loads_no_engine() -> None:
    deadline, nobody = Deadline(), cast("Any", SimpleNamespace())

    async def wait() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(
        app._load_and_draw(nobody, find_model("fake"), nobody, after=wait, is_loaded=asyncio.Event(), deadline=deadline)
    )
    await asyncio.sleep(0)
    deadline.begin(5)
    await asyncio.wait_for(task, 5)


@pytest.mark.parametrize(
    ("ahead_s", "age_s", "left"),
    [(0, 91 * DAY_S, 0), (91 * DAY_S, 0, 1)],
    ids=["a right clock", "91 days ahead"],
)
async def test_start_forgets_what_is_over_but_nothing_by_a_clock_that_is_far_ahead(
    database: Database,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    ahead_s: int,
    age_s: int,
    left: int,
) -> None:
    """Bans, messages that are to be taken back, and what erased people drew today, too."""
    now, swept = int(time.time()), asyncio.Event()
    for sql in (
        "INSERT INTO bans (person, user_frontend, banned_at, until_at) VALUES ('p', 'test', :then, :then + 3600)",
        "INSERT INTO retractions (frontend, key, address, added_at) VALUES ('gone', 'k', '{}', :then)",
        "INSERT INTO spent (job_id, person, queued_at, finished_at, cost, ran_s) VALUES (1, 'p', :then, :then, 1, 1)",
    ):
        await database.fetch_all(sql, {"then": now - age_s})
    await SettingStore(database).set(HORIZON_SETTING, json.dumps({"trusted_at": now - 3600}))
    monkeypatch.setattr(maintenance, "time", SimpleNamespace(time=lambda: time.time() + ahead_s))

    async def delete_sources(*_: object, **__: object) -> None:
        swept.set()

    monkeypatch.setattr(ImageStore, "delete_sources", delete_sources)
    task, life = serve()
    await asyncio.wait_for(swept.wait(), 10)
    counts = [
        (await database.fetch_all(f"SELECT COUNT(*) AS rows FROM {table}"))[0]["rows"]
        for table in ("bans", "retractions", "spent")
    ]
    life.deadline.begin(10)
    life.stop.set()
    assert await asyncio.wait_for(task, 10) == []
    assert counts == [left] * 3
