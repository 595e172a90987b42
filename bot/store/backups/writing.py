"""Makes a backup while the bot runs: a snapshot of the database, then the image files that it names.

The file gets its name once every byte of it was read back and found right. All of this blocks.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from bot.errors import BackupFailed
from bot.store.backups.erased import erased_people
from bot.store.backups.manifest import IMAGE, MANIFEST_NAME, BackedUpFile, Manifest
from bot.store.backups.nightly import PART, WORK_PREFIX
from bot.store.database import DATABASE_NAME, SQLITE_ERRORS, readable
from bot.store.image_store import IMAGES_FOLDER, SOURCES
from bot.store.read_only import open_read_only

CHUNK_BYTES: Final = 2**20
LARGE_BYTES: Final = 2**30  # from here on, an entry is prepared to grow beyond 2 GiB
WAIT_S: Final = 30.0  # for another program that has locked the database


class Stopped(Exception):
    """The process ends, or somebody pressed Ctrl-C; nothing is left of the backup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A backup that was made and verified.

    missing: image files that the database names and that cannot be opened, by their paths in the image folder.
    """

    path: Path
    bytes: int
    images: int
    missing: tuple[str, ...]


def make_backup(
    data_dir: Path,
    path: Path,
    *,
    release: str,
    with_images: bool = True,
    min_free_bytes: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
) -> Backup:
    """Write a backup of a data folder to `path`, also while the bot works on it.

    Args:
        release: of this program, for whoever looks into the file.
        min_free_bytes: that stay free on the disk of the backup.

    Raises:
        BackupFailed: there is no database, no room, something cannot be read or written, or the file is there already.
        Stopped: as `should_stop` wanted.
    """
    database = data_dir / DATABASE_NAME
    if not database.is_file():
        raise BackupFailed(f"there is no database in {data_dir}")
    if os.path.lexists(path):
        raise BackupFailed(f"{path} is there already: name another file")
    part, made_at = path.with_name(f"{path.name}{PART}"), int(time.time())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=path.parent) as folder:
            snapshot = Path(folder) / DATABASE_NAME
            version = _copy_database(database, snapshot)
            images = sorted(images_named_in(snapshot)) if with_images else []
            _check_room(path.parent, snapshot, data_dir, images, min_free_bytes)
            part.unlink(missing_ok=True)
            with _create(part) as file:
                files, missing = _write(file, snapshot, data_dir / IMAGES_FOLDER, images, should_stop)
                manifest = Manifest(
                    release=release,
                    made_at=made_at,
                    schema_version=version,
                    files=files,
                    erased=erased_people(data_dir),
                )
                with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
                    archive.writestr(_entry(MANIFEST_NAME, zipfile.ZIP_DEFLATED), manifest.model_dump_json())
                file.flush()
                os.fsync(file.fileno())
            _verify(part, manifest, should_stop)
        # A link, unlike a rename, replaces nothing that came there meanwhile.
        _take_name(part, path)
    except SQLITE_ERRORS as error:
        raise BackupFailed(f"the database {database} cannot be copied: {error}") from error
    except OSError as error:
        raise BackupFailed(f"{path} cannot be written: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise BackupFailed(f"{path} cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return Backup(path=path, bytes=path.stat().st_size, images=len(files) - 1, missing=tuple(missing))


def _copy_database(database: Path, snapshot: Path) -> int:
    """Copy the database as it is at one moment, without what deleted rows left in it. Returns its schema version.

    Raises:
        BackupFailed: it is damaged.
        sqlite3.Error
    """
    os.close(os.open(snapshot, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with (
        closing(open_read_only(database, timeout_s=WAIT_S)) as original,
        closing(sqlite3.connect(snapshot, isolation_level=None)) as copy,
    ):
        copy.text_factory = readable
        original.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()
        copy.execute("VACUUM")
        if (damage := copy.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
            raise BackupFailed(f"the database {database} is damaged ({damage}), and a copy of it would be, too")
        return int(copy.execute("PRAGMA user_version").fetchone()[0])


def images_named_in(snapshot: Path) -> Iterator[str]:
    """Return the image files that rows name, as paths in the image folder; a damaged name is nobody's."""
    with closing(sqlite3.connect(snapshot)) as connection:
        connection.text_factory = readable
        known = {row[1] for row in connection.execute("PRAGMA table_xinfo(jobs)")}
        keys: set[str] = set()
        for (path,) in connection.execute("SELECT image_path FROM jobs WHERE image_path IS NOT NULL"):
            if IMAGE.fullmatch(f"{IMAGES_FOLDER}/{path}"):
                yield str(path)
        if "source" in known:
            keys |= {str(key) for (key,) in connection.execute("SELECT source FROM jobs WHERE source <> ''")}
        if "reference_keys" in known:
            for (text,) in connection.execute("SELECT reference_keys FROM jobs WHERE reference_keys <> ''"):
                keys |= set(str(text).split(","))
        sources = (f"{SOURCES}/{key[:2]}/{key}.png" for key in keys)
        yield from (each for each in sources if IMAGE.fullmatch(f"{IMAGES_FOLDER}/{each}"))


