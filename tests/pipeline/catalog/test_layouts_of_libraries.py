"""Files as diffusers and transformers save the models that people have, at full size: every name is theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
)

from pipeline.catalog.layouts import identify
from tests.pipeline.catalog import miniature_headers as make

VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
}
OF_FLUX: dict[str, Any] = {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False}
XL: dict[str, Any] = {
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
}
SDXL: dict[str, Any] = XL | {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "transformer_layers_per_block": (1, 2, 10),
    "projection_class_embeddings_input_dim": 2816,
}
REFINER: dict[str, Any] = XL | {
    "block_out_channels": (384, 768, 1536, 1536),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 1280,
    "attention_head_dim": (6, 12, 24, 24),
    "transformer_layers_per_block": 4,
    "projection_class_embeddings_input_dim": 2560,
}
G = CLIPTextConfig(hidden_size=1280, num_hidden_layers=32, num_attention_heads=20, projection_dim=1280)
T5XXL = T5Config(d_model=4096, d_kv=64, num_heads=64, d_ff=10240, num_layers=24, feed_forward_proj="gated-gelu")
MODELS: dict[str, Callable[[], torch.nn.Module]] = {
    "FLUX.1 [dev] transformer, bf16": lambda: FluxTransformer2DModel(guidance_embeds=True),
    "FLUX.1 [schnell] transformer, bf16": FluxTransformer2DModel,
    "FLUX.1 VAE, bf16": lambda: AutoencoderKL(**VAE, **OF_FLUX),
    "Stable Diffusion VAE, bf16": lambda: AutoencoderKL(**VAE),
    "Stable Diffusion 1.5 UNet, bf16": lambda: UNet2DConditionModel(cross_attention_dim=768),
    "SDXL UNet, bf16": lambda: UNet2DConditionModel(**SDXL),
    "T5 text encoder, bf16": lambda: T5EncoderModel(T5XXL),
    "CLIP-L text encoder, bf16": lambda: CLIPTextModel(CLIPTextConfig(hidden_size=768, num_attention_heads=12)),
    "CLIP-G text encoder, bf16": lambda: CLIPTextModelWithProjection(G),
    "a Stable Diffusion 2 UNet": lambda: UNet2DConditionModel(
        cross_attention_dim=1024, use_linear_projection=True, attention_head_dim=(5, 10, 20, 20)
    ),
    "the SDXL refiner": lambda: UNet2DConditionModel(**REFINER),
    "a Stable Diffusion 3 transformer": SD3Transformer2DModel,
}  # fmt: skip


@pytest.mark.parametrize("title", MODELS)
def test_model_as_its_library_saves_it_is_known_and_whole(tmp_path: Path, title: str) -> None:
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in MODELS[title]().state_dict().items()}
    layout = identify(make.write_safetensors(tmp_path / "x", shapes))
    assert layout.title == title
    assert not any(part.lacks for part in layout.parts)
