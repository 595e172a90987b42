"""A LoRA's file → pairs of tensors by the name of the layer that they change, whoever wrote it.

Files come from strangers: whatever is wrong with one is a `LoraMisfit`, found in its head as far as that says it. What
its names mean is the business of `lora_names.py`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from pipeline.catalog.headers import Container, Header, NotWeights, header_of
from pipeline.catalog.layouts.lora_factors import Role, factor_of
from pipeline.errors import GenerationFailed, LoraMisfit
from pipeline.streaming.storages.stored import Stored

MOST_RANK: Final = 512
MOST_NAMED: Final = 5
FLOATS: Final = frozenset({"F16", "BF16", "F32", "F64"})
PEFT_NOTES: Final = "lora_adapter_metadata"  # huggingface/diffusers: what PEFT was told, alphas among it

_OTHER_KINDS: Final = (
    (re.compile(r"dora_scale|lora_magnitude_vector"), "is a DoRA, which scales the model's own weights as well"),
    (re.compile(r"\.hada_"), "is a LoHa, which multiplies two LoRAs value by value"),
    (re.compile(r"\.lokr_"), "is a LoKr, which is a Kronecker product"),
    (re.compile(r"\.lora_mid\."), "has convolutions in three parts (Tucker's)"),
    (re.compile(r"\.o[ft]+_(?:blocks|diag)|\.boft_|\.oft_"), "is an OFT, which rotates the model's own weights"),
    (re.compile(r"\.(?:diff|diff_b|w_norm|b_norm)$"), "changes whole weights, not only by a product"),
    (re.compile(r"\.(?:on_input|ia3_l(?:\.default)?)$"), "is an IA3, which scales what layers give"),
    (re.compile(r"\.(?:a1|b1|glora_\w+)\.weight$"), "is a GLoRA, which changes the model's own weights as well"),
    (re.compile(r"\.lora_[AB](?:\.default)?\.bias$|\.lora_(?:up|down)\.bias$"), "changes biases as well"),
    (re.compile(r"lora_embedding_|^bundle_emb\.|emb_params$"), "brings words of its own (an embedding)"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What a file says of one layer.

    name: the layer, as the file calls it.
    rank: R.
    down: (R, K), or (R, K, height, width).
    up: (M, R), or (M, R, 1, 1).
    scale: what the product is multiplied by.
    """

    name: str
    rank: int
    down: Stored
    up: Stored
    scale: float


def read_pairs(name: str, path: Path) -> list[Pair]:
    """Read the head of a LoRA's file, and the numbers in it that are no tensors.

    Raises:
        LoraMisfit: it is none, or of a kind that is not supported.
    """
    try:
        header = header_of(path)
    except NotWeights as error:
        raise LoraMisfit(name, f"cannot be read: {error}") from error
    if header.container is not Container.SAFETENSORS:
        raise LoraMisfit(name, "is a GGUF file: take a .safetensors file")
    for pattern, kind in _OTHER_KINDS:
        if any(pattern.search(each) for each in header.tensors):
            raise LoraMisfit(name, f"{kind}; that is not supported")
    found: dict[str, dict[Role, Stored]] = {}
    strangers = []
    for full, info in header.tensors.items():
        if (factor := factor_of(full)) is None:
            strangers.append(full)
            continue
        roles = found.setdefault(factor.layer, {})
        if factor.role in roles:
            raise LoraMisfit(name, f"holds {full} twice, in two ways of writing")
        roles[factor.role] = Stored(name=full, path=path, info=info)
    if strangers:
        raise LoraMisfit(name, f"holds {listed(strangers)}, which belongs to no LoRA")
    if not found:
        raise LoraMisfit(name, "holds nothing")
    notes = _peft_notes(name, header)
    return [_pair(name, layer, roles, notes) for layer, roles in found.items()]


def read_values(name: str, stored: Stored) -> Tensor:
    """The values of a tensor, on the CPU, in 16 bits or 32 as the file has them.

    Raises:
        LoraMisfit: they cannot be read, or hold something that is no number.
    """
    try:
        values = stored.values()
    except GenerationFailed as error:
        raise LoraMisfit(name, f"cannot be read: {error}") from error
    if values.dtype is torch.float64:
        values = values.float()
    if not bool(torch.isfinite(values).all()):
        raise LoraMisfit(name, f"holds something that is no number, in {stored.name}")
    return values


def listed(names: list[str]) -> str:
    """Some of them, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _pair(name: str, layer: str, roles: Mapping[Role, Stored], notes: Mapping[str, Any]) -> Pair:
    for role in (Role.DOWN, Role.UP):
        if role not in roles:
            raise LoraMisfit(name, f"is not whole: it lacks the other half of {layer}")
        if roles[role].info.dtype not in FLOATS:
            raise LoraMisfit(name, f"keeps {layer} as {roles[role].info.dtype}, which is not supported")
    down, up = roles[Role.DOWN], roles[Role.UP]
    if len(down.info.shape) not in (2, 4) or len(up.info.shape) not in (2, 4) or up.info.shape[2:] not in ((), (1, 1)):
        raise LoraMisfit(name, f"has tensors of other dimensions than a LoRA's at {layer}")
    rank = down.info.shape[0]
    if up.info.shape[1] != rank or not rank:
        raise LoraMisfit(name, f"has halves that do not fit together at {layer}")
    if rank > MOST_RANK:
        raise LoraMisfit(name, f"has a rank of {rank} at {layer}; {MOST_RANK} are supported")
    alpha = _number(name, roles[Role.ALPHA]) if Role.ALPHA in roles else None
    scale = _noted_scale(name, layer, rank, notes) if alpha is None else alpha / rank
    return Pair(name=layer, rank=rank, down=down, up=up, scale=scale)


def _number(name: str, stored: Stored) -> float:
    if stored.count != 1:
        raise LoraMisfit(name, f"holds more than one number in {stored.name}")
    number = float(read_values(name, stored).reshape(()).float())
    if abs(number) > 1e6:
        raise LoraMisfit(name, f"holds {number:g} in {stored.name}")
    return number


def _peft_notes(name: str, header: Header) -> Mapping[str, Any]:
    """What diffusers writes of PEFT's settings: `transformer.lora_alpha`, `text_encoder.r`, …"""
    try:
        notes = json.loads(header.metadata.get(PEFT_NOTES, "{}"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(notes, dict):
        return {}
    if any(key.endswith("use_dora") and value is True for key, value in notes.items()):
        raise LoraMisfit(name, f"{_OTHER_KINDS[0][1]}; that is not supported")
    return notes


def _noted_scale(name: str, layer: str, rank: int, notes: Mapping[str, Any]) -> float:
    """`alpha / rank` as the notes have it; 1 where they say nothing."""
    part, _, inside = layer.partition(".")
    alpha = notes.get(f"{part}.lora_alpha")
    patterns = notes.get(f"{part}.alpha_pattern")
    if isinstance(patterns, dict):
        alpha = next(
            (value for end, value in patterns.items() if inside == end or inside.endswith(f".{end}")),
            alpha,
        )
    if alpha is None:
        return 1.0
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha) or abs(alpha) > 1e6:
        raise LoraMisfit(name, f"has notes that make no sense of {layer}")
    return float(alpha) / (math.sqrt(rank) if notes.get(f"{part}.use_rslora") is True else rank)
