"""The head of a file of weights: names, shapes and dtypes of its tensors, and where they lie. Nothing else is read.

Files come from strangers, so whatever a head says is compared with the file before it is believed. No torch.
What a file holds is the business of `layouts`.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

from pipeline.catalog.headers.gguf_head import GGUF_MAGIC, parse_gguf
from pipeline.catalog.headers.safetensors_head import parse_safetensors
from pipeline.catalog.headers.strangers import refusal_of
from pipeline.catalog.headers.vocabulary import FETCH_AGAIN, Container, Header, NotWeights, TensorInfo
from pipeline.catalog.parts import Refusal

__all__ = ["FETCH_AGAIN", "Container", "Header", "NotWeights", "Stamp", "TensorInfo", "header_of", "stamp_of"]

Stamp = tuple[int, int]
_FIRST_BYTES: Final = 4096
_MOST_KEPT: Final = 32  # each has some 0.5 MB


def header_of(path: Path) -> Header:
    """Read the head of a safetensors or GGUF file. Milliseconds; kept until the file's size or time changes.

    Raises:
        NotWeights: it is none, or it is not whole.
    """
    return _read(path, stamp_of(path))


def stamp_of(path: Path) -> Stamp:
    """(size, time of the last change in ns) of a regular file.

    Raises:
        NotWeights: there is none, or it is a folder, a pipe, a device.
    """
    try:
        state = path.stat()
    except (OSError, ValueError) as error:
        is_there = not isinstance(error, FileNotFoundError) or path.is_symlink()
        raise NotWeights(path, _unreachable(path, error), is_there=is_there) from error
    if not stat.S_ISREG(state.st_mode):  # opening a pipe would wait for whoever writes to it
        kind = "a folder" if stat.S_ISDIR(state.st_mode) else "a pipe or a device"
        raise NotWeights(
            path, Refusal(what=kind, reason="it is not a file of weights", instead="name a .safetensors or .gguf file")
        )
    return state.st_size, state.st_mtime_ns


@lru_cache(maxsize=_MOST_KEPT)
def _read(path: Path, stamp: Stamp) -> Header:
    try:
        with path.open("rb") as file:
            return _parse(path, file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise NotWeights(path, _unreachable(path, error)) from error


def _parse(path: Path, file: BinaryIO, size: int) -> Header:
    first = file.read(_FIRST_BYTES)
    if (refusal := refusal_of(first, path.suffix)) is not None:
        raise NotWeights(path, refusal)
    if first.startswith(GGUF_MAGIC):
        return parse_gguf(path, file, size)
    return parse_safetensors(path, file, size)


def _unreachable(path: Path, error: Exception) -> Refusal:
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return Refusal(what="a broken link", reason="the file that it points to is not there", instead=FETCH_AGAIN)
    if isinstance(error, FileNotFoundError):
        return Refusal(what="no file", reason="there is nothing of that name", instead="look for a typing error")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "its name means nothing here"
    return Refusal(what="a file that cannot be read", reason=reason, instead="see that this program may read it")
