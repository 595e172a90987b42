"""What `imagine-bot check` wants to know of a database file without opening it for work. Blocks; writes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bot.store import spec_codec
from bot.store.database import SQLITE_ERRORS, readable


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a start would meet in the rows."""

    unreadable: tuple[int, ...] = ()  # numbers of waiting jobs that this release cannot draw
    last_number: int = 0  # the highest that a job ever had


def look(path: Path) -> Contents:
    """Read the rows of a database; of one that is not there or cannot be read, nothing."""
    try:
        with closing(sqlite3.connect(f"file:{path.resolve().as_posix()}?mode=ro", uri=True)) as connection:
            connection.text_factory = readable
            waiting = connection.execute("SELECT id, spec FROM jobs WHERE status IN ('queued', 'running')").fetchall()
            last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
    except (*SQLITE_ERRORS, OSError):
        return Contents()
    return Contents(
        unreadable=tuple(number for number, spec in waiting if spec_codec.decode(spec)[1] is not None),
        last_number=last[0] if last is not None and isinstance(last[0], int) else 0,
    )
