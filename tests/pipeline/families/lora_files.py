"""Random LoRAs for miniatures, written as trainers write them, and the same ones merged into checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.catalog.lora_card import KeyStyle, LoraCard

Pairs = dict[str, tuple[Tensor, Tensor]]  # down and up by layer
RANK = 4
ALPHA = 2.0
ENDS = {
    KeyStyle.DIFFUSERS: ("lora_A.weight", "lora_B.weight"),
    KeyStyle.COMFYUI: ("lora_A.weight", "lora_B.weight"),
    KeyStyle.KOHYA: ("lora_down.weight", "lora_up.weight"),
}


def random_pairs(shapes: Mapping[str, Sequence[int]], *, rank: int = RANK, seed: int = 1, gain: float = 1.0) -> Pairs:
    """For layers with weights (M, K), or (M, K, height, width)."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        layer: (
            random(rank, *shape[1:]) * torch.Size(shape[1:]).numel() ** -0.5 * gain,
            random(shape[0], rank, *(1 for _ in shape[2:])) * rank**-0.5,
        )
        for layer, shape in shapes.items()
    }


def tensors_of(pairs: Pairs, style: KeyStyle, prefix: str, *, alpha: float | None = ALPHA) -> dict[str, Tensor]:
    down_end, up_end = ENDS[style]
    found: dict[str, Tensor] = {}
    for layer, (down, up) in pairs.items():
        at = prefix + (layer.replace(".", "_") if style is KeyStyle.KOHYA else layer)
        found |= {f"{at}.{down_end}": down, f"{at}.{up_end}": up}
        if alpha is not None:
            found[f"{at}.alpha"] = torch.tensor(alpha)
    return {name: tensor.clone().contiguous() for name, tensor in found.items()}


def write_lora(path: Path, tensors: Mapping[str, Tensor], **card: object) -> LoraCard:
    """Write a file and make its card."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), path)
    return card_of(path, **card)


def card_of(path: Path, *, base: str = "flux", style: KeyStyle = KeyStyle.DIFFUSERS, **changes: object) -> LoraCard:
    facts = {"name": path.stem, "title": path.stem, "file": path, "base": base, "style": style, "rank": RANK}
    return LoraCard(**(facts | changes))  # type: ignore[arg-type]


def change_of(down: Tensor, up: Tensor) -> Tensor:
    """What a pair adds to a weight, computed in float64."""
    product = up.flatten(1).double() @ down.flatten(1).double()
    return product.view(len(up), *down.shape[1:])


def merged(tensors: Mapping[str, Tensor], pairs: Pairs, *, scale: float = ALPHA / RANK) -> dict[str, Tensor]:
    """A checkpoint with a LoRA in it for good."""
    found = dict(tensors)
    for layer, (down, up) in pairs.items():
        weight = found[f"{layer}.weight"]
        found[f"{layer}.weight"] = (weight.double() + scale * change_of(down, up).view(weight.shape)).float()
    return found
