"""Reads what an operator gives: files, if they are files and small, and text of the system. Knows no meaning of it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

NO_FILE: Final = "it is a pipe or a device (as are /dev/stdin and <(…)), and a regular file is needed"


def read_file(path: Path, *, most_bytes: int) -> bytes:
    """What a file holds, as far as it may be: one byte too many shows that it is too large.

    Raises:
        OSError: it cannot be read, or is no regular file: a pipe may never end, nor begin.
        ValueError: no file can have this name.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # of a folder the system says what it is
        raise OSError(errno.EINVAL, NO_FILE, str(path))
    with path.open("rb") as file:
        return file.read(most_bytes + 1)


def read_text(given: str) -> str:
    """Text of the command line or the environment, read as UTF-8 where the locale (`LC_ALL=C`, say) knows less.

    Raises:
        UnicodeError: it is not UTF-8.
    """
    try:
        given.encode()
    except UnicodeEncodeError:  # bytes that the locale could not read stand in it as surrogates
        return os.fsencode(given).decode()
    return given
