"""Image files: written whole or not at all, found, deleted. Knows no jobs.

Every method that touches files runs on another thread than the event loop and the GPU's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

FILES_PER_FOLDER: Final = 1000  # folders with very many files are slow to list and to back up


class ImageStore:
    """A folder of PNG files, named by number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def write(self, number: int, png: bytes) -> str:
        """Write one file so that it is there whole or not at all; writing a number again replaces it.

        Returns:
            The path relative to the folder.

        Raises:
            OSError: the disk is full or not writable; nothing is left behind.
        """
        return await asyncio.to_thread(self._write, number, png)

    def find(self, relative: str) -> Path | None:
        """The file, or None if it is gone or the path leads outside the folder."""
        path = (self._folder / relative).resolve()
        return path if path.is_relative_to(self._folder.resolve()) and path.is_file() else None

    async def delete(self, relative: str) -> bool:
        """Delete the file; False if the system does not let us now (Windows, while it is being uploaded)."""
        if (path := self.find(relative)) is not None:
            try:
                await asyncio.to_thread(path.unlink, missing_ok=True)
            except OSError as error:
                log.warning("a picture cannot be deleted now: %s", error)
                return False
        return True

    async def sweep(self) -> None:
        """Delete what a crash left half written."""

        def sweep() -> None:
            for part in self._folder.glob("*/*.part"):
                with contextlib.suppress(OSError):
                    part.unlink()

        await asyncio.to_thread(sweep)

    def free_bytes(self) -> int:
        """Free space on the disk that holds the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._folder).free

    def _write(self, number: int, png: bytes) -> str:
        relative = Path(f"{number // FILES_PER_FOLDER:05}") / f"{number}.png"
        path = self._folder / relative
        part = path.with_suffix(".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(png)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        return relative.as_posix()
