"""The schema of the database: its numbered migrations, and what it consists of. Blocks.

Databases of earlier commits come up to date by the scripts in `migrations/`, forward only.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from bot.errors import SchemaTooNew


class Migration(NamedTuple):
    """One numbered script; the number becomes SQLite's `user_version`."""

    version: int
    name: str
    sql: str


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


def as_transaction(migration: Migration) -> str:
    """The script and the note that it ran, all or nothing."""
    return f"BEGIN IMMEDIATE;\n{migration.sql}\nPRAGMA user_version = {migration.version};\nCOMMIT;"


def migrate_file(path: Path) -> None:
    """Bring a database that nobody works on up to date. Blocks.

    Raises:
        SchemaTooNew, sqlite3.Error
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        for migration in pending_migrations(found, path):
            connection.executescript(as_transaction(migration))


@cache
def looks() -> tuple[str, ...]:
    """Statements that read a row of every table by its columns: what is missing is told at the start."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for migration in migrations():
            fresh.executescript(migration.sql)
        columns = fresh.execute(
            """
            SELECT tables.name, group_concat(columns.name)
            FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
            WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'
            GROUP BY tables.name
            """
        ).fetchall()
    return tuple(f"SELECT {names} FROM {table} LIMIT 1" for table, names in columns)


def schema_of(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Return what a database consists of: types and names, and the text of whatever runs by itself.

    Raises:
        sqlite3.Error
    """
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    return {
        (str(kind), str(name), " ".join(str(sql).split()) if kind in ("trigger", "view") else "")
        for kind, name, sql in rows
    }
