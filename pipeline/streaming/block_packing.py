"""A checkpoint → packed blocks: one run of bytes per transformer block, quantized while reading.

What a block's bytes mean follows from the module that they are for (`layout`), so nothing but the bytes has to
be kept. Modulation weights get blocks of their own: they are used once per picture, not once per step.
Must not know devices, streams or prompts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from pipeline.catalog.architecture import REST, Component
from pipeline.catalog.files import read_header
from pipeline.errors import GenerationFailed
from pipeline.streaming.quantization import Format, QuantizedLinear, quantize

ALIGN: Final = 256  # bytes; what GPU kernels like their operands to start at
DTYPES: Final = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}

Convert = Callable[[dict[str, Tensor]], Mapping[str, Tensor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One tensor of a module inside the bytes of its block."""

    name: str
    dtype: torch.dtype
    shape: torch.Size
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What the bytes of one block hold."""

    name: str
    entries: tuple[Entry, ...]
    size: int  # bytes

    def views(self, data: Tensor) -> dict[str, Tensor]:
        """The tensors inside `data` (size,) uint8, by name; nothing is copied."""
        return {
            entry.name: data[entry.offset : entry.offset + entry.shape.numel() * entry.dtype.itemsize]
            .view(entry.dtype)
            .view(entry.shape)
            for entry in self.entries
        }


def prepare(module: nn.Module, component: Component, weight_format: Format, dtype: torch.dtype) -> None:
    """Make every Linear inside the blocks of a module on the meta device a `QuantizedLinear`; the rest is `dtype`."""
    for name, child in list(module.named_modules()):
        if type(child) is nn.Linear and component.block_of(f"{name}.") != REST:
            parent, _, attribute = name.rpartition(".")
            setattr(module.get_submodule(parent), attribute, QuantizedLinear.like(child, weight_format, dtype))
    for parameter in module.parameters():
        parameter.data = parameter.data.to(dtype)
        parameter.requires_grad_(False)


def layout(module: nn.Module, component: Component) -> dict[str, Block]:
    """The blocks of a prepared module, in the order in which they run; modulation apart."""
    named: dict[str, list[tuple[str, Tensor]]] = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):  # each once, under however many names
        named.setdefault(component.block_of(name), []).append((name, tensor))
    return {name: _block(name, tensors) for name, tensors in named.items()}


def pack(
    module: nn.Module, component: Component, paths: Iterable[Path], convert: Convert | None
) -> Iterator[tuple[Block, Tensor]]:
    """Read a checkpoint block by block into bytes (size,) uint8; at most two blocks are in memory.

    `convert` brings the names of a checkpoint's tensors to those of the module.

    Raises:
        GenerationFailed: a tensor is missing, or has another shape than the module's.
    """
    linears = {name: child for name, child in module.named_modules() if isinstance(child, QuantizedLinear)}
    blocks = layout(module, component)
    packed: set[str] = set()
    for tensors in _groups(paths, convert):
        filled: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            owner, _, attribute = name.rpartition(".")
            parts = {name: tensor}
            if attribute == "weight" and owner in linears:
                weight_format = linears[owner].format
                parts = {f"{owner}.{part}": value for part, value in quantize(tensor, weight_format).items()}
            filled.setdefault(component.block_of(name), {}).update(parts)
        for block_name, parts in filled.items():
            if block_name not in blocks:
                continue  # something that this model has no use for
            yield blocks[block_name], bytes_of(blocks[block_name], parts)
            packed.add(block_name)
    if missing := blocks.keys() - packed:
        raise GenerationFailed(f"the checkpoint lacks {', '.join(sorted(missing)[:3])}")


def _block(name: str, tensors: Iterable[tuple[str, Tensor]]) -> Block:
    entries, offset = [], 0
    for tensor_name, tensor in tensors:
        entries.append(Entry(name=tensor_name, dtype=tensor.dtype, shape=tensor.shape, offset=offset))
        offset += -(-tensor.nbytes // ALIGN) * ALIGN
    return Block(name=name, entries=tuple(entries), size=offset)


def bytes_of(block: Block, tensors: Mapping[str, Tensor]) -> Tensor:
    """The tensors of a block by name → its bytes, (size,) uint8; see `pack`."""
    data = torch.zeros(block.size, dtype=torch.uint8)
    for name, view in block.views(data).items():
        if name not in tensors:
            raise GenerationFailed(f"the checkpoint lacks {name}")
        if tensors[name].shape != view.shape:
            raise GenerationFailed(f"{name} is {tuple(tensors[name].shape)}, not {tuple(view.shape)}")
        view.copy_(tensors[name])
    return data


def _groups(paths: Iterable[Path], convert: Convert | None) -> Iterator[dict[str, Tensor]]:
    """The tensors of a checkpoint in the module's names, a group per numbered block, so that few are in memory.

    DiffSynth's converters join tensors of one block only (query, key and value), so they work on groups as well.
    """
    files = CheckpointFiles(paths)
    groups: dict[str, list[str]] = {}
    for name in files.names:
        found = re.match(r"(?:.*\.)?\w*blocks?\.\d+\.", name)
        groups.setdefault(found[0] if found else "", []).append(name)
    for names in groups.values():
        tensors = {name: files.read(name) for name in names}
        yield dict(convert(tensors)) if convert is not None else tensors


class CheckpointFiles:
    """The tensors of several safetensors files by name; read, not mapped, so that memory holds only what is used."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._places: dict[str, tuple[Path, int, Mapping[str, Any]]] = {}
        for path in paths:
            text = read_header(path)
            if text is None:
                raise GenerationFailed(f"{path} is cut off or damaged")
            header = json.loads(text)
            header.pop("__metadata__", None)
            self._places |= {name: (path, 8 + len(text), facts) for name, facts in header.items()}
        self.names = list(self._places)

    def read(self, name: str) -> Tensor:
        path, start, facts = self._places[name]
        if facts["dtype"] not in DTYPES:
            raise GenerationFailed(f"{name} is kept as {facts['dtype']}, which is not supported")
        begin, end = facts["data_offsets"]
        data = torch.empty(end - begin, dtype=torch.uint8)
        with path.open("rb") as file:
            file.seek(start + begin)
            if file.readinto(data.numpy().data) != end - begin:
                raise GenerationFailed(f"{path} is cut off")
        return data.view(DTYPES[facts["dtype"]]).view(facts["shape"])
