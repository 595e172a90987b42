"""What `check` finds of the database, the pictures and the disk, and that looking changes nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import namedtuple
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bot.config import StorageConfig
from bot.findings import Mark
from bot.store.database import DATABASE_NAME, Database
from bot.store.image_store import IMAGES_FOLDER, ImageStore
from bot.store.preflight import check_database, check_disk, is_in_use

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")

DiskUsage = namedtuple("DiskUsage", "total used free")
GOOD_SPEC = (
    '{"version": 1, "prompt": "x", "seed": 1, "steps": 4, "width": 64, "height": 64, '
    '"guidance": 1.0, "cfg_scale": 1.0, "model": "fake"}'
)
AddJob = Callable[[str, int], Awaitable[None]]


@pytest.fixture
def add_job(data_dir: Path) -> AddJob:
    """Put a waiting job with this spec and number into the database."""

    async def add(spec: str, number: int) -> None:
        async with Database.open(data_dir / DATABASE_NAME) as database:
            await database.fetch_all(
                """
                INSERT INTO jobs (id, request_key, user_frontend, user_id, reply_frontend, reply_key, reply_address,
                                  spec, model, size_class, queued_at)
                VALUES (:id, :id, 'test', 'ann', 'test', :id, '{}', :spec, 'fake', 0, 0)
                """,
                {"id": number, "spec": spec},
            )

    return add


def test_a_database_that_is_not_there_yet_is_fine_and_stays_away(clean_place: Path) -> None:
    storage = StorageConfig(data_dir=clean_place / "new" / "data")
    [finding] = check_database(storage, is_running=False)
    assert finding.mark is Mark.OK
    assert "will be created" in finding.text
    assert not (clean_place / "new").exists()


async def test_a_database_of_this_release_is_ready(clean_place: Path) -> None:
    async with Database.open(clean_place / DATABASE_NAME):
        pass
    before = (clean_place / DATABASE_NAME).read_bytes()
    [finding] = check_database(StorageConfig(data_dir=clean_place), is_running=False)
    assert (finding.mark, "(ready)" in finding.text) == (Mark.OK, True)
    assert (clean_place / DATABASE_NAME).read_bytes() == before


def test_a_database_that_is_none_is_a_problem(clean_place: Path) -> None:
    (clean_place / DATABASE_NAME).write_text("not a database" * 100)
    [finding] = check_database(StorageConfig(data_dir=clean_place), is_running=False)
    assert finding.mark is Mark.PROBLEM
    assert "backup" in finding.way_out


def test_data_dir_that_is_a_file_is_a_problem(clean_place: Path) -> None:
    (clean_place / "file").touch()
    for data_dir in (clean_place / "file", clean_place / "file" / "data"):
        [finding] = check_database(StorageConfig(data_dir=data_dir), is_running=False)
        assert (finding.mark, finding.text) == (Mark.PROBLEM, f"{clean_place / 'file'} is no folder")
        assert finding.way_out == "set [storage] data_dir to a folder"


def test_a_database_of_a_newer_release_is_a_problem(clean_place: Path) -> None:
    connection = sqlite3.connect(clean_place / DATABASE_NAME)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    [finding] = check_database(StorageConfig(data_dir=clean_place), is_running=False)
    assert finding.mark is Mark.PROBLEM
    assert "upgrade" in finding.text + finding.way_out


async def test_waiting_jobs_that_cannot_be_read_are_told(data_dir: Path, add_job: AddJob) -> None:
    await add_job(GOOD_SPEC, 1)
    await add_job("{}", 2)
    await add_job(GOOD_SPEC.replace('"version": 1', '"version": 2'), 3)
    ready, finding = check_database(StorageConfig(data_dir=data_dir), is_running=False)
    assert (ready.mark, finding.mark) == (Mark.OK, Mark.NOTE)
    assert "2 waiting job(s) cannot be read by this release and will fail: #2, #3" in finding.text


async def test_pictures_that_the_database_does_not_know_are_told(data_dir: Path, add_job: AddJob) -> None:
    await add_job(GOOD_SPEC, 1)
    await ImageStore(data_dir / IMAGES_FOLDER).write(7, b"png")
    _, finding = check_database(StorageConfig(data_dir=data_dir), is_running=False)
    assert "images up to number 7, and the database knows 1" in finding.text
    assert check_database(StorageConfig(data_dir=data_dir), is_running=True)[1:] == []


async def test_damage_that_no_start_would_meet_is_a_problem(data_dir: Path) -> None:
    path = data_dir / DATABASE_NAME
    async with Database.open(path) as database:
        for number in range(100):
            values = {"key": f"key {number}", "value": "x" * 900}
            await database.fetch_all("INSERT INTO settings (key, value) VALUES (:key, :value)", values)
    with path.open("r+b") as file:
        file.seek(-8000, 2)
        file.write(b"\xff" * 4000)
    [finding] = check_database(StorageConfig(data_dir=data_dir), is_running=False)
    assert finding.mark is Mark.PROBLEM and "damaged" in finding.text
    assert finding.way_out.startswith("restore a backup")


def test_a_running_bot_is_noticed_by_its_lock(clean_place: Path) -> None:
    path = clean_place / DATABASE_NAME
    assert not is_in_use(StorageConfig(data_dir=clean_place))
    code = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(flush=True); input()"
    command = [sys.executable, "-c", code, str(path.with_suffix(".lock"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as bot:
        assert bot.stdout is not None
        bot.stdout.readline()
        assert is_in_use(StorageConfig(data_dir=clean_place))
        bot.communicate("\n")
    assert not is_in_use(StorageConfig(data_dir=clean_place))


def test_little_room_on_the_disk_is_a_problem(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = StorageConfig(data_dir=clean_place / "not" / "there", min_free_mib=500)
    for free_mib, mark in ((501, Mark.OK), (499, Mark.PROBLEM)):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free_mib * 2**20: DiskUsage(0, 0, free))
        [finding] = check_disk(storage)
        assert finding.mark is mark
