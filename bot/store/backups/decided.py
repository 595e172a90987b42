"""What was deleted, removed and forbidden after a backup was made, as the database that it replaces tells.

Only if both are of one bot, which is so if their pseudonyms have the same key. All of this blocks.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Final

from bot.store.database import SQLITE_ERRORS
from bot.store.pseudonyms import KEY_SETTING
from bot.store.read_only import read_only_uri

log = logging.getLogger(__name__)

OF_MODERATORS: Final = ("bans", "blocked_words")  # as they are now, also what was lifted


def attach(connection: sqlite3.Connection, replaced: Path) -> bool:
    """Attach the database that is replaced, as `replaced`, before anything is begun. False if it cannot be read.

    The connection has to take URIs.
    """
    if not replaced.exists():
        return False
    try:
        connection.execute("ATTACH ? AS replaced", (read_only_uri(replaced),))
        connection.execute("SELECT COUNT(*) FROM replaced.sqlite_master").fetchone()
    except SQLITE_ERRORS as error:
        _say_unreadable(error)
        return False
    return True


def carry_over(connection: sqlite3.Connection) -> None:
    """Bring what was decided into a restored database, all of it or, if the replaced one is damaged, none.

    A row of a job that was deleted or removed since takes the place of that in the backup: nothing of the image is
    left in it.

    Raises:
        sqlite3.Error: the restored database cannot be written.
    """
    connection.execute("SAVEPOINT decided")
    try:
        if _are_of_one_bot(connection):
            _carry_over(connection)
    except SQLITE_ERRORS as error:
        connection.execute("ROLLBACK TO decided")
        _say_unreadable(error)
    connection.execute("RELEASE decided")


def _are_of_one_bot(connection: sqlite3.Connection) -> bool:
    row = connection.execute(
        "SELECT 1 FROM main.settings JOIN replaced.settings USING (key, value) WHERE key = ?", (KEY_SETTING,)
    ).fetchone()
    return row is not None


def _carry_over(connection: sqlite3.Connection) -> None:
    columns = ", ".join(_shared_columns(connection, "jobs") - {"id"})
    connection.execute(
        f"""
        UPDATE main.jobs
        SET ({columns}) = (SELECT {columns} FROM replaced.jobs AS now WHERE now.id = main.jobs.id)
        WHERE (id, request_key) IN (
            SELECT id, request_key FROM replaced.jobs WHERE erased_at IS NOT NULL OR moderated_reason IS NOT NULL
        )
        """
    )
    for table in OF_MODERATORS:
        columns = ", ".join(_shared_columns(connection, table))
        connection.execute(f"DELETE FROM main.{table}")
        connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM replaced.{table}")


def _shared_columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """The columns that both have, without those that SQLite computes; the replaced one may be of an earlier release."""
    main, replaced = (
        {str(row[1]) for row in connection.execute(f"PRAGMA {schema}.table_info({table})")}
        for schema in ("main", "replaced")
    )
    return main & replaced


def _say_unreadable(error: BaseException) -> None:
    log.warning(
        "what was removed or forbidden since is not known, because the database that is replaced is damaged: %s", error
    )