def _check_room(folder: Path, snapshot: Path, data_dir: Path, images: list[str], min_free_bytes: int) -> None:
    need = snapshot.stat().st_size
    for image in images:
        with suppress(OSError):
            need += (data_dir / IMAGES_FOLDER / image).stat().st_size
    free = shutil.disk_usage(folder).free - min_free_bytes
    if need > free:
        text = f"a backup takes up to {need / 1e6:.0f} MB, and {folder} has room for {max(0, free) / 1e6:.0f} MB"
        raise BackupFailed(f"{text}: free some space, or name a folder on another disk")


def _create(path: Path) -> IO[bytes]:
    return open(path, "x+b", opener=lambda name, flags: os.open(name, flags, 0o600))


def _entry(name: str, compression: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type, entry.external_attr = compression, 0o600 << 16
    return entry


def _write(
    file: IO[bytes], snapshot: Path, images_dir: Path, images: list[str], should_stop: Callable[[], bool]
) -> tuple[dict[str, BackedUpFile], list[str]]:
    files: dict[str, BackedUpFile] = {}
    missing: list[str] = []
    with zipfile.ZipFile(file, "w") as archive:
        with snapshot.open("rb") as source:
            files[DATABASE_NAME] = _add(archive, DATABASE_NAME, source, zipfile.ZIP_DEFLATED, should_stop)
        for image in images:
            name = f"{IMAGES_FOLDER}/{image}"
            try:  # before the archive hears of it: an image that is deleted at this moment spoils nothing
                source = (images_dir / image).open("rb")
            except OSError:
                missing.append(image)
                continue
            with source:
                files[name] = _add(archive, name, source, zipfile.ZIP_STORED, should_stop)
    return files, missing


def _add(
    archive: zipfile.ZipFile, name: str, source: IO[bytes], compression: int, should_stop: Callable[[], bool]
) -> BackedUpFile:
    hashed, size = hashlib.sha256(), 0
    is_large = os.fstat(source.fileno()).st_size >= LARGE_BYTES
    with archive.open(_entry(name, compression), "w", force_zip64=is_large) as target:
        while chunk := source.read(CHUNK_BYTES):
            if should_stop():
                raise Stopped
            hashed.update(chunk)
            size += len(chunk)
            target.write(chunk)
    return BackedUpFile(bytes=size, sha256=hashed.hexdigest())


def _verify(part: Path, manifest: Manifest, should_stop: Callable[[], bool]) -> None:
    """Read everything back from the disk.

    Raises:
        BackupFailed: it is not what was written.
    """
    with zipfile.ZipFile(part) as archive:
        if sorted(archive.namelist()) != sorted([*manifest.files, MANIFEST_NAME]):
            raise BackupFailed(f"{part} does not hold what was written to it: its disk may be broken")
        for name, file in manifest.files.items():
            hashed = hashlib.sha256()
            with archive.open(name) as source:
                while chunk := source.read(CHUNK_BYTES):
                    if should_stop():
                        raise Stopped
                    hashed.update(chunk)
            if hashed.hexdigest() != file.sha256:
                raise BackupFailed(f"{name} reads back differently from {part}: its disk may be broken")


def _take_name(part: Path, path: Path) -> None:
    try:
        os.link(part, path)
    except FileExistsError:
        raise BackupFailed(f"{path} is there already: name another file") from None
    except OSError:  # a file system without links
        part.rename(path)
