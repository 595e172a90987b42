"""What LoRAs of SD 1.5 and SDXL call the layers of their parts: diffusers' names and CompVis'.

kohya writes SD 1.5's in diffusers' names and SDXL's in CompVis' (`input_blocks_4_1_…`); ComfyUI has CompVis' for both.
Source of the prefixes: kohya-ss/sd-scripts, networks/lora.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from torch import nn

from pipeline.families.stable_diffusion.names import INSIDE, UNET_ENDS
from pipeline.streaming.lora_names import DENOISER_PREFIXES, LoraParts, Target, whole
from pipeline.streaming.lora_parts import part_of
from pipeline.streaming.streamed_module import StreamedModule

Modules = Mapping[str, nn.Module]

CLIP_L_PREFIXES: Final = ("text_encoder.", "clip_l.", "text_encoders.clip_l.transformer.", "lora_te_", "lora_te1_")
CLIP_G_PREFIXES: Final = ("text_encoder_2.", "clip_g.", "text_encoders.clip_g.transformer.", "lora_te2_")
_ROOTS: Final = ("text_model.encoder.", "encoder.", "")
_ENDS: Final = {ours: theirs for theirs, ours in UNET_ENDS.items()}
_WORDS: Final = {ours: theirs for theirs, ours in INSIDE.items() if ours != "conv"}
_BLOCK: Final = re.compile(
    r"(?P<side>down|mid|up)_blocks?(?:\.(?P<level>\d+))?\.(?P<kind>\w+)\.(?P<number>\d+)\.(?P<rest>.+)"
)


def lora_parts(unet: StreamedModule, encoders: Sequence[StreamedModule]) -> LoraParts:
    """What LoRAs may change of a model, which has CLIP-L or both text encoders; after its blocks were compiled."""
    prefixes = dict(zip(("clip_l", "clip_g"), (CLIP_L_PREFIXES, CLIP_G_PREFIXES), strict=True))
    readers = dict(zip(prefixes, encoders, strict=False))
    return {
        "unet": part_of(unet, DENOISER_PREFIXES, unet_names),
        **{name: part_of(each, prefixes[name], clip_names, is_text=True) for name, each in readers.items()},
    }


def unet_names(modules: Modules) -> dict[str, tuple[Target, ...]]:
    """Both names of every layer of a UNet."""
    layers = _layers_per_level(modules)
    found = {}
    for name, module in modules.items():
        targets = whole(name, module)
        found[name] = targets
        if (theirs := _original(name, layers, modules)) is not None:
            found[theirs] = targets
    return found


def clip_names(modules: Modules) -> dict[str, tuple[Target, ...]]:
    """Every name of every layer of a CLIP text encoder."""
    return {f"{root}{name}": whole(name, module) for name, module in modules.items() for root in _ROOTS}


def _layers_per_level(modules: Modules) -> dict[tuple[str, int], int]:
    """How many residual blocks each level has, by side."""
    numbers: dict[tuple[str, int], set[str]] = {}
    for name in modules:
        if (found := _BLOCK.fullmatch(name)) and found["kind"] == "resnets" and found["level"]:
            numbers.setdefault((found["side"], int(found["level"])), set()).add(found["number"])
    return {place: len(each) for place, each in numbers.items()}


def _original(name: str, layers: Mapping[tuple[str, int], int], modules: Modules) -> str | None:
    """`down_blocks.1.resnets.0.conv1` → `input_blocks.4.0.in_layers.2`; CompVis numbers a side's blocks through."""
    if name in _ENDS:
        return _ENDS[name]
    if (found := _BLOCK.fullmatch(name)) is None:
        return "input_blocks.0.0" if name == "conv_in" else None
    side, kind, number, rest = found["side"], found["kind"], int(found["number"]), found["rest"]
    inside = _WORDS.get(rest, rest)
    if side == "mid":
        return f"middle_block.{2 * number if kind == 'resnets' else 1}.{inside}"
    level = int(found["level"])
    before = [count for (at, each), count in layers.items() if at == side and each < level]
    here = layers.get((side, level), 0)
    if side == "down":
        first = 1 + sum(before) + len(before)  # each level ends with a block that halves the size
        if kind == "downsamplers":
            return f"input_blocks.{first + here}.0.op"
        return f"input_blocks.{first + number}.{int(kind == 'attentions')}.{inside}"
    first = sum(before)
    if kind == "upsamplers":
        has_attention = any(each.startswith(f"up_blocks.{level}.attentions.") for each in modules)
        return f"output_blocks.{first + here - 1}.{1 + has_attention}.conv"
    return f"output_blocks.{first + number}.{int(kind == 'attentions')}.{inside}"
