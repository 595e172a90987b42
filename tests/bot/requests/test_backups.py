"""A backup every night, whatever was off or full meanwhile; only old nightly ones are ever deleted."""

from __future__ import annotations

import asyncio
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.config import BackupConfig, StorageConfig, WorkerConfig
from bot.deadline import Deadline
from bot.errors import BackupFailed
from bot.findings import Mark
from bot.requests import backups as module
from bot.requests.backups import Backups
from bot.store.backups.nightly import backup_name, made_at
from bot.store.database import DATABASE_NAME, Database
from bot.store.preflight import check_backups

DAY_S = 86_400
NIGHT = datetime(2026, 12, 1, 4, 0, tzinfo=UTC).timestamp()


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    async with Database.open(tmp_path / "data" / DATABASE_NAME):
        return tmp_path / "data"


def backups_of(data_dir: Path, clock, zone: str = "UTC", **config: object) -> Backups:
    settings = {"folder": data_dir.parent / "out", **config}
    return Backups(
        BackupConfig.model_validate(settings),
        StorageConfig(data_dir=data_dir, min_free_mib=0),
        release="x",
        zone=lambda: ZoneInfo(zone),
        clock=clock,
    )


def names(backups: Backups) -> list[str]:
    return [path.name for path in backups.nightly()]


async def test_one_is_made_each_night_and_the_newest_are_kept(data_dir: Path, clock) -> None:
    backups = backups_of(data_dir, clock, keep=3)
    clock.now = NIGHT - 3600
    for hour in range(24 * 5):
        await backups.look()
        await backups.look()
        clock.now = NIGHT - 3600 + (hour + 1) * 3600
    assert names(backups) == [f"imagine-bot-nightly-2026120{day}T040000Z.zip" for day in (3, 4, 5)]


async def test_night_in_which_the_program_was_off_is_made_up_for_once(data_dir: Path, clock) -> None:
    backups = backups_of(data_dir, clock)
    clock.now = NIGHT
    await backups.look()
    clock.now = NIGHT + 3 * DAY_S + 7 * 3600
    await backups.look()
    clock.now += 3600
    await backups.look()
    assert names(backups) == [backup_name(moment, kind="nightly") for moment in (NIGHT, NIGHT + 3 * DAY_S + 7 * 3600)]


async def test_time_is_that_of_the_zone(data_dir: Path, clock) -> None:
    backups = backups_of(data_dir, clock, zone="Asia/Shanghai", at="03:30")
    clock.now = datetime(2026, 11, 30, 19, 0, tzinfo=UTC).timestamp()  # 3 in the morning there
    await backups.look()
    clock.now += 29 * 60
    await backups.look()
    assert len(names(backups)) == 1, "the one of the night before, which was missing"
    clock.now += 60
    await backups.look()
    assert len(names(backups)) == 2


async def test_nothing_else_in_the_folder_is_deleted(data_dir: Path, clock) -> None:
    backups = backups_of(data_dir, clock, keep=1)
    backups.folder.mkdir()
    kept = ["notes.txt", "imagine-bot-backup-20200101T000000Z.zip", "imagine-bot-nightly-x.zip", "Imagine.zip.part"]
    for name in kept:
        (backups.folder / name).write_bytes(b"")
    stale, fresh = (backups.folder / f"imagine-bot-nightly-20200{n}01T000000Z.zip.part" for n in (1, 2))
    stale.write_bytes(b"")
    fresh.write_bytes(b"")
    (backups.folder / "imagine-bot-nightly-20200101T000000Z.zip").write_bytes(b"")
    os.utime(stale, (1, 1))
    os.utime(fresh, (NIGHT, NIGHT))
    clock.now = NIGHT
    await backups.look()
    left = sorted(path.name for path in backups.folder.iterdir())
    assert left == sorted([*kept, fresh.name, backup_name(NIGHT, kind="nightly")])


async def test_what_killed_processes_left_is_deleted_also_without_nightly_backups(data_dir: Path, clock) -> None:
    """Each may be as large as all images, and holds them."""
    backups, clock.now = backups_of(data_dir, clock, folder=None), NIGHT
    folder = backups.folder / ".backup-abc"
    folder.mkdir(parents=True)
    (folder / DATABASE_NAME).write_bytes(b"")
    halves = [f"imagine-bot-{kind}-20200101T000000Z.zip.part" for kind in ("backup", "nightly")]
    others = ["imagine-bot-backup-20200101T000000Z.zip.part.txt", "mine.zip.part", "imagine-bot-backup-x.zip.part"]
    for name in (*halves, *others):
        (backups.folder / name).write_bytes(b"")
    for path in backups.folder.iterdir():
        os.utime(path, (1, 1))
    made = await backups.make()
    assert sorted(path.name for path in backups.folder.iterdir()) == sorted([*others, made.path.name])


