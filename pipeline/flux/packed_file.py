"""Packed blocks on disk: written once per checkpoint and format, read at every start after that.

A safetensors file with one run of bytes per block, so that any tool can look inside. It is a cache: whatever is
wrong with it, it is written again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import shutil
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from pipeline.errors import DiskFull, GenerationFailed
from pipeline.flux.packing import ALIGN, Block

log = logging.getLogger(__name__)

VERSION: Final = 2  # of what the bytes mean; raise it with any change of `formats.py` or `packing.py`
SPARE_BYTES: Final = 2**30  # that the disk keeps
WAIT_S: Final = 3600.0  # for another process


class PackedFile(Mapping[str, Tensor]):
    """The bytes of each block (size,) uint8 by name, mapped from a file, not read."""

    def __init__(self, path: Path, start: int, ends: Mapping[str, tuple[int, int]]) -> None:
        # Copy-on-write only because torch wants memory that it might write to.
        mapped = np.memmap(path, np.uint8, "c", offset=start)
        self._mapping: mmap.mmap = mapped._mmap  # type: ignore[attr-defined]
        self._data = torch.from_numpy(mapped)
        self._ends = ends

    def __getitem__(self, name: str) -> Tensor:
        start, end = self._ends[name]
        return self._data[start:end]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ends)

    def __len__(self) -> int:
        return len(self._ends)

    def release(self) -> None:
        """Take what was read off this process's account; it stays in the system's file cache."""
        if hasattr(self._mapping, "madvise"):
            self._mapping.madvise(mmap.MADV_DONTNEED)


def fingerprint(paths: Sequence[Path], kept_as: str) -> str:
    """Names one version of a checkpoint in one format. Reads headers, not weights.

    A file that was changed without changing its size or time is not noticed.
    """
    digest = hashlib.sha256(f"{VERSION} {kept_as}".encode())
    for path in paths:
        status = path.stat()
        with path.open("rb") as file:
            header = file.read(struct.unpack("<Q", file.read(8))[0])
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns} ".encode() + header)
    return digest.hexdigest()


def open_packed(
    path: Path, blocks: Mapping[str, Block], source: str, contents: Iterable[tuple[Block, Tensor]]
) -> PackedFile:
    """The packed file, written first if need be; of several processes one writes and the others wait for it.

    Raises:
        DiskFull: there is no room; nothing was written.
        GenerationFailed: it cannot be read back.
    """
    packed = read_packed(path, blocks, source)
    if packed is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            packed = read_packed(path, blocks, source)
            if packed is None:
                write_packed(path, blocks, source, contents)
                packed = read_packed(path, blocks, source)
    if packed is None:
        raise GenerationFailed(f"{path} cannot be read back")
    return packed


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Be the only process that writes a packed file. Others take minutes at most, so it waits for them."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("another process is packing %s: waiting for it", path.stem)
        lock.acquire(timeout=WAIT_S)
    try:
        yield
    finally:
        lock.release()


def read_packed(path: Path, blocks: Mapping[str, Block], source: str) -> PackedFile | None:
    """Open a packed file; None if it is not what is wanted."""
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            header: Any = json.loads(file.read(length))
        expected, total = _header(blocks, source)
        if header != expected or path.stat().st_size != 8 + length + total:
            return None
        return PackedFile(path, 8 + length, {name: tuple(header[name]["data_offsets"]) for name in blocks})
    except (OSError, ValueError, struct.error, RecursionError):
        return None


def write_packed(
    path: Path, blocks: Mapping[str, Block], source: str, contents: Iterable[tuple[Block, Tensor]]
) -> None:
    """Write the file so that it is there whole or not at all.

    Raises:
        DiskFull: there is no room; nothing was written.
    """
    header, total = _header(blocks, source)
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % ALIGN)  # or, on some CPUs, products of what is mapped would round otherwise
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)  # of a process that was killed; it may take the room that is needed
    if (free := shutil.disk_usage(path.parent).free) < total + SPARE_BYTES:
        raise DiskFull(path.parent, total + SPARE_BYTES, free)
    try:
        with part.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            start, done = file.tell(), 0
            for block, data in contents:
                file.seek(start + header[block.name]["data_offsets"][0])
                file.write(data.numpy().data)
                if (done + block.size) * 10 // total > done * 10 // total:
                    log.info("packing %s: %.0f %%", path.stem, 100 * (done + block.size) / total)
                done += block.size
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the name and not the bytes
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _header(blocks: Mapping[str, Block], source: str) -> tuple[dict[str, Any], int]:
    """What the file begins with, and how many bytes follow."""
    header: dict[str, Any] = {"__metadata__": {"source": source}}
    offset = 0
    for block in blocks.values():
        header[block.name] = {"dtype": "U8", "shape": [block.size], "data_offsets": [offset, offset + block.size]}
        offset += block.size
    return header, offset
