"""The tensors of one part of a model by name, out of whatever files keep it.

What quantization adds beside a weight is folded into it. Tensors are read, not mapped, so that memory holds only what
is used. Files come from strangers: whatever is wrong with one is a `GenerationFailed` that names the file or the
tensor. How values are kept is the business of `storages`. Must not know modules or devices.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from pipeline.catalog.files import read_header
from pipeline.catalog.headers import Container, Header, NotWeights, header_of
from pipeline.catalog.layouts.tensors import MARKERS, stem_beside
from pipeline.catalog.parts import Part
from pipeline.errors import GenerationFailed
from pipeline.streaming.quantization import PACKED_VERSION
from pipeline.streaming.storages.gguf_blocks import demand_known
from pipeline.streaming.storages.reading import read_tensor, shape_of
from pipeline.streaming.storages.stored import Stored

READING_VERSION: Final = 1  # of what is read of quantized files; raise it if `storages` reads other numbers
_WEIGHT: Final = ".weight"
_SPOTS: Final = 64
_SPOT_BYTES: Final = 4096
_NOTES: Final = "_quantization_metadata"  # Comfy-Org/ComfyUI:QUANTIZATION.md


class CheckpointFiles:
    """One part of a model as its files keep it.

    names: of its tensors, without the part's prefix, in the order of the files.
    """

    def __init__(self, part: Part, *, models_dir: Path | None = None) -> None:
        """Read the heads of the files.

        Args:
            models_dir: where the hub's files lie, whose names tell them apart; None: that is where all of these lie.

        Raises:
            GenerationFailed: one is damaged, or holds what cannot be read.
        """
        self.part = part
        homes = () if models_dir is None else (models_dir, models_dir.absolute())
        self._is_of_hub = models_dir is None or all(any(map(path.is_relative_to, homes)) for path in part.paths)
        try:
            self._headers = [header_of(path) for path in part.paths]
        except NotWeights as error:
            raise GenerationFailed(str(error)) from error
        self._is_alone = True  # the files hold nothing but this part
        self._stored = self._folded(self._flat())
        self.names = list(self._stored)
        kept = {each.info.dtype for each in self._stored.values() if each.container is Container.GGUF}
        demand_known(self.title, kept)

    @property
    def title(self) -> str:
        """The file, for messages."""
        return self.part.paths[0].name

    def shape_of(self, name: str) -> torch.Size:
        """The shape of a tensor as `read` returns it.

        Raises:
            GenerationFailed: its file does not say that.
        """
        return shape_of(self._stored[name])

    def read(self, name: str) -> Tensor:
        """A tensor on the CPU: in the dtype that it is kept in if that is plain, else float32.

        Raises:
            GenerationFailed: it makes no sense, or is kept in a way that is not supported.
        """
        return read_tensor(self._stored[name])

    def fingerprint(self, weight_format: str) -> str:
        """Names one version of the part, packed in one format.

        Of a plain part that is alone in its files, below the folder of the models, it is the same one as before there
        were others; so such files that were changed without changing their size or time are not noticed. Of others,
        what lies at some spots counts as well: people name two fine-tunes alike, and unpack them with equal times.

        Raises:
            GenerationFailed: a file is gone.
        """
        digest = hashlib.sha256(f"{PACKED_VERSION} {weight_format}".encode())
        is_as_before = self._is_alone and not any(
            each.beside or each.note_of_file or each.container is Container.GGUF for each in self._stored.values()
        )
        for header in self._headers:
            try:
                status = header.path.stat()
                digest.update(f"{header.path.name} {status.st_size} {status.st_mtime_ns} ".encode() + _content(header))
                if not (is_as_before and self._is_of_hub):
                    digest.update(_sample_of(header, status.st_size))
            except OSError as error:
                raise GenerationFailed(f"{header.path} cannot be read: {error.strerror}") from error
        if not is_as_before:
            part = self.part
            digest.update(repr((READING_VERSION, part.kind.value, part.prefix, part.storage.value)).encode())
        return digest.hexdigest()

    def _flat(self) -> dict[str, Stored]:
        """Every tensor of the part, companions too, by its name without the prefix."""
        found: dict[str, Stored] = {}
        for header in self._headers:
            notes = _notes_of(header)
            for full, info in header.tensors.items():
                if not full.startswith(self.part.prefix):
                    self._is_alone = False
                    continue
                name = full.removeprefix(self.part.prefix)
                if name in found:
                    raise GenerationFailed(f"{header.path.name} holds {name}, and so does {found[name].path.name}")
                note = notes.get(full.removesuffix(_WEIGHT)) or notes.get(name.removesuffix(_WEIGHT)) or {}
                found[name] = Stored(
                    name=full,
                    path=header.path,
                    info=info,
                    container=header.container,
                    note_of_file=note if isinstance(note, dict) else {"format": str(note)},
                )
        return found

    def _folded(self, flat: dict[str, Stored]) -> dict[str, Stored]:
        """The tensors of the part with what belongs to each."""
        beside: dict[str, dict[str, Stored]] = {}
        plain: dict[str, Stored] = {}
        for name, each in flat.items():
            if (stem := stem_beside(name)) is not None:
                beside.setdefault(stem + _WEIGHT, {})[name.removeprefix(stem)] = each
            elif name not in MARKERS:
                plain[name] = each
        return {name: replace(each, beside=beside.get(name, {})) for name, each in plain.items()}


def _notes_of(header: Header) -> Mapping[str, Any]:
    """What the file's own notes say of its layers, by their names."""
    try:
        layers = json.loads(header.metadata.get(_NOTES, "{}"))["layers"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return {}
    return layers if isinstance(layers, dict) else {}


def _content(header: Header) -> bytes:
    """What a head says of its tensors."""
    if header.container is Container.SAFETENSORS:
        return read_header(header.path) or b""
    return repr(list(header.tensors.items())).encode()


def _sample_of(header: Header, size: int) -> bytes:
    """Bytes at some spots of where a file's tensors lie, the last among them."""
    start = min((info.start for info in header.tensors.values()), default=size)
    room = max(0, size - start - _SPOT_BYTES)
    found = []
    with header.path.open("rb") as file:
        for spot in range(_SPOTS):
            file.seek(start + room * spot // (_SPOTS - 1))
            found.append(file.read(_SPOT_BYTES))
    return b"".join(found)
