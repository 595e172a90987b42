"""The SQLite file: open it alone, migrate it, run statements on it. Knows no tables.

One connection on one thread (aiosqlite), in autocommit: every method of the stores above is one statement
with its condition inside, so no await can fall between looking and taking.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import aiosqlite
from filelock import FileLock, Timeout

from bot.errors import AlreadyRunning, DatabaseUnusable, SchemaTooNew, StoreUnavailable

BUSY_TIMEOUT_MS: Final = 5000
PRIMARY_CODE: Final = 0xFF  # of an extended result code
PASSING_TROUBLES: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY}
)
RETRY_S: Final = 5.0
LET_WRITE: Final = "give the bot's user the right to write there, or set [storage] data_dir"
NAME_A_FOLDER: Final = "set [storage] data_dir to a folder"

SqlValue = str | int | float | None
T = TypeVar("T")

log = logging.getLogger(__name__)


class Migration(NamedTuple):
    """One numbered script; the number becomes SQLite's `user_version`."""

    version: int
    name: str
    sql: str


class Database:
    """An open database. Use `open`; statements may be awaited from any task of the one event loop."""

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[Database]:
        """Lock, open and migrate the file, creating it if needed; close it on leaving.

        A non-empty database is copied beside itself before its first migration.

        Raises:
            AlreadyRunning: another process has it.
            SchemaTooNew: a newer release wrote it.
            DatabaseUnusable: not a database, damaged, or in a folder that cannot be made or written.
        """
        async with AsyncExitStack() as stack:
            try:
                # Prompts, pictures and the page's secret are nobody else's on this machine.
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                # The kernel drops this lock with the process, on kill −9 too.
                lock = FileLock(path.with_suffix(".lock"), timeout=0, thread_local=False)
                stack.enter_context(lock)
                # A refusal to open is met here: aiosqlite leaves a thread behind that reports to a closed loop.
                sqlite3.connect(path).close()
                # Closed on every way out: the connection's thread is no daemon and would keep the process alive.
                connection = await stack.enter_async_context(aiosqlite.connect(path, isolation_level=None))
                connection.row_factory = sqlite3.Row
                database = cls(connection, path)
                await database._prepare()
            except Timeout as error:
                raise AlreadyRunning(path) from error
            except OSError as error:
                if (file := file_in_the_way(path.parent)) is not None:
                    raise DatabaseUnusable(path, f"{file} is no folder", way_out=NAME_A_FOLDER) from error
                raise DatabaseUnusable(path, error.strerror or str(error), way_out=LET_WRITE) from error
            except sqlite3.DatabaseError as error:
                raise DatabaseUnusable(path, str(error)) from error
            yield database

    async def fetch_all(self, sql: str, values: Mapping[str, SqlValue] | None = None) -> list[sqlite3.Row]:
        """Run one statement and return all its rows; `RETURNING` counts as rows.

        Raises:
            StoreUnavailable: locked for longer than the busy timeout, full, or an I/O error: nothing happened.
        """
        try:
            return list(await self._connection.execute_fetchall(sql, values or {}))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY_CODE in PASSING_TROUBLES:
                is_full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
                raise StoreUnavailable(str(error), is_full=is_full) from error
            raise

    async def fetch_one(self, sql: str, values: Mapping[str, SqlValue] | None = None) -> sqlite3.Row | None:
        """Run one statement and return its first row, or None."""
        rows = await self.fetch_all(sql, values)
        return rows[0] if rows else None

    async def _prepare(self) -> None:
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            "synchronous = NORMAL",  # survives a killed process; a power cut may lose the last moments
        ):
            # Rows are fetched: an unread cursor of journal_mode makes the next commit fail.
            await self._connection.execute_fetchall(f"PRAGMA {pragma}")
        await self._migrate()

    async def _migrate(self) -> None:
        found = int((await self.fetch_all("PRAGMA user_version"))[0][0])
        pending = pending_migrations(found, self.path)
        if pending and found:
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
            backup = self.path.with_name(f"{self.path.stem}.v{found}.{stamp}.db")
            await self._connection.execute_fetchall("VACUUM INTO :backup", {"backup": str(backup)})
        for migration in pending:
            try:
                await self._connection.executescript(_as_transaction(migration))
            except sqlite3.DatabaseError:
                if self._connection.in_transaction:
                    await self._connection.execute_fetchall("ROLLBACK")
                raise


async def insist(statement: Callable[[], Awaitable[T]]) -> T:
    """Run a statement that must not be lost, again and again until the database takes it."""
    while True:
        try:
            return await statement()
        except StoreUnavailable as error:
            log.critical("the database cannot be used, trying again in %.0f s: %s", RETRY_S, error)
            await asyncio.sleep(RETRY_S)


def migrations() -> list[Migration]:
    """Every migration that ships, in order."""
    folder = resources.files("bot.store") / "migrations"
    scripts = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name)
    return [Migration(int(item.name[:4]), item.name, item.read_text("utf-8")) for item in scripts]


def pending_migrations(found: int, path: Path) -> list[Migration]:
    """What a database of version `found` lacks.

    Raises:
        SchemaTooNew
    """
    known = migrations()
    if found > known[-1].version:
        raise SchemaTooNew(path, found=found, known=known[-1].version)
    return [migration for migration in known if migration.version > found]


def file_in_the_way(folder: Path) -> Path | None:
    """What stands where `folder`, or one of the folders around it, should be; None if nothing does."""
    with suppress(OSError):  # it may not be looked at
        return next((place for place in (folder, *folder.parents) if place.exists() and not place.is_dir()), None)
    return None


def rehearse_migrations(path: Path) -> list[str]:
    """Try on a copy in memory what opening `path` would do; names of the scripts that would run.

    Blocks; touches nothing on disk. A missing file counts as an empty database.

    Raises:
        SchemaTooNew, DatabaseUnusable
    """
    try:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
            if path.exists():
                with closing(sqlite3.connect(f"file:{path.resolve().as_posix()}?mode=ro", uri=True)) as original:
                    original.backup(copy)
            found = int(copy.execute("PRAGMA user_version").fetchone()[0])
            pending = pending_migrations(found, path)
            for migration in pending:
                copy.executescript(_as_transaction(migration))
            return [migration.name for migration in pending]
    except sqlite3.DatabaseError as error:
        raise DatabaseUnusable(path, str(error)) from error


def _as_transaction(migration: Migration) -> str:
    """The script and the note that it ran, all or nothing."""
    return f"BEGIN IMMEDIATE;\n{migration.sql}\nPRAGMA user_version = {migration.version};\nCOMMIT;"
