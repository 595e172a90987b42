"""A checkpoint → packed blocks: one run of bytes per transformer block, quantized while reading.

What a block's bytes mean follows from the module that they are for (`layout`), so nothing but the bytes has to
be kept. Modulation weights get blocks of their own: they are used once per picture, not once per step.
Must not know devices, streams or prompts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from pipeline.catalog.architecture import REST, Component
from pipeline.streaming.conversion import Conversion, Convert, Source
from pipeline.streaming.quantization import Format, QuantizedLinear, quantize

ALIGN: Final = 256  # bytes; what GPU kernels like their operands to start at


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
    module: nn.Module, component: Component, source: Source, convert: Convert | None
) -> Iterator[tuple[Block, Tensor]]:
    """Read a checkpoint group by group into the bytes of blocks, (size,) uint8; a few blocks are in memory at a time.

    Raises:
        GenerationFailed: tensors are missing, damaged, or have another shape than the module's.
    """
    linears = {name: child for name, child in module.named_modules() if isinstance(child, QuantizedLinear)}
    blocks = layout(module, component)
    conversion = Conversion(source, convert)
    conversion.check(
        {
            entry.name: entry.shape
            for block in blocks.values()
            for entry in block.entries
            if not _is_made_here(entry.name, linears)
        }
    )
    begun: dict[str, Filling] = {}
    for group in conversion.groups:
        for name, tensor in conversion.read(group).items():
            block_name, (owner, _, attribute) = component.block_of(name), name.rpartition(".")
            if block_name not in blocks:
                continue  # something that this model has no use for
            parts = {name: tensor}
            if attribute == "weight" and owner in linears:
                weight_format = linears[owner].format
                parts = {f"{owner}.{part}": value for part, value in quantize(tensor, weight_format).items()}
            filling = begun.setdefault(block_name, Filling(blocks[block_name]))
            filling.fill(parts)
            if filling.is_full:
                yield filling.block, begun.pop(block_name).data


class Filling:
    """The bytes of a block, some of whose tensors are in their places."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.data = torch.zeros(block.size, dtype=torch.uint8)
        self._empty = block.views(self.data)

    @property
    def is_full(self) -> bool:
        """Whether every tensor is in its place."""
        return not self._empty

    def fill(self, tensors: Mapping[str, Tensor]) -> None:
        """Put tensors in their places; those of other names are left out."""
        for name, tensor in tensors.items():
            if name in self._empty:
                self._empty.pop(name).copy_(tensor)


def _is_made_here(name: str, linears: Mapping[str, QuantizedLinear]) -> bool:
    """Whether a tensor is made of a weight instead of read."""
    owner, _, attribute = name.rpartition(".")
    return attribute == "scale" and owner in linears


def _block(name: str, tensors: Iterable[tuple[str, Tensor]]) -> Block:
    entries, offset = [], 0
    for tensor_name, tensor in tensors:
        entries.append(Entry(name=tensor_name, dtype=tensor.dtype, shape=tensor.shape, offset=offset))
        offset += -(-tensor.nbytes // ALIGN) * ALIGN
    return Block(name=name, entries=tuple(entries), size=offset)
