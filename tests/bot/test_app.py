"""What the app does by itself: forgetting what is old, and ending whatever hangs or fails."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from bot import app, turns
from bot.app import assumed_pace, continue_numbers, forget_prompts, history_begins, prune, prune_strays
from bot.config import Config, LimitsConfig, StorageConfig, WorkerConfig
from bot.deadline import Deadline
from bot.delivery.results import DeliveryLoop
from bot.errors import DatabaseUnusable, ExitCode, StoreUnavailable
from bot.executors.thread import ThreadExecutor
from bot.farewell import Farewells
from bot.frontends.web.frontend import WebFrontend
from bot.jobs import Job, JobStatus, Request
from bot.requests.service import Service
from bot.store.database import Database
from bot.store.image_store import ImageStore
from bot.store.job_store import DAY_S, JobStore, Measurement
from bot.store.key_value_store import SettingStore
from pipeline import EngineDead, ImageSpec
from pipeline.catalog.models import find_model
from pipeline.config import PipelineConfig

NOW = 1_800_000_000


@pytest.fixture
async def drawn(
    jobs: JobStore, images: ImageStore, spec: ImageSpec, make_request: Callable[..., Request], no_limits: LimitsConfig
) -> list[str]:
    """The files of three pictures of long ago."""
    files = []
    for _ in range(3):
        await jobs.insert(make_request(), spec, size_class=0, limits=no_limits, now=NOW)
        job = await jobs.claim(now=NOW)
        files.append(await images.write(job.id, b"png"))
        measured = Measurement(step_s=1.0, fixed_s=1.0)
        await jobs.finish(job.id, image_path=files[-1], image_bytes=3, ran_s=1.0, measured=measured, now=NOW)
    return files


async def test_old_pictures_go_with_their_rows(jobs: JobStore, images: ImageStore, drawn: list[str]) -> None:
    assert await prune(jobs, images, before=NOW) == 0  # not old enough
    assert await prune(jobs, images, before=NOW + 1) == 3
    assert [await images.find(file) for file in drawn] == [None] * 3
    assert (await jobs.totals(since=0)).done == 0


async def test_picture_that_cannot_be_deleted_keeps_its_row_for_the_next_time(
    jobs: JobStore, images: ImageStore, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = images.delete

    async def stubborn(relative: str) -> bool:
        return relative != drawn[1] and await delete(relative)

    with monkeypatch.context() as patch:
        patch.setattr(images, "delete", stubborn)
        assert await prune(jobs, images, before=NOW + 1) == 2
        assert await prune(jobs, images, before=NOW + 1) == 0
    assert await prune(jobs, images, before=NOW + 1) == 1


async def test_pictures_that_cannot_be_deleted_hold_up_no_others(
    jobs: JobStore, images: ImageStore, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = images.delete

    async def stubborn(relative: str) -> bool:
        return relative not in drawn[:2] and await delete(relative)

    monkeypatch.setattr(images, "delete", stubborn)
    monkeypatch.setattr(app, "PRUNE_BATCH", 1)
    assert await prune(jobs, images, before=NOW + 1) == 1
    assert [await images.find(file) is None for file in drawn] == [False, False, True]


async def test_pictures_without_a_row_go_when_they_are_as_old_as_history(
    jobs: JobStore, images: ImageStore, drawn: list[str]
) -> None:
    stray = await images.write(2, b"of a database that was moved away")
    young = await images.write(9999, b"just drawn")
    for file in (*drawn, stray, young):
        path, written_at = await images.find(file), NOW + 60 * (file == young)
        assert path is not None
        os.utime(path, (written_at, written_at))
    assert await prune_strays(jobs, images, before=NOW) == 0
    assert await prune_strays(jobs, images, before=NOW + 1) == 1
    assert [file for file in (*drawn, young, stray) if await images.find(file) is None] == [stray]


async def test_one_start_with_the_clock_far_ahead_deletes_nothing(
    jobs: JobStore, settings: SettingStore, drawn: list[str]
) -> None:
    ahead = NOW + 91 * DAY_S
    assert await history_begins(jobs, settings, now=ahead, days=90) == NOW - 90 * DAY_S  # the newest row is of NOW
    assert await history_begins(jobs, settings, now=ahead + 3600, days=90) == NOW - 90 * DAY_S
    assert await history_begins(jobs, settings, now=NOW + 3600, days=90) == NOW + 3600 - 90 * DAY_S  # set right again
    await history_begins(jobs, settings, now=ahead, days=90)
    assert (
        await history_begins(jobs, settings, now=ahead + DAY_S, days=90) == ahead + DAY_S - 90 * DAY_S
    )  # it stayed so


async def test_numbers_go_on_after_the_pictures_that_are_there_and_that_is_said_loudly(
    jobs: JobStore, images: ImageStore, drawn: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    await continue_numbers(jobs, images)
    assert (caplog.records, await jobs.last_number()) == ([], 3)
    await images.write(1042, b"of a newer database")
    await continue_numbers(jobs, images)
    assert await jobs.last_number() == 1042
    (record,) = caplog.records
    assert record.levelname == "CRITICAL" and "pictures up to number 3 only" in record.getMessage()
    await continue_numbers(jobs, images)
    assert len(caplog.records) == 1


async def test_empty_database_beside_pictures_is_said_loudly_and_numbers_none_of_them_again(
    jobs: JobStore,
    images: ImageStore,
    spec: ImageSpec,
    make_request: Callable[..., Request],
    no_limits: LimitsConfig,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await images.write(7, b"of the database that was moved away")
    await continue_numbers(jobs, images)
    assert "the database is empty" in caplog.text
    job = await jobs.insert(make_request(), spec, size_class=0, limits=no_limits, now=NOW)
    assert job is not None and job.id == 8


def test_prompts_that_nobody_has_drawn_lately_are_forgotten(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / str(number)).touch()
        os.utime(tmp_path / str(number), (NOW + number, NOW + number))
    forget_prompts(tmp_path, before=NOW + 1)
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}
    forget_prompts(tmp_path / "missing", before=NOW)


def test_job_of_a_model_that_is_gone_has_a_pace_all_the_same(spec: ImageSpec) -> None:
    import dataclasses

    assert assumed_pace(dataclasses.replace(spec, model="of an older release")).is_rough


def test_error_counts_by_what_the_supervisor_can_do_about_it(caplog: pytest.LogCaptureFixture) -> None:
    dead, damaged, bug = EngineDead("hangs"), DatabaseUnusable(Path("x.db"), "damaged"), RuntimeError("a bug")
    nested = ExceptionGroup("slots", [ExceptionGroup("slot", [dead])])
    assert app._exit_code([]) is ExitCode.OK
    assert app._exit_code([bug]) is ExitCode.FAILED
    assert app._exit_code([damaged]) is ExitCode.USAGE
    assert app._exit_code(app._what_matters([bug, nested], is_asked_to_stop=False)) is ExitCode.ENGINE_DEAD
    assert app._what_matters([bug], is_asked_to_stop=True) == [] and "a bug" in caplog.text
    assert app._what_matters([bug, nested], is_asked_to_stop=True) == [dead]


def test_file_that_hangs_does_not_hold_the_process() -> None:
    """asyncio waits for the threads of its default executor without an end."""
    release = threading.Event()

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(app._Threads())
        reading = asyncio.create_task(asyncio.to_thread(release.wait, 30))
        await asyncio.sleep(0.01)
        reading.cancel()

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < 10
    release.set()


async def test_pruning_goes_on_after_whatever_happened(
    jobs: JobStore,
    images: ImageStore,
    settings: SettingStore,
    drawn: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended_before, troubles = jobs.ended_before, [KeyError("a column"), StoreUnavailable("locked", is_full=False)]

    async def troubled(moment: int, *, limit: int) -> object:
        if troubles:
            raise troubles.pop()
        return await ended_before(NOW + 1, limit=limit)

    monkeypatch.setattr(jobs, "ended_before", troubled)
    monkeypatch.setattr(turns, "FIRST_PAUSE_S", 0.01)
    pruning = asyncio.create_task(
        app._prune_forever(jobs, images, settings, StorageConfig(data_dir=tmp_path, history_days=1), Deadline())
    )
    while (await jobs.totals(since=0)).done:
        await asyncio.sleep(0.01)
    pruning.cancel()
    await asyncio.wait([pruning])
    assert pruning.cancelled()


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


Serve = Callable[..., tuple[asyncio.Task[list[BaseException]], asyncio.Event, Farewells]]


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
    monkeypatch.setattr(app, "FRONTENDS_S", 0.1)
    monkeypatch.setattr(app, "_begin_to_end", lambda deadline, seconds, _code: deadline.begin(seconds))

    def serve() -> tuple[asyncio.Task[list[BaseException]], asyncio.Event, Farewells]:
        stop, farewells = asyncio.Event(), Farewells(Deadline())
        executor = ThreadExecutor(PipelineConfig(model="fake"), stop_grace_s=1.0)
        service = app._serve(config, None, None, "test", database, find_model("fake"), executor, stop, farewells)
        task = asyncio.create_task(service)
        task.add_done_callback(lambda _: asyncio.ensure_future(executor.close(2.0)))
        return task, stop, farewells

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

    async def announce(_: DeliveryLoop) -> None:
        raise KeyError("a bug in announcing")

    async def flush(_: DeliveryLoop) -> None:
        said.append("flush")
        raise StoreUnavailable("locked", is_full=False)

    monkeypatch.setattr(DeliveryLoop, "announce_stop", announce)
    monkeypatch.setattr(DeliveryLoop, "flush", flush)
    task, stop, farewells = serve()
    job = await running_job(jobs, make_request)
    farewells.deadline.begin(10)
    stop.set()
    assert await asyncio.wait_for(task, 10) == []
    assert said == ["flush"]
    assert "bringing cards up to date failed" in caplog.text and "delivering results failed" in caplog.text
    assert "leaving the page takes too long and is given up" in caplog.text
    latest = await jobs.get(job.id)
    assert (latest.status, latest.attempts) == (JobStatus.QUEUED, 0)


async def test_database_that_stays_locked_does_not_hold_the_stop_and_the_next_start_has_the_job(
    jobs: JobStore, make_request: Callable[..., Request], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: object, **__: object) -> None:
        raise StoreUnavailable("locked", is_full=False)

    task, stop, farewells = serve()
    job = await running_job(jobs, make_request)
    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "requeue", locked)
        started = time.monotonic()
        farewells.deadline.begin(4)
        stop.set()
        assert await asyncio.wait_for(task, 10) == []
        assert time.monotonic() - started < 8
    assert not farewells.is_hung
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
    task, _, _ = serve()
    await running_job(jobs, make_request)
    died.set()
    (error,) = await asyncio.wait_for(task, 10)
    assert isinstance(error, DatabaseUnusable)


def test_guard_ends_a_process_whose_loop_hangs() -> None:
    script = (
        "import asyncio, time\n"
        "from bot import app\n"
        "from bot.deadline import Deadline\n"
        "from bot.errors import ExitCode\n"
        "async def main():\n"
        "    app._begin_to_end(Deadline(), 0.1, ExitCode.ENGINE_DEAD)\n"
        "    time.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], timeout=40, check=False)
    assert ended.returncode == ExitCode.ENGINE_DEAD


@pytest.mark.parametrize("has_page", [True, False])
async def test_engine_is_loaded_once_the_page_is_built(has_page: bool) -> None:
    """Both imports want the interpreter for seconds."""
    built, done = asyncio.Event(), []

    async def wait() -> None:
        await built.wait()

    async def start(model: str) -> None:
        done.append(model)

    async def work() -> None:
        done.append("work")

    executor, worker = cast("Any", SimpleNamespace(start=start)), cast("Any", SimpleNamespace(run=work))
    lag, after, stop = cast("Any", SimpleNamespace(report=str)), wait if has_page else None, asyncio.Event()
    task = asyncio.create_task(app._load_and_draw(executor, find_model("fake"), worker, lag, after=after, stop=stop))
    for _ in range(5):
        await asyncio.sleep(0)
    assert done == ([] if has_page else ["fake", "work"])
    built.set()
    await task
    assert done == ["fake", "work"]


async def test_stop_while_the_page_is_built_loads_no_engine() -> None:
    stop = asyncio.Event()
    nobody = cast("Any", SimpleNamespace())

    async def wait() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(app._load_and_draw(nobody, find_model("fake"), nobody, nobody, after=wait, stop=stop))
    await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(task, 5)
