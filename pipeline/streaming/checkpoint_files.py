"""The tensors of one part of a model by name, out of whatever files keep it.

Tensors are read, not mapped, so that memory holds only what is used. Files come from strangers: whatever is wrong
with one is a `GenerationFailed` that names the tensor. Must not know modules or devices.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from pipeline.catalog.files import read_header
from pipeline.catalog.headers import TensorInfo
from pipeline.catalog.parts import Part
from pipeline.errors import GenerationFailed
from pipeline.streaming.quantization import PACKED_VERSION

DTYPES: Final = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


class CheckpointFiles:
    """One part of a model as its files keep it.

    names: of its tensors, without the part's prefix, in the order of the files.
    """

    def __init__(self, part: Part) -> None:
        """Read the heads of the files.

        Raises:
            GenerationFailed: one is damaged.
        """
        self.part = part
        self._headers = {path: _header_of(path) for path in part.paths}
        self._places = {
            name.removeprefix(part.prefix): (path, facts)
            for path, header in self._headers.items()
            for name, facts in _tensors_of(header).items()
            if name.startswith(part.prefix)
        }
        self.names = list(self._places)

    @property
    def title(self) -> str:
        """The file, for messages."""
        return self.part.paths[0].name

    def shape_of(self, name: str) -> torch.Size:
        """The shape of a tensor as `read` returns it."""
        return torch.Size(self._places[name][1].shape)

    def read(self, name: str) -> Tensor:
        """A tensor on the CPU, in the dtype that it is kept in.

        Raises:
            GenerationFailed: it is damaged, or kept in a way that is not supported.
        """
        path, facts = self._places[name]
        if facts.dtype not in DTYPES:
            raise GenerationFailed(f"{name} is kept as {facts.dtype}, which is not supported")
        dtype = DTYPES[facts.dtype]
        if torch.Size(facts.shape).numel() * dtype.itemsize != facts.size:
            raise GenerationFailed(f"{name} has {facts.size} bytes, which do not fit its shape {facts.shape}")
        return _bytes_of(path, facts).view(dtype).view(facts.shape)

    def fingerprint(self, weight_format: str) -> str:
        """Names one version of the part, packed in one format.

        Files that were changed without changing their size or time are not noticed.
        """
        digest = hashlib.sha256(f"{PACKED_VERSION} {weight_format}".encode())
        for path, header in self._headers.items():
            status = path.stat()
            digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns} ".encode() + header)
        return digest.hexdigest()


def _header_of(path: Path) -> bytes:
    header = read_header(path)
    if header is None:
        raise GenerationFailed(f"{path} is cut off or damaged")
    return header


def _tensors_of(header: bytes) -> Mapping[str, TensorInfo]:
    facts: dict[str, Any] = json.loads(header)
    facts.pop("__metadata__", None)
    return {
        name: TensorInfo(
            dtype=each["dtype"],
            shape=tuple(each["shape"]),
            start=8 + len(header) + each["data_offsets"][0],
            size=each["data_offsets"][1] - each["data_offsets"][0],
        )
        for name, each in facts.items()
    }


def _bytes_of(path: Path, facts: TensorInfo) -> Tensor:
    """A tensor's bytes (size,) uint8."""
    data = torch.empty(facts.size, dtype=torch.uint8)
    with path.open("rb") as file:
        file.seek(facts.start)
        if file.readinto(data.numpy().data) != facts.size:
            raise GenerationFailed(f"{path} is cut off")
    return data
