"""A checkpoint → packed blocks: one run of bytes per transformer block, quantized while reading.

What a block's bytes mean follows from the module that they are for (`layout`), so nothing but the bytes has to
be kept. Modulation weights get blocks of their own: they are used once per picture, not once per step.
Must not know devices, streams or prompts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.catalog.architecture import REST, Component
from pipeline.errors import GenerationFailed
from pipeline.streaming.conversion import Conversion, Convert, Source, demand_floats
from pipeline.streaming.quantization import Format, QuantizedLinear, quantize, unquantized

SAMPLED_ROWS: Final = 16  # one row in so many is compared with what became of it
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


class Loss(NamedTuple):
    """What packing costs: sums of squares over a sample of weights, of what was lost and of what was there."""

    lost: float = 0.0
    whole: float = 0.0

    def __add__(self, other: object) -> Loss:
        assert isinstance(other, Loss)
        return Loss(self.lost + other.lost, self.whole + other.whole)

    @property
    def relative(self) -> float:
        """Root mean square of the errors over that of the weights."""
        return math.sqrt(self.lost / self.whole) if self.whole else 0.0


class Packed(NamedTuple):
    """A block and its bytes (size,) uint8."""

    block: Block
    data: Tensor
    loss: Loss = Loss()


def pack(
    module: nn.Module, component: Component, source: Source, convert: Convert | None, done: Collection[str] = ()
) -> Iterator[Packed]:
    """Read a checkpoint group by group into the bytes of blocks; a few blocks are in memory at a time.

    Args:
        done: names of blocks that are not needed again.

    Raises:
        GenerationFailed: tensors are missing, damaged, or have another shape than the module's.
    """
    linears = {name: child for name, child in module.named_modules() if isinstance(child, QuantizedLinear)}
    blocks = layout(module, component)
    conversion = Conversion(source, convert)
    made_here = {f"{name}.scale" for name in linears}
    entries = (entry for block in blocks.values() for entry in block.entries if entry.name not in made_here)
    conversion.check({entry.name: entry.shape for entry in entries})
    begun: dict[str, Filling] = {}
    for group in conversion.groups:
        wanted = {name for name in group.makes if (block := component.block_of(name)) in blocks and block not in done}
        if not wanted:
            continue
        for name, tensor in conversion.read(group).items():
            if name not in wanted:
                continue
            demand_floats(name, tensor)
            block_name = component.block_of(name)
            if (filling := begun.get(block_name)) is None:
                filling = begun[block_name] = Filling(blocks[block_name])
            owner, _, attribute = name.rpartition(".")
            if attribute == "weight" and owner in linears:
                filling.fill_weight(owner, tensor, linears[owner].format)
            else:
                filling.fill({name: tensor})
            if filling.is_full:
                yield begun.pop(block_name).packed


class Filling:
    """The bytes of a block, some of whose tensors are in their places."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._data = torch.zeros(block.size, dtype=torch.uint8)
        self._empty = block.views(self._data)
        self._loss = Loss()

    @property
    def is_full(self) -> bool:
        """Whether every tensor is in its place."""
        return not self._empty

    @property
    def packed(self) -> Packed:
        """The whole block."""
        return Packed(self._block, self._data, self._loss)

    def fill(self, tensors: Mapping[str, Tensor]) -> None:
        """Put tensors in their places; those of other names are left out."""
        for name, tensor in tensors.items():
            if name in self._empty:
                self._empty.pop(name).copy_(tensor)

    def fill_weight(self, owner: str, weight: Tensor, weight_format: Format) -> None:
        """Put the weight (M, K) of a Linear in its place, in its format.

        Raises:
            GenerationFailed: it holds something that is no number.
        """
        parts = quantize(weight, weight_format)
        if "scale" in parts and not bool(torch.isfinite(parts["scale"]).all()):
            raise GenerationFailed(f"{owner}.weight holds something that is no number")
        self.fill({f"{owner}.{part}": value for part, value in parts.items()})
        sample = weight[::SAMPLED_ROWS].float()
        kept = unquantized({part: value[::SAMPLED_ROWS] for part, value in parts.items()}, weight_format)
        self._loss += Loss(float((kept - sample).square().sum()), float(sample.square().sum()))


def _block(name: str, tensors: Iterable[tuple[str, Tensor]]) -> Block:
    entries, offset = [], 0
    for tensor_name, tensor in tensors:
        entries.append(Entry(name=tensor_name, dtype=tensor.dtype, shape=tensor.shape, offset=offset))
        offset += -(-tensor.nbytes // ALIGN) * ALIGN
    return Block(name=name, entries=tuple(entries), size=offset)
