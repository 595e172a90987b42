"""Model files: where they lie and whether they are whole. Fetching them is `download.py`. No torch.

Files lie under `models_dir/<namespace>/<name>/<path>`, whether fetched or put there by hand. Weights are
safetensors only: pickled formats run code when they are loaded, so they are never fetched and never accepted.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Final

from safetensors import SafetensorError, safe_open

from pipeline.catalog.model_card import ModelCard, ModelFile

_PACKAGE_DIR: Final = Path(__file__).parents[1]
_SHARD_NAME: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")
_WEIGHTS_SUFFIX: Final = ".safetensors"
_MOST_SHARDS: Final = 1000
_INDEX_SUFFIX: Final = ".safetensors.index.json"
_MAX_HEADER_BYTES: Final = 100_000_000  # as in the safetensors library
# What download managers and browsers leave beside a file that they have not finished, or call it until then.
PART_SUFFIXES: Final = (".aria2", ".crdownload", ".incomplete", ".part", ".partial", ".download", ".!qB", ".!ut")
_TAIL_SHARE: Final = 0.001  # of the weights; T5's table of words ends in some rows that nothing uses
_LAST_TENSOR_SHARE: Final = 0.25
_LAST_TENSOR_MOST_BYTES: Final = 2**16
_SPOTS: Final = 16
_SPOT_BYTES: Final = 4096
UNSAFE_SUFFIXES: Final = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})


class Flaw(StrEnum):
    """Why a file cannot be used."""

    ABSENT = "is absent"
    EMPTY = "is empty"
    NOT_WHOLE = "is not whole: cut off or damaged"
    ZEROS = "is not whole: it ends in zeros, which a download that was not finished leaves"
    UNFINISHED = "is still being downloaded: a part of the download lies beside it; delete that if it is left over"
    UNSAFE = "is not a safetensors file"


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingFile:
    """A file that a model needs and that is not usable."""

    path: Path
    reason: Flaw


def path_of(file: ModelFile, models_dir: Path) -> Path:
    """Where a file or folder of a card lies; in its repository's folder, another layout of it if only that is there."""
    if file.place is not None:
        return file.place
    file = in_use(file, models_dir)
    place = _home(file, models_dir) / file.path
    return place if not file.others or place.exists() else (other_of(file, models_dir) or place)


def in_use(file: ModelFile, models_dir: Path) -> ModelFile:
    """The entry itself; its fallback while one of the names that it needs is not there."""
    place = _home(file, models_dir) / file.path
    if file.fallback is None or all((place / name).exists() for name in file.needs):
        return file
    return file.fallback


def other_of(file: ModelFile, models_dir: Path) -> Path | None:
    """What lies in the place of a file of the hub, in another layout; None if nothing does, or if the file is there."""
    if file.repo is None or (models_dir / file.repo / file.path).exists():
        return None
    home = models_dir / file.repo
    found = (path for pattern in file.others for path in sorted(home.glob(pattern)))
    return next((path for path in found if path.suffix not in PART_SUFFIXES), None)


def weights_of(file: ModelFile, models_dir: Path) -> list[Path]:
    """The weight files behind one entry of a card, in shard order; those that should be there, there or not.

    A folder's shards are those its index lists, else those its names count (`…-00001-of-00003`), else every
    safetensors file in it. A shard stands for all that its name counts.
    """
    place = path_of(file, models_dir)
    if shard := _SHARD_NAME.fullmatch(place.name):
        return [place.with_name(name) for name in _shard_names(shard)]
    if not (place.is_dir() if file.others else file.is_folder):
        return [place]
    for index in sorted(place.glob(f"*{_INDEX_SUFFIX}")):
        shards = _shards_of_index(index)
        return [place / name for name in sorted(shards)] if shards else [index]
    names = {path.name for path in place.glob(f"*{_WEIGHTS_SUFFIX}")}
    for match in [match for name in names if (match := _SHARD_NAME.fullmatch(name))]:
        names |= set(_shard_names(match))
    return [place / name for name in sorted(names)] or [place / f"model{_WEIGHTS_SUFFIX}"]


def _home(file: ModelFile, models_dir: Path) -> Path:
    return _PACKAGE_DIR if file.repo is None else models_dir / file.repo


def _shard_names(shard: re.Match[str]) -> list[str]:
    """The names of all shards of one, by the number of them that its name says."""
    stem, count = shard["stem"], shard["count"]
    numbers = range(1, min(int(count), _MOST_SHARDS) + 1)
    return [f"{stem}-{number:05}-of-{count}{_WEIGHTS_SUFFIX}" for number in numbers]


