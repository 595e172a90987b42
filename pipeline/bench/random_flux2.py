"""FLUX.2 [klein] 4B without its files: arbitrary weights in real shapes, as ours or as DiffSynth's example has them.

Speed and memory do not depend on what the weights are. For timing only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import torch
from diffsynth.models.flux2_dit import Flux2DiT
from diffsynth.models.flux2_vae import Flux2VAE
from diffsynth.pipelines.flux2_image import Flux2ImagePipeline
from torch import Tensor, nn

from pipeline.bench.random_qwen3 import SIZES_4B, ByteTokenizer, random_encoder, stock_encoder
from pipeline.bench.random_weights import filled_module, moving_module, random_part
from pipeline.bench.tenants import Tenant
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.families.flux2.architecture import READING_LAYERS
from pipeline.families.flux2.autoencoder import Decoder, Encoder
from pipeline.families.flux2.cards import VARIANTS
from pipeline.families.flux2.checkpoint import LoadedParts, assemble
from pipeline.families.flux2.engine import Flux2Engine
from pipeline.families.flux2.model import Flux2Model
from pipeline.families.flux2.transformer import Transformer
from pipeline.families.qwen3 import reading_format
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.quantization import FLOAT8

# modelscope/DiffSynth-Studio:diffsynth/configs/model_configs.py
KLEIN_4B: Final = partial(
    Flux2DiT,
    guidance_embeds=False,
    joint_attention_dim=7680,
    num_attention_heads=24,
    num_layers=5,
    num_single_layers=20,
)
VAE_WIDTHS: Final = (128, 256, 512, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What makes the parts of a model, ours and DiffSynth's; a test wants smaller ones."""

    dit: Callable[[], nn.Module] = KLEIN_4B
    qwen3: Mapping[str, int] = field(default_factory=lambda: SIZES_4B)
    stock_qwen3: Callable[[], nn.Module] = stock_encoder
    vae_widths: Sequence[int] = VAE_WIDTHS


class DictTokenizer(ByteTokenizer):
    """`ByteTokenizer` as DiffSynth's pipeline of FLUX.2 asks it."""

    def __call__(self, prompt: str | Sequence[str], *, max_length: int, **options: object) -> Any:
        """Encode one prompt or several, by the names of transformers."""
        tokens = super().__call__(prompt, max_length=max_length, **options)
        found: dict[str, Tensor] = {"input_ids": tokens.input_ids, "attention_mask": tokens.attention_mask}
        return found


def tenant(name: str) -> Tenant:
    """The tenant of a model of the family."""
    return tenant_of(name, Parts())


def tenant_of(name: str, parts: Parts) -> Tenant:
    """The same, of parts of other sizes."""
    return Tenant(
        card=VARIANTS[name], engine=Flux2Engine, read=partial(_read, parts), stock=partial(_stock_pipeline, parts)
    )


def _read(
    parts: Parts,
    card: ModelCard,
    _config: PipelineConfig,
    arithmetic: Arithmetic,
    *,
    budget: VramBudget | None,
    **_options: object,
) -> Flux2Model:
    """Make a model of ours in place of `load_model`."""
    dtype, device = arithmetic.dtype, arithmetic.device
    transformer = random_part(Transformer, parts.dit, arithmetic.weight_format, dtype, device)
    halves: list[Any] = [
        filled_module(partial(half, parts.vae_widths, 2), dtype).to(device) for half in (Decoder, Encoder)
    ]
    encoder = random_encoder(parts.qwen3, max(READING_LAYERS), reading_format(arithmetic), dtype, device)
    loaded = LoadedParts(transformer, encoder, (halves[0], halves[1]), ByteTokenizer())
    return assemble(card, loaded, arithmetic, budget=budget)


def _stock_pipeline(parts: Parts, _card: ModelCard, device: str, limit_gib: float | None) -> Any:
    """DiffSynth's own pipeline as its example for small GPUs has it: kept in floats of 8 bits, the VAE in bfloat16.

    Source: modelscope/DiffSynth-Studio:examples/flux2/model_inference_low_vram/FLUX.2-klein-4B.py.
    """
    pipe: Any = Flux2ImagePipeline(device=device, torch_dtype=torch.bfloat16)
    moving = partial(moving_module, device=device, limit_gib=limit_gib, dtype=torch.bfloat16, kept_as=FLOAT8)
    pipe.dit, pipe.text_encoder_qwen3 = moving(parts.dit), moving(parts.stock_qwen3)
    pipe.vae = filled_module(partial(Flux2VAE, block_out_channels=tuple(parts.vae_widths)), torch.bfloat16).to(device)
    pipe.tokenizer = DictTokenizer()
    pipe.vram_management_enabled = pipe.check_vram_management_state()
    return pipe
