"""Equal weights draw the same picture, whatever layout their files have. One miniature model, drawn on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.families.flux.engine import FluxEngine
from pipeline.spec import ImageOptions
from tests.pipeline.families.flux.miniature_layouts import (
    PREFIX,
    REPO,
    Weights,
    card_of,
    clip_as_open_clip,
    dit_as_diffusers,
    random_weights,
    vae_as_diffusers,
    write,
    write_shards,
    write_tokenizers,
)

Files = Mapping[str, str]  # paths in `REPO` by component
BASE: Files = {
    "dit": "flux1-dev.safetensors",
    "clip": "text_encoder/model.safetensors",
    "t5": "text_encoder_2/",
    "vae": "ae.safetensors",
}


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights()


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory, weights: Weights) -> Path:
    """The model as it was published, in bfloat16; tests add files of their own."""
    folder = tmp_path_factory.mktemp("layouts")
    write_tokenizers(folder)
    place = folder / REPO
    write(place / BASE["dit"], weights.dit)
    write(place / BASE["clip"], weights.clip)
    write(place / BASE["vae"], weights.vae)
    write_shards(place / BASE["t5"], weights.t5, "model")
    return folder


def draw(card: ModelCard, models_dir: Path) -> np.ndarray:
    """(H, W, RGB)."""
    engine = FluxEngine(card, PipelineConfig(device="cpu", models_dir=models_dir))
    spec = card.resolve(ImageOptions(prompt="a cat on a mat", seed=1), random_seed=0)
    image = engine.generate(spec, on_progress=lambda _: None, should_stop=lambda: False)
    return np.frombuffer(image.pixels, np.uint8).reshape(image.height, image.width, 3)


@pytest.fixture(scope="module")
def published(models_dir: Path) -> np.ndarray:
    picture = draw(card_of(BASE), models_dir)
    assert len(np.unique(picture)) > 16
    return picture


def plain(dtype: torch.dtype, prefix: str = "") -> Callable[[Path, Weights], Files]:
    def make(folder: Path, weights: Weights) -> Files:
        write(folder / "dit.safetensors", weights.dit, dtype, prefix)
        return {"dit": "dit.safetensors"}

    return make


def diffusers_folder(folder: Path, weights: Weights) -> Files:
    """As `save_pretrained` writes it: every component in a folder, the larger ones in shards."""
    write_shards(folder / "transformer", dit_as_diffusers(weights.dit), "diffusion_pytorch_model")
    write(folder / "vae/diffusion_pytorch_model.safetensors", vae_as_diffusers(weights.vae))
    write(folder / "text_encoder/model.safetensors", weights.clip)
    write_shards(folder / "text_encoder_2", weights.t5, "model")
    return {"dit": "transformer/", "vae": "vae/", "clip": "text_encoder/", "t5": "text_encoder_2/"}


def diffusers_merged(folder: Path, weights: Weights) -> Files:
    write(folder / "transformer/diffusion_pytorch_model.safetensors", dit_as_diffusers(weights.dit))
    return {"dit": "transformer/diffusion_pytorch_model.safetensors"}


def all_in_one(folder: Path, weights: Weights) -> Files:
    """As ComfyUI's `CheckpointSave` writes it."""
    parts = {
        PREFIX: weights.dit,
        "text_encoders.clip_l.transformer.": weights.clip | {"text_projection.weight": torch.eye(4)},
        "text_encoders.t5xxl.transformer.": weights.t5 | {"encoder.embed_tokens.weight": weights.t5["shared.weight"]},
        "vae.": weights.vae,
    }
    whole = {prefix + name: tensor for prefix, tensors in parts.items() for name, tensor in tensors.items()}
    write(folder / "all.safetensors", whole | {"text_encoders.clip_l.logit_scale": torch.tensor(4.6)})
    return dict.fromkeys(BASE, "all.safetensors")


def comfyui_parts(folder: Path, weights: Weights) -> Files:
    """`clip_l.safetensors`, `t5xxl_fp16.safetensors` and `ae.safetensors` with what else such files hold."""
    positions = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    write(folder / "clip_l.safetensors", weights.clip | positions | {"logit_scale": torch.tensor(4.6)}, torch.float16)
    words = {"encoder.embed_tokens.weight": weights.t5["shared.weight"]}
    write(folder / "t5xxl_fp16.safetensors", weights.t5 | words, torch.float16)
    write(folder / "ae.safetensors", weights.vae, torch.float32, "first_stage_model.")
    return {"clip": "clip_l.safetensors", "t5": "t5xxl_fp16.safetensors", "vae": "ae.safetensors"}


def eight_bit_text_encoders(folder: Path, weights: Weights) -> Files:
    """`t5xxl_fp8_e4m3fn.safetensors`, with the table of words under its other name only."""
    t5 = {name.replace("shared.weight", "encoder.embed_tokens.weight"): each for name, each in weights.t5.items()}
    write(folder / "t5xxl_fp8_e4m3fn.safetensors", t5, torch.float8_e4m3fn)
    return {"t5": "t5xxl_fp8_e4m3fn.safetensors"}


def open_clip(folder: Path, weights: Weights) -> Files:
    write(folder / "clip.safetensors", clip_as_open_clip(weights.clip))
    return {"clip": "clip.safetensors"}


LOSSLESS = {
    "bf16": plain(torch.bfloat16),
    "f16, prefix": plain(torch.float16, PREFIX),
    "f32": plain(torch.float32),
    "fp8 e4m3": plain(torch.float8_e4m3fn),
    "fp8 e5m2, prefix": plain(torch.float8_e5m2, PREFIX),
    "diffusers folder": diffusers_folder,
    "diffusers, merged": diffusers_merged,
    "all in one": all_in_one,
    "ComfyUI's parts": comfyui_parts,
    "text encoder in 8 bits": eight_bit_text_encoders,
    "OpenCLIP": open_clip,
}


@pytest.mark.parametrize("layout", LOSSLESS)
def test_layout_without_loss_draws_the_published_picture(
    layout: str, models_dir: Path, weights: Weights, published: np.ndarray
) -> None:
    folder = f"{list(LOSSLESS).index(layout)}"
    files = LOSSLESS[layout](models_dir / REPO / folder, weights)
    card = card_of(BASE | {name: f"{folder}/{path}" for name, path in files.items()})
    assert np.array_equal(draw(card, models_dir), published)
