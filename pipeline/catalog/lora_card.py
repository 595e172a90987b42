"""`LoraCard`: what is true of a LoRA before its tensors are read. Which there are says `pipeline/catalog/loras.py`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class KeyStyle(StrEnum):
    """Who named the tensors of a LoRA; each way names the modules of a model otherwise."""

    DIFFUSERS = "diffusers"  # transformer.….lora_A.weight
    KOHYA = "kohya"  # lora_unet_….lora_down.weight, with the dots of names as underscores
    COMFYUI = "comfyui"  # diffusion_model.….lora_A.weight, with the names of the model's own checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraCard:
    """The facts of one LoRA, from its header and from the operator.

    name: what people ask for; see `LORA_NAME`.
    title: what people read.
    file: a safetensors file, absolute.
    base: `Architecture.name` of the models that it was made for.
    style: who named its tensors.
    rank: the largest of its ranks.
    triggers: words that call what it was trained on; people are shown them.
    weight: unless a person says otherwise.
    steps: that a model takes with it, if it makes steps fewer; 0 for any other LoRA.
    """

    name: str
    title: str
    file: Path
    base: str
    style: KeyStyle
    rank: int
    triggers: tuple[str, ...] = ()
    weight: float = 1.0
    steps: int = 0
