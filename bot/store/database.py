"""The SQLite file: open it alone, migrate it, run statements on it. Knows no tables.

One connection on one thread (aiosqlite), in autocommit: every method of the stores above is one statement
with its condition inside, so no await can fall between looking and taking.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import aiosqlite
from filelock import FileLock, Timeout

from bot.deadline import Deadline
from bot.errors import AlreadyRunning, DatabaseLocked, DatabaseUnusable, StoreUnavailable
from bot.retry import Backoff, retry
from bot.store.lock import holder_of, lock_path
from bot.store.read_only import open_read_only
from bot.store.schema import Migration, as_transaction, looks, pending_migrations

DATABASE_NAME: Final = "imagine-bot.db"  # in the data folder
NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)  # for the other side of a pipe; Windows has none
BUSY_TIMEOUT_MS: Final = 5000
BUSY_SLICE_MS: Final = 100
LOCKED_PAUSE_S: Final = (0.04, 0.1)
LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
PRIMARY_CODE: Final = 0xFF  # of an extended result code
PASSING_TROUBLES: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,  # its -wal file, while the process has no file handle left
        sqlite3.SQLITE_PROTOCOL,
    }
)
# What a damaged file leads to. "no such table" has the code of every mistake in SQL: the statements are tested, so
# that it is the table that is gone.
DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
# Instead of an error of SQLite's if its message quotes a damaged name, which is no text: `sqlite3` fails to read it.
UNREADABLE: Final = UnicodeDecodeError
SQLITE_ERRORS: Final = (sqlite3.DatabaseError, UNREADABLE)
MISSING: Final = ("no such table", "no such column", "has no column", "malformed database schema", "cannot modify")
FIRST_RETRY_S: Final = 0.5
MAX_RETRY_S: Final = 5.0
LET_WRITE: Final = "give the bot's user the right to write there, or set [storage] data_dir"
NAME_A_FOLDER: Final = "set [storage] data_dir to a folder"
LET_GO: Final = "close the program that holds it (an editor of databases, a backup), then start again"
MAKE_ROOM: Final = "free some space on its disk, or move [storage] data_dir to another"
LOOK_EVERY_S: Final = 5.0
GONE: Final = "it was moved away, deleted or emptied while the bot ran, and what is asked for now would be lost"
RESTORE: Final = "restore a backup, or move the file away, see “A damaged database” in docs/operating.md"

SqlValue = str | int | float | None
T = TypeVar("T")

log = logging.getLogger(__name__)


class Database:
    """An open database. Use `open`; statements may be awaited from any task of the one event loop."""

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self._is_damaged = asyncio.Event()
        self._damage: DatabaseUnusable | None = None
        status = path.stat()
        self._identity = (status.st_dev, status.st_ino)
        self.path = path

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[Database]:
        """Lock, open and migrate the file, creating it if needed; close it on leaving.

        A non-empty database is copied beside itself before its first migration.

        Raises:
            AlreadyRunning: another process has it.
            SchemaTooNew: a newer release wrote it.
            DatabaseUnusable: not a database, damaged, locked, read-only, on a full disk, or in a folder that cannot be
                made or written.
        """
        async with AsyncExitStack() as stack:
            try:
                # Prompts, pictures and the page's secret are nobody else's on this machine.
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                # The kernel drops this lock with the process, on kill −9 too.
                lock = FileLock(lock_path(path), timeout=0, mode=0o600, thread_local=False)
                stack.enter_context(lock)
                _keep_private(path)
                # A refusal to open is met here: aiosqlite leaves a thread behind that reports to a closed loop.
                sqlite3.connect(path).close()
                # Closed on every way out: the connection's thread is no daemon and would keep the process alive.
                connection = await stack.enter_async_context(aiosqlite.connect(path, isolation_level=None))
                connection.row_factory = sqlite3.Row
                # One damaged text must not spoil a statement that reads the rows of others as well.
                connection.text_factory = readable
                database = cls(connection, path)
                await database._prepare()
                # From now on a statement that another program holds up waits in its task, not on the one thread:
                # others go on, and the task can be cancelled.
                await connection.execute_fetchall(f"PRAGMA busy_timeout = {BUSY_SLICE_MS}")
            except Timeout as error:
                raise already_running(path) from error
            except OSError as error:
                if (file := file_in_the_way(path.parent)) is not None:
                    raise DatabaseUnusable(path, f"{file} is no folder", way_out=NAME_A_FOLDER) from error
                raise DatabaseUnusable(path, error.strerror or str(error), way_out=LET_WRITE) from error
            except (*SQLITE_ERRORS, StoreUnavailable) as error:
                raise unusable(path, error) from error
            yield database

    async def fetch_all(self, sql: str, values: Mapping[str, SqlValue] | None = None) -> list[sqlite3.Row]:
        """Run one statement and return all its rows; `RETURNING` counts as rows.

        Raises:
            StoreUnavailable: locked for longer than the busy timeout, full, an I/O error, or damaged: nothing happened.
        """
        patience, backoff = Deadline(BUSY_TIMEOUT_MS / 1000), Backoff(*LOCKED_PAUSE_S)
        while True:
            try:
                return list(await self._connection.execute_fetchall(sql, values or {}))
            except SQLITE_ERRORS as error:
                code = getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE
                if code in LOCKED and not patience.is_over:
                    await asyncio.sleep(backoff.next_s())
                    continue
                if _is_damage(error):
                    self._damage = self._damage or unusable(self.path, error)
                    self._is_damaged.set()
                    raise StoreUnavailable(str(error), is_full=False) from error
                if code in PASSING_TROUBLES:
                    raise StoreUnavailable(str(error), is_full=code == sqlite3.SQLITE_FULL) from error
                raise

    async def scrub(self) -> None:
        """Write the file anew without what deleted rows left in it, and empty its -wal file.

        Others may read meanwhile, writes wait, or are refused after the busy timeout: 10 s of a processor for 1 000 000
        jobs (1 GiB).

        Raises:
            StoreUnavailable: it is locked by another program, or there is no room for a second copy.
        """
        try:
            await asyncio.to_thread(_vacuum, self.path)
        except sqlite3.Error as error:
            raise StoreUnavailable(str(error), is_full=is_full(error)) from error
        is_busy, *_ = (await self.fetch_all("PRAGMA wal_checkpoint(TRUNCATE)"))[0]
        if is_busy:
            raise StoreUnavailable("another program reads from it", is_full=False)

    async def watch(self) -> NoReturn:
        """Wait until a statement finds the file damaged, or it is gone: nothing can be relied on any more.

        Raises:
            DatabaseUnusable
        """
        while self._damage is None and not await asyncio.to_thread(self._is_gone):
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._is_damaged.wait()
        raise self._damage or DatabaseUnusable(self.path, GONE, way_out=RESTORE)

    def _is_gone(self) -> bool:
        """Whether something else, or nothing, has the name of the file that is written to."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return (status.st_dev, status.st_ino) != self._identity or status.st_size == 0

    async def fetch_one(self, sql: str, values: Mapping[str, SqlValue] | None = None) -> sqlite3.Row | None:
        """Run one statement and return its first row, or None."""
        rows = await self.fetch_all(sql, values)
        return rows[0] if rows else None

    async def _prepare(self) -> None:
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            "synchronous = NORMAL",  # survives a killed process; a power cut may lose the last moments
            # The CHECKs of the schema are for our own mistakes, and hold in the tests. Here a row that breaks one, by
            # damage or by another program, must not make a statement fail that would have moved other rows on.
            "ignore_check_constraints = ON",
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
            _keep_private(backup)
            await self._connection.execute_fetchall("VACUUM INTO :backup", {"backup": str(backup)})
        # Without any migration, one write all the same: a file that takes none is to be told at the start.
        for script in [as_transaction(migration) for migration in pending] or [
            as_transaction(Migration(found, "", ""))
        ]:
            try:
                await self._connection.executescript(script)
            except SQLITE_ERRORS:
                if self._connection.in_transaction:
                    await self._connection.execute_fetchall("ROLLBACK")
                raise
        for look in looks():
            await self._connection.execute_fetchall(look)


