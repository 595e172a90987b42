"""Image files: written whole or not at all, found, deleted. Knows no jobs.

Every method that touches files runs on another thread than the event loop and the GPU's.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
import secrets
import shutil
import stat
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Final
from uuid import uuid4

from PIL import Image

from bot.errors import StorageFull
from pipeline.atomic_file import write_atomically
from pipeline.device.gpu import MIB
from pipeline.engine import Reference

log = logging.getLogger(__name__)

IMAGES_FOLDER: Final = "images"  # in the data folder
TRIAL_BYTES: Final = 2**20
SOURCES: Final = "sources"
_KEY: Final = re.compile(r"[0-9a-f]{64}")  # `ImageSpec.source`
FILES_PER_FOLDER: Final = 1000  # folders with very many files are slow to list and to back up


class ImageStore:
    """A folder of PNG files: pictures named by number, and in `sources/` what they are made from, by content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def write(self, number: int, png: bytes) -> str:
        """Write one file so that it is there whole or not at all, under a name that no file had before.

        Numbers come again if a database was moved away, or restored from a backup.

        Returns:
            The path relative to the folder.

        Raises:
            OSError: the disk is full or not writable; nothing is left behind.
        """
        return await asyncio.to_thread(self._write, number, png)

    async def copy(self, relative: str, number: int) -> str:
        """Give the file another name, with another number. Files are never written to, so both may share their bytes.

        Returns:
            The path relative to the folder.

        Raises:
            OSError: it is gone, or the disk is full or not writable; nothing is left behind.
        """
        return await asyncio.to_thread(self._copy, relative, number)

    async def locate(self, relative: str) -> Path | None:
        """The file, or None if it is gone or the path leads outside the folder.

        Raises:
            OSError: something is there that cannot be read, at least now, or the whole folder is not there.
        """
        return await asyncio.to_thread(_locate, self._folder, relative)

    async def find(self, relative: str) -> Path | None:
        """The file, or None if it is gone, the path leads outside the folder, or it cannot be read; never fails."""
        try:
            return await self.locate(relative)
        except OSError as error:
            log.warning("a picture cannot be read: %s", error)
            return None

    async def delete(self, relative: str) -> bool:
        """Delete the file; False if the system does not let us now (Windows, while it is being uploaded)."""
        try:
            await asyncio.to_thread(_unlink, self._folder, relative)
        except OSError as error:
            log.warning("a picture cannot be deleted now: %s", error)
            return False
        return True

    async def write_source(self, key: str, png: bytes) -> None:
        """Keep a picture under its `ImageSpec.source`, or under its key in `ImageSpec.references`.

        Raises:
            OSError: the disk is full or not writable; nothing is left behind.
        """
        await asyncio.to_thread(_write_whole, self._source(key), png)

    async def read_source(self, key: str) -> bytes:
        """The pixels of a kept source: (height, width, RGB) uint8.

        Raises:
            OSError: it is gone or damaged.
        """

        return (await asyncio.to_thread(self._read, key)).tobytes()

    async def read_reference(self, key: str) -> Reference:
        """A kept image that an edit looks at.

        Raises:
            OSError: it is gone or damaged.
        """

        def read() -> Reference:
            picture = self._read(key)
            reference = Reference(pixels=picture.tobytes(), width=picture.width, height=picture.height)
            if reference.key != key:
                raise OSError("an image that an edit looks at is another one")
            return reference

        return await asyncio.to_thread(read)

    async def find_source(self, key: str) -> Path | None:
        """The file of a kept source; None if it is gone or cannot be read; never fails."""
        return await self.find(f"{SOURCES}/{key[:2]}/{key}.png") if _KEY.fullmatch(key) else None

    async def delete_source(self, key: str) -> bool:
        """Delete one kept source; False if the system does not let us now. What is no key names nothing."""
        return await self.delete(f"{SOURCES}/{key[:2]}/{key}.png") if _KEY.fullmatch(key) else True

    async def delete_sources(self, *, kept: Collection[str], before: float) -> None:
        """Delete the sources that no job in `kept` needs; those written after `before` may yet get one."""

        def delete() -> None:
            for path in self._folder.glob(f"{SOURCES}/*/*.png"):
                with contextlib.suppress(OSError):
                    if path.stem not in kept and path.stat().st_mtime < before:
                        path.unlink()

        await asyncio.to_thread(delete)

    async def highest_number(self) -> int:
        """The highest number that a picture here was written with; 0 if there is none."""
        return await asyncio.to_thread(self.highest_number_now)

    def highest_number_now(self) -> int:
        """`highest_number`, where no event loop waits. Blocks."""
        for folder in sorted(
            self._folder.glob("[0-9]*"), key=lambda folder: (len(folder.name), folder.name), reverse=True
        ):
            if numbers := [number for path in folder.glob("*.png") if (number := _number(path)) is not None]:
                return max(numbers)
        return 0

    async def written_before(self, moment: float) -> AsyncIterator[dict[str, int]]:
        """Pictures last written before `moment`, one folder at a time: relative paths, each with its number."""

        def old(folder: Path) -> dict[str, int]:
            found: dict[str, int] = {}
            for path in folder.glob("*.png"):
                with contextlib.suppress(OSError):
                    if (number := _number(path)) is not None and path.lstat().st_mtime < moment:
                        found[path.relative_to(self._folder).as_posix()] = number
            return found

        for folder in await asyncio.to_thread(lambda: sorted(self._folder.glob("[0-9]*"))):
            if found := await asyncio.to_thread(old, folder):
                yield found

    async def sweep(self) -> None:
        """Delete what a crash left half written."""

        def sweep() -> None:
            for part in self._folder.rglob("*.part"):
                with contextlib.suppress(OSError):
                    part.unlink()

        await asyncio.to_thread(sweep)

    async def free_bytes(self) -> int:
        """Free space on the disk that holds the folder."""
        return await asyncio.to_thread(self._free_bytes)

    def _free_bytes(self) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return shutil.disk_usage(self._folder).free

    async def usage(self) -> tuple[int, int]:
        """How many files there are, and their bytes; sources are counted as well. Takes a second for 100,000 files.

        Raises:
            OSError: the folder cannot be read.
        """
        return await asyncio.to_thread(self._usage)

    def _usage(self) -> tuple[int, int]:
        count = size = 0
        waiting = [self._folder] if self._folder.exists() else []
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                        continue
                    with contextlib.suppress(FileNotFoundError):  # deleted at this moment
                        size += entry.stat(follow_symlinks=False).st_size
                        count += 1
        return count, size

    async def demand_room(self, min_free_mib: int) -> None:
        """See that there is room for another image.

        Raises:
            StorageFull: less than `min_free_mib` is free, or the disk does not answer.
        """
        try:
            free_mib = await self.free_bytes() // MIB
        except OSError as error:
            log.error("requests are refused, since no picture could be stored: %s", error)
            raise StorageFull from error
        if free_mib < min_free_mib:
            log.error(
                "the disk is nearly full, requests are refused: %s MiB are free, the floor is %s MiB",
                free_mib,
                min_free_mib,
            )
            raise StorageFull

    async def can_write(self, *, min_free_bytes: int) -> bool:
        """Whether a picture could be saved now: there is room, and a file can be written."""
        return await asyncio.to_thread(self._can_write, min_free_bytes)

    def _can_write(self, min_free_bytes: int) -> bool:
        trial = self._folder / "trial"
        try:
            if self._free_bytes() < min_free_bytes:
                return False
            _write_whole(trial, bytes(TRIAL_BYTES))
            trial.unlink()
        except OSError:
            return False
        return True

    def _write(self, number: int, png: bytes) -> str:
        # Unlike numbers, which begin anew with another database, these names never come again.
        relative = Path(f"{number // FILES_PER_FOLDER:05}") / f"{number}-{secrets.token_hex(8)}.png"
        _write_whole(self._folder / relative, png)
        return relative.as_posix()

    def _copy(self, relative: str, number: int) -> str:
        if (file := _locate(self._folder, relative)) is None:
            raise FileNotFoundError(errno.ENOENT, "is gone", relative)
        new = Path(f"{number // FILES_PER_FOLDER:05}") / f"{number}-{secrets.token_hex(8)}.png"
        target = self._folder / new
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.link(file, target)
        except OSError:  # a file system without links, or one that has enough of this file
            _write_whole(target, file.read_bytes())
        return new.as_posix()

    def _read(self, key: str) -> Image.Image:
        try:
            with Image.open(self._source(key), formats=("PNG",)) as file:
                return file.convert("RGB")
        except (OSError, MemoryError):
            raise
        except Exception as error:  # readers of picture formats raise anything at all on damaged files
            raise OSError("a kept picture is damaged") from error

    def _source(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise OSError(errno.EINVAL, "is no key of a source")
        return self._folder / SOURCES / key[:2] / f"{key}.png"


def _number(path: Path) -> int | None:
    """The number in a picture's name: `42-….png`, or `42.png` of an earlier release. None where it lies elsewhere."""
    match = re.fullmatch(r"([0-9]{1,15})(-[0-9a-f]+)?", path.stem)
    is_ours = match is not None and path.parent.name == f"{int(match[1]) // FILES_PER_FOLDER:05}"
    return int(match[1]) if match is not None and is_ours else None


def _unlink(folder: Path, relative: str) -> None:
    """Delete what has this name, also if it cannot be read; a name that leads outside is nobody's."""
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "is not there, perhaps not mounted", str(folder))
    try:
        path = folder / relative
        if path.parent.resolve().is_relative_to(folder.resolve()) and path.name not in ("", ".."):
            path.unlink(missing_ok=True)
    except (RuntimeError, ValueError, NotADirectoryError):  # a loop of links; a name that no system takes
        return
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # which is nobody's either
            raise


def _locate(folder: Path, relative: str) -> Path | None:
    try:
        root = folder.resolve()
        path = (folder / relative).resolve()
        if not path.is_relative_to(root) or path == root:
            return None
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "is no file", str(path))
        with path.open("rb"):
            return path
    except FileNotFoundError:
        if not folder.is_dir():  # not mounted, perhaps: that says nothing about the file
            raise
        return None
    except (RuntimeError, ValueError) as error:  # a loop of links before Python 3.13; a name that no system takes
        raise OSError(errno.EINVAL, str(error)) from error


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.stem}.{uuid4().hex}.part")  # two may write one source at once
    for folder in (*reversed(path.parent.parents[:2]), path.parent):  # `parents=True` would let others read them
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with write_atomically(path, part=part, mode=0o600) as file:
        file.write(content)
