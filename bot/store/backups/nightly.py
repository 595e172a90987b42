"""The names of backups, and which files of a folder are nightly ones or half written: no other is ever deleted."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_STAMP: Final = "%Y%m%dT%H%M%SZ"
PART: Final = ".part"
WORK_PREFIX: Final = ".backup-"  # of folders
_HALF: Final = re.compile(rf"imagine-bot-(?:nightly|backup)-\d{{8}}T\d{{6}}Z\.zip{re.escape(PART)}", re.ASCII)
_NIGHTLY: Final = re.compile(r"imagine-bot-nightly-(\d{8}T\d{6}Z)\.zip", re.ASCII)


def backup_name(moment: float, *, kind: str = "backup") -> str:
    """Return the name of a backup that is made at a moment, in Unix seconds."""
    return f"imagine-bot-{kind}-{datetime.fromtimestamp(moment, UTC).strftime(_STAMP)}.zip"


def is_nightly(name: str) -> bool:
    """Whether a file is called like a nightly backup."""
    return _NIGHTLY.fullmatch(name) is not None


def is_half_written(name: str) -> bool:
    """Whether a file or folder is called like what is left of a backup whose process was killed."""
    return name.startswith(WORK_PREFIX) or _HALF.fullmatch(name) is not None


def nightly_backups(folder: Path) -> list[Path]:
    """Return the nightly backups in a folder, oldest first; none if it cannot be read. Blocks."""
    with contextlib.suppress(OSError):
        return sorted(path for path in folder.iterdir() if is_nightly(path.name))
    return []


def made_at(path: Path) -> float:
    """Return when a nightly backup was made, by its name, in Unix seconds; -inf of a day that never was."""
    match = _NIGHTLY.fullmatch(path.name)
    with contextlib.suppress(ValueError):  # the thirtieth of February
        if match is not None:
            return datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC).timestamp()
    return float("-inf")
