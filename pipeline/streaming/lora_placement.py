"""`LoraPlacement`: the LoRAs that a model in memory is used with, on its layers and in the plan of its memory.

The weights themselves are never touched, so that without LoRAs everything computes the same bits as before.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from cachetools import LRUCache
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pipeline.catalog.architecture import MODULATION, REST, StepCost
from pipeline.catalog.headers import NotWeights, Stamp, stamp_of
from pipeline.catalog.lora_card import LoraCard
from pipeline.errors import LoraMisfit
from pipeline.runtime.prompt_cache import PromptEmbeddingCache
from pipeline.streaming.lora_adapter import Adapter, combine, read_adapter
from pipeline.streaming.lora_names import LoraParts, outputs_of
from pipeline.streaming.lora_product import Side, add_conv_side, add_linear_side
from pipeline.streaming.quantization import QuantizedLinear
from pipeline.streaming.residency import Residency

log = logging.getLogger(__name__)

KEPT: Final = 4  # LoRAs in host memory, the latest used

Wanted = Sequence[tuple[LoraCard, float]]  # with the weight of each


class LoraPlacement:
    """Puts LoRAs on a model's layers and takes them off again; called between images."""

    def __init__(
        self,
        parts: LoraParts | None,
        residency: Residency,
        prompts: PromptEmbeddingCache,
        *,
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin with none.

        Args:
            parts: what LoRAs may change; None: nothing.
            forget: drops what was computed with the layers and is kept across images, embeddings apart.
        """
        self._parts = parts
        self._residency = residency
        self._prompts = prompts
        self._forget = forget
        self._adapters: LRUCache[tuple[LoraCard, Stamp], Adapter] = LRUCache(KEPT)
        self._used: tuple[Any, ...] = ()
        self._quantized: list[QuantizedLinear] = []
        self._hooks: list[RemovableHandle] = []

    def use(self, wanted: Wanted, cost: StepCost) -> None:
        """Have all that is computed from now on changed by these LoRAs and no others; places the model's blocks.

        Args:
            cost: of the image that is drawn next; see `Residency.fit`.

        Raises:
            LoraMisfit: one does not fit the model, or cannot be read; then none is in use.
            OutOfMemory, torch.OutOfMemoryError: see `Residency.fit`; likewise.
        """
        key = tuple((card, _stamp(card), weight) for card, weight in wanted)
        if key == self._used:
            self._residency.fit(cost)
            return
        self.drop()
        if not wanted:
            self._residency.fit(cost)
            return
        try:
            sides = self._sides(key)
            self._residency.reserve(_bytes(sides, self._dtypes()), self._outputs(sides))
            self._residency.fit(cost)
            self._residency.run_step(lambda: self._place(sides))
        except BaseException:
            self.drop()
            raise
        self._prompts.variant = self._variant(sides)
        self._used = key
        log.info("LoRAs in use: %s", ", ".join(f"{card.name} ({weight:g})" for card, weight in wanted))

    def drop(self) -> None:
        """Take all off."""
        self._take_off()
        self._forget()
        self._used = ()
        self._prompts.variant = ""
        self._residency.reserve(0, {})

    def _sides(self, key: Sequence[tuple[LoraCard, Stamp, float]]) -> dict[str, dict[str, Side]]:
        """By part and layer, on the CPU."""
        if self._parts is None:
            raise LoraMisfit(key[0][0].name, "cannot be used with this model")
        adapters = [(self._adapter(card, stamp), weight) for card, stamp, weight in key]
        return {name: combine(adapters, name, part) for name, part in self._parts.items()}

    def _adapter(self, card: LoraCard, stamp: Stamp) -> Adapter:
        assert self._parts is not None
        if (card, stamp) not in self._adapters:
            self._adapters[card, stamp] = read_adapter(card.name, card.file, self._parts)
        return self._adapters[card, stamp]

    def _place(self, sides: Mapping[str, Mapping[str, Side]]) -> None:
        self._take_off()
        assert self._parts is not None
        shared: dict[int, Side] = {}
        for name, layers in sides.items():
            part = self._parts[name]
            for layer, side in layers.items():
                module = part.modules[layer]
                if id(side) not in shared:
                    down, up = (each.to(part.device, _dtype(module)) for each in side[:2])
                    shared[id(side)] = Side(down, up, side.pieces)
                self._put_on(module, shared[id(side)], is_compiled=layer in part.compiled)

    def _put_on(self, module: nn.Module, side: Side, *, is_compiled: bool) -> None:
        if isinstance(module, QuantizedLinear):
            if is_compiled:
                torch._dynamo.maybe_mark_dynamic(side.down, 1)
                torch._dynamo.maybe_mark_dynamic(side.up, 1)
            module.side = side
            self._quantized.append(module)
            return

        def add(_module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
            if isinstance(module, nn.Conv2d):
                return add_conv_side(out, inputs[0], module, side)
            return add_linear_side(out, inputs[0], side)

        self._hooks.append(module.register_forward_hook(add))

    def _take_off(self) -> None:
        for module in self._quantized:
            module.side = None
        for hook in self._hooks:
            hook.remove()
        self._quantized.clear()
        self._hooks.clear()

    def _dtypes(self) -> Mapping[str, Mapping[str, torch.dtype]]:
        assert self._parts is not None
        return {
            name: {layer: _dtype(module) for layer, module in part.modules.items()}
            for name, part in self._parts.items()
        }

    def _outputs(self, sides: Mapping[str, Mapping[str, Side]]) -> dict[str, int]:
        """Bytes per token that the widest side branch of each block gives, unless it is added before it is written."""
        found: dict[str, int] = {}
        assert self._parts is not None
        for name, layers in sides.items():
            part = self._parts[name]
            if part.is_text:  # they read few tokens
                continue
            for layer in layers:
                block, module = part.blocks.get(layer, REST), part.modules[layer]
                if block.endswith(MODULATION):  # of one row per step
                    continue
                if isinstance(module, QuantizedLinear) and module.adds_side_inside:
                    continue
                found[block] = max(found.get(block, 0), outputs_of(module) * _dtype(module).itemsize)
        return found

    def _variant(self, sides: Mapping[str, Mapping[str, Side]]) -> str:
        """Names what text encoders are changed by; "" if they are not."""
        assert self._parts is not None
        digest, is_changed = hashlib.sha256(), False
        for name, layers in sides.items():
            if self._parts[name].is_text:
                for layer, side in sorted(layers.items()):
                    is_changed = True
                    digest.update(f"{name} {layer} {tuple(side.down.shape)} {tuple(side.up.shape)}".encode())
                    digest.update(side.down.numpy().tobytes() + side.up.numpy().tobytes())
        return digest.hexdigest() if is_changed else ""


def _stamp(card: LoraCard) -> Stamp:
    try:
        return stamp_of(card.file)
    except NotWeights as error:
        raise LoraMisfit(card.name, f"cannot be read: {error}") from error


def _dtype(module: nn.Module) -> torch.dtype:
    """What a layer computes in."""
    if isinstance(module, QuantizedLinear):
        return module.dtype
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight.dtype


def _bytes(sides: Mapping[str, Mapping[str, Side]], dtypes: Mapping[str, Mapping[str, torch.dtype]]) -> int:
    """What the side branches take where they compute; shared ones count once."""
    sizes = {
        id(side): (side.down.numel() + side.up.numel()) * dtypes[name][layer].itemsize
        for name, layers in sides.items()
        for layer, side in layers.items()
    }
    return sum(sizes.values())
