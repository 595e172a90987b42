"""`LoraPart` of a module in our own keeping or of one that was loaded whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from pipeline.streaming.lora_names import Layers, LoraPart, layers_of
from pipeline.streaming.quantization import QuantizedLinear
from pipeline.streaming.streamed_module import StreamedModule

Name = Callable[[Mapping[str, nn.Module]], Layers]
Cut = Callable[[Mapping[str, nn.Module]], Mapping[str, tuple[int, ...]]]


def part_of(
    part: StreamedModule | nn.Module,
    prefixes: tuple[str, ...],
    name: Name,
    *,
    cut: Cut = lambda _layers: {},
    is_text: bool = False,
) -> LoraPart:
    """What LoRAs may change of a part of a model; to be made after its blocks were compiled.

    Args:
        name: what others call its layers.
        cut: the pieces of those that others keep apart.
    """
    if not isinstance(part, StreamedModule):
        layers = layers_of(part)
        device = next((str(each.device) for each in part.parameters()), str(torch.get_default_device()))
        return LoraPart(
            modules=layers,
            device=device,
            prefixes=prefixes,
            layers=name(layers),
            pieces=cut(layers),
            is_text=is_text,
        )
    layers = part.layers
    blocks = {layer: part.COMPONENT.block_of(f"{layer}.") for layer in layers}
    running = {layer for layer, module in layers.items() if isinstance(module, QuantizedLinear)}
    compiled = {layer for layer in running if part.is_compiled and part.COMPONENT.is_running(blocks[layer])}
    return LoraPart(
        modules=layers,
        device=part.device,
        prefixes=prefixes,
        layers=name(layers),
        pieces=cut(layers),
        blocks=blocks,
        compiled=frozenset(compiled),
        is_text=is_text,
    )
