"""A ZIP file of images, made while it is sent: nothing of it is held but one block."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

BLOCK_BYTES: Final = 256 * 1024


class _Sink:
    """What `zipfile` writes to: it cannot go back in it, and so describes each file after its content."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        """Return what was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def zipped(files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """Return the blocks of a ZIP file, in which images lie as they are; one that cannot be read is left out. Blocks.

    Args:
        files: the name of each in the ZIP file, and where it lies.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]  # never reads
        for name, path in files:
            try:
                source = path.open("rb")
            except OSError as error:
                log.warning("the picture %s cannot be read: %s", path.name, error.strerror)
                continue
            with source, archive.open(zipfile.ZipInfo(name), "w") as entry:
                while block := source.read(BLOCK_BYTES):
                    entry.write(block)
                    yield sink.take()
            yield sink.take()
    yield sink.take()
