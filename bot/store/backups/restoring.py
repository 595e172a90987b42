"""Puts a backup in place of what is there, in an order that may be interrupted anywhere.

    read and checked ──► images, beside those that are there ──► database set aside ──► database replaced

What was deleted, removed or forbidden since stays so, as far as the database that is replaced tells (`decided.py`).
Names of image files never come again, so adding them harms no database; one rename makes the backup the database. What
was there before lies beside it under the name of a copy that an upgrade leaves, where erasures reach it as well. A
backup may come from anywhere: it is read as a stranger's, whole, before anything is changed. All of this blocks.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import secrets
import shutil
import sqlite3
import stat
import tempfile
import zipfile
import zlib
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Final

from filelock import FileLock, Timeout

from bot.errors import BackupUnusable, DatabaseUnusable
from bot.store.backups.decided import attach, carry_over
from bot.store.backups.erased import erased_people, merged, note_erased
from bot.store.backups.manifest import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    BackedUpFile,
    Manifest,
    ManifestUnreadable,
    read_manifest,
)
from bot.store.backups.writing import images_named_in
from bot.store.database import DATABASE_NAME, LET_GO, SQLITE_ERRORS, already_running, readable
from bot.store.database_copies import tables_of_people
from bot.store.image_store import IMAGES_FOLDER, ImageStore
from bot.store.lock import lock_path
from bot.store.pseudonyms import KEY_SETTING, pseudonym_of
from bot.store.read_only import open_read_only
from bot.store.schema import migrate_file, migrations, schema_of
from pipeline.atomic_file import write_atomically

log = logging.getLogger(__name__)

CHUNK_BYTES: Final = 2**20
MAX_NUMBER: Final = 10**15  # of a job; see `continue_numbers`
STAGE_PREFIX: Final = ".restore-"
METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
PNG: Final = b"\x89PNG\r\n\x1a\n"
OVERWRITE: Final = "restore it with --overwrite to put it in place of what is there, which is kept beside it"
OTHER_FILE: Final = "restore another backup"
# Of the process that made the backup: the next start would say that it crashed.
OF_A_PROCESS: Final = ("process.running_since",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was put in place.

    aside: the database that was there before; None if there was none.
    erased_again: people who were erased after the backup was made, and whom the next start erases again.
    """

    made_at: int
    images: int
    aside: Path | None
    erased_again: int


def restore_backup(path: Path, data_dir: Path, *, may_overwrite: bool = False) -> Restored:
    """Put a backup into a data folder. Either everything is in place when this returns, or nothing was replaced.

    Raises:
        BackupUnusable: it is no backup, damaged, hostile, of a newer release, does not fit on the disk, or would
            replace a database without `may_overwrite`.
        AlreadyRunning: a bot works on the data folder.
        DatabaseUnusable: the folder cannot be written.
    """
    database = data_dir / DATABASE_NAME
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(lock_path(database), timeout=0, mode=0o600):
            if database.exists() and database.stat().st_size and not may_overwrite:
                raise BackupUnusable(path, f"there is a database in {data_dir} already", way_out=OVERWRITE)
            _sweep(data_dir)
            with tempfile.TemporaryDirectory(prefix=STAGE_PREFIX, dir=data_dir) as stage:
                manifest = _unpack(path, Path(stage))
                return _put_in_place(path, Path(stage), manifest, data_dir)
    except Timeout as error:
        raise already_running(database) from error
    except OSError as error:
        raise DatabaseUnusable(database, error.strerror or str(error), way_out="nothing was replaced") from error


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────


