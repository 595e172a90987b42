"""What LoRAs of FLUX.2 [klein] call the layers of its transformer: diffusers' names, which are ours, and BFL's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from torch import nn

from pipeline.families.flux2.names import DOUBLE, JOINED, OUTSIDE, SINGLE, SWAPPED
from pipeline.families.qwen3 import Qwen3TextEncoder
from pipeline.streaming.lora_names import DENOISER_PREFIXES, LoraParts, Target, joined, swapped, whole
from pipeline.streaming.lora_parts import part_of
from pipeline.streaming.streamed_module import StreamedModule

Modules = Mapping[str, nn.Module]

_BLOCK: Final = re.compile(r"(?P<single>single_)?transformer_blocks\.(?P<number>\d+)\.")


def lora_parts(dit: StreamedModule, qwen3: Qwen3TextEncoder) -> LoraParts:
    """What LoRAs may change of a model; after its blocks were compiled."""
    return {"dit": part_of(dit, DENOISER_PREFIXES, transformer_names), "qwen3": qwen3.lora_part()}


def transformer_names(modules: Modules) -> dict[str, tuple[Target, ...]]:
    """Both names of every layer of the transformer."""
    found = {name: whole(name, module) for name, module in modules.items()}
    for theirs, ours in OUTSIDE.items():
        if ours in modules:
            found[theirs] = (swapped if theirs == SWAPPED else whole)(ours, modules[ours])
    for at in {block[0] for name in modules if (block := _BLOCK.match(name))}:
        block = _BLOCK.fullmatch(at)
        assert block is not None
        their_block = f"{'single' if block['single'] else 'double'}_blocks.{block['number']}."
        for theirs, inside in (SINGLE if block["single"] else DOUBLE).items():
            if (name := at + inside) in modules:
                found[their_block + theirs] = whole(name, modules[name])
        for theirs, pieces in ({} if block["single"] else JOINED).items():
            found[their_block + theirs] = joined([at + each for each in pieces], modules)
    return found
