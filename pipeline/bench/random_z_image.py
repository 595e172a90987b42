"""Z-Image-Turbo without its files: arbitrary weights in real shapes, as ours or as DiffSynth's example has them.

Speed and memory do not depend on what the weights are. For timing only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import torch
from diffsynth.models.flux_vae import FluxVAEDecoder, FluxVAEEncoder
from diffsynth.models.z_image_dit import ZImageDiT
from diffsynth.pipelines.z_image import ZImagePipeline
from torch import nn

from pipeline.bench.random_qwen3 import SIZES_4B, ByteTokenizer, random_encoder, stock_encoder
from pipeline.bench.random_weights import filled_module, moving_module, random_part
from pipeline.bench.tenants import Tenant
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.families.qwen3 import reading_format
from pipeline.families.z_image.cards import VARIANTS
from pipeline.families.z_image.checkpoint import LoadedParts, assemble
from pipeline.families.z_image.engine import ZImageEngine
from pipeline.families.z_image.model import ZImageModel
from pipeline.families.z_image.transformer import Transformer
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.arithmetic import Arithmetic

LAYERS_4B: Final = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What makes the parts of a model, ours and DiffSynth's; a test wants smaller ones."""

    dit: Callable[[], nn.Module] = ZImageDiT
    qwen3: Mapping[str, int] = field(default_factory=lambda: SIZES_4B)
    layers: int = LAYERS_4B  # of Qwen3
    stock_qwen3: Callable[[], nn.Module] = stock_encoder
    vae_decoder: Callable[[], nn.Module] = FluxVAEDecoder
    vae_encoder: Callable[[], nn.Module] = FluxVAEEncoder


def tenant(name: str) -> Tenant:
    """The tenant of a model of the family."""
    return tenant_of(name, Parts())


def tenant_of(name: str, parts: Parts) -> Tenant:
    """The same, of parts of other sizes."""
    return Tenant(
        card=VARIANTS[name], engine=ZImageEngine, read=partial(_read, parts), stock=partial(_stock_pipeline, parts)
    )


def _read(
    parts: Parts,
    card: ModelCard,
    _config: PipelineConfig,
    arithmetic: Arithmetic,
    *,
    budget: VramBudget | None,
    **_options: object,
) -> ZImageModel:
    """Make a model of ours in place of `load_model`."""
    dtype, device = arithmetic.dtype, arithmetic.device
    transformer = random_part(Transformer, parts.dit, arithmetic.weight_format, dtype, device)
    vae: Any = tuple(filled_module(make, dtype).to(device) for make in (parts.vae_decoder, parts.vae_encoder))
    encoder = random_encoder(parts.qwen3, parts.layers - 1, reading_format(arithmetic), dtype, device)
    loaded = LoadedParts(transformer, encoder, vae, ByteTokenizer())
    return assemble(card, loaded, arithmetic, budget=budget)


def _stock_pipeline(parts: Parts, _card: ModelCard, device: str, limit_gib: float | None) -> Any:
    """DiffSynth's own pipeline as its example for small GPUs has it: bfloat16, moved layer by layer.

    Source: modelscope/DiffSynth-Studio:examples/z_image/model_inference_low_vram/Z-Image-Turbo.py.
    """
    pipe: Any = ZImagePipeline(device=device, torch_dtype=torch.bfloat16)
    moving = partial(moving_module, device=device, limit_gib=limit_gib, dtype=torch.bfloat16)
    pipe.dit, pipe.text_encoder = moving(parts.dit), moving(parts.stock_qwen3)
    pipe.vae_decoder, pipe.vae_encoder = moving(parts.vae_decoder), moving(parts.vae_encoder)
    pipe.tokenizer = ByteTokenizer()
    pipe.vram_management_enabled = pipe.check_vram_management_state()
    return pipe
