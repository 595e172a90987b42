"""`imagine-bot alive`: the exit code that a container or a supervisor acts on."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from bot.cli.alive import SILENT_AFTER_S
from bot.errors import ExitCode
from bot.store.lock import beat, fall_silent, lock_path
from tests.bot.cli.command_line import invoke

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGINE_BOT__STORAGE__DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "imagine-bot.db"


@pytest.fixture
def lock(database: Path) -> Path:
    database.parent.mkdir()
    path = lock_path(database)
    path.touch()
    return path


def test_bot_that_gave_a_sign_a_moment_ago_is_alive(database: Path, lock: Path) -> None:
    beat(database)
    result = invoke("alive")
    assert result.exit_code == ExitCode.OK
    assert "alive" in result.stdout


@pytest.mark.parametrize("late_s", [SILENT_AFTER_S + 5, -SILENT_AFTER_S - 5])
def test_bot_that_hangs_is_not(lock: Path, late_s: float) -> None:
    os.utime(lock, (time.time() - late_s,) * 2)
    result = invoke("alive")
    assert result.exit_code == ExitCode.FAILED
    assert "no sign of life" in result.stdout


def test_bot_that_was_stopped_is_not(database: Path, lock: Path) -> None:
    fall_silent(database)
    result = invoke("alive")
    assert result.exit_code == ExitCode.FAILED
    assert "no bot runs on" in result.stdout


def test_without_a_data_folder_there_is_no_bot_and_none_is_made(database: Path) -> None:
    assert invoke("alive").exit_code == ExitCode.FAILED
    assert not database.parent.exists()


def test_folder_in_the_place_of_the_file_is_no_crash(lock: Path) -> None:
    lock.unlink()
    lock.mkdir()
    os.utime(lock, (1, 1))
    assert invoke("alive").exit_code == ExitCode.FAILED
