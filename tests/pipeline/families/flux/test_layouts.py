"""Equal weights draw the same picture, whatever layout their files have. One miniature model, drawn on the CPU."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.errors import ModelFilesMissing
from pipeline.families.flux.cards import FLUX1_SCHNELL
from pipeline.families.flux.checkpoint import load_pipeline
from pipeline.families.recipes import sources_of
from pipeline.runtime.denoising_run import DenoisingRun
from pipeline.runtime.vram_budget import FakeBudget
from pipeline.spec import ImageOptions
from pipeline.streaming.arithmetic import choose_arithmetic
from tests.pipeline.families.flux.miniature_layouts import (
    PREFIX,
    REPO,
    Tensors,
    Weights,
    card_of,
    dit_as_diffusers,
    random_weights,
    t5_as_llama_cpp,
    vae_as_diffusers,
    write,
    write_shards,
    write_tokenizers,
)
from tests.pipeline.miniature_storage import (
    convrot_int8,
    is_matrix,
    nf4,
    scaled_float8,
    write_gguf,
    write_safetensors,
)

CPU = choose_arithmetic(is_streamed=False, device="cpu", precision="auto", packed_dir=Path())
IN_8_BITS = choose_arithmetic(is_streamed=True, device="cpu", precision="int8", packed_dir=Path())
Files = Mapping[str, str]  # paths in `REPO` by component
Make = Callable[[Path, Weights], Files]  # writes files into a folder
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


def draw(card: ModelCard, models_dir: Path, *, packed_dir: Path | None = None) -> np.ndarray:
    """(H, W, RGB); in 8 bits that are packed there, if there is a place for them."""
    config = PipelineConfig(device="cpu", models_dir=models_dir, packed_dir=packed_dir)
    if packed_dir is None:
        model = load_pipeline(card, config, CPU)
    else:
        large = dataclasses.replace(card, is_streamed=True, packed_gb=1)
        model = load_pipeline(large, config, IN_8_BITS, budget=FakeBudget(2**40))
    model.residency.fit()
    spec = card.resolve(ImageOptions(prompt="a cat on a mat", seed=1), random_seed=0)
    run = DenoisingRun(spec, lambda _progress: None, lambda: False, "cpu", preview=None)
    return np.asarray(model.draw(spec, None, run))


@pytest.fixture(scope="module")
def published(models_dir: Path) -> np.ndarray:
    picture = draw(card_of(BASE), models_dir)
    assert len(np.unique(picture)) > 16
    return picture


def plain(dtype: torch.dtype, prefix: str = "") -> Make:
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


def derivative(folder: Path, weights: Weights) -> Files:
    """A fine-tune for text to image has the names and shapes of FLUX.1 [dev]."""
    write(folder / "flux1-krea-dev.safetensors", weights.dit)
    return {"dit": "flux1-krea-dev.safetensors"}


LOSSLESS: Mapping[str, Make] = {
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
    "Krea-dev": derivative,
}


@pytest.mark.parametrize("layout", LOSSLESS)
def test_layout_without_loss_draws_the_published_picture(
    layout: str, models_dir: Path, weights: Weights, published: np.ndarray
) -> None:
    card = card_with(LOSSLESS[layout], layout, models_dir, weights)
    assert np.array_equal(draw(card, models_dir), published)


def card_with(make: Make, name: str, models_dir: Path, weights: Weights) -> ModelCard:
    """The card of the published model with some files of another layout."""
    folder = re.sub(r"\W+", "-", name)
    files = make(models_dir / REPO / folder, weights)
    return card_of(BASE | {component: f"{folder}/{path}" for component, path in files.items()})


def quantized(
    quantize: Callable[[Tensors], Tensors],
    prefix: str = "",
    *,
    picks: str = "_blocks.",
    rename: Callable[[Tensors], Tensors] = dict,
) -> Make:
    """A transformer of which some tensors are quantized, those with this in their names."""

    def make(folder: Path, weights: Weights) -> Files:
        dit = rename(weights.dit)
        tensors = {**dit, **quantize({name: tensor for name, tensor in dit.items() if picks in name})}
        write_safetensors(folder / "dit.safetensors", {prefix + name: each for name, each in tensors.items()})
        return {"dit": "dit.safetensors"}

    return make


def in_gguf(kind: str) -> Make:
    def make(folder: Path, weights: Weights) -> Files:
        write_gguf(folder / "dit.gguf", weights.dit, kind)
        return {"dit": "dit.gguf"}

    return make


def t5_in_gguf(folder: Path, weights: Weights) -> Files:
    """`t5-v1_1-xxl-encoder-Q8_0.gguf`."""
    write_gguf(folder / "t5.gguf", t5_as_llama_cpp(weights.t5), "Q8_0", arch="t5encoder")
    return {"t5": "t5.gguf"}


def t5_in_scaled_float8(folder: Path, weights: Weights) -> Files:
    """`t5xxl_fp8_e4m3fn_scaled.safetensors`."""
    write_safetensors(
        folder / "t5.safetensors",
        scaled_float8(weights.t5, picks=lambda name, each: ".layer." in name and is_matrix(name, each)),
    )
    return {"t5": "t5.safetensors"}


QUANTIZED: Mapping[str, Make] = {
    **{kind: in_gguf(kind) for kind in ("Q4_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "F16", "BF16")},
    "scaled float8": quantized(scaled_float8),
    "scaled float8, new": quantized(partial(scaled_float8, is_old=False), PREFIX),
    "int8 ConvRot": quantized(convrot_int8),
    "NF4": quantized(nf4, picks="img_mlp.0"),
    "NF4 of diffusers": quantized(nf4, picks="attn.to_", rename=dit_as_diffusers),
    "T5 in GGUF": t5_in_gguf,
    "T5 in scaled float8": t5_in_scaled_float8,
}


@pytest.mark.parametrize("layout", QUANTIZED)
def test_quantized_file_draws_what_its_values_draw(
    layout: str, models_dir: Path, weights: Weights, published: np.ndarray
) -> None:
    """Bit for bit what a plain file of float32 draws. That the values are right, `tests/pipeline/streaming` tests."""
    card = card_with(QUANTIZED[layout], layout, models_dir, weights)
    component = "t5" if layout.startswith("T5") else "dit"
    source = sources_of(card, models_dir)[component]

    def plain_values(folder: Path, _weights: Weights) -> Files:
        write(folder / "plain.safetensors", {name: source.read(name) for name in source.names}, torch.float32)
        return {component: "plain.safetensors"}

    drawn = draw(card, models_dir)
    assert np.array_equal(drawn, draw(card_with(plain_values, f"{layout} plain", models_dir, weights), models_dir))
    is_exact = layout in ("F16", "BF16")
    assert np.array_equal(drawn, published) == is_exact


def test_model_that_was_packed_draws_the_same_from_any_layout(
    models_dir: Path, weights: Weights, tmp_path: Path
) -> None:
    """In 8 bits, as on a GPU: from GGUF, from plain files of the same values, and from what was packed before."""

    def mixed(folder: Path, weights: Weights) -> Files:
        return {**in_gguf("Q4_K")(folder, weights), **t5_in_gguf(folder, weights)}

    card = card_with(mixed, "mixed", models_dir, weights)
    sources = sources_of(card, models_dir)

    def plain_values(folder: Path, _weights: Weights) -> Files:
        for name in ("dit", "t5"):
            values = {each: sources[name].read(each) for each in sources[name].names}
            write(folder / f"{name}.safetensors", values, torch.float32)
        return {name: f"{name}.safetensors" for name in ("dit", "t5")}

    packed = draw(card, models_dir, packed_dir=tmp_path / "one")
    again = draw(card, models_dir, packed_dir=tmp_path / "one")
    plain = draw(card_with(plain_values, "mixed plain", models_dir, weights), models_dir, packed_dir=tmp_path / "two")
    assert np.array_equal(packed, again)
    assert np.array_equal(packed, plain)


def test_schnell_is_drawn_with_its_own_card_only(models_dir: Path) -> None:
    """It has no guidance, and another schedule."""
    weights = random_weights(is_guided=False)
    write(models_dir / REPO / "schnell.safetensors", weights.dit)
    files = BASE | {"dit": "schnell.safetensors"}
    assert len(np.unique(draw(card_of(files, FLUX1_SCHNELL), models_dir))) > 16
    with pytest.raises(
        ModelFilesMissing, match=r"schnell\.safetensors is a FLUX\.1 \[schnell\] transformer, bf16: .*dev"
    ):
        draw(card_of(files), models_dir)
    with pytest.raises(
        ModelFilesMissing, match=r"flux1-dev\.safetensors is a FLUX\.1 \[dev\] transformer, bf16: .*schnell"
    ):
        draw(card_of(BASE, FLUX1_SCHNELL), models_dir)


def lora(_weights: Weights) -> Tensors:
    return {f"transformer.single_transformer_blocks.0.attn.to_q.lora_{each}.weight": torch.ones(4, 4) for each in "AB"}


WRONG: Mapping[str, tuple[str, Callable[[Weights], Tensors], str]] = {
    "LoRA": ("dit", lora, r"LoRA for FLUX\.1: "),
    "T5 in the transformer's place": (
        "dit",
        lambda weights: weights.t5,
        r".*T5.*; put the transformer of FLUX\.1 there",
    ),
    "VAE in the transformer's place": (
        "dit",
        lambda weights: weights.vae,
        r".*VAE.*; put the transformer of FLUX\.1 there",
    ),
    "transformer in the VAE's place": (
        "vae",
        lambda weights: weights.dit,
        r".*transformer.*; put the VAE of FLUX\.1 there",
    ),
    "CLIP in T5's place": ("t5", lambda weights: weights.clip, r"CLIP-L.*; put the T5 text encoder of FLUX\.1 there"),
    "T5 without a layer": (
        "t5",
        lambda weights: {name: each for name, each in weights.t5.items() if ".block.0.layer.1." not in name},
        r"T5.*: it lacks encoder\.block\.0\.layer\.1",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_file_is_named_with_what_belongs_there(case: str, models_dir: Path, weights: Weights) -> None:
    component, make, said = WRONG[case]

    def wrong(folder: Path, weights: Weights) -> Files:
        write(folder / "wrong.safetensors", make(weights))
        return {component: "wrong.safetensors"}

    card = card_with(wrong, case, models_dir, weights)
    with pytest.raises(ModelFilesMissing, match=rf"wrong\.safetensors is a {said}"):
        draw(card, models_dir)
