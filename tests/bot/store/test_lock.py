"""Who holds a database, and whether they are alive."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from bot.store.lock import beat, fall_silent, holder_of, last_beat, lock_path


@pytest.mark.parametrize("name", ["imagine-bot.db", "x" * 300, f"{'x' * 300}/imagine-bot.db", "x/" * 5000])
def test_database_that_cannot_be_there_is_held_by_nobody(tmp_path: Path, name: str) -> None:
    assert holder_of(tmp_path / name) is None


@pytest.mark.parametrize("name", ["imagine-bot.db", "x" * 300, f"{'x' * 300}/imagine-bot.db", "x/" * 5000, "\0"])
def test_database_that_cannot_be_there_gives_no_sign_of_life(tmp_path: Path, name: str) -> None:
    fall_silent(tmp_path / "not there")
    assert last_beat(tmp_path / name) is None


def test_sign_of_life_lasts_until_it_is_taken_back(tmp_path: Path) -> None:
    database = tmp_path / "imagine-bot.db"
    with FileLock(lock_path(database)):
        os.utime(lock_path(database), (1, 1))
        beat(database)
        assert last_beat(database) == pytest.approx(time.time(), abs=60)
        fall_silent(database)
        assert last_beat(database) is None
