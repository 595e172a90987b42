"""What `check` reports about the database, the image files and the disk. Blocks; changes nothing.

Tries migrations on a copy in memory only.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.config import BackupConfig, StorageConfig
from bot.errors import OperatorError
from bot.findings import Finding, note, ok, problem
from bot.store import spec_codec
from bot.store.backups.nightly import nightly_backups
from bot.store.database import (
    DATABASE_NAME,
    LET_WRITE,
    NAME_A_FOLDER,
    SQLITE_ERRORS,
    file_in_the_way,
    readable,
    rehearse_migrations,
)
from bot.store.image_store import IMAGES_FOLDER, ImageStore
from bot.store.lock import holder_of
from bot.store.read_only import open_read_only

MIB: Final = 2**20


def preflight(config: StorageConfig, *, is_running: bool) -> list[Finding]:
    """Check the database and the free disk space. Blocks."""
    return [*check_database(config, is_running=is_running), *check_disk(config)]


def is_in_use(config: StorageConfig) -> bool:
    """Return whether a running bot holds the database, as far as this user can see. Blocks."""
    return holder_of(config.data_dir / DATABASE_NAME) is not None


def check_database(config: StorageConfig, *, is_running: bool) -> list[Finding]:
    """Check that the database can be opened, migrated and written. Blocks; migrates a copy in memory only."""
    path = config.data_dir / DATABASE_NAME
    folder = _nearest_folder(path)
    if (file := file_in_the_way(config.data_dir.expanduser().absolute())) is not None:
        return [problem("database", f"{file} is no folder", NAME_A_FOLDER)]
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        pending = rehearse_migrations(path)
    except OSError as error:
        return [problem("database", f"{folder} cannot be written: {error.strerror}", LET_WRITE)]
    except OperatorError as error:
        text, _, way_out = str(error).partition("; ")
        return [problem("database", text, way_out or "see docs/operating.md")]
    if path.exists() and not os.access(path, os.W_OK):
        return [problem("database", f"{path} is read-only", "give the bot's user the right to write it")]
    state = "in use by a running bot" if is_running else "will be created" if not path.exists() else "ready"
    if pending and path.exists():
        state += f", will be brought up to date by {', '.join(pending)}"
    return [ok("database", f"{path} ({state})"), *_check_contents(config, is_running=is_running)]


def _check_contents(config: StorageConfig, *, is_running: bool) -> list[Finding]:
    """Check for rows that this release cannot read, and for images without rows."""
    contents, findings = look(config.data_dir / DATABASE_NAME), []
    if contents.unreadable:
        numbers = ", ".join(f"#{number}" for number in contents.unreadable[:10])
        text = f"{len(contents.unreadable)} waiting job(s) cannot be read by this release and will fail: {numbers}"
        findings.append(note("database", text, "if a later release wrote them, start that one"))
    highest = ImageStore(config.data_dir / IMAGES_FOLDER).highest_number_now()
    if highest > contents.last_number and not is_running:
        text = f"there are images up to number {highest}, and the database knows {contents.last_number or 'none'}"
        way_out = "if it was moved away, replaced, or lost its -wal file: put it back before the bot starts"
        findings.append(note("database", text, way_out))
    return findings


def check_backups(config: BackupConfig) -> list[Finding]:
    """Check that nightly backups can be written, and say when the newest was made. Blocks; writes nothing."""
    if config.folder is None:
        return []
    folder = _nearest_folder(config.folder)
    if (file := file_in_the_way(config.folder.expanduser().absolute())) is not None:
        return [problem("backup", f"{file} is no folder", "set [backup] folder to a folder")]
    if not os.access(folder, os.W_OK | os.X_OK):
        way_out = "give the bot's user the right to write there, or set [backup] folder to another"
        return [problem("backup", f"{folder} cannot be written", way_out)]
    newest = max(nightly_backups(config.folder), default=None)
    if newest is None:
        return [note("backup", f"{config.folder}: none was made yet, the first one follows the next start")]
    return [ok("backup", f"{config.folder}, every night at {config.at}; the newest is {newest.name}")]


def check_disk(config: StorageConfig) -> list[Finding]:
    """Check that free disk space exceeds the floor below which jobs are refused."""
    folder = _nearest_folder(config.data_dir)
    free_mib = shutil.disk_usage(folder).free // MIB
    text = f"{free_mib} MiB free at {folder}, {config.min_free_mib} MiB are the floor"
    if free_mib > config.min_free_mib:
        return [ok("disk", text)]
    return [problem("disk", text, "free some space, or move [storage] data_dir to another disk")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a start would find in the rows."""

    unreadable: tuple[int, ...] = ()  # numbers of waiting jobs that this release cannot draw
    last_number: int = 0  # the highest number that a job ever had


def look(path: Path) -> Contents:
    """Read the rows of a database. Returns empty contents if it is missing or unreadable."""
    try:
        with closing(open_read_only(path)) as connection:
            connection.text_factory = readable
            waiting = connection.execute("SELECT id, spec FROM jobs WHERE status IN ('queued', 'running')").fetchall()
            last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
    except (*SQLITE_ERRORS, OSError):
        return Contents()
    return Contents(
        unreadable=tuple(number for number, spec in waiting if spec_codec.decode(spec)[1] is not None),
        last_number=last[0] if last is not None and isinstance(last[0], int) else 0,
    )


def _nearest_folder(path: Path) -> Path:
    """Return the folder itself, or the nearest parent that exists."""
    path = path.expanduser().absolute()
    return next(place for place in (path, *path.parents) if place.is_dir())
