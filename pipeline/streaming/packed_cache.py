"""Packed blocks on disk: written once per checkpoint and format, read at every start after that.

A safetensors file with one run of bytes per block, so that any tool can look inside. It is a cache: whatever is
wrong with it, it is written again. Its head is looked at when it is opened. Its blocks are gigabytes, so they are
compared with the checksums in the head on a thread, and nobody waits for that before the first picture is drawn.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import re
import shutil
import struct
import sys
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO, Final

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from pipeline.atomic_file import clear, write_atomically
from pipeline.errors import DiskFull, GenerationFailed
from pipeline.streaming.block_packing import ALIGN, Block, Loss, Packed
from pipeline.streaming.packing_journal import PackingJournal

log = logging.getLogger(__name__)

SPARE_BYTES: Final = 2**30  # that the disk keeps
WAIT_S: Final = 3600.0  # for another process
PIECE_BYTES: Final = 2**20  # that are read at a time to be summed up
Contents = Callable[[Collection[str]], Iterable[Packed]]  # blocks in any order, but for those named
_CHECKSUMS: Final = re.compile(rb'"crc32": "([0-9a-f]*)"')


class PackedFile(Mapping[str, Tensor]):
    """The bytes of each block (size,) uint8 by name, mapped from a file, not read.

    They are to be trusted after `wait`, if there is no `flaw` then. If somebody cuts the file off while it is mapped,
    the system ends a process that touches what is missing; so `flaw` is asked for before each picture, too.
    """

    def __init__(self, path: Path, file: BinaryIO, start: int, blocks: Mapping[str, Block], checksums: str) -> None:
        self.path = path
        self._opened = os.fstat(file.fileno())
        # Copy-on-write only because torch wants memory that it might write to.
        self._mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self._data = torch.frombuffer(self._mapping, dtype=torch.uint8)
        self._places: dict[str, tuple[int, int, str]] = {}  # where a block begins and ends, and its checksum
        for number, block in enumerate(blocks.values()):
            self._places[block.name] = start, start + block.size, checksums[8 * number : 8 * number + 8]
            start += block.size
        self._flaw: str | None = None
        self._checking: Thread | None = None
        self._is_abandoned = False

    def __getitem__(self, name: str) -> Tensor:
        start, end, _ = self._places[name]
        return self._data[start:end]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def flaw(self) -> str | None:
        """What is known to be wrong with the file; it was not checked as a whole before `wait` says so."""
        return self._flaw or ("it was changed while it was in use" if self._has_changed() else None)

    def check(self) -> None:
        """Begin to compare all blocks with their checksums, on a thread that ends with the process."""
        self._checking = Thread(target=self._compare, name=f"checking {self.path.name}", daemon=True)
        self._checking.start()

    def wait(self, timeout_s: float | None) -> bool:
        """Whether `check` has come to an end; None waits for it."""
        assert self._checking is not None
        self._checking.join(timeout_s)
        return not self._checking.is_alive()

    def abandon(self) -> None:
        """Nobody uses the blocks any more, so nobody wants to know whether they are right."""
        self._is_abandoned = True

    def discard(self) -> None:
        """After `abandon`: delete a file with wrong blocks, so that it is written again, unless it was meanwhile."""
        self.wait(None)  # Windows deletes no file that is open
        if self._flaw is not None and self._is_in_place():
            self.path.unlink()

    def release(self) -> None:
        """Take what was read off this process's account; it stays in the system's file cache."""
        if sys.platform != "win32":
            self._mapping.madvise(mmap.MADV_DONTNEED)

    def _compare(self) -> None:
        """Read the file instead of touching the mapping: reading what is missing does no harm."""
        buffer = bytearray(PIECE_BYTES)
        try:
            with self.path.open("rb", buffering=0) as file:
                if not os.path.samestat(os.fstat(file.fileno()), self._opened):
                    self._flaw = "another one has taken its place"
                for name, (start, end, expected) in self._places.items():
                    if self._flaw is not None or self._is_abandoned:
                        return
                    file.seek(start)
                    if self._checksum(file, end - start, memoryview(buffer)) != expected:
                        self._flaw = f"its block {name!r} does not hold what was written"
        except OSError as error:
            self._flaw = f"it cannot be read: {error}"

    def _checksum(self, file: Any, size: int, buffer: memoryview) -> str:
        return checksum_of(file, size, buffer, lambda: not self._is_abandoned)

    def _has_changed(self) -> bool:
        """Whether it has another size or time than when it was opened. Once deleted or replaced, it cannot change."""
        if not self._is_in_place():
            return False
        now, then = self.path.stat(), self._opened
        return (now.st_size, now.st_mtime_ns) != (then.st_size, then.st_mtime_ns)

    def _is_in_place(self) -> bool:
        """Whether the path still leads to the file that was opened."""
        try:
            return os.path.samestat(self.path.stat(), self._opened)
        except OSError:
            return False


def open_packed(path: Path, blocks: Mapping[str, Block], source: str, contents: Contents) -> PackedFile:
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
    """Open a packed file; None if it is not what is wanted.

    Its head has to be, byte for byte, what `write_packed` would write, but for the checksums.
    """
    length, total = len(head_of(blocks, source, "0" * 8 * len(blocks))), sum(block.size for block in blocks.values())
    try:
        if not path.is_file():  # opening a pipe would wait for whoever writes to it
            return None
        with path.open("rb") as file:
            head = file.read(length)
            found = _CHECKSUMS.search(head)
            if found is None or head != head_of(blocks, source, checksums := found[1].decode()):
                return None
            if os.fstat(file.fileno()).st_size != length + total:
                return None
            return PackedFile(path, file, length, blocks, checksums)
    except (OSError, ValueError):  # the latter: it became empty meanwhile
        return None


def write_packed(path: Path, blocks: Mapping[str, Block], source: str, contents: Contents) -> None:
    """Write the file so that it is there whole or not at all; go on if an earlier process was interrupted.

    Raises:
        DiskFull: there is no room; nothing was written.
    """
    starts, total = {}, 0
    head = head_of(blocks, source, "0" * 8 * len(blocks))
    for block in blocks.values():
        starts[block.name] = len(head) + total
        total += block.size
    part, journal = path.with_suffix(".part"), PackingJournal(path.with_suffix(".journal"), head)
    noted = _still_there(part, blocks, starts, journal.read())
    if not noted:
        clear(part)  # it may take the room that is needed
        journal.begin()
    done = sum(blocks[name].size for name in noted)
    if (free := shutil.disk_usage(path.parent).free) < total - done + SPARE_BYTES:
        if not noted:
            journal.clear()
        raise DiskFull(path.parent, total - done + SPARE_BYTES, free)
    if noted:
        log.info("packing %s goes on: %d of %d blocks are there", path.stem, len(noted), len(blocks))
    checksums = {name: checksum for name, (checksum, _) in noted.items()}
    loss = sum((each for _, each in noted.values()), Loss())
    try:
        with write_atomically(path, part=part, is_resumable=True) as file:
            for block, data, lost in contents(checksums.keys()):
                file.seek(starts[block.name])
                file.write(data.numpy().data)
                file.flush()
                checksums[block.name] = f"{zlib.crc32(data.numpy().data):08x}"
                journal.add(block.name, checksums[block.name], lost)
                loss += lost
                if (done + block.size) * 10 // total > done * 10 // total:
                    log.info("packing %s: %.0f %%", path.stem, 100 * (done + block.size) / total)
                done += block.size
            file.seek(0)
            file.write(head_of(blocks, source, "".join(checksums[name] for name in blocks)))
            file.truncate(len(head) + total)
    finally:
        if not part.exists():
            journal.clear()
    log.info("packed %s: its weights differ by %.2g %% (root mean square)", path.stem, 100 * loss.relative)


def _still_there(
    part: Path, blocks: Mapping[str, Block], starts: Mapping[str, int], noted: Mapping[str, tuple[str, Loss]]
) -> dict[str, tuple[str, Loss]]:
    """Which blocks that an earlier process noted are in its file, to the last bit."""
    found: dict[str, tuple[str, Loss]] = {}
    try:
        if not noted or part.is_symlink() or not part.is_file():
            return {}
        buffer = memoryview(bytearray(PIECE_BYTES))
        with part.open("rb", buffering=0) as file:
            for name, (checksum, loss) in noted.items():
                if name in blocks:
                    file.seek(starts[name])
                    if checksum_of(file, blocks[name].size, buffer) == checksum:
                        found[name] = checksum, loss
    except OSError:
        return {}
    return found


def checksum_of(file: Any, size: int, buffer: memoryview, is_wanted: Callable[[], bool] = lambda: True) -> str:
    """Sum up the next bytes of a file; "" if there are not so many, or nobody wants to know any more."""
    checksum = 0
    while size > 0 and is_wanted():
        count = file.readinto(buffer[: min(size, len(buffer))])
        if count == 0:
            break  # it was cut off
        checksum = zlib.crc32(buffer[:count], checksum)
        size -= count
    return f"{checksum:08x}" if size == 0 else ""


def head_of(blocks: Mapping[str, Block], source: str, checksums: str) -> bytes:
    """What the file begins with. `checksums` takes 8 hexadecimal digits for each block."""
    header: dict[str, Any] = {"__metadata__": {"source": source, "crc32": checksums}}
    offset = 0
    for block in blocks.values():
        header[block.name] = {"dtype": "U8", "shape": [block.size], "data_offsets": [offset, offset + block.size]}
        offset += block.size
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % ALIGN)  # or, on some CPUs, products of what is mapped would round otherwise
    return struct.pack("<Q", len(text)) + text