def missing(card: ModelCard, models_dir: Path) -> list[MissingFile]:
    """List what stands between this model and loading it; empty means ready.

    Reads the headers of the weight files, not the weights: milliseconds on a local disk.
    """
    return [
        MissingFile(path=path, reason=flaw)
        for path in _expected(card, models_dir)
        if (flaw := _flaw_of(path)) is not None
    ]


def read_header(path: Path) -> bytes | None:
    """The header of a safetensors file, unparsed; None if there is none that could be whole."""
    try:
        if not path.is_file():  # opening a pipe would wait for whoever writes to it
            return None
        with path.open("rb") as file:
            prefix = file.read(8)
            length = int.from_bytes(prefix, "little")
            if len(prefix) < 8 or length > min(_MAX_HEADER_BYTES, os.fstat(file.fileno()).st_size - 8):
                return None
            header = file.read(length)
            return header if len(header) == length else None
    except OSError:
        return None


def _expected(card: ModelCard, models_dir: Path) -> Iterator[Path]:
    for kind, file in card.files.items():
        place = path_of(file, models_dir)
        yield from (place / name for name in in_use(file, models_dir).needs)
        if not kind.startswith("tokenizer"):
            yield from weights_of(file, models_dir)


def _flaw_of(path: Path) -> Flaw | None:
    if not path.is_file():
        return Flaw.ABSENT
    if path.stat().st_size == 0:
        return Flaw.EMPTY
    if path.suffix in UNSAFE_SUFFIXES:
        return Flaw.UNSAFE
    if parts_beside(path):
        return Flaw.UNFINISHED
    if not _is_whole(path):
        return Flaw.NOT_WHOLE
    return Flaw.ZEROS if _ends_in_zeros(path) else None


def parts_beside(path: Path) -> list[Path]:
    """What says that the download of a file is not finished."""
    return [part for suffix in PART_SUFFIXES if (part := path.with_name(path.name + suffix)).exists()]


def _ends_in_zeros(path: Path) -> bool:
    """Whether the end of a whole file was reserved and never written: its size says nothing then. Milliseconds."""
    try:
        with path.open("rb") as file:
            end = path.stat().st_size
            tail = _tail_bytes(file, end) if path.suffix == _WEIGHTS_SUFFIX else min(end, 64)
            if tail <= _SPOTS * _SPOT_BYTES:
                starts, size = [end - tail], tail
            else:
                starts = [end - _SPOT_BYTES - (tail - _SPOT_BYTES) * spot // (_SPOTS - 1) for spot in range(_SPOTS)]
                size = _SPOT_BYTES
            return tail > 0 and not any(_has_content(file, start, size) for start in starts)
    except OSError:
        return False


def _tail_bytes(file: BinaryIO, end: int) -> int:
    """How many bytes at the end of a file of weights cannot all be zeros; 0 if it holds none."""
    length = int(struct.unpack("<Q", file.read(8))[0])
    header: dict[str, Any] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    begin, last = max(((int(b), int(e)) for b, e in (each["data_offsets"] for each in header.values())), default=(0, 0))
    of_last = min(-(-(last - begin) * _LAST_TENSOR_SHARE // 1), _LAST_TENSOR_MOST_BYTES)
    return min(int(max(of_last, last * _TAIL_SHARE)), end - 8 - length)


def _has_content(file: BinaryIO, start: int, size: int) -> bool:
    file.seek(start)
    return any(file.read(size))


def _is_whole(path: Path) -> bool:
    try:
        if path.suffix == _WEIGHTS_SUFFIX:
            # The library compares the header's sizes with the file's; a hostile header only raises.
            with safe_open(path, framework="numpy"):
                return True
        if path.name.endswith(_INDEX_SUFFIX):
            return bool(_shards_of_index(path))
        if path.suffix == ".json":
            json.loads(path.read_bytes())
    except (SafetensorError, OSError, ValueError, RecursionError):
        return False
    return True


def _shards_of_index(index: Path) -> set[str]:
    """The file names that a shard index lists; none if it makes no sense or leads out of its folder."""
    try:
        content: Any = json.loads(index.read_bytes())
        names = set(content["weight_map"].values())
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return set()
    are_plain = all(isinstance(name, str) and Path(name).name == name for name in names)
    return names if are_plain else set()
