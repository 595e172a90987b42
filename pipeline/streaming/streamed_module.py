"""A module whose weights are ours: blocks that stay on the device, and blocks that pass through the ring."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import torch
from torch import Tensor, nn

from pipeline.catalog.architecture import REST, Component
from pipeline.device.gpu_profile import Tiles
from pipeline.device.memory_plan import Weights
from pipeline.errors import GenerationFailed
from pipeline.streaming.block_packing import Block, Packed, layout, pack, prepare
from pipeline.streaming.block_ring import BlockRing
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.conversion import Convert
from pipeline.streaming.lora_names import is_layer
from pipeline.streaming.packed_cache import PackedFile, open_packed
from pipeline.streaming.pinned_memory import PinnedMemory
from pipeline.streaming.quantization import Format, QuantizedLinear

log = logging.getLogger(__name__)

BLOCKS_AHEAD: Final = 6  # a tenth of a step of a model with 57 of them


class StreamedModule:
    """A module and where its weights lie. Its blocks have to run in the order of `running`.

    COMPONENT is what the family declares about it; IS_LOCKED whether it runs often enough for its streamed blocks to
    take page-locked memory.
    """

    COMPONENT: ClassVar[Component]
    IS_LOCKED: ClassVar[bool] = False

    def __init__(self, module: nn.Module, packed: Mapping[str, Tensor], device: str) -> None:
        """Take over a module that `packing.prepare` made ready, and the bytes of its blocks; nothing is placed yet."""
        self.module = module
        self.packed = packed
        self.device = device
        self.blocks = layout(module, self.COMPONENT)
        self.running = [name for name in self.blocks if self.COMPONENT.is_running(name)]
        self._owners = dict(module.named_modules())
        self._placed: set[str] = set()
        self._waiting: dict[str, Tensor] = {}  # bytes in host memory, by block
        self.pinned = PinnedMemory() if self.IS_LOCKED and device == "cuda" else None
        self._ring: BlockRing | None = None
        self._views: dict[tuple[str, int], list[tuple[dict[str, Any], str, Tensor]]] = {}  # by block and slot
        self._ahead: deque[torch.cuda.Event] = deque()  # one per block that was launched and may not have ended
        self.on_block: Callable[[], None] | None = None  # called before each block; what it raises ends the run
        self._is_in_phase = False  # what the ring brings next is the first block, unless another used it meanwhile
        self.is_compiled = False  # its running blocks
        for name in self.running:
            self._owners[name].register_forward_pre_hook(partial(self._before, name))
            self._owners[name].register_forward_hook(partial(self._after, name))

    @classmethod
    def read(  # noqa: PLR0913 - each says something of its own about the module that comes out
        cls,
        source: CheckpointFiles,
        make: Callable[[], nn.Module],
        *,
        convert: Convert | None,
        weight_format: Format,
        dtype: torch.dtype,
        device: str,
        cache: Path | None = None,
    ) -> Self:
        """Read a part of a checkpoint, or the packed file `cache` that was made of it.

        Without `cache` the packed blocks are kept in memory.

        Args:
            make: makes the module; called on the meta device.
            convert: brings the names of the part's tensors to those of the module; None: they are the same.

        Raises:
            GenerationFailed: it is something else, or not whole.
            DiskFull: no room for the packed file.
        """
        with torch.device("meta"):
            module = make()
        cls.simplify(module)
        prepare(module, cls.COMPONENT, weight_format, dtype)
        fingerprint = source.fingerprint(weight_format)

        def contents(done: Collection[str] = ()) -> Iterator[Packed]:
            yield from pack(module, cls.COMPONENT, source, convert, done)
            if source.fingerprint(weight_format) != fingerprint:  # a mixture of two came out
                raise GenerationFailed(f"{source.title} was changed while it was read: start again")

        if cache is None:
            return cls(module, {packed.block.name: packed.data for packed in contents()}, device)
        return cls(module, open_packed(cache, layout(module, cls.COMPONENT), fingerprint, contents), device)

    @classmethod
    def simplify(cls, module: nn.Module) -> None:
        """Take out of a fresh module what needs no weights of its own."""

    @property
    def layers(self) -> dict[str, nn.Module]:
        """The layers that a LoRA may change, by the names that they had in the module at first."""
        return {name: owner for name, owner in self._owners.items() if is_layer(owner)}

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each block."""
        return {name: block.size for name, block in self.blocks.items()}

    @property
    def weights(self) -> Weights:
        """What a plan is made of."""
        return Weights(component=self.COMPONENT, sizes=self.sizes)

    @property
    def streamed_bytes(self) -> int:
        """What crosses to the device each time the module runs."""
        return sum(self.blocks[name].size for name in self.running if name in self._waiting)

    def place(self, resident: Collection[str] | None = None, *, ring: BlockRing | None = None) -> None:
        """Bring these blocks to the device for good, and let the others pass through the ring. None means all.

        May be called again between pictures. What belongs to no block always stays; tables stay in host memory. If
        memory runs out meanwhile, nothing can run before a call that succeeds.
        """
        stays = {
            name
            for name in self.blocks
            if resident is None or name in (REST, *self.COMPONENT.tables) or name in resident
        }
        if self._ring is not None and self._ring.user is self:
            self._ring.forget()
        self._ring = None  # until every block has found its place: half of them would run with the bytes of others
        self._views.clear()
        self._is_in_phase = False
        for name in stays & self._waiting.keys():  # first, since what is page-locked leaves no room for others
            self._attach(self.blocks[name], self.packed[name])
            del self._waiting[name]
        for name, block in self.blocks.items():
            if name not in stays and name not in self._waiting:
                data = self.packed[name]
                self._waiting[name] = self.pinned.copy(data) if self.pinned and name in self.running else data
                self._attach(block, data)  # lets go of the device's memory
                self._placed.discard(name)
        for name in stays - self._placed:
            self._attach(
                self.blocks[name], self.packed[name].to("cpu" if name in self.COMPONENT.tables else self.device)
            )
            self._placed.add(name)
        self._ring = ring

    def leave_ring(self) -> None:
        """Let go of the ring's slots, which the blocks that passed through them still hold."""
        self._views.clear()
        self._is_in_phase = False
        for name, data in self._waiting.items():
            self._attach(self.blocks[name], data)

    def use_8bit_matmul(self, wanted: bool) -> None:
        """Whether values kept in 8 bits are multiplied as such, or only kept so."""
        for module in self._owners.values():
            if isinstance(module, QuantizedLinear):
                module.uses_8bit_matmul = wanted and module.format.is_8bit

    def use_kernels(self, tiles: Tiles | None, *, fuses_rows: bool) -> None:
        """How integers are made and multiplied; see `QuantizedLinear`."""
        if tiles is not None or fuses_rows:
            try:
                import_module("pipeline.streaming.triton_int8")  # which has the operators
            except ImportError:
                log.warning("Triton is missing, which was there when this card was measured: pictures take longer")
                tiles, fuses_rows = None, False
        for module in self._owners.values():
            if isinstance(module, QuantizedLinear):
                module.tiles, module.fuses_rows = tiles, fuses_rows

    @property
    def packed_file(self) -> PackedFile | None:
        """Where the blocks lie, unless they are kept in memory."""
        return self.packed if isinstance(self.packed, PackedFile) else None

    def release(self) -> None:
        """Give host memory back that was only read through, where the blocks lie in a file."""
        if self.packed_file is not None:
            self.packed_file.release()

    def visit(self, names: Sequence[str]) -> Iterator[str]:
        """Have each of these blocks on the device in its turn."""
        passing = [name for name in names if name in self._waiting]
        if passing:
            assert self._ring is not None
            self._is_in_phase = False
            self._ring.feed((self._waiting[name] for name in passing), self)
        for name in names:
            self._look_up()
            self._take(name)
            yield name
            self._give(name)

    def _before(self, name: str, *_inputs: Any) -> None:
        self._look_up()
        if name == self.running[0]:
            passing = [self._waiting[name] for name in self.running if name in self._waiting]
            if passing:
                assert self._ring is not None
                if not self._is_in_phase or self._ring.user is not self:  # the first run, or one was interrupted
                    self._ring.feed(itertools.cycle(passing), self)
            self._is_in_phase = False
        self._take(name)

    def _after(self, name: str, *_inputs: Any) -> None:
        self._give(name)
        if name == self.running[-1]:
            self._is_in_phase = True

    def _look_up(self) -> None:
        """Let somebody end the run. Stay few blocks ahead of the GPU, since launched ones cannot be called back."""
        if self.device != "cpu":
            if len(self._ahead) >= BLOCKS_AHEAD:
                self._ahead.popleft().synchronize()
            event = torch.cuda.Event()
            event.record()
            self._ahead.append(event)
        if self.on_block is not None:
            self.on_block()

    def _take(self, name: str) -> None:
        if name not in self._waiting:
            return
        assert self._ring is not None
        slot = self._ring.take()
        if (name, slot) not in self._views:
            self._views[name, slot] = list(self._attachments(self.blocks[name], self._ring.slots[slot]))
        for registry, attribute, tensor in self._views[name, slot]:
            registry[attribute] = tensor

    def _give(self, name: str) -> None:
        if name in self._waiting:
            assert self._ring is not None
            self._ring.give()

    def _attach(self, block: Block, data: Tensor) -> None:
        """Let a block's tensors be views of these bytes."""
        for registry, attribute, tensor in self._attachments(block, data):
            registry[attribute] = tensor

    def _attachments(self, block: Block, data: Tensor) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
        for name, view in block.views(data).items():
            owner, _, attribute = name.rpartition(".")
            module = self._owners[owner]
            if attribute in module._parameters:
                yield module._parameters, attribute, nn.Parameter(view, requires_grad=False)
            else:
                yield module._buffers, attribute, view