async def test_failure_is_told_once_an_hour_and_costs_no_older_backup(
    data_dir: Path, clock, caplog: pytest.LogCaptureFixture
) -> None:
    backups = backups_of(data_dir, clock, keep=1)
    clock.now = NIGHT
    await backups.look()
    shutil.move(data_dir / DATABASE_NAME, data_dir / "moved")
    for _ in range(5):
        clock.now += DAY_S / 5
        await backups.look()
        await backups.look()
    assert caplog.text.count("there is no backup of this night") == 1
    assert names(backups) == [backup_name(NIGHT, kind="nightly")]
    shutil.move(data_dir / "moved", data_dir / DATABASE_NAME)
    clock.now += 3600
    await backups.look()
    assert len(names(backups)) == 1 and names(backups) != [backup_name(NIGHT, kind="nightly")]


async def test_clock_that_was_ahead_costs_no_night(data_dir: Path, clock) -> None:
    backups = backups_of(data_dir, clock)
    clock.now = NIGHT + 400 * DAY_S
    await backups.look()
    clock.now = NIGHT
    await backups.look()
    assert len(names(backups)) == 2


async def test_whoever_asks_gets_one_at_a_time(data_dir: Path, clock) -> None:
    backups = backups_of(data_dir, clock, folder=None)
    first, second = await asyncio.gather(backups.make(), backups.make(), return_exceptions=True)
    assert first.path.parent == data_dir / "backups"  # type: ignore[union-attr]
    assert isinstance(second, BackupFailed), "in the same second it would have the same name"


async def test_stop_cuts_a_backup_short(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    deadline = Deadline()
    config, storage = BackupConfig(folder=data_dir.parent / "out"), StorageConfig(data_dir=data_dir, min_free_mib=0)
    backups = Backups(config, storage, release="x", deadline=deadline)
    deadline.begin(5)
    with pytest.raises(BackupFailed, match="about to stop"):
        await backups.make()
    await backups.look()
    assert "no backup of this night" not in caplog.text, "the next start makes it"
    assert list(backups.folder.iterdir()) == []


async def test_loop_goes_on_after_errors_that_nobody_expected(
    data_dir: Path, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_LOOK_S", 0.0)
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    monkeypatch.setattr("bot.supervision.FIRST_PAUSE_S", 0.01)
    backups, looks = backups_of(data_dir, clock), 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ValueError("a surprise")

    monkeypatch.setattr(backups, "look", look)
    task = asyncio.create_task(backups.run())
    async with asyncio.timeout(5):
        while looks < 3:
            await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()


async def test_without_a_folder_there_is_no_nightly_backup(
    data_dir: Path, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_LOOK_S", 0.0)
    looks: list[float] = []
    backups = backups_of(data_dir, clock, folder=None)
    monkeypatch.setattr(backups, "look", lambda: looks.append(clock()))
    task = asyncio.create_task(backups.run())
    for _ in range(100):  # nothing is waited for before the first look
        await asyncio.sleep(0)
    assert not task.done() and looks == []
    task.cancel()


@pytest.mark.parametrize(
    "section",
    [
        {"at": "24:00"}, {"at": "4"}, {"at": ""}, {"at": "04:60"}, {"at": "４:00"}, {"at": "04:00-05:00"}, {"at": 4},
        {"keep": 0}, {"keep": 1001}, {"keep": -1}, {"folder": 5}, {"images": "perhaps"}, {"fold": "x"},
    ],
)  # fmt: skip
def test_section_that_means_nothing_is_refused(section: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        BackupConfig.model_validate(section)


def test_day_that_never_was_is_no_night() -> None:
    assert made_at(Path("imagine-bot-nightly-20260230T040000Z.zip")) == float("-inf")


def test_check_says_how_nightly_backups_are(tmp_path: Path) -> None:
    assert check_backups(BackupConfig()) == []
    config = BackupConfig(folder=tmp_path / "deep" / "out")
    (finding,) = check_backups(config)
    assert finding.mark is Mark.NOTE and not (tmp_path / "deep").exists(), "nothing is made by a look"
    config.folder.mkdir(parents=True)  # type: ignore[union-attr]
    for day in (1, 2):
        (tmp_path / "deep" / "out" / f"imagine-bot-nightly-2026120{day}T040000Z.zip").write_bytes(b"")
    (finding,) = check_backups(config)
    assert finding.mark is Mark.OK and "20261202" in finding.text
    (tmp_path / "file").write_bytes(b"")
    (finding,) = check_backups(BackupConfig(folder=tmp_path / "file" / "out"))
    assert finding.mark is Mark.PROBLEM


@pytest.mark.parametrize("minutes", [-1, 10_081, 1.5, "soon", None])
def test_minutes_that_are_none_are_refused(minutes: object) -> None:
    with pytest.raises(ValueError):
        WorkerConfig.model_validate({"idle_unload_min": minutes})
