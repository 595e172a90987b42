"""The copies that upgrades left beside the database: a person who is erased is erased there, too.

A copy is replaced by one without the person, so that a kill leaves the one or the other. All of this blocks.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from bot.errors import StoreUnavailable
from bot.jobs import UserKey
from bot.store.database import DAMAGE, PRIMARY_CODE, is_full, readable
from bot.store.retention_store import FROM_RESULT

log = logging.getLogger(__name__)

PART: Final = ".part"
_VALUES_OF_MINE: Final = "user_frontend = ? AND user_id = ?"


def copies_of(path: Path) -> list[Path]:
    """The copies of a database that `Database.open` made before it migrated it."""
    name = re.compile(rf"{re.escape(path.stem)}\.v\d+\.\d{{8}}T\d{{6}}\.db")
    return sorted(each for each in path.parent.glob(f"{path.stem}.v*.db") if name.fullmatch(each.name))


def forget_in_copies(path: Path, user: UserKey) -> set[str]:
    """Erase a person from every copy of a database; returns the image files that the copies named as theirs.

    A copy that is no database any more is deleted: nobody could restore it, and whom it names cannot be told.

    Raises:
        StoreUnavailable: a copy is locked, cannot be written, or has no room beside it; those before it are done.
    """
    for leftover in path.parent.glob(f"{path.stem}.v*.db{PART}*"):
        with contextlib.suppress(OSError):
            leftover.unlink()
    images: set[str] = set()
    for copy in copies_of(path):
        try:
            images |= _forget(copy, user)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE not in DAMAGE:
                raise StoreUnavailable(f"{copy.name}: {error}", is_full=is_full(error)) from error
            log.warning("%s is damaged and is deleted, because somebody is to be erased from it", copy.name)
            copy.unlink(missing_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"{copy.name}: {error}", is_full=False) from error
    return images


def _forget(copy: Path, user: UserKey) -> set[str]:
    mine = (user.frontend, user.id)
    # Not read-only: SQLite 3.40 then stumbles over generated columns when it copies.
    with closing(sqlite3.connect(copy)) as original:
        original.text_factory = readable
        tables = dict(tables_of_people(original))
        count = sum(original.execute(f"SELECT COUNT(*) FROM {table} WHERE {_VALUES_OF_MINE}", mine).fetchone()[0]
                    for table in tables)  # fmt: skip
        if not count:
            return set()
        images = original.execute(
            f"SELECT image_path FROM jobs WHERE image_path IS NOT NULL AND {_VALUES_OF_MINE}", mine
        ).fetchall()
        part = copy.with_name(f"{copy.name}{PART}")
        part.touch(mode=0o600)
        original.execute("VACUUM INTO ?", (str(part),))
    with closing(sqlite3.connect(part, isolation_level=None)) as cleaned:
        for table, columns in tables.items():
            if table == "jobs" and "derived_from" in columns:
                _drop_inputs(cleaned, mine, "reference_keys" in columns)
            # Under a pseudonym, a bound outlives its person.
            change = f"UPDATE {table} SET user_id = NULL" if "person" in columns else f"DELETE FROM {table}"
            cleaned.execute(f"{change} WHERE {_VALUES_OF_MINE}", mine)
        cleaned.execute("VACUUM")
    part.replace(copy)
    return {str(path) for (path,) in images}


def _drop_inputs(connection: sqlite3.Connection, mine: tuple[str, str], has_references: bool) -> None:
    """Take out of the rows of others the images that they needed and this person drew, as `made_from` finds them."""
    columns = ["source", "reference_keys"] if has_references else ["source"]
    for column in columns:
        connection.execute(f"CREATE INDEX by_origin_and_{column} ON jobs (derived_from) WHERE {column} <> ''")
    steps = "".join(
        f"""
            UNION
            SELECT jobs.id, jobs.{column}, FALSE FROM made_from
            JOIN jobs ON jobs.derived_from = made_from.id
            WHERE jobs.{column} <> ''
              AND (is_mine OR jobs.{column} = made_from.needed OR jobs.derived_by NOT IN {FROM_RESULT})
        """
        for column in columns
    )
    connection.execute(
        f"""
        WITH RECURSIVE made_from (id, needed, is_mine) AS (
            SELECT id, NULL, TRUE FROM jobs WHERE {_VALUES_OF_MINE}
            {steps}
        )
        UPDATE jobs SET spec = json_remove(json_set(spec, '$.source', '', '$.strength', 1.0), '$.references')
        WHERE id IN (SELECT id FROM made_from WHERE NOT is_mine) AND json_valid(spec)
        """,
        mine,
    )
    for column in columns:
        connection.execute(f"DROP INDEX by_origin_and_{column}")


def tables_of_people(connection: sqlite3.Connection) -> Iterator[tuple[str, set[str]]]:
    """The tables whose rows name people, with their columns; jobs last, because rows of others refer to them."""
    rows = connection.execute(
        """
        SELECT tables.name, columns.name
        FROM sqlite_master AS tables, pragma_table_xinfo(tables.name) AS columns
        WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'
        """
    ).fetchall()
    columns: dict[str, set[str]] = {}
    for table, column in rows:
        columns.setdefault(table, set()).add(column)
    named = {table: names for table, names in columns.items() if {"user_frontend", "user_id"} <= names}
    yield from sorted(named.items(), key=lambda each: each[0] == "jobs")
