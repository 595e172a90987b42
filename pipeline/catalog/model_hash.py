"""The SHA-256 of files of weights, by which other programs know a model. No torch.

Reading 24 GB takes half a minute, so it is done once per file, in the background, and kept by path, size and time of
change; an image that is drawn before that names no hash. What `fetch` compared with the hub need not be read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pipeline.catalog import fetch_record, files
from pipeline.catalog.architecture import Kind
from pipeline.catalog.headers import NotWeights, header_of
from pipeline.catalog.loras import loras_of
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.lora_uses import read_uses
from pipeline.sealed_files import read_sealed, write_sealed
from pipeline.spec import ImageSpec

FILE_NAME: Final = "model_hashes.json"
MAX_KEPT: Final = 500
_MAX_BYTES: Final = 2**20
_SEAL_BYTES: Final = 2**10  # at most, of what is written around the content
_CHUNK_BYTES: Final = 2**23
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Part(StrEnum):
    """What of a file is hashed; the values are told apart behind its path.

    AUTOMATIC1111 knows a LoRA by its tensors, so that it stays the same when its notes are changed
    (modules/hashes.py, `addnet_hash_safetensors`; extensions-builtin/Lora/network.py).
    """

    WHOLE = ""
    TENSORS = "#tensors"


class ModelHashes:
    """What is known of files of weights. Any thread may call it."""

    def __init__(self, place: Path) -> None:
        """`place` is the file in which the hashes are kept; if it cannot be written, this process keeps them alone."""
        self._place = place
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, int, str]] | None = None  # path → size, time of change in ns, hash

    @classmethod
    def of(cls, config: PipelineConfig) -> ModelHashes:
        """The hashes beside the packed weights."""
        return cls(config.packed_folder / FILE_NAME)

    def known(self, path: Path, *, part: Part = Part.WHOLE) -> str:
        """Return the hash of a file without reading the file; "" if it is not known, or the file has changed."""
        try:
            size, changed_ns = _state(path)
        except OSError:
            return ""
        with self._lock:
            kept = self._read().get(f"{path}{part}")
        return kept[2] if kept is not None and kept[:2] == (size, changed_ns) else ""

    def find(self, path: Path, should_stop: Callable[[], bool] = lambda: False, *, part: Part = Part.WHOLE) -> str:
        """Return the hash of a file, and read the file for it if it is not known. Blocks for up to a minute.

        Returns:
            "" if it was told to stop, or the file cannot be read or changed meanwhile.
        """
        if known := self.known(path, part=part):
            return known
        try:
            before = _state(path)
            noted, begin = (_noted(path), _header_bytes(path)) if part is Part.TENSORS else ("", 0)
            digest = noted or _sha256(path, should_stop, begin=begin)
            if digest is None or _state(path) != before:
                return ""
        except OSError:
            return ""
        self.remember(path, digest, part=part)
        return digest

    def remember(self, path: Path, sha256: str, *, part: Part = Part.WHOLE) -> None:
        """Keep the hash of a file as it is now; hexadecimal digits, in either case."""
        if _SHA256.fullmatch(sha256 := sha256.lower()) is None:
            return
        try:
            size, changed_ns = _state(path)
        except OSError:
            return
        with self._lock:
            self._known = {**_stored(self._place), **self._read()}  # another process may have added some
            self._known.pop(f"{path}{part}", None)
            self._known[f"{path}{part}"] = (size, changed_ns, sha256)
            while len(self._known) > MAX_KEPT:
                del self._known[next(iter(self._known))]
            while len(content := json.dumps(self._known).encode()) > _MAX_BYTES - _SEAL_BYTES:
                del self._known[next(iter(self._known))]
            with contextlib.suppress(OSError):
                self._place.parent.mkdir(parents=True, exist_ok=True)
                write_sealed(self._place, content)

    def _read(self) -> dict[str, tuple[int, int, str]]:
        if self._known is None:
            self._known = _stored(self._place)
        return self._known


def weights_file(card: ModelCard, models_dir: Path) -> Path | None:
    """Return the file that a model is known by; None if its transformer is in several files, or ships with us."""
    file = next(iter(card.files_of(Kind.TRANSFORMER).values()), None)
    if file is None or file.is_folder or (file.repo is None and file.place is None):
        return None
    paths = files.weights_of(file, models_dir)
    return paths[0] if len(paths) == 1 else None


def lora_hashes(hashes: ModelHashes, spec: ImageSpec, config: PipelineConfig) -> dict[str, str]:
    """Return the hashes of the LoRAs of an image by their names, of those that are known."""
    loras = loras_of(config) if spec.loras else {}
    files_of = {use.name: loras[use.name].file for use in read_uses(spec.loras) if use.name in loras}
    found = {name: hashes.known(file, part=Part.TENSORS) for name, file in files_of.items()}
    return {name: digest for name, digest in found.items() if digest}


def learn(
    hashes: ModelHashes, card: ModelCard, models_dir: Path, should_stop: Callable[[], bool] = lambda: False
) -> None:
    """Find the hash of a model's file: in the note of what was fetched, else by reading it. May block for a minute."""
    path = weights_file(card, models_dir)
    if path is None or hashes.known(path):
        return
    if noted := _fetched_hash(card, path, models_dir):
        hashes.remember(path, noted)
    else:
        hashes.find(path, should_stop)


def _fetched_hash(card: ModelCard, path: Path, models_dir: Path) -> str:
    """The hash that the hub gave for a file, if the file was not written to since; else ""."""
    file = next(iter(card.files_of(Kind.TRANSFORMER).values()))
    if file.repo is None or path != models_dir / file.repo / file.path:
        return ""
    noted = fetch_record.read(models_dir / file.repo).files.get(file.path)
    try:
        state = path.stat()
    except OSError:
        return ""
    # A file that was moved there keeps the time of its own last change; the other time is that of the move.
    changed_ns = max(state.st_mtime_ns, state.st_ctime_ns)
    is_as_noted = noted is not None and noted.size_bytes == state.st_size and changed_ns // 10**9 <= noted.fetched_at
    return noted.sha256 if noted is not None and is_as_noted else ""


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _noted(path: Path) -> str:
    """The hash in the notes of a LoRA, from its trainer, which AUTOMATIC1111 takes first; "" if there is none."""
    try:
        noted = header_of(path).metadata.get("sshs_model_hash", "").lower()
    except NotWeights:
        return ""
    return noted if _SHA256.fullmatch(noted) else ""


def _header_bytes(path: Path) -> int:
    """Where the tensors of a safetensors file begin."""
    with path.open("rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")


def _sha256(path: Path, should_stop: Callable[[], bool], *, begin: int) -> str | None:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        if begin > os.fstat(file.fileno()).st_size:
            raise OSError("its header is longer than the file")
        file.seek(begin)
        while chunk := file.read(_CHUNK_BYTES):
            if should_stop():
                return None
            digest.update(chunk)
            if sys.platform == "linux":  # or what the engine reads would be pushed out of the system's file cache
                os.posix_fadvise(file.fileno(), begin, len(chunk), os.POSIX_FADV_DONTNEED)
            begin += len(chunk)
    return digest.hexdigest()


def _stored(place: Path) -> dict[str, tuple[int, int, str]]:
    try:
        content: Any = json.loads(read_sealed(place, _MAX_BYTES) or b"{}")
        return {path: (int(size), int(changed_ns), str(digest)) for path, (size, changed_ns, digest) in content.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):  # of another release
        return {}
