"""Opens database files for looking alone: nothing is written, and no file is made where none is."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

WAIT_S: Final = 5.0


def open_read_only(path: Path, *, timeout_s: float = WAIT_S) -> sqlite3.Connection:
    """Open a database for looking; waits up to `timeout_s` seconds for a program that has locked it. Blocks.

    Raises:
        sqlite3.Error
    """
    return sqlite3.connect(read_only_uri(path), uri=True, timeout=timeout_s)


def read_only_uri(path: Path) -> str:
    """Return what SQLite calls a file that it is not to write; see https://sqlite.org/uri.html.

    Characters such as `#` and `?` are masked: else SQLite would make a file whose name ends before them.
    """
    return f"{path.resolve().as_uri()}?mode=ro"
