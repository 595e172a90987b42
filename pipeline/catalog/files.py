"""Model files: where they lie, whether they are whole, and whether they are what belongs there. No torch.

Files lie under `models_dir/<namespace>/<name>/<path>`, whether fetched or put there by hand; fetching them is
`download.py`. What a file of weights is says `layouts`, and the engines read what it found, so that no file is called
good that they then refuse. Pickled formats run code when they are loaded, so they are never fetched and never accepted.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

from pipeline.catalog.architecture import Component, Kind
from pipeline.catalog.file_owner import FileOwner, FileParts
from pipeline.catalog.headers import Header, NotWeights, header_of
from pipeline.catalog.headers.strangers import PART_SUFFIXES, PICKLE_SUFFIXES, parts_beside
from pipeline.catalog.layouts import identify, identify_files, mismatch, wrong_place
from pipeline.catalog.layouts.folders import INDEX_SUFFIX, shards_beside, shards_of_index, weights_in
from pipeline.catalog.model_card import ModelFile
from pipeline.catalog.parts import Layout, Part, PartKind, Refusal
from pipeline.errors import ModelFilesMissing

__all__ = ["PART_SUFFIXES", "Flaw", "MissingFile", "missing", "parts_beside", "path_of", "weights_of"]

_PACKAGE_DIR: Final = Path(__file__).parents[1]
_MAX_HEADER_BYTES: Final = 100_000_000  # as in the safetensors library
_TAIL_SHARE: Final = 0.001  # of the weights; T5's table of words ends in some rows that nothing uses
_LAST_TENSOR_SHARE: Final = 0.25
_LAST_TENSOR_MOST_BYTES: Final = 2**16
_SPOTS: Final = 16
_SPOT_BYTES: Final = 4096
UNSAFE_SUFFIXES: Final = PICKLE_SUFFIXES


class Flaw(StrEnum):
    """Why a file cannot be used."""

    ABSENT = "is absent"
    EMPTY = "is empty"
    NOT_WHOLE = "is not whole: cut off or damaged"
    ZEROS = "is not whole: it ends in zeros, which a download that was not finished leaves"
    UNFINISHED = "is still being downloaded: a part of the download lies beside it; delete that if it is left over"
    UNREADABLE = "cannot be read"
    WRONG = "is not what belongs there"


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingFile:
    """A file that a model needs and that is not usable.

    refusal: what it is instead, if it is something.
    """

    path: Path
    reason: Flaw
    refusal: Refusal | None = None

    @property
    def told(self) -> str:
        """What goes on after its path, as in "is absent"."""
        if self.refusal is None:
            return str(self.reason)
        return f"is {self.refusal.what}: {self.refusal.reason}; {self.refusal.instead}"


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
    """What lies in the place of a file of the hub, in another layout; None if nothing does, or if the file is there.

    The first of several that is a whole transformer or UNet: a LoRA beside it may have the same beginning of its name.
    """
    if file.repo is None or (models_dir / file.repo / file.path).exists():
        return None
    home = models_dir / file.repo
    found = (path for pattern in file.others for path in sorted(home.glob(pattern)))
    return min((path for path in found if path.suffix not in PART_SUFFIXES), key=_lacks_denoiser, default=None)


def has_other(card: FileOwner, name: str, models_dir: Path) -> bool:
    """Whether what lies in the place of a component's file is as good as that file would be."""
    file = card.files[name]
    if other_of(file, models_dir) is None:
        return False
    paths = weights_of(file, models_dir)
    if _flawed(paths, is_weights=True):
        return False
    return refusal_of(identify_files(paths), card.architecture.components[name], card.architecture) is None


def weights_of(file: ModelFile, models_dir: Path) -> list[Path]:
    """The weight files behind one entry of a card, in shard order; those that should be there, there or not.

    See `layouts.folders` for which of a folder's files they are. A shard stands for all that its name counts.
    """
    place = path_of(file, models_dir)
    if place.name.endswith(INDEX_SUFFIX):
        return [place.with_name(name) for name in sorted(shards_of_index(place))] or [place]
    if not (place.is_dir() if file.others else file.is_folder):
        return shards_beside(place)
    try:
        return weights_in(place) or [place / "model.safetensors"]
    except OSError:
        return [place / "model.safetensors"]


def _lacks_denoiser(path: Path) -> bool:
    part = identify(path).part(PartKind.DENOISER)
    return part is None or bool(part.lacks)


def _home(file: ModelFile, models_dir: Path) -> Path:
    return _PACKAGE_DIR if file.repo is None else models_dir / file.repo


def missing(card: FileOwner, models_dir: Path) -> list[MissingFile]:
    """List what stands between this model and loading it; empty means ready.

    Reads the headers of the weight files, not the weights: milliseconds on a local disk.
    """
    found: list[MissingFile] = []
    parts: list[Part] = []
    for name, file in card.files.items():
        component = card.architecture.components[name]
        place = path_of(file, models_dir)
        found += _flawed([place / need for need in in_use(file, models_dir).needs], is_weights=False)
        if component.kind is Kind.TOKENIZER:
            found += [] if file.is_folder else _flawed([place], is_weights=False)
            continue
        paths = weights_of(file, models_dir)
        if flawed := _flawed(paths, is_weights=True):
            found += flawed
            continue
        layout = identify_files(paths)
        if (refusal := refusal_of(layout, component, card.architecture)) is not None:
            found.append(MissingFile(path=paths[0], reason=Flaw.WRONG, refusal=refusal))
        elif component.part is not None and (part := layout.part(component.part)) is not None:
            parts.append(part)
    return found + _mismatched(parts)


