"""SD 1.5 and SDXL without their files: arbitrary weights in real shapes, as ours or as DiffSynth's example has them.

Speed and memory do not depend on what the weights are. For timing only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from diffsynth.models.stable_diffusion_text_encoder import SDTextEncoder
from diffsynth.models.stable_diffusion_unet import UNet2DConditionModel
from diffsynth.models.stable_diffusion_vae import StableDiffusionVAE
from diffsynth.models.stable_diffusion_xl_text_encoder import SDXLTextEncoder2
from diffsynth.models.stable_diffusion_xl_unet import SDXLUNet2DConditionModel
from diffsynth.pipelines.stable_diffusion import StableDiffusionPipeline
from diffsynth.pipelines.stable_diffusion_xl import StableDiffusionXLPipeline
from torch import nn

from pipeline.bench.random_weights import filled_module, moving_module, random_part
from pipeline.bench.tenants import Tenant
from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.families.recipes import UNPACKED
from pipeline.families.stable_diffusion.autoencoder import SCALES
from pipeline.families.stable_diffusion.cards import VARIANTS
from pipeline.families.stable_diffusion.checkpoint import ENCODERS, STREAMED, LoadedParts, assemble
from pipeline.families.stable_diffusion.engine import StableDiffusionEngine
from pipeline.families.stable_diffusion.model import StableDiffusionModel
from pipeline.families.stable_diffusion.text_encoders import GELU, QUICK_GELU, Clip
from pipeline.families.torch_engine import ReadModel
from pipeline.runtime.prompt_tokenizer import Tokens, read_tokenizer
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.arithmetic import Arithmetic

CLIP_TOKENS: Final = 77
OVERFLOWING_GAIN: Final = 1e5  # of a convolution whose weights 16 bits still hold, and whose values they do not
XL_UNET: Final[Mapping[str, Any]] = {  # stabilityai/stable-diffusion-xl-base-1.0:unet/config.json
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What makes the parts of a model, ours and DiffSynth's; a test wants smaller ones."""

    unet: Callable[[], nn.Module]
    vae: Callable[[], nn.Module]
    clips: Mapping[str, Callable[[], nn.Module]]  # ours
    stock_clips: Mapping[str, Callable[[], nn.Module]]


def _clip(width: int, layers: int, activation: str, projection: int | None) -> Clip:
    return Clip(
        vocabulary=49408,
        width=width,
        hidden_width=4 * width,
        heads=width // 64,
        layers=layers,
        tokens=CLIP_TOKENS,
        projection=projection,
        activation=activation,
    )


SD15_PARTS: Final = Parts(
    unet=UNet2DConditionModel,
    vae=StableDiffusionVAE,
    clips={"clip_l": lambda: _clip(768, 12, QUICK_GELU, None)},
    stock_clips={"clip_l": SDTextEncoder},
)
SDXL_PARTS: Final = Parts(
    unet=lambda: SDXLUNet2DConditionModel(**XL_UNET),
    vae=lambda: StableDiffusionVAE(scaling_factor=SCALES["sdxl"]),
    clips={**SD15_PARTS.clips, "clip_g": lambda: _clip(1280, 32, GELU, 1280)},
    stock_clips={**SD15_PARTS.stock_clips, "clip_g": SDXLTextEncoder2},
)

PARTS: Final[Mapping[str, Parts]] = {"sd15": SD15_PARTS, "sdxl": SDXL_PARTS}  # by the name of a card


def tenant(name: str) -> Tenant:
    """The tenant of a model of the family; see `tenants.py`."""
    return tenant_of(name, PARTS[name])


def tenant_of(name: str, parts: Parts, *, overflows: bool = False) -> Tenant:
    """The same, of parts of other sizes; `overflows`: see `random_model`."""
    return Tenant(
        card=VARIANTS[name],
        engine=StableDiffusionEngine,
        read=random_model(parts, overflows=overflows),
        stock=partial(stock_pipeline, parts),
    )


def random_model(parts: Parts, *, overflows: bool = False) -> ReadModel:
    """What makes a model of ours in place of `load_model`.

    Args:
        overflows: whether both halves of the VAE pass what 16 bits hold, and come back, as SDXL's do.
    """

    def read(
        card: ModelCard,
        config: PipelineConfig,
        arithmetic: Arithmetic,
        *,
        budget: VramBudget | None,
        prompts_dir: Path | None,
    ) -> StableDiffusionModel:
        dtype, device = arithmetic.dtype, arithmetic.device
        unet: Any = random_part(STREAMED["unet"], parts.unet, arithmetic.weight_format, dtype, device)
        encoders: list[Any] = [
            random_part(STREAMED[name], parts.clips[name], UNPACKED[dtype], dtype, device)
            for name in ENCODERS
            if name in parts.clips
        ]
        vae: Any = filled_module(parts.vae, dtype).to(device)
        for half in (vae.decoder, vae.encoder) if overflows else ():
            half.mid_block.resnets[0].conv2.weight *= OVERFLOWING_GAIN
        tokenizer = read_tokenizer(files.path_of(card.files["tokenizer_1"], config.models_dir))
        return assemble(card, LoadedParts(unet, encoders, vae, tokenizer), arithmetic, budget=budget)

    return read


def stock_pipeline(parts: Parts, card: ModelCard, device: str, limit_gib: float | None) -> Any:
    """DiffSynth's own pipeline as its example for small GPUs has it: float32, what does not fit moves layer by layer.

    Source: modelscope/DiffSynth-Studio:examples/stable_diffusion_xl/model_inference_low_vram/.
    """
    is_xl = "clip_g" in parts.stock_clips
    pipe = (StableDiffusionXLPipeline if is_xl else StableDiffusionPipeline)(device=device, torch_dtype=torch.float32)
    moving = partial(moving_module, device=device, limit_gib=limit_gib, dtype=torch.float32)
    pipe.text_encoder = moving(parts.stock_clips["clip_l"])
    pipe.tokenizer = _Tokenizer(card)
    if is_xl:
        pipe.text_encoder_2, pipe.tokenizer_2 = moving(parts.stock_clips["clip_g"]), pipe.tokenizer
    pipe.unet, pipe.vae = (moving(make) for make in (parts.unet, parts.vae))
    pipe.vram_management_enabled = pipe.check_vram_management_state()
    return pipe


class _Tokenizer:
    """The tokenizer that ships, as DiffSynth calls it."""

    model_max_length = CLIP_TOKENS

    def __init__(self, card: ModelCard) -> None:
        self._tokenizer = read_tokenizer(files.path_of(card.files["tokenizer_1"], Path()))

    def __call__(self, prompt: str, **_options: object) -> Tokens:
        tokens: Tokens = self._tokenizer(prompt, max_length=self.model_max_length)
        return tokens
