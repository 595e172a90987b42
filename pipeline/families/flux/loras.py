"""What LoRAs of FLUX.1 call the layers of its parts: diffusers', Black Forest Labs' (kohya, ComfyUI) and our own names.

Source of the prefixes: kohya-ss/sd-scripts, networks/lora_flux.py; diffusers, loaders/lora_pipeline.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from torch import nn

from pipeline.catalog.layouts.lora_factors import SINGLE_QKV
from pipeline.families.flux.names import CLIP_LAYER, LISTS, SWAPPED, TRANSFORMER, place_of
from pipeline.streaming.lora_names import (
    DENOISER_PREFIXES,
    LoraParts,
    Target,
    inputs_of,
    outputs_of,
    piece,
    swapped,
    whole,
)
from pipeline.streaming.lora_parts import part_of
from pipeline.streaming.streamed_module import StreamedModule

Modules = Mapping[str, nn.Module]

CLIP_PREFIXES: Final = (
    "text_encoder.", "clip_l.", "text_encoders.clip_l.transformer.", "text_encoders.clip_l.", "lora_te_", "lora_te1_",
)  # fmt: skip
T5_PREFIXES: Final = (
    "text_encoder_2.", "t5xxl.", "text_encoders.t5xxl.transformer.", "text_encoders.t5xxl.", "lora_te2_", "lora_te3_",
)  # fmt: skip
_IN_LIST: Final = re.compile(r"(blocks|single_blocks)\.(\d+)\.")
_FUSED: Final = re.compile(r"(single_blocks\.\d+)\.to_qkv_mlp")
_IN_CLIP: Final = re.compile(r"encoders\.(\d+)\.(.+)")
_CLIP_ROOTS: Final = ("text_model.encoder.layers", "encoder.layers", "encoders")


def lora_parts(dit: StreamedModule, clip: StreamedModule | nn.Module, t5: StreamedModule | nn.Module) -> LoraParts:
    """What LoRAs may change of a model; after its blocks were compiled."""
    return {
        "dit": part_of(dit, DENOISER_PREFIXES, transformer_names, cut=pieces_of),
        "clip": part_of(clip, CLIP_PREFIXES, clip_names, is_text=True),
        "t5": part_of(t5, T5_PREFIXES, t5_names, is_text=True),
    }


def transformer_names(modules: Modules) -> dict[str, tuple[Target, ...]]:
    """Every name of every layer of the transformer, those in files that keep its pieces apart too."""
    pieces = pieces_of(modules)
    names = {*TRANSFORMER, *TRANSFORMER.values()}
    for kind, number in {(found[1], found[2]) for name in modules if (found := _IN_LIST.match(name))}:
        for title, blocks in LISTS.items():
            if blocks.name == kind:
                inside = {*blocks.names, *blocks.names.values(), *blocks.joined, *sum(blocks.joined.values(), ())}
                names |= {f"{title}.{number}.{each}" for each in inside}
    found_names: dict[str, tuple[Target, ...]] = {}
    for name in names:
        place = place_of(name)
        if place is None or place[0] not in modules:
            continue
        module, number_of_piece, count = place
        if name == SWAPPED:
            found_names[name] = swapped(module, modules[module])
        elif count > 1:
            found_names[name] = piece(module, number_of_piece, pieces[module])
        else:
            found_names[name] = whole(module, modules[module])
    for module, sizes in pieces.items():
        if (block := _FUSED.fullmatch(module)) is not None:
            found_names[f"{block[1]}.{SINGLE_QKV}"] = (Target(module, 0, 0, sum(sizes[:3])),)
    return found_names


def pieces_of(modules: Modules) -> dict[str, tuple[int, ...]]:
    """The outputs of query, key and value, and of the hidden layer beside them."""
    found: dict[str, tuple[int, ...]] = {}
    for name, module in modules.items():
        outputs, width = outputs_of(module), inputs_of(module)
        if name.endswith("_to_qkv"):
            found[name] = (outputs // 3,) * 3
        elif name.endswith(".to_qkv_mlp"):
            found[name] = (width, width, width, outputs - 3 * width)
    return found


def clip_names(modules: Modules) -> dict[str, tuple[Target, ...]]:
    """Every name of every layer of CLIP-L."""
    found = {}
    for name, module in modules.items():
        if (layer := _IN_CLIP.fullmatch(name)) is None:
            continue
        inside = [theirs for theirs, ours in CLIP_LAYER.items() if ours == layer[2]]
        for root in _CLIP_ROOTS:
            for each in (*inside, layer[2]):
                found[f"{root}.{layer[1]}.{each}"] = whole(name, module)
    return found


def t5_names(modules: Modules) -> dict[str, tuple[Target, ...]]:
    """Every layer of T5, whose names everybody shares."""
    return {name: whole(name, module) for name, module in modules.items()}
