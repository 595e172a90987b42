"""What was fetched from a repository, noted beside its files: `models_dir/<namespace>/<name>/.revision.json`.

A branch of the hub moves on; the note says which content was taken from it and when, so that a file that the hub has
replaced since is noticed. A note that cannot be read counts as none: files are then compared as if they had been put
there by hand. Knows no hub. No torch.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pipeline.atomic_file import write_atomically

NAME: Final = ".revision.json"
_VERSION: Final = 1
_MOST_BYTES: Final = 4 * 2**20  # some ten thousand files
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LAST_S: Final = 253_402_300_799  # of the year 9999, after which there are no dates


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedFile:
    """The content that a file had when it was fetched, or compared with the hub and found equal.

    sha256: in small letters.
    fetched_at: seconds since 1970.
    """

    size_bytes: int
    sha256: str
    fetched_at: int

    @property
    def day(self) -> str:
        """When that was, as `2026-11-30` in UTC."""
        return datetime.fromtimestamp(self.fetched_at, UTC).date().isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRecord:
    """The note of one repository: files by their path in it, and the revision that was asked for."""

    revision: str = ""
    files: Mapping[str, FetchedFile] = field(default_factory=dict)


def read(folder: Path) -> FetchRecord:
    """Return the note of a repository's folder; an empty one if there is none that makes sense."""
    path = folder / NAME
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return FetchRecord()
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return FetchRecord()
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        return FetchRecord()
    revision, noted = content.get("revision"), content.get("files")
    if not isinstance(revision, str) or not isinstance(noted, dict):
        return FetchRecord()
    read = {name: file for name, each in noted.items() if (file := _read_file(each)) is not None}
    return FetchRecord(revision=revision, files=read)


def write(folder: Path, repo: str, record: FetchRecord) -> None:
    """Replace the note of a repository's folder, as a whole or not at all.

    Raises:
        OSError
    """
    files = {name: asdict(file) for name, file in sorted(record.files.items())}
    content = {"version": _VERSION, "repo": repo, "revision": record.revision, "files": files}
    folder.mkdir(parents=True, exist_ok=True)
    with write_atomically(folder / NAME, part=folder / f"{NAME}.{os.getpid()}") as file:
        file.write(json.dumps(content, indent=1).encode())


def _read_file(content: object) -> FetchedFile | None:
    if not isinstance(content, dict):
        return None
    size, sha256, fetched_at = (content.get(name) for name in ("size_bytes", "sha256", "fetched_at"))
    if type(size) is not int or type(fetched_at) is not int or not 0 <= fetched_at <= _LAST_S:
        return None
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        return None
    return FetchedFile(size_bytes=size, sha256=sha256, fetched_at=fetched_at)