async def retry_until_stored(statement: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
    """Run a statement that must not be lost until the database takes it; while the process stops, until `deadline`.

    Raises:
        StoreUnavailable: the deadline is over. What the statement says has to be found out again at the next start.
    """

    def say(error: Exception, pause_s: float) -> None:
        if not deadline.has_begun:
            log.critical("the database cannot be used, trying again in %.1f s: %s", pause_s, error)

    return await retry(
        statement,
        on=StoreUnavailable,
        backoff=Backoff(FIRST_RETRY_S, MAX_RETRY_S),
        deadline=deadline,
        on_failure=say,
    )


def already_running(path: Path) -> AlreadyRunning:
    """Return what is said if another process holds a database. Blocks: milliseconds, on Windows seconds."""
    if (holder := holder_of(path)) is None:
        return AlreadyRunning(path)
    return AlreadyRunning(path, holder=holder.description, way_out=holder.way_out)


def file_in_the_way(folder: Path) -> Path | None:
    """What stands where `folder`, or one of the folders around it, should be; None if nothing does."""
    with suppress(OSError):  # it may not be looked at
        return next((place for place in (folder, *folder.parents) if place.exists() and not place.is_dir()), None)
    return None


def rehearse_migrations(path: Path) -> list[str]:
    """Try on a copy in memory what opening `path` would do; names of the scripts that would run.

    Blocks; touches nothing on disk. A missing file counts as an empty database. Every page is looked at, so that damage
    is found which opening would not meet.

    Raises:
        SchemaTooNew, DatabaseUnusable
    """
    try:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
            copy.text_factory = readable
            if path.exists():
                with closing(open_read_only(path)) as original:
                    original.backup(copy)
            found = int(copy.execute("PRAGMA user_version").fetchone()[0])
            pending = pending_migrations(found, path)
            if found and (damage := copy.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise DatabaseUnusable(path, f"it is damaged ({damage})", way_out=RESTORE)
            for migration in pending:
                copy.executescript(as_transaction(migration))
            for look in looks():
                copy.execute(look).fetchall()
            return [migration.name for migration in pending]
    except SQLITE_ERRORS as error:
        raise unusable(path, error) from error


def _vacuum(path: Path) -> None:
    """On a connection of its own: the one of the statements is not to be held up. Blocks."""
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)) as connection:
        connection.execute("VACUUM")


