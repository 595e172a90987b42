"""LoRAs on FLUX.2 [klein]: as if they were merged into the weights, in diffusers' names and in Black Forest Labs'."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.catalog.lora_card import KeyStyle
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.families.flux2.architecture import cost
from pipeline.families.flux2.checkpoint import load_model
from pipeline.families.flux2.model import Flux2Model
from pipeline.families.flux2.transformer import random_inputs
from pipeline.streaming.arithmetic import choose_arithmetic
from pipeline.streaming.lora_placement import LoraPlacement
from tests.pipeline.families.flux2.random_flux2 import Miniature, make_miniature, original_transformer, write_comfy
from tests.pipeline.families.lora_files import merged, random_pairs, tensors_of, write_lora
from tests.pipeline.families.random_qwen3 import tensors_of as tensors_of_qwen3

BOUND = 2e-5  # of the norm of what is computed, in float32
COST = cost(64, 64, 2)


@pytest.fixture(scope="module")
def miniature() -> Miniature:
    return make_miniature()


@pytest.fixture(scope="module")
def model(miniature: Miniature, tmp_path_factory: pytest.TempPathFactory) -> Flux2Model:
    return load(write_comfy(miniature, tmp_path_factory.mktemp("base")))


def load(card: ModelCard) -> Flux2Model:
    arithmetic = choose_arithmetic(is_streamed=False, device="cpu", precision="auto", packed_dir=Path())
    model = load_model(card, PipelineConfig(device="cpu"), arithmetic, budget=None, prompts_dir=None)
    model.residency.fit()
    return model


def predicted(model: Flux2Model) -> Tensor:
    latents, told = random_inputs(model.transformer.module, 64)
    return model.transformer.predict(latents, torch.tensor(500.0), told)


@pytest.mark.parametrize(
    ("is_original", "style", "prefix"),
    [
        (False, KeyStyle.DIFFUSERS, "transformer."),
        (True, KeyStyle.COMFYUI, "diffusion_model."),
        (True, KeyStyle.KOHYA, "lora_unet_"),
    ],
    ids=["diffusers", "comfyui", "kohya"],
)
def test_lora_on_every_layer_is_as_if_it_were_merged(
    miniature: Miniature, model: Flux2Model, tmp_path: Path, is_original: bool, style: KeyStyle, prefix: str
) -> None:
    """The one modulation of all blocks, and the last one, whose halves change places, included."""
    tensors = miniature.dit.state_dict()
    tensors = original_transformer(tensors) if is_original else dict(tensors)
    shapes = {
        name.removesuffix(".weight"): tensor.shape
        for name, tensor in tensors.items()
        if name.endswith(".weight") and tensor.dim() == 2
    }
    assert any("modulation" in name for name in shapes)
    pairs = random_pairs(shapes, gain=0.5)
    changed = merged(tensors, pairs)
    if is_original:
        card = write_comfy(miniature, tmp_path, dit=changed)
    else:
        card = write_comfy(miniature, tmp_path, dit=original_transformer(changed))
    wanted, before = predicted(load(card)), predicted(model)
    lora = write_lora(tmp_path / "ink.safetensors", tensors_of(pairs, style, prefix), base="flux2-klein")
    placement = LoraPlacement(model.lora_parts(), model.residency, model.prompts, forget=model.forget_steps)
    placement.use([(lora, 1.0)], COST)
    found = predicted(model)
    placement.use([], COST)
    assert float((found - wanted).norm() / wanted.norm()) < BOUND < float((found - before).norm() / wanted.norm())
    assert torch.equal(predicted(model), before)


def test_lora_on_the_text_encoder_is_as_if_it_were_merged(
    miniature: Miniature, model: Flux2Model, tmp_path: Path
) -> None:
    """Whatever of it is not read after three quarters of its layers included."""
    tensors = tensors_of_qwen3(miniature.qwen3)
    shapes = {
        name.removesuffix(".weight"): tensor.shape
        for name, tensor in tensors.items()
        if ".layers." in name and tensor.dim() == 2
    }
    pairs = random_pairs(shapes, gain=0.5)
    card = write_comfy(miniature, tmp_path)
    save_file(
        {name: value.contiguous() for name, value in merged(tensors, pairs).items()}, tmp_path / "qwen_3_4b.safetensors"
    )
    wanted, before = load(card).reader.embedding("a red fox"), model.reader.embedding("a red fox")
    named = tensors_of(pairs, KeyStyle.DIFFUSERS, "text_encoder.")
    lora = write_lora(tmp_path / "ink.safetensors", named, base="flux2-klein")
    placement = LoraPlacement(model.lora_parts(), model.residency, model.prompts, forget=model.forget_steps)
    placement.use([(lora, 1.0)], COST)
    found = model.reader.embedding("a red fox")
    placement.use([], COST)
    assert float((found - wanted).norm() / wanted.norm()) < BOUND < float((found - before).norm() / wanted.norm())
    assert torch.equal(model.reader.embedding("a red fox"), before)
