"""What LoRAs of Z-Image call the layers of its transformer: the published names, which are ours, and ComfyUI's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torch import nn

from pipeline.families.qwen3 import Qwen3TextEncoder
from pipeline.families.z_image.names import PATCH
from pipeline.streaming.lora_names import DENOISER_PREFIXES, LoraParts, Target, joined, whole
from pipeline.streaming.lora_parts import part_of
from pipeline.streaming.streamed_module import StreamedModule

Modules = Mapping[str, nn.Module]

_QUERY: Final = ".attention.to_q"
_OUT: Final = ".attention.to_out.0"
_ALL: Final = "all_"


def lora_parts(dit: StreamedModule, qwen3: Qwen3TextEncoder) -> LoraParts:
    """What LoRAs may change of a model; after its blocks were compiled."""
    return {"dit": part_of(dit, DENOISER_PREFIXES, transformer_names), "qwen3": qwen3.lora_part()}


def transformer_names(modules: Modules) -> dict[str, tuple[Target, ...]]:
    """Both names of every layer of the transformer."""
    found = {}
    for name, module in modules.items():
        targets = whole(name, module)
        found[name] = targets
        if name.endswith(_OUT):
            found[name.removesuffix(_OUT) + ".attention.out"] = targets
        elif name.startswith(_ALL):
            found[name.removeprefix(_ALL).replace(f".{PATCH}", "", 1)] = targets
        elif name.endswith(_QUERY):
            at = name.removesuffix("q")
            found[name.removesuffix("to_q") + "qkv"] = joined([at + each for each in "qkv"], modules)
    return found
