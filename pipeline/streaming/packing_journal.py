"""What is already in a packed file that is not finished, so that packing goes on there after an interruption.

A text file beside it: what is being packed, then a line per block that was written. A line says what the block's
bytes sum up to, so a line that is there too early, or bytes that did not reach the disk, are told by comparing them.
Whatever is wrong with the file, packing starts over. Must not know what blocks hold.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Final

from pipeline.atomic_file import clear
from pipeline.streaming.block_packing import Loss

_MOST_BYTES: Final = 2**24
_KEYS: Final = {"block", "crc32", "lost", "whole"}


class PackingJournal:
    """Blocks that were written, by name, with their checksums and what was lost in them."""

    def __init__(self, path: Path, head: bytes) -> None:
        """`head` is what the packed file will begin with, checksums apart: the same only if everything is the same."""
        self._path = path
        self._first = hashlib.sha256(head).hexdigest()

    def read(self) -> dict[str, tuple[str, Loss]]:
        """What an earlier process wrote of the same; empty if that is of no use."""
        try:
            if self._path.is_symlink() or not self._path.is_file() or self._path.stat().st_size > _MOST_BYTES:
                return {}
            first, *lines = self._path.read_text("utf-8").splitlines()
        except (OSError, ValueError):
            return {}
        found: dict[str, tuple[str, Loss]] = {}
        for line in lines if first == self._first else ():
            entry = _entry(line)
            if entry is None:  # a line that was cut off; none can be meant to follow it
                break
            found[entry[0]] = entry[1:]
        return found

    def begin(self) -> None:
        """Start over.

        Raises:
            OSError
        """
        clear(self._path)
        self._path.write_text(f"{self._first}\n", "utf-8")

    def add(self, block: str, checksum: str, loss: Loss) -> None:
        """Note a block that was written.

        Raises:
            OSError
        """
        line = json.dumps({"block": block, "crc32": checksum, "lost": loss.lost, "whole": loss.whole})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def clear(self) -> None:
        """Delete it.

        Raises:
            OSError
        """
        clear(self._path)


def _entry(line: str) -> tuple[str, str, Loss] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or entry.keys() != _KEYS:
        return None
    block, checksum, loss = entry["block"], entry["crc32"], (entry["lost"], entry["whole"])
    if not isinstance(block, str) or not isinstance(checksum, str):
        return None
    if not all(isinstance(each, float) and math.isfinite(each) and each >= 0 for each in loss):
        return None
    return block, checksum, Loss(*loss)
