"""Who was erased and when: pseudonyms in a file beside the database, which no restored backup replaces.

A backup still holds what was erased after it was made. Restoring it reads this list, and whoever is named is erased
again. The file is plain text, a pseudonym and a moment in Unix seconds per line. All of this blocks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FILE_NAME: Final = "erased.txt"
MAX_BYTES: Final = 64 * 2**20
_LINE: Final = re.compile(r"(?P<pseudonym>[0-9a-f]{64}) (?P<at>[0-9]{1,12})", re.ASCII)


def note_erased(data_dir: Path, pseudonym: str, *, now: int) -> None:
    """Add a person to the list, on the disk when this returns. Twice is harmless.

    Raises:
        OSError
    """
    opened = os.open(data_dir / FILE_NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # In a line of its own, whatever a power cut left of the one before.
        os.write(opened, f"\n{pseudonym} {now}\n".encode())
        os.fsync(opened)
    finally:
        os.close(opened)


def erased_people(data_dir: Path) -> dict[str, int]:
    """Return when each person was last erased, by pseudonym; lines that are none are skipped.

    Raises:
        OSError: the file is there and cannot be read.
    """
    people: dict[str, int] = {}
    try:
        with (data_dir / FILE_NAME).open("rb") as file:
            text = file.read(MAX_BYTES).decode("ascii", "replace")
    except FileNotFoundError:
        return {}
    for line in text.splitlines():
        if (match := _LINE.fullmatch(line)) is not None:
            people[match["pseudonym"]] = max(int(match["at"]), people.get(match["pseudonym"], 0))
    return people


def merged(*lists: Mapping[str, int]) -> dict[str, int]:
    """Return several lists as one."""
    people: dict[str, int] = {}
    for each in lists:
        for pseudonym, at in each.items():
            people[pseudonym] = max(at, people.get(pseudonym, 0))
    return people
