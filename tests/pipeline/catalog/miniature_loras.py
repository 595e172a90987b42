"""Writes LoRAs of every family and naming, holes in place of their factors: only heads are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.pipeline.catalog.miniature_headers import Shapes, write_safetensors

Sides = Mapping[str, tuple[int, int]]  # layer → (numbers in, numbers out)
KOHYA = ("lora_down.weight", "lora_up.weight")
PEFT = ("lora_A.weight", "lora_B.weight")

FLUX_BFL: Sides = {
    "double_blocks.0.img_attn.qkv": (3072, 9216),
    "double_blocks.18.img_mlp.0": (3072, 12288),
    "single_blocks.37.linear1": (3072, 21504),
}
FLUX_DIFFUSERS: Sides = {
    "transformer_blocks.0.attn.to_q": (3072, 3072),
    "transformer_blocks.18.ff.net.0.proj": (3072, 12288),
    "single_transformer_blocks.37.attn.to_k": (3072, 3072),
    "single_transformer_blocks.37.proj_out": (15360, 3072),
}
KLEIN_BFL: Sides = {
    "double_blocks.0.img_attn.qkv": (3072, 9216),
    "double_blocks.4.img_mlp.0": (3072, 18432),
    "single_blocks.19.linear1": (3072, 27648),
    "single_blocks.19.linear2": (12288, 3072),
}
KLEIN_DIFFUSERS: Sides = {
    "transformer_blocks.0.attn.to_q": (3072, 3072),
    "transformer_blocks.4.ff.linear_in": (3072, 18432),
    "single_transformer_blocks.19.attn.to_qkv_mlp_proj": (3072, 27648),
}
Z_IMAGE: Sides = {
    "layers.0.attention.to_q": (3840, 3840),
    "layers.29.feed_forward.w1": (3840, 10240),
    "noise_refiner.1.attention.to_v": (3840, 3840),
}
XLABS_DOUBLE: Sides = {
    "qkv_lora1": (3072, 9216),
    "qkv_lora2": (3072, 9216),
    "proj_lora1": (3072, 3072),
    "proj_lora2": (3072, 3072),
}
QWEN3: Sides = {"layers.0.self_attn.q_proj": (2560, 4096), "layers.35.mlp.down_proj": (9728, 2560)}
SD15: Sides = {
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k": (768, 320),
    "mid_block.attentions.0.proj_in": (1280, 1280),
}
SDXL: Sides = {
    "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k": (2048, 640),
    "mid_block.attentions.0.transformer_blocks.9.attn1.to_q": (1280, 1280),
}
SDXL_ORIGINAL: Sides = {
    "input_blocks.4.1.transformer_blocks.1.attn2.to_k": (2048, 640),
    "middle_block.1.transformer_blocks.9.attn1.to_q": (1280, 1280),
}


def factors(
    sides: Sides, *, prefix: str = "", rank: int = 16, ends: tuple[str, str] = PEFT, alpha: bool = False
) -> Shapes:
    """The factors of layers, (rank, in) and (out, rank); underscores for dots if the prefix ends in one."""
    shapes: Shapes = {}
    for layer, (inputs, outputs) in sides.items():
        name = prefix + (layer.replace(".", "_") if prefix.endswith("_") else layer)
        shapes |= {f"{name}.{ends[0]}": (rank, inputs), f"{name}.{ends[1]}": (outputs, rank)}
        shapes |= {f"{name}.alpha": ()} if alpha else {}
    return shapes


def kohya(sides: Sides, *, prefix: str = "lora_unet_", rank: int = 16) -> Shapes:
    """As kohya's scripts write them."""
    return factors(sides, prefix=prefix, rank=rank, ends=KOHYA, alpha=True)


def write_lora(path: Path, *, notes: Mapping[str, str] | None = None, rank: int = 16) -> Path:
    """A LoRA for FLUX.1."""
    return write_safetensors(path, kohya(FLUX_BFL, rank=rank), metadata=notes)
