"""LoRAs on SD 1.5 and SDXL: layers, convolutions and text encoders, in diffusers' names and in CompVis'."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.catalog.architecture import StepCost
from pipeline.catalog.lora_card import KeyStyle, LoraCard
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.errors import LoraMisfit
from pipeline.families.stable_diffusion.checkpoint import load_model
from pipeline.families.stable_diffusion.model import StableDiffusionModel
from pipeline.families.stable_diffusion.unet import random_conditioning
from pipeline.spec import ImageOptions
from pipeline.streaming.arithmetic import Arithmetic, choose_arithmetic
from pipeline.streaming.lora_placement import LoraPlacement
from pipeline.streaming.quantization import Format
from tests.pipeline.families.lora_files import Pairs, merged, random_pairs, tensors_of, write_lora
from tests.pipeline.families.stable_diffusion.random_sd import (
    Miniature,
    make_sd15,
    make_sdxl,
    original_unet_name,
    write_folder,
)

BOUND = 2e-5  # of the norm of what is computed, in float32
CPU = choose_arithmetic(is_streamed=False, device="cpu", precision="auto", packed_dir=Path())
PREFIXES = {
    "sd15": {"unet": "lora_unet_", "clip_l": "lora_te_"},
    "sdxl": {"unet": "lora_unet_", "clip_l": "lora_te1_", "clip_g": "lora_te2_"},
}
DOTTED = {"unet": "unet.", "clip_l": "text_encoder.", "clip_g": "text_encoder_2."}


@dataclasses.dataclass(frozen=True)
class Case:
    """A miniature, a LoRA on every layer of it, and the files of both."""

    miniature: Miniature
    card: ModelCard
    folder: Path
    pairs: Mapping[str, Pairs]

    @property
    def name(self) -> str:
        return self.miniature.name

    def load(self, folder: Path | None = None, arithmetic: Arithmetic = CPU) -> StableDiffusionModel:
        config = PipelineConfig(device="cpu", models_dir=folder or self.folder)
        model = load_model(self.card, config, arithmetic)
        model.residency.fit()
        return model

    @property
    def cost(self) -> StepCost:
        return self.card.architecture.cost(64, 64, 2)

    def placement(self, model: StableDiffusionModel) -> LoraPlacement:
        return LoraPlacement(model.lora_parts(), model.residency, model.prompts, forget=model.forget_steps)

    def kohya(self, only: str = "") -> dict[str, Tensor]:
        """As kohya writes it: SDXL's UNet in CompVis' names."""
        found: dict[str, Tensor] = {}
        for part, prefix in PREFIXES[self.name].items():
            if part.startswith(only):
                found |= tensors_of(self.named(part, is_original=self.name == "sdxl"), KeyStyle.KOHYA, prefix)
        return found

    def named(self, part: str, *, is_original: bool) -> Pairs:
        pairs = self.pairs[part]
        if part != "unet" or not is_original:
            return pairs
        unet = self.miniature.modules["unet"]
        return {original_unet_name(f"{name}.x", unet).removesuffix(".x"): pair for name, pair in pairs.items()}


def make_case(miniature: Miniature, folder: Path) -> Case:
    card = write_folder(miniature, folder)
    layers = {
        part: {
            name.removesuffix(".weight"): tensor.shape
            for name, tensor in miniature.tensors(part).items()
            if name.endswith(".weight") and tensor.dim() in (2, 4) and "embedding.weight" not in name
        }
        for part in PREFIXES[miniature.name]
    }
    assert any(len(shape) == 4 and shape[2:] == (3, 3) for shape in layers["unet"].values())
    pairs = {part: random_pairs(shapes, gain=0.7) for part, shapes in layers.items()}
    return Case(miniature, card, folder, pairs)


@pytest.fixture(scope="module", params=[make_sd15, make_sdxl], ids=["sd15", "sdxl"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(request.param(), tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def model(case: Case) -> StableDiffusionModel:
    return case.load()


@pytest.fixture(scope="module")
def lora(case: Case, tmp_path_factory: pytest.TempPathFactory) -> LoraCard:
    return write_lora(tmp_path_factory.mktemp("lora") / "ink.safetensors", case.kohya(), base=case.name)


@torch.no_grad()
def predicted(model: StableDiffusionModel) -> Tensor:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    unet = model.residency.transformer
    return unet.predict(latents, torch.tensor(500.0), random_conditioning(unet.module), 3.0)  # type: ignore[attr-defined]


def told(model: StableDiffusionModel, case: Case) -> Tensor:
    spec = case.card.resolve(ImageOptions(prompt="a red fox", seed=1, negative_prompt="blurry"), random_seed=0)
    return model.reader.conditioning(dataclasses.replace(spec, width=64, height=64)).text


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def test_lora_on_every_layer_and_encoder_is_as_if_it_were_merged(
    case: Case, model: StableDiffusionModel, lora: LoraCard, tmp_path: Path
) -> None:
    modules = {part: merged(case.miniature.tensors(part), pairs) for part, pairs in case.pairs.items()}
    changed = dataclasses.replace(case.miniature, modules={**case.miniature.modules})
    folder = tmp_path / "merged"
    write_merged(changed, modules, folder)
    wanted = case.load(folder)
    before, before_told = predicted(model), told(model, case)
    placement = case.placement(model)
    placement.use([(lora, 1.0)], case.cost)
    assert error(predicted(model), predicted(wanted)) < BOUND < 1e-2 < error(predicted(model), before)
    assert error(told(model, case), told(wanted, case)) < BOUND < 1e-2 < error(told(model, case), before_told)
    placement.use([], case.cost)
    assert torch.equal(predicted(model), before)
    assert torch.equal(told(model, case), before_told)


def write_merged(miniature: Miniature, tensors: Mapping[str, Mapping[str, Tensor]], folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    write_folder(miniature, folder)
    for path in folder.rglob("*.safetensors"):
        for changed in tensors.values():
            if load_file(path).keys() == changed.keys():
                save_file({name: value.contiguous() for name, value in changed.items()}, path)


def test_every_way_of_writing_computes_the_same(case: Case, model: StableDiffusionModel, tmp_path: Path) -> None:
    ours, original = ({part: case.named(part, is_original=flag) for part in case.pairs} for flag in (False, True))
    ways: list[dict[str, Tensor]] = [{} for _ in range(5)]
    for part, kohya in PREFIXES[case.name].items():
        ways[0] |= tensors_of(ours[part], KeyStyle.KOHYA, kohya)
        ways[1] |= tensors_of(original[part], KeyStyle.KOHYA, kohya)
        ways[2] |= tensors_of(ours[part], KeyStyle.DIFFUSERS, DOTTED[part])
        comfy = "diffusion_model." if part == "unet" else f"text_encoders.{part}.transformer."
        ways[3] |= tensors_of(original[part], KeyStyle.COMFYUI, comfy)
    ways[4] = {
        name.replace(".to_q.lora_A.weight", ".processor.to_q_lora.down.weight")
        .replace(".to_q.lora_B.weight", ".processor.to_q_lora.up.weight")
        .replace(".to_out.0.lora_A.weight", ".processor.to_out_lora.down.weight")
        .replace(".to_out.0.lora_B.weight", ".processor.to_out_lora.up.weight")
        .replace(".to_q.alpha", ".processor.to_q.alpha")
        .replace(".lora_A.weight", ".lora.down.weight")
        .replace(".lora_B.weight", ".lora.up.weight"): tensor
        for name, tensor in ways[2].items()
    }
    placement, found = case.placement(model), []
    for number, tensors in enumerate(ways):
        card = write_lora(tmp_path / f"{number}.safetensors", tensors, base=case.name)
        placement.use([(card, 0.8)], case.cost)
        found.append((predicted(model), told(model, case)))
    placement.use([], case.cost)
    for each in found:
        assert torch.equal(each[0], found[0][0]) and torch.equal(each[1], found[0][1])


def test_text_encoder_alone_changes_what_is_read_and_nothing_else(
    case: Case, model: StableDiffusionModel, tmp_path: Path
) -> None:
    before, before_told = predicted(model), told(model, case)
    card = write_lora(tmp_path / "words.safetensors", case.kohya("clip"), base=case.name)
    placement = case.placement(model)
    placement.use([(card, 1.0)], case.cost)
    assert torch.equal(predicted(model), before)
    changed = told(model, case)
    assert not torch.equal(changed, before_told)
    placement.use([(card, 0.5)], case.cost)
    assert not torch.equal(told(model, case), changed)
    placement.use([(card, 1.0)], case.cost)
    assert torch.equal(told(model, case), changed)
    placement.use([], case.cost)
    assert torch.equal(told(model, case), before_told)


def test_lora_of_the_other_family_is_refused_as_a_whole(
    case: Case, model: StableDiffusionModel, tmp_path: Path
) -> None:
    other = make_case(make_sdxl() if case.name == "sd15" else make_sd15(), tmp_path)
    card = write_lora(tmp_path / "other.safetensors", other.kohya(), base=case.name)
    before = predicted(model)
    placement = case.placement(model)
    with pytest.raises(LoraMisfit, match=r"LoRA 'other' (was made for another model|does not fit this model)"):
        placement.use([(card, 1.0)], case.cost)
    assert torch.equal(predicted(model), before) and model.prompts.variant == ""


@pytest.mark.parametrize("weight_format", [Format.INT8, Format.FLOAT16])
def test_weights_of_fewer_bits_are_left_alone(case: Case, lora: LoraCard, weight_format: Format) -> None:
    if weight_format is Format.FLOAT16:
        arithmetic = choose_arithmetic(
            is_streamed=False, device="cpu", precision="float16", packed_dir=Path(), half="float16"
        )
    else:
        arithmetic = choose_arithmetic(is_streamed=False, device="cpu", precision="int8", packed_dir=Path())
    model = case.load(arithmetic=arithmetic)
    before = predicted(model)
    placement = case.placement(model)
    placement.use([(lora, 1.0)], case.cost)
    changed = predicted(model)
    assert bool(torch.isfinite(changed).all()) and not torch.equal(changed, before)
    placement.use([], case.cost)
    assert torch.equal(predicted(model), before)