def _unpack(path: Path, stage: Path) -> Manifest:
    """Check a backup and unpack it.

    Raises:
        BackupUnusable
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BackupUnusable(path, "it is no file")
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            manifest = _manifest_of(path, archive, entries)
            free = shutil.disk_usage(stage).free
            if manifest.total_bytes > free:
                need = f"{manifest.total_bytes / 1e6:.0f} MB, and there is room for {free / 1e6:.0f} MB"
                raise BackupUnusable(path, f"it takes {need}", way_out="free some space")
            if (latest := migrations()[-1].version) < manifest.schema_version:
                versions = f"its database has version {manifest.schema_version}, this program knows {latest}"
                raise BackupUnusable(path, versions, way_out="install the newer release that made it")
            for entry in entries:
                if entry.filename != MANIFEST_NAME:
                    _unpack_file(path, archive, entry, manifest.files[entry.filename], stage)
    except ManifestUnreadable as error:
        raise BackupUnusable(path, str(error), way_out=OTHER_FILE) from error
    except FileNotFoundError as error:
        raise BackupUnusable(path, "there is no such file") from error
    # What `zipfile` and `zlib` raise on damaged files; RuntimeError is for encrypted ones.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise BackupUnusable(path, f"it is no backup, or damaged ({error})", way_out=OTHER_FILE) from error
    except PermissionError as error:
        raise BackupUnusable(path, error.strerror or str(error)) from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Its list of files leads to before its beginning.
        raise BackupUnusable(path, f"it is no backup, or damaged ({error.strerror})", way_out=OTHER_FILE) from error
    _check_database(path, stage / DATABASE_NAME, manifest)
    return manifest


def _manifest_of(path: Path, archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> Manifest:
    """Read the manifest and see that the archive holds exactly what it lists, as files of these sizes.

    Raises:
        BackupUnusable, ManifestUnreadable
    """
    by_name = {entry.filename: entry for entry in entries}
    if len(by_name) != len(entries):
        raise BackupUnusable(path, "it holds two files of one name", way_out=OTHER_FILE)
    if (entry := by_name.pop(MANIFEST_NAME, None)) is None:
        raise BackupUnusable(path, "it is no backup: it has no list of files", way_out=OTHER_FILE)
    if entry.file_size > MAX_MANIFEST_BYTES or entry.compress_type not in METHODS:
        raise BackupUnusable(path, "its list of files is too large", way_out=OTHER_FILE)
    with archive.open(entry) as source:
        manifest = read_manifest(source.read(MAX_MANIFEST_BYTES + 1))
    if by_name.keys() != manifest.files.keys():
        raise BackupUnusable(path, "it does not hold the files that it lists", way_out=OTHER_FILE)
    for name, file in manifest.files.items():
        if by_name[name].file_size != file.bytes or by_name[name].compress_type not in METHODS:
            raise BackupUnusable(path, f"{name} is not as it is listed", way_out=OTHER_FILE)
    return manifest


def _unpack_file(
    path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, listed: BackedUpFile, stage: Path
) -> None:
    target = stage / entry.filename  # one of the names that the manifest allows: none leads out of the folder
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    hashed, size = hashlib.sha256(), 0
    with archive.open(entry) as source, _create(target) as file:
        while chunk := source.read(CHUNK_BYTES):
            size += len(chunk)
            if size > listed.bytes:  # whatever the archive said
                break
            if size == len(chunk) and not _begins_well(entry.filename, chunk):
                raise BackupUnusable(path, f"{entry.filename} is no image", way_out=OTHER_FILE)
            hashed.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if size != listed.bytes or hashed.hexdigest() != listed.sha256:
        raise BackupUnusable(path, f"{entry.filename} is not as it is listed", way_out=OTHER_FILE)


def _begins_well(name: str, chunk: bytes) -> bool:
    return name == DATABASE_NAME or chunk.startswith(PNG)


def _create(path: Path) -> IO[bytes]:
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))


def _check_database(path: Path, database: Path, manifest: Manifest) -> None:
    """See that it is a whole database of this program, with nothing in it that runs by itself but what belongs there.

    Raises:
        BackupUnusable
    """
    try:
        with closing(sqlite3.connect(database)) as connection:
            connection.text_factory = readable
            connection.execute("PRAGMA cell_size_check = ON")
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version != manifest.schema_version:
                raise BackupUnusable(path, "its database is of another version than it says", way_out=OTHER_FILE)
            if schema_of(connection) != _schema_at(version):
                raise BackupUnusable(path, "its database is none of this program", way_out=OTHER_FILE)
            if (damage := connection.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
                raise BackupUnusable(path, f"its database is damaged ({damage})", way_out=OTHER_FILE)
    except SQLITE_ERRORS as error:
        raise BackupUnusable(path, f"its database is damaged ({error})", way_out=OTHER_FILE) from error


def _schema_at(version: int) -> set[tuple[str, str, str]]:
    with closing(sqlite3.connect(":memory:")) as fresh:
        for migration in migrations():
            if migration.version <= version:
                fresh.executescript(migration.sql)
        return schema_of(fresh)


# ── putting in place ────────────────────────────────────────────────────────────────────────────────


def _put_in_place(path: Path, stage: Path, manifest: Manifest, data_dir: Path) -> Restored:
    database, staged = data_dir / DATABASE_NAME, stage / DATABASE_NAME
    erased = merged(erased_people(data_dir), manifest.erased)
    known = erased_people(data_dir)
    for pseudonym, at in manifest.erased.items():  # in a new data folder the list goes on
        if at > known.get(pseudonym, -1):
            note_erased(data_dir, pseudonym, now=at)
    last_number, key = _look_at_old(database)
    highest = max(last_number, ImageStore(data_dir / IMAGES_FOLDER).highest_number_now())
    try:
        migrate_file(staged)
        erased_again = _ready(staged, erased, manifest.made_at, highest, key, database)
        named = {f"{IMAGES_FOLDER}/{image}" for image in images_named_in(staged)}
    except SQLITE_ERRORS as error:
        raise BackupUnusable(path, f"its database cannot be used ({error})", way_out=OTHER_FILE) from error
    images = sorted(named & manifest.files.keys())  # without those that were deleted or removed since
    for name in images:
        _place_image(stage / name, data_dir / name)
    aside = _set_aside(database)
    staged.replace(database)
    _sync_folder(data_dir)
    return Restored(made_at=manifest.made_at, images=len(images), aside=aside, erased_again=erased_again)


def _ready(staged: Path, erased: dict[str, int], made_at: int, highest: int, key: str, replaced: Path) -> int:
    """Bring a restored database up to what happened since. Returns how many people are to be erased again.

    `replaced` is the database whose place it takes, which may not be there; `key` is that of its pseudonyms, "" if that
    is not known: the backup may have been made before there was one.
    """
    with closing(sqlite3.connect(staged.resolve().as_uri(), uri=True, isolation_level=None)) as connection:
        connection.text_factory = readable
        is_attached = attach(connection, replaced)
        connection.execute("BEGIN IMMEDIATE")
        if key:
            connection.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (KEY_SETTING, key))
        if is_attached:
            carry_over(connection)
        again = _people_erased_since(connection, erased, made_at, key)
        connection.executemany("INSERT OR IGNORE INTO erasures VALUES (?, ?, ?)", again)
        for setting in OF_A_PROCESS:
            connection.execute("DELETE FROM settings WHERE key = ?", (setting,))
        # Old messages name jobs by their numbers: none may be given twice.
        known = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'jobs'")
        last = known[0] if known is not None and isinstance(known[0], int) else 0
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (max(last, highest),))
        connection.execute("COMMIT")
    return len(again)


def _people_erased_since(
    connection: sqlite3.Connection, erased: dict[str, int], made_at: int, key: str
) -> list[tuple[str, str, int]]:
    since = {pseudonym: at for pseudonym, at in erased.items() if at >= made_at}
    stored = connection.execute("SELECT value FROM settings WHERE key = ?", (KEY_SETTING,)).fetchone()
    keys = set[bytes]()
    for text in (key, *map(str, stored or ())):
        with suppress(ValueError):
            keys.add(bytes.fromhex(text))
    people = {
        (str(frontend), str(user))
        for table, _ in tables_of_people(connection)
        for frontend, user in connection.execute(
            f"SELECT DISTINCT user_frontend, user_id FROM {table} WHERE user_id IS NOT NULL"
        )
    }
    named = [(person, since.get(pseudonym_of(key, *person))) for person in sorted(people) for key in keys if key]
    return [(*person, at) for person, at in named if at is not None]


def _look_at_old(database: Path) -> tuple[int, str]:
    """The highest number that a job of the database that is replaced ever had, and the key of its pseudonyms.

    0 and "" if that cannot be read.
    """
    number, key = 0, ""
    if database.exists():
        with (
            suppress(*SQLITE_ERRORS),
            closing(open_read_only(database)) as connection,
        ):
            connection.text_factory = readable
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
            number = row[0] if row is not None and isinstance(row[0], int) and 0 <= row[0] <= MAX_NUMBER else 0
            row = connection.execute("SELECT value FROM settings WHERE key = ?", (KEY_SETTING,)).fetchone()
            key = str(row[0]) if row is not None else ""
    return number, key


def _place_image(staged: Path, target: Path) -> None:
    if target.is_file() and _hash(target) == _hash(staged):
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        staged.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # the image folder lies on another disk
            raise
        part = target.with_name(f"{target.stem}.{secrets.token_hex(8)}.part")
        with write_atomically(target, part=part, mode=0o600) as file:
            file.write(staged.read_bytes())


def _set_aside(database: Path) -> Path | None:
    """Keep what is about to be replaced, under the name of a copy that an upgrade leaves.

    Raises:
        DatabaseUnusable: another program holds it.
    """
    if not database.exists():
        return None
    version, side_files = 0, [database.with_name(f"{database.name}{suffix}") for suffix in ("-wal", "-shm")]
    try:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except SQLITE_ERRORS as error:
        log.warning("what is replaced is damaged, and is kept as it is: %s", error)
    else:
        if is_busy:
            raise DatabaseUnusable(database, "another program holds it", way_out=LET_GO)
    moment = datetime.now(UTC)
    while (aside := database.with_name(f"{database.stem}.v{version}.{moment:%Y%m%dT%H%M%S}.db")).exists():
        moment += timedelta(seconds=1)
    try:
        os.link(database, aside)
    except OSError:  # a file system without links
        shutil.copy2(database, aside)
    for file in side_files:  # of a damaged one: they belong to it, and would spoil the other
        if file.exists():
            file.replace(aside.with_name(file.name.replace(database.name, aside.name)))
    return aside


def _sweep(data_dir: Path) -> None:
    """Delete what an interrupted restore unpacked; the lock says that none is at work."""
    for leftover in data_dir.glob(f"{STAGE_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    if os.name != "nt":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
