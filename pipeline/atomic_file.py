"""Files that appear whole or not at all. Must not know what is in them. No torch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def write_atomically(path: Path, *, part: Path, mode: int = 0o666, is_resumable: bool = False) -> Iterator[IO[bytes]]:
    """Open a new file for writing that takes the name `path` once all of it is on the disk.

    If anything goes wrong, also in the `with` block, `path` stays what it was and nothing is left over.

    Args:
        part: name of the file until then, in the same folder; must not exist.
        mode: permissions, less the process's umask.
        is_resumable: `part` may exist and is gone on with, and stays if the process is interrupted.

    Raises:
        OSError
    """
    file = part.open("r+b") if is_resumable and part.exists() else create(part, mode=mode)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the name and not the bytes
        if path.is_dir():
            clear(path)
        part.replace(path)
    except BaseException as error:
        if isinstance(error, Exception) or not is_resumable:
            part.unlink(missing_ok=True)
        raise


def create(path: Path, *, mode: int) -> IO[bytes]:
    """Create a file that must not exist yet, with these permissions from its first moment, and open it for writing.

    Raises:
        OSError
    """
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode))


def clear(path: Path) -> None:
    """Delete whatever has the name of one of our files.

    Raises:
        OSError
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
