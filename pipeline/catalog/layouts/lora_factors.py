"""The names of a LoRA's tensors → which factor of which layer each is, in today's names of layers. No torch.

Early files named the attention processor that held a factor and not the layer beside it: diffusers' until 0.20
(`attn1.processor.to_q_lora.down.weight`, huggingface/diffusers:loaders.py) and XLabs' for FLUX.1
(`double_blocks.0.processor.qkv_lora1.down.weight`, XLabs-AI/x-flux:src/flux/modules/layers.py). What those add is added
to the output of a layer too, so they are read as if they named it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

SINGLE_QKV: Final = "linear1.qkv"  # what XLabs' change of a single block: the first rows of `linear1`, and not the rest
_FACTOR: Final = re.compile(
    r"(?P<layer>.+?)(?:\.lora_(?P<new>A|B)(?:\.default)?|\.lora_(?P<old>down|up)"
    r"|\.lora(?:_linear_layer)?\.(?P<dotted>down|up)|_lora(?P<stream>[12]?)\.(?P<early>down|up))\.weight"
)
_ALPHA: Final = re.compile(r"(?P<layer>.+?)(?:_lora(?P<stream>[12]?))?\.(?:alpha|network_alpha)")
_XLABS: Final = re.compile(r"(?P<block>(?:.*\.)?(?:double|single)_blocks\.\d+)\.processor\.(?P<which>qkv|proj)")
_OLD_TEXT: Final = re.compile(r"(?P<at>.*\.self_attn)\.to_(?P<which>q|k|v|out)")


class Role(Enum):
    """What a tensor is to its layer: the first factor, the second one, or a number."""

    DOWN = "down"
    UP = "up"
    ALPHA = "alpha"


class Factor(NamedTuple):
    """A tensor of a LoRA.

    layer: in today's names.
    is_xlabs: whether its name is one that only XLabs gave, and only to FLUX.1.
    """

    layer: str
    role: Role
    is_xlabs: bool = False


def factor_of(name: str) -> Factor | None:
    """Say what a tensor is; None if it is none of a LoRA's."""
    if (found := _FACTOR.fullmatch(name)) is not None:
        side = found["new"] or found["old"] or found["dotted"] or found["early"]
        role = Role.DOWN if side in ("A", "down") else Role.UP
        return _named(found["layer"], found["stream"] if found["early"] else None, role)
    if (found := _ALPHA.fullmatch(name)) is not None:
        return _named(found["layer"], found["stream"], Role.ALPHA)
    return None


def _named(stem: str, stream: str | None, role: Role) -> Factor | None:
    """A factor by what its name begins with.

    Args:
        stream: of XLabs' numbers, 1 for the image and 2 for the text; None if the name is of no processor.
    """
    if (found := _XLABS.fullmatch(stem)) is not None:
        layer = _of_xlabs(found["block"], found["which"], stream or "")
        return None if layer is None else Factor(layer, role, is_xlabs=True)
    if stream:  # a number that nobody else wrote
        return None
    if stream is not None and (found := _OLD_TEXT.fullmatch(stem)) is not None:
        return Factor(f"{found['at']}.{found['which']}_proj", role)
    if ".processor." in stem:
        stem = stem.replace(".processor.", ".")
        return Factor(f"{stem}.0" if stem.endswith(".to_out") else stem, role)
    return Factor(stem, role)


def _of_xlabs(block: str, which: str, stream: str) -> str | None:
    if block.rpartition(".")[0].endswith("double_blocks"):
        side = {"1": "img", "2": "txt"}.get(stream)
        return None if side is None else f"{block}.{side}_attn.{which}"
    if stream:
        return None
    return f"{block}.{SINGLE_QKV if which == 'qkv' else 'linear2'}"
