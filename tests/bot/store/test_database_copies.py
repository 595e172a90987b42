"""Whoever is erased is erased from the copies of every earlier release, and nobody else is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import StoreUnavailable
from bot.jobs import UserKey
from bot.store.database_copies import copies_of, forget_in_copies
from bot.store.schema import migrations
from tests.leftovers import leftovers

ANN = UserKey(frontend="discord", id="123456789012345678")
JOB = """
    INSERT INTO jobs (request_key, user_frontend, user_id, reply_frontend, reply_key, reply_address, spec, model,
                      size_class, queued_at, image_path)
    VALUES (:key, 'discord', :id, 'discord', :key, '{}', :spec, 'fake', 0, 1, :path)
"""


def make_copy(folder: Path, version: int) -> Path:
    path = folder / f"imagine-bot.v{version}.20260101T000000.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        for migration in migrations()[:version]:
            connection.executescript(migration.sql)
        for number in range(300):
            spec = '{"prompt": "crimson zeppelin"}'
            values = {"key": f"a{number}", "id": ANN.id, "spec": spec, "path": f"00000/{number}.png"}
            connection.execute(JOB, values)
        connection.execute(JOB, {"key": "b", "id": "bob", "spec": '{"prompt": "submarine"}', "path": None})
    return path


@pytest.mark.parametrize("version", range(1, len(migrations()) + 1))
def test_person_is_erased_from_a_copy_of_any_release(tmp_path: Path, version: int) -> None:
    copy = make_copy(tmp_path, version)
    images = forget_in_copies(tmp_path / "imagine-bot.db", ANN)
    assert len(images) == 300 and "00000/7.png" in images
    assert leftovers(tmp_path, [ANN.id, "crimson"]) == []
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT user_id FROM jobs").fetchall() == [("bob",)]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert copy.stat().st_mode & 0o077 == 0
    assert forget_in_copies(tmp_path / "imagine-bot.db", ANN) == set()  # twice is harmless


def test_only_what_upgrades_left_is_a_copy(tmp_path: Path) -> None:
    copy = make_copy(tmp_path, 2)
    for name in ("imagine-bot.v2.db", "imagine-bot.v2.mine.db", "other.v2.20260101T000000.db", "imagine-bot.db"):
        (tmp_path / name).touch()
    assert copies_of(tmp_path / "imagine-bot.db") == [copy]


def test_half_of_a_copy_that_a_kill_left_is_deleted(tmp_path: Path) -> None:
    part = tmp_path / "imagine-bot.v2.20260101T000000.db.part"
    part.write_bytes(b"crimson")
    forget_in_copies(tmp_path / "imagine-bot.db", ANN)
    assert not part.exists()


def test_copy_that_is_locked_is_left_to_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **options: connect(path, **{"timeout": 0.01, **options}))
    copy = make_copy(tmp_path, 4)
    with closing(connect(copy, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable):
            forget_in_copies(tmp_path / "imagine-bot.db", ANN)
    assert forget_in_copies(tmp_path / "imagine-bot.db", ANN)
