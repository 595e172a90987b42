"""Who works on a database, found by who has its lock file open, and whether they still do. Knows no tables.

Trying the lock instead would take it for an instant, and refuse a bot that starts then.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import psutil

OUR_PROCESSES: Final = ("python", "imagine-bot")  # asking every process takes seconds on Windows
COMMAND_CHARS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that has a database."""

    pid: int
    started_at: float
    command: str

    @property
    def description(self) -> str:
        """For a sentence."""
        since = datetime.fromtimestamp(self.started_at).astimezone()
        return f"process {self.pid}, since {since:%Y-%m-%d %H:%M:%S}: {self.command}"

    @property
    def way_out(self) -> str:
        """How to stop it. On Windows only by force: without `/F`, a program in a console refuses."""
        return f"taskkill /F /PID {self.pid}" if os.name == "nt" else f"kill {self.pid}"


def lock_path(database: Path) -> Path:
    """The file that a running bot has locked, beside its database."""
    return database.with_suffix(".lock")


def beat(database: Path) -> None:
    """Give a sign of life that other processes see: the time of the lock file becomes now. Needs no room on the disk.

    Raises:
        OSError: the file is gone, or the disk takes nothing.
    """
    os.utime(lock_path(database))


def fall_silent(database: Path) -> None:
    """Take the last sign of life back: the process ends as it should."""
    with contextlib.suppress(OSError):
        os.utime(lock_path(database), (0, 0))


def last_beat(database: Path) -> float | None:
    """When the bot on a database last gave a sign of life, in seconds since 1970; None if none ran or it was stopped.

    A process that is killed takes nothing back, and one that starts gives its first sign once all parts are built.
    """
    try:
        return lock_path(database).stat().st_mtime or None
    except (OSError, ValueError):
        return None


def holder_of(database: Path) -> Holder | None:
    """The bot that holds a database, as far as this user may know. Blocks: milliseconds, on Windows seconds."""
    path = lock_path(database)
    if not os.path.isfile(path):  # noqa: PTH113 - raises nothing, whatever the name
        return None
    for process in psutil.process_iter():
        try:
            if (
                process.pid != os.getpid()
                and process.name().startswith(OUR_PROCESSES)
                and any(Path(file.path) == path.resolve() for file in process.open_files())
            ):
                command = shlex.join(process.cmdline())[:COMMAND_CHARS]
                return Holder(pid=process.pid, started_at=process.create_time(), command=command)
        except (psutil.Error, OSError):
            continue  # it ended meanwhile, or it is somebody else's
    return None
