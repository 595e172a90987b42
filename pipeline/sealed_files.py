"""Files that are kept only to save time: read back as they were written, or not at all.

Anything may lie where one of them should: half a file, another one, a folder, a pipe. Whatever it is costs no more
than the time to make the content again. Must not know what the content is. No torch.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.atomic_file import clear, write_atomically


def read_sealed(path: Path, most_bytes: int) -> bytes | None:
    """What `write_sealed` wrote under this name; None if that is not there, or is damaged."""
    try:
        if not path.is_file() or path.stat().st_size > most_bytes:  # opening a pipe would wait for whoever writes to it
            return None
        seal, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if seal == _seal(path, content) else None


def write_sealed(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write the file with its checksum, whole or not at all.

    Raises:
        OSError
    """
    part = path.with_suffix(".part")
    clear(part)  # of a process that was killed
    with write_atomically(path, part=part, mode=mode) as file:
        file.write(_seal(path, content) + b"\n" + content)


def _seal(path: Path, content: bytes) -> bytes:
    return hashlib.sha256(path.name.encode() + b"\n" + content).hexdigest().encode()