def is_full(error: sqlite3.Error) -> bool:
    """Whether a statement failed for want of room."""
    return getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE == sqlite3.SQLITE_FULL


def unusable(path: Path, error: Exception) -> DatabaseUnusable:
    """What the operator is to know and to do about an error of SQLite that stops a start, or the service."""
    cause = error.__cause__ if isinstance(error, StoreUnavailable) else error
    match getattr(cause, "sqlite_errorcode", 0) & PRIMARY_CODE:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return DatabaseLocked(path, "another program has locked it", way_out=LET_GO)
        case sqlite3.SQLITE_FULL:
            return DatabaseUnusable(path, "its disk is full", way_out=MAKE_ROOM)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return DatabaseUnusable(path, str(cause), way_out=LET_WRITE)
        case sqlite3.SQLITE_IOERR:
            return DatabaseUnusable(path, f"its disk fails ({cause})", way_out=RESTORE)
    what = "its schema is no text" if isinstance(cause, UNREADABLE) else str(cause)
    return DatabaseUnusable(path, f"it is damaged ({what})" if _is_damage(cause) else what, way_out=RESTORE)


def _is_damage(error: BaseException | None) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE
    return isinstance(error, UNREADABLE) or code in DAMAGE or any(text in str(error) for text in MISSING)


def readable(raw: bytes) -> str:
    """The text of a column, damaged or not."""
    return raw.decode("utf-8", "replace")


def _keep_private(path: Path) -> None:
    """Make the file, or take from others the right to read it: SQLite gives its side files the same rights."""
    opened = os.open(path, os.O_RDWR | os.O_CREAT | NO_WAIT, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(errno.EINVAL, "it is no file, but a device or a pipe")
    finally:
        os.close(opened)
    for file in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm"))):
        with suppress(OSError):  # it is not there, or somebody else's, who may have let us write it
            if stat.S_ISREG(file.stat().st_mode):
                file.chmod(0o600)
