"""The database opens alone, migrates whole or not at all, and refuses what it cannot understand."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import sys
import time
from collections.abc import Awaitable
from contextlib import closing
from pathlib import Path

import pytest

from bot.deadline import Deadline
from bot.errors import AlreadyRunning, DatabaseLocked, DatabaseUnusable, ExitCode, SchemaTooNew, StoreUnavailable
from bot.store import database as module
from bot.store import schema
from bot.store.database import Database, rehearse_migrations
from bot.store.image_store import ImageStore
from bot.store.schema import Migration, migrations

SNAPSHOT = Path(__file__).with_name("schema.sql")


async def test_schema_equals_the_snapshot(database: Database) -> None:
    """A change of schema shows up as a diff of one readable file."""
    rows = await database.fetch_all("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name")
    assert "\n\n".join(row["sql"] + ";" for row in rows) + "\n" == SNAPSHOT.read_text("utf-8")


async def test_second_copy_is_refused_while_the_first_is_open(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    async with Database.open(path):
        with pytest.raises(AlreadyRunning, match="already using"):
            async with Database.open(path):
                pass
    async with Database.open(path):
        pass  # and welcome again once the first has left


async def test_refusal_names_the_process_that_has_the_database_and_how_to_stop_it(tmp_path: Path) -> None:
    """Such as one that `uv run`, killed with −9, left behind."""
    path = tmp_path / "test.db"
    code = (
        "import sys, filelock\n"
        "with filelock.FileLock(sys.argv[1]):\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.readline()"
    )
    command = [sys.executable, "-c", code, str(path.with_suffix(".lock"))]
    pipe = asyncio.subprocess.PIPE
    other = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert other.stdout is not None
    await other.stdout.readline()
    with pytest.raises(AlreadyRunning) as raised:
        async with Database.open(path):
            pass
    await other.communicate(b"\n")
    told = str(raised.value)
    assert f"(process {other.pid}, since {time.localtime().tm_year}-" in told
    assert sys.executable in told
    stop = "taskkill /F /PID" if sys.platform == "win32" else "kill"
    assert f"stop it first with `{stop} {other.pid}`" in told


async def test_newer_database_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(SchemaTooNew, match="999"):
        async with Database.open(path):
            pass
    with pytest.raises(SchemaTooNew):
        rehearse_migrations(path)


@pytest.mark.parametrize("content", [b"this is not a database, but it is long enough " * 50, b"\0" * 5000])
async def test_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "test.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseUnusable, match="cannot be used"):
        async with Database.open(path):
            pass
    assert path.read_bytes() == content


async def test_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test.db").mkdir()
    with pytest.raises(DatabaseUnusable):
        async with Database.open(tmp_path / "test.db"):
            pass


async def test_failing_migration_leaves_schema_version_and_rows_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "test.db"
    async with Database.open(path) as database:
        await database.fetch_all("INSERT INTO settings (key, value) VALUES ('kept', 'yes')")
    known = migrations()
    broken = Migration(known[-1].version + 1, "9999_broken.sql", "DELETE FROM settings; SELECT no_such_function();")
    monkeypatch.setattr(schema, "migrations", lambda: [*known, broken])
    with pytest.raises(DatabaseUnusable, match="no_such_function"):
        async with Database.open(path):
            pass
    with pytest.raises(DatabaseUnusable, match="no_such_function"):
        rehearse_migrations(path)
    monkeypatch.undo()
    async with Database.open(path) as database:
        assert (await database.fetch_one("SELECT value FROM settings WHERE key = 'kept'")) is not None


async def test_migration_of_a_database_in_use_leaves_a_backup_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "test.db"
    async with Database.open(path):
        pass
    assert list(tmp_path.glob("test.v*.db")) == []  # a new file needs none
    known = migrations()
    newer = Migration(known[-1].version + 1, "9999_newer.sql", "CREATE TABLE newer (id INTEGER);")
    monkeypatch.setattr(schema, "migrations", lambda: [*known, newer])
    assert rehearse_migrations(path) == ["9999_newer.sql"]
    async with Database.open(path) as database:
        assert await database.fetch_all("SELECT * FROM newer") == []
    (backup,) = tmp_path.glob(f"test.v{known[-1].version}.*.db")
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (known[-1].version,)


async def test_lock_of_another_program_is_a_passing_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_TIMEOUT_MS", 50)
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.05)
    path = tmp_path / "test.db"
    async with Database.open(path) as database:
        write = "INSERT INTO settings (key, value) VALUES (:key, 'x')"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable) as trouble:
                await database.fetch_all(write, {"key": "now"})
            assert not trouble.value.is_full
            tries = []

            def statement() -> Awaitable[object]:
                tries.append(write)
                return database.fetch_all(write, {"key": "later"})

            insisting = asyncio.create_task(module.retry_until_stored(statement, Deadline()))
            async with asyncio.timeout(5):
                while len(tries) < 2:
                    await asyncio.sleep(0.01)
            other.execute("COMMIT")
        await asyncio.wait_for(insisting, 5)
        assert [row["key"] for row in await database.fetch_all("SELECT key FROM settings")] == ["later"]


async def test_statement_that_waits_for_a_lock_holds_nobody_up_and_can_be_given_up(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    async with Database.open(path) as database:
        write = "INSERT INTO settings (key, value) VALUES ('late', 'x')"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writing = [asyncio.create_task(database.fetch_all(write)) for _ in range(5)]
            await asyncio.sleep(0)  # they are before it
            started = time.monotonic()
            assert await database.fetch_all("SELECT * FROM settings") == []
            assert time.monotonic() - started < module.BUSY_TIMEOUT_MS / 1000  # and not five times that
            for task in writing:
                task.cancel()
            await asyncio.wait(writing)
            assert all(task.cancelled() for task in writing)
            other.execute("COMMIT")


async def test_full_database_is_told_from_a_locked_one(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "test.db") as database:
        pages = (await database.fetch_all("PRAGMA page_count"))[0][0]
        await database.fetch_all(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreUnavailable) as trouble:
            await database.fetch_all(
                "INSERT INTO settings (key, value) VALUES ('big', :value)", {"value": "x" * 100_000}
            )
        assert trouble.value.is_full


async def test_folder_that_cannot_be_used_is_told_with_its_own_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(DatabaseUnusable, match=r"file is no folder; set \[storage\] data_dir to a folder"):
            async with Database.open(folder / "test.db"):
                pass

    def mkdir(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(DatabaseUnusable, match=r"Read-only file system; give the bot's user the right to write"):
        async with Database.open(tmp_path / "data" / "test.db"):
            pass


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
async def test_folders_of_data_are_for_the_bots_user_alone(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "data" / "test.db"):
        images = ImageStore(tmp_path / "data" / "images")
        await images.free_bytes()
        await images.write(1, b"png")
    for folder in ("data", "data/images", "data/images/00000"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700


def test_rehearsal_of_a_missing_file_names_every_migration_and_creates_nothing(tmp_path: Path) -> None:
    assert rehearse_migrations(tmp_path / "none.db") == [migration.name for migration in migrations()]
    assert list(tmp_path.iterdir()) == []


def test_migrations_are_numbered_without_gaps() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))


# ── damage that shows after opening ─────────────────────────────────────────────────────────────────────


async def fill(path: Path) -> None:
    """A database of some fifty pages, with its -wal file written back."""
    async with Database.open(path) as database:
        for number in range(200):
            values = {"key": f"key {number}", "value": "x" * 900}
            await database.fetch_all("INSERT INTO settings (key, value) VALUES (:key, :value)", values)
        await database.fetch_all("PRAGMA wal_checkpoint(TRUNCATE)")


def scribble(path: Path, start: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(os.urandom(path.stat().st_size - start))


def cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def drop(path: Path, what: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(what)
        connection.commit()


def spoil(path: Path, what: bytes) -> None:
    data = path.read_bytes()
    assert what in data
    path.write_bytes(data.replace(what, what[:-1] + b"\x80", 1))


DAMAGES = {
    "leaf pages": lambda path: scribble(path, 20 * 4096),
    "root pages": lambda path: scribble(path, 4096),
    "cut tail": lambda path: cut(path, 20 * 4096),
    "cut inside a page": lambda path: cut(path, 20 * 4096 + 7),
    "missing table": lambda path: drop(path, "DROP TABLE settings"),
    "missing column": lambda path: drop(path, "ALTER TABLE settings DROP COLUMN value"),
    "name that is no text": lambda path: spoil(path, b"jobs_by_card ON jobs"),  # nor is SQLite's message about it
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_is_told_in_one_sentence_with_the_way_out(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "test.db"
    await fill(path)
    DAMAGES[damage](path)
    with pytest.raises(DatabaseUnusable, match=r"it is damaged \(.+\); restore a backup") as told:
        async with Database.open(path) as database:
            with pytest.raises(StoreUnavailable):
                await database.fetch_all("SELECT value FROM settings ORDER BY value")
            await asyncio.wait_for(database.watch(), 5)
    assert told.value.exit_code == ExitCode.USAGE  # no supervisor starts it again and again
    with pytest.raises(DatabaseUnusable, match="restore a backup"):
        rehearse_migrations(path)


async def test_damage_that_shows_while_running_is_told_whoever_meets_it(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    await fill(path)
    async with Database.open(path) as database:
        watching = asyncio.create_task(database.watch())
        await database.fetch_all("PRAGMA cache_size = 0")
        scribble(path, 4096)
        with pytest.raises(StoreUnavailable) as trouble:
            await database.fetch_all("SELECT value FROM settings ORDER BY value")
        assert not trouble.value.is_full
        with pytest.raises(DatabaseUnusable, match="damaged"):
            await asyncio.wait_for(watching, 5)


async def test_lock_of_another_program_at_the_start_is_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_TIMEOUT_MS", 50)
    path = tmp_path / "test.db"
    await fill(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseLocked, match="another program has locked it; close the program") as told:
            async with Database.open(path):
                pass
    assert told.value.exit_code == ExitCode.FAILED  # a supervisor may try again
    async with Database.open(path):
        pass


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (sqlite3.SQLITE_FULL, "its disk is full; free some space"),
        (sqlite3.SQLITE_READONLY, "attempt to write; give the bot's user the right"),
        (sqlite3.SQLITE_READONLY | 8 << 8, "attempt to write; give the bot's user the right"),
        (sqlite3.SQLITE_CANTOPEN, "attempt to write; give the bot's user the right"),
        (sqlite3.SQLITE_IOERR | 2 << 8, "its disk fails"),
    ],
)
async def test_database_that_takes_no_write_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, text: str
) -> None:
    path = tmp_path / "test.db"
    await fill(path)
    import aiosqlite

    executescript = aiosqlite.Connection.executescript

    def refuse(connection: aiosqlite.Connection, script: str) -> object:
        assert "BEGIN IMMEDIATE" in script
        trouble = sqlite3.OperationalError("attempt to write")
        trouble.sqlite_errorcode = error
        raise trouble

    monkeypatch.setattr(aiosqlite.Connection, "executescript", refuse)
    with pytest.raises(DatabaseUnusable, match=text):
        async with Database.open(path):
            pass
    monkeypatch.setattr(aiosqlite.Connection, "executescript", executescript)
    async with Database.open(path):
        pass


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
async def test_files_are_for_the_bots_user_alone_whatever_they_and_the_folder_were_before(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o777)
    path = folder / "test.db"
    await fill(path)
    path.chmod(0o666)
    async with Database.open(path) as database:
        await database.fetch_all("INSERT INTO settings (key, value) VALUES ('key', 'x')")
        modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert modes == dict.fromkeys(("test.db", "test.db-wal", "test.db-shm", "test.lock"), 0o600)


async def test_text_that_is_no_utf_8_spoils_no_other_row(database: Database) -> None:
    await database.fetch_all("INSERT INTO settings (key, value) VALUES ('bad', CAST(x'ff41' AS TEXT)), ('good', 'yes')")
    rows = await database.fetch_all("SELECT value FROM settings ORDER BY key")
    assert [row["value"] for row in rows] == ["\ufffdA", "yes"]


@pytest.mark.skipif(os.name == "nt", reason="devices and pipes of POSIX")
@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/dev/null"), lambda path: os.mkfifo(path)])
async def test_device_in_place_of_the_file_is_refused_and_keeps_its_rights(tmp_path: Path, make) -> None:
    path = tmp_path / "test.db"
    make(path)
    before = path.stat().st_mode
    with pytest.raises(DatabaseUnusable, match="it is no file, but a device or a pipe"):
        async with asyncio.timeout(5), Database.open(path):
            pass
    assert path.stat().st_mode == before


@pytest.mark.skipif(os.name == "nt", reason="Windows deletes and replaces no file that is open")
@pytest.mark.parametrize("how", ["deleted", "emptied", "replaced"])
async def test_file_that_is_taken_away_while_running_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    path = tmp_path / "test.db"
    await fill(path)
    async with Database.open(path) as database:
        looks, is_gone = [], database._is_gone
        monkeypatch.setattr(database, "_is_gone", lambda: looks.append(1) or is_gone())
        watching = asyncio.create_task(database.watch())
        async with asyncio.timeout(5):
            while len(looks) < 2 and not watching.done():  # at the second, the first has found nothing
                await asyncio.sleep(0.01)
        assert not watching.done()
        if how == "deleted":
            path.unlink()
        elif how == "emptied":
            cut(path, 0)
        else:
            path.rename(tmp_path / "moved.db")
            path.write_bytes(b"x" * 4096)
        with pytest.raises(DatabaseUnusable, match="was moved away, deleted or emptied while the bot ran"):
            await asyncio.wait_for(watching, 5)
