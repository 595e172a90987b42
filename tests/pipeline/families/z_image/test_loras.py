"""LoRAs on Z-Image: as if they were merged into the weights, in the published names and in ComfyUI's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.catalog.lora_card import KeyStyle
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.errors import LoraMisfit
from pipeline.families.z_image.architecture import cost
from pipeline.families.z_image.checkpoint import load_model
from pipeline.families.z_image.model import ZImageModel
from pipeline.streaming.arithmetic import choose_arithmetic
from pipeline.streaming.lora_placement import LoraPlacement
from tests.pipeline.families.lora_files import Pairs, merged, random_pairs, tensors_of, write_lora
from tests.pipeline.families.random_qwen3 import LAYERS, WIDTH
from tests.pipeline.families.random_qwen3 import tensors_of as tensors_of_qwen3
from tests.pipeline.families.z_image.random_z_image import Miniature, lumina, make_miniature, write_comfyui

BOUND = 2e-5  # of the norm of what is computed, in float32
COST = cost(64, 64, 2)


@pytest.fixture(scope="module")
def miniature() -> Miniature:
    return make_miniature()


@pytest.fixture(scope="module")
def base(miniature: Miniature, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelCard, Path]:
    folder = tmp_path_factory.mktemp("base")
    return write_comfyui(miniature, folder), folder


@pytest.fixture(scope="module")
def model(base: tuple[ModelCard, Path]) -> ZImageModel:
    return load(*base)


def load(card: ModelCard, folder: Path, precision: str = "auto") -> ZImageModel:
    arithmetic = choose_arithmetic(is_streamed=False, device="cpu", precision=precision, packed_dir=Path())
    model = load_model(card, PipelineConfig(device="cpu", models_dir=folder), arithmetic, budget=None, prompts_dir=None)
    model.residency.fit()
    return model


def placement_on(model: ZImageModel) -> LoraPlacement:
    return LoraPlacement(model.lora_parts(), model.residency, model.prompts, forget=model.forget_steps)


def predicted(model: ZImageModel) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    text = model.transformer.refine(torch.randn(20, WIDTH, generator=generator))
    latents = torch.randn(1, 16, 8, 8, generator=generator)
    return model.transformer.predict(latents, torch.tensor(500.0), text)


def layers_of(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {
        name.removesuffix(".weight"): tensor.shape
        for name, tensor in tensors.items()
        if name.endswith(".weight") and tensor.dim() == 2
    }


@pytest.mark.parametrize(
    ("named", "style", "prefix"),
    [
        (dict, KeyStyle.DIFFUSERS, "transformer."),
        (dict, KeyStyle.KOHYA, "lora_unet_"),
        (lumina, KeyStyle.COMFYUI, "diffusion_model."),
        (lumina, KeyStyle.KOHYA, "lora_unet_"),
    ],
    ids=["diffusers", "kohya", "comfyui", "kohya's of comfyui's names"],
)
def test_lora_on_every_layer_is_as_if_it_were_merged(
    miniature: Miniature,
    base: tuple[ModelCard, Path],
    model: ZImageModel,
    tmp_path: Path,
    named: Callable[[Any], dict[str, Tensor]],
    style: KeyStyle,
    prefix: str,
) -> None:
    tensors = named(miniature.dit.state_dict())
    pairs: Pairs = random_pairs(layers_of(tensors), gain=0.5)
    card = write_comfyui(miniature, tmp_path)
    (path,) = tmp_path.rglob("z_image_turbo_bf16.safetensors")
    changed = merged(tensors, pairs)
    save_file({name: value.contiguous() for name, value in changed.items()}, path)
    wanted, before = predicted(load(card, tmp_path)), predicted(model)
    lora = write_lora(tmp_path / "ink.safetensors", tensors_of(pairs, style, prefix), base="z-image")
    placement = placement_on(model)
    placement.use([(lora, 1.0)], COST)
    found = predicted(model)
    placement.use([], COST)
    assert float((found - wanted).norm() / wanted.norm()) < BOUND < float((found - before).norm() / wanted.norm())
    assert torch.equal(predicted(model), before)
    assert load_file(path).keys() == tensors.keys()


def test_integers_are_left_alone_and_another_family_is_refused(
    miniature: Miniature, base: tuple[ModelCard, Path], tmp_path: Path
) -> None:
    model = load(*base, precision="int8")
    before = predicted(model)
    pairs = random_pairs(layers_of(miniature.dit.state_dict()), gain=0.5)
    placement = placement_on(model)
    placement.use([(write_lora(tmp_path / "ink.safetensors", tensors_of(pairs, KeyStyle.DIFFUSERS, "")), 1.0)], COST)
    assert not torch.equal(predicted(model), before)
    other = tensors_of(random_pairs({"double_blocks.0.img_attn.qkv": (288, 96)}), KeyStyle.KOHYA, "lora_unet_")
    with pytest.raises(LoraMisfit, match="made for another model"):
        placement.use([(write_lora(tmp_path / "other.safetensors", other), 1.0)], COST)
    assert torch.equal(predicted(model), before)


@pytest.mark.parametrize(
    ("style", "prefix"),
    [
        (KeyStyle.DIFFUSERS, "text_encoder."),
        (KeyStyle.COMFYUI, "text_encoders.qwen3_4b.transformer."),
        (KeyStyle.KOHYA, "lora_te_"),
    ],
)
def test_lora_on_the_text_encoder_is_as_if_it_were_merged(
    miniature: Miniature, model: ZImageModel, tmp_path: Path, style: KeyStyle, prefix: str
) -> None:
    """Its last layer included, which is not read."""
    tensors = tensors_of_qwen3(miniature.qwen3)
    shapes = {name: shape for name, shape in layers_of(tensors).items() if ".layers." in name}
    assert any(f".layers.{LAYERS - 1}." in name for name in shapes)
    pairs = random_pairs(shapes, gain=0.5)
    card = write_comfyui(miniature, tmp_path)
    (path,) = tmp_path.rglob("qwen_3_4b.safetensors")
    save_file({name: value.contiguous() for name, value in merged(tensors, pairs).items()}, path)
    wanted, before, image = read_by(load(card, tmp_path)), read_by(model), predicted(model)
    placement = placement_on(model)
    lora = write_lora(tmp_path / "ink.safetensors", tensors_of(pairs, style, prefix), base="z-image")
    placement.use([(lora, 1.0)], COST)
    found = read_by(model)
    assert torch.equal(predicted(model), image)  # the transformer is not changed
    placement.use([], COST)
    assert float((found - wanted).norm() / wanted.norm()) < BOUND < float((found - before).norm() / wanted.norm())
    assert torch.equal(read_by(model), before)


def test_lora_on_layers_that_are_not_read_alone_is_refused_with_the_reason(
    model: ZImageModel, miniature: Miniature, tmp_path: Path
) -> None:
    shapes = layers_of(tensors_of_qwen3(miniature.qwen3))
    last = f"model.layers.{LAYERS - 1}.mlp.up_proj"
    for name, reason in ((last, "changes nothing"), (f"model.layers.{LAYERS}.mlp.up_proj", "made for another model")):
        pairs = random_pairs({name: shapes[last]})
        lora = write_lora(tmp_path / "x.safetensors", tensors_of(pairs, KeyStyle.KOHYA, "lora_te_"), base="z-image")
        with pytest.raises(LoraMisfit, match=reason):
            placement_on(model).use([(lora, 1.0)], COST)


def read_by(model: ZImageModel) -> Tensor:
    return model.reader.embeddings("a red fox")
