"""Close to diffusers' pipelines with the same weights, from the prompt to the latents: DPM++ 2M Karras, init images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.config import PipelineConfig
from pipeline.families.stable_diffusion.engine import StableDiffusionEngine
from pipeline.spec import ImageOptions
from tests.pipeline.families.stable_diffusion.random_sd import (
    CLIP,
    SD15_WIDTHS,
    SDXL_WIDTHS,
    VAE_WIDTHS,
    Miniature,
    make_sd15,
    make_sdxl,
    write_single_file,
)

TOKENIZER = Path(__file__).parents[4] / "pipeline/catalog/tokenizers/clip"
PROMPT = "a red fox in fresh snow, soft light"
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SIDES = (192, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """diffusers' two pipelines of a family, and our engine with the same weights."""

    engine: StableDiffusionEngine
    miniature: Miniature
    text_to_image: Any
    image_to_image: Any


def loaded(module: Any, tensors: dict[str, Tensor]) -> Any:
    module.load_state_dict(tensors, strict=True)
    return module.eval().requires_grad_(False)


def text_model(kind: Any, tensors: dict[str, Tensor], activation: str) -> Any:
    from transformers import CLIPTextConfig

    config = CLIPTextConfig(**CLIP, hidden_act=activation, projection_dim=64, bos_token_id=49406, eos_token_id=49407)
    names = kind(config).state_dict()  # with `text_model.` or without it, by the release
    return loaded(kind(config), {name: tensors.get(name, tensors.get(f"text_model.{name}")) for name in names})


def peers(miniature: Miniature) -> tuple[Any, Any]:
    import diffusers
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    is_xl = miniature.name == "sdxl"
    unet_sizes: dict[str, Any] = {
        "sample_size": 64,
        "block_out_channels": SD15_WIDTHS,
        "cross_attention_dim": 64,
        "attention_head_dim": 8,
    }
    if is_xl:
        unet_sizes = {
            "block_out_channels": SDXL_WIDTHS,
            "cross_attention_dim": 128,
            "attention_head_dim": (1, 1, 2),
            "transformer_layers_per_block": (1, 1, 2),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 6 * 8 + 64,
        }
    unet = loaded(diffusers.UNet2DConditionModel(**unet_sizes), miniature.tensors("unet"))
    vae = diffusers.AutoencoderKL(
        block_out_channels=VAE_WIDTHS,
        down_block_types=["DownEncoderBlock2D"] * len(VAE_WIDTHS),
        up_block_types=["UpDecoderBlock2D"] * len(VAE_WIDTHS),
        layers_per_block=2,
        scaling_factor=0.13025 if is_xl else 0.18215,
    )
    parts: dict[str, Any] = {
        "unet": unet,
        "vae": loaded(vae, miniature.tensors("vae")),
        "text_encoder": text_model(CLIPTextModel, miniature.tensors("clip_l"), "quick_gelu"),
        "tokenizer": CLIPTokenizer.from_pretrained(TOKENIZER),
        "scheduler": diffusers.DPMSolverMultistepScheduler(**BETAS, use_karras_sigmas=True, steps_offset=1),
    }
    if not is_xl:
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        kinds = diffusers.StableDiffusionPipeline, diffusers.StableDiffusionImg2ImgPipeline
    else:
        parts |= {
            "text_encoder_2": text_model(CLIPTextModelWithProjection, miniature.tensors("clip_g"), "gelu"),
            "tokenizer_2": CLIPTokenizer.from_pretrained(TOKENIZER, pad_token="!"),
        }
        kinds = diffusers.StableDiffusionXLPipeline, diffusers.StableDiffusionXLImg2ImgPipeline
    made = [kind(**parts) for kind in kinds]
    for each in made:
        each.set_progress_bar_config(disable=True)
    return made[0], made[1]


@pytest.fixture(scope="module", params=[make_sd15, make_sdxl])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    make: Callable[[], Miniature] = request.param
    miniature = make()
    folder = tmp_path_factory.mktemp(miniature.name)
    card = write_single_file(miniature, folder)
    engine = StableDiffusionEngine(card, PipelineConfig(device="cpu", models_dir=folder))
    engine.load()
    text_to_image, image_to_image = peers(miniature)
    yield Peer(
        engine=engine,
        miniature=Miniature(card=card, modules=miniature.modules),
        text_to_image=text_to_image,
        image_to_image=image_to_image,
    )
    engine.close()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers with numpy 2
@pytest.mark.parametrize(("strength", "negative_prompt"), [(1.0, "blurry"), (0.6, "blurry"), (1.0, "")])
def test_latents_are_near_those_of_diffusers(peer: Peer, strength: float, negative_prompt: str) -> None:
    """Below a strength of 1 from an image, as far as diffusers goes back to noise for the same number."""
    card, (width, height) = peer.miniature.card, SIDES
    source = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8) if strength < 1 else None
    key = "" if source is None else sha256(source.tobytes()).hexdigest()
    options = ImageOptions(
        prompt=PROMPT,
        negative_prompt=negative_prompt,
        seed=3,
        steps=6,
        strength=None if source is None else strength,
    )
    spec = replace(card.resolve(options, random_seed=0, source=key), width=width, height=height)
    told = {
        "prompt": spec.prompt,
        "negative_prompt": spec.negative_prompt or None,
        "guidance_scale": spec.cfg_scale,
        "num_inference_steps": spec.steps,
        "output_type": "latent",
    }
    generator = torch.Generator().manual_seed(spec.seed)
    if source is None:
        noise = torch.randn(1, 4, height // 8, width // 8, generator=generator)
        wanted = peer.text_to_image(**told, latents=noise, width=width, height=height).images
    else:
        vae = peer.image_to_image.vae
        pixels = torch.from_numpy(source).permute(2, 0, 1)[None].float() / 127.5 - 1
        latents = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
        wanted = peer.image_to_image(**told, image=latents, strength=strength, generator=generator).images
    decoded: list[Tensor] = []
    assert peer.engine.loaded is not None
    decoder = peer.engine.loaded.model.decoder
    hook = decoder.register_forward_pre_hook(lambda _decoder, inputs: decoded.append(inputs[0]))
    peer.engine.generate(
        spec,
        on_progress=lambda _progress: None,
        should_stop=lambda: False,
        source=None if source is None else source.tobytes(),
    )
    hook.remove()
    ours = decoded[0] * peer.text_to_image.vae.config.scaling_factor
    assert float((ours - wanted).abs().max()) < 1e-3 * float(wanted.std())
