"""Which layers of a model a LoRA's names mean. A family says how others call its layers, in its `loras.py`.

Three ways to write one name: diffusers' and ComfyUI's with dots behind a prefix, kohya's with underscores. What has
underscores cannot be taken apart, so it is looked up among all names written that way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from torch import nn

from pipeline.streaming.quantization import QuantizedLinear

# How names of a transformer's or a UNet's layers begin: diffusers', ComfyUI's, PEFT's, kohya's, and nothing at all.
DENOISER_PREFIXES: Final = (
    "transformer.",
    "unet.",
    "diffusion_model.",
    "model.diffusion_model.",
    "base_model.model.",
    "base_model.model.transformer.",
    "base_model.model.diffusion_model.",
    "lora_unet_",
    "lora_transformer_",
    "",
)


@dataclass(frozen=True, slots=True)
class Target:
    """Some outputs of one of our layers, and which of a file's layer they are.

    module: our name.
    to: the first of them in ours.
    of: the first of them in the file's.
    rows: how many.
    """

    module: str
    to: int
    of: int
    rows: int


Layers = Mapping[str, tuple[Target, ...]]  # by somebody else's name, with dots


@dataclass(frozen=True, kw_only=True)
class LoraPart:
    """One part of a model, as far as LoRAs may change it.

    modules: by our names; those that no LoRA changes may be among them.
    device: where their inputs are.
    prefixes: how names of this part begin in files; with underscores or without, as the prefix itself.
    layers: what others call our layers.
    pieces: the outputs of each piece, of layers that files keep apart.
    blocks: the block of a module, as plans of memory call it.
    compiled: modules inside compiled blocks, whose code has to be the same for every LoRA.
    is_text: whether it reads prompts.
    """

    modules: Mapping[str, nn.Module]
    device: str
    prefixes: tuple[str, ...]
    layers: Layers
    pieces: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    blocks: Mapping[str, str] = field(default_factory=dict)
    compiled: frozenset[str] = frozenset()
    is_text: bool = False

    @cached_property
    def _underscored(self) -> Layers:
        return {name.replace(".", "_"): targets for name, targets in self.layers.items()}

    def find(self, name: str) -> tuple[Target, ...] | None:
        """What a file's name means; None if it means nothing here, () if it is a layer that is not read."""
        for prefix in self.prefixes:
            if name.startswith(prefix):
                layers = self._underscored if prefix.endswith("_") else self.layers
                if (found := layers.get(name.removeprefix(prefix))) is not None:
                    return found
        return None


LoraParts = Mapping[str, LoraPart]


def layers_of(module: nn.Module) -> dict[str, nn.Module]:
    """The layers of a module that a LoRA may change, by name."""
    return {name: child for name, child in module.named_modules() if is_layer(child)}


def is_layer(module: nn.Module) -> bool:
    """Whether a LoRA may change it."""
    return isinstance(module, QuantizedLinear | nn.Linear | nn.Conv2d)


def outputs_of(module: nn.Module) -> int:
    """M of a layer."""
    return module.out_channels if isinstance(module, nn.Conv2d) else int(getattr(module, "out_features", 0))


def inputs_of(module: nn.Module) -> int:
    """K of a layer."""
    return module.in_channels if isinstance(module, nn.Conv2d) else int(getattr(module, "in_features", 0))


def whole(name: str, module: nn.Module) -> tuple[Target, ...]:
    """All outputs of a layer that the file has alike."""
    return (Target(name, 0, 0, outputs_of(module)),)


def joined(names: Iterable[str], modules: Mapping[str, nn.Module]) -> tuple[Target, ...]:
    """The outputs of several of our layers that the file has as one, in this order."""
    return tuple(_joined(names, modules))


def _joined(names: Iterable[str], modules: Mapping[str, nn.Module]) -> Iterator[Target]:
    start = 0
    for name in names:
        count = outputs_of(modules[name])
        yield Target(name, 0, start, count)
        start += count


def piece(name: str, number: int, sizes: tuple[int, ...]) -> tuple[Target, ...]:
    """One piece of our layer's outputs, which the file has as a layer of its own."""
    return (Target(name, sum(sizes[:number]), 0, sizes[number]),)


def swapped(name: str, module: nn.Module) -> tuple[Target, ...]:
    """All outputs of a layer whose halves stand in the other order in the file."""
    half = outputs_of(module) // 2
    return (Target(name, 0, half, half), Target(name, half, 0, half))