def _mismatched(parts: list[Part]) -> list[MissingFile]:
    """The text encoders that are of another size than the model reads."""
    denoisers = [part for part in parts if part.kind is PartKind.DENOISER]
    return [
        MissingFile(path=part.paths[0], reason=Flaw.WRONG, refusal=refusal)
        for denoiser in denoisers
        for part in parts
        if (refusal := mismatch(denoiser, part)) is not None
    ]


def demand(card: FileOwner, models_dir: Path) -> None:
    """See that nothing stands between a model and loading it.

    Raises:
        ModelFilesMissing: it says of each file what is wrong with it.
    """
    if flaws := missing(card, models_dir):
        raise ModelFilesMissing(
            card.name, [flaw.path for flaw in flaws], reasons={flaw.path: flaw.told for flaw in flaws}
        )


def refusal_of(layout: Layout, component: Component, architecture: FileParts) -> Refusal | None:
    """Say why files cannot be what a component of a model is read from; None if they can."""
    if component.part is None:
        return None
    variant = architecture.variant if component.kind is Kind.TRANSFORMER else ""
    return wrong_place(layout, component.part, architecture=component.architecture, variant=variant)


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


def _flawed(paths: list[Path], *, is_weights: bool) -> list[MissingFile]:
    return [found for path in paths if (found := _flaw_of(path, is_weights=is_weights)) is not None]


def _flaw_of(path: Path, *, is_weights: bool) -> MissingFile | None:
    try:
        return _flaw(path, is_weights=is_weights)
    except OSError:  # of a folder that this user may not enter, or a disk that was unplugged
        return MissingFile(path=path, reason=Flaw.UNREADABLE)


def _flaw(path: Path, *, is_weights: bool) -> MissingFile | None:
    if not path.is_file():
        return MissingFile(path=path, reason=Flaw.ABSENT)
    if path.stat().st_size == 0:
        return MissingFile(path=path, reason=Flaw.EMPTY)
    if parts_beside(path):
        return MissingFile(path=path, reason=Flaw.UNFINISHED)
    if not is_weights or path.name.endswith(INDEX_SUFFIX):
        is_whole, is_hollow = _is_whole(path), _ends_in_zeros(path, 64)
    else:
        try:
            is_whole, is_hollow = True, _ends_in_zeros(path, _tail_bytes(header_of(path)))
        except NotWeights as error:
            reason = Flaw.NOT_WHOLE if error.is_damaged else Flaw.WRONG
            return MissingFile(path=path, reason=reason, refusal=error.refusal)
    if is_whole and not is_hollow:
        return None
    return MissingFile(path=path, reason=Flaw.ZEROS if is_whole else Flaw.NOT_WHOLE)


def _ends_in_zeros(path: Path, tail: int) -> bool:
    """Whether the end of a whole file was reserved and never written: its size says nothing then. Milliseconds.

    Args:
        tail: how many bytes at the end cannot all be zeros.
    """
    try:
        with path.open("rb") as file:
            end = path.stat().st_size
            tail = min(tail, end)
            if tail <= _SPOTS * _SPOT_BYTES:
                starts, size = [end - tail], tail
            else:
                starts = [end - _SPOT_BYTES - (tail - _SPOT_BYTES) * spot // (_SPOTS - 1) for spot in range(_SPOTS)]
                size = _SPOT_BYTES
            return tail > 0 and not any(_has_content(file, start, size) for start in starts)
    except OSError:
        return False


def _tail_bytes(header: Header) -> int:
    """How many bytes at the end of a file of weights cannot all be zeros; 0 if it holds none."""
    if not header.tensors:
        return 0
    last = max(header.tensors.values(), key=lambda tensor: (tensor.start, tensor.size))
    first = min(tensor.start for tensor in header.tensors.values())
    of_last = min(-(-last.size * _LAST_TENSOR_SHARE // 1), _LAST_TENSOR_MOST_BYTES)
    of_all = last.start + last.size - first
    return min(int(max(of_last, of_all * _TAIL_SHARE)), of_all)


def _has_content(file: BinaryIO, start: int, size: int) -> bool:
    file.seek(start)
    return any(file.read(size))


def _is_whole(path: Path) -> bool:
    """Whether a file beside the weights makes sense."""
    state = path.stat()
    return _makes_sense(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)  # tokenizers have megabytes, and are looked at for each model that takes the shipped ones
def _makes_sense(path: Path, _size: int, _changed_ns: int) -> bool:
    try:
        if path.name.endswith(INDEX_SUFFIX):
            return bool(shards_of_index(path))
        if path.suffix == ".json":
            json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return True
