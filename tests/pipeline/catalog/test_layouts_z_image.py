"""Z-Image and Qwen3 by the heads of their files: what is whole, what lacks something, what is another model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.catalog.adding import add_models
from pipeline.catalog.layouts import identify
from pipeline.catalog.layouts.places import mismatch, wrong_place
from pipeline.catalog.models import Z_IMAGE_TURBO, catalog_of, find_model
from pipeline.catalog.parts import Naming, Part, PartKind
from pipeline.config import PipelineConfig
from tests.pipeline.catalog import miniature_headers as make

TURBO = "z_image_turbo_bf16.safetensors"


def part_of(path: Path, kind: PartKind) -> Part:
    layout = identify(path)
    part = layout.part(kind)
    assert part is not None, layout
    return part


@pytest.mark.parametrize(
    ("tensors", "naming", "prefix"),
    [
        (make.z_image(), Naming.ORIGINAL, ""),
        (make.below("model.diffusion_model.", make.z_image()), Naming.ORIGINAL, "model.diffusion_model."),
        (make.z_image_diffusers(), Naming.DIFFUSERS, ""),
    ],
)
def test_transformer_is_whole(tmp_path: Path, tensors: make.Tensors, naming: Naming, prefix: str) -> None:
    path = make.write_safetensors(tmp_path / TURBO, tensors)
    part = part_of(path, PartKind.DENOISER)
    assert (part.architecture, part.variant, part.naming) == ("z-image", "z-image-turbo", naming)
    assert (part.prefix, part.lacks, part.reads) == (prefix, (), ((PartKind.QWEN3, 48),))
    assert wrong_place(identify(path), PartKind.DENOISER, architecture="z-image", variant="z-image-turbo") is None


def test_gguf_of_comfyui_is_known_though_it_says_lumina2(tmp_path: Path) -> None:
    metadata = {"general.architecture": "lumina2"}
    path = make.write_gguf(tmp_path / "z_image_turbo.gguf", make.z_image(), metadata=metadata)
    part = part_of(path, PartKind.DENOISER)
    assert (part.variant, part.naming, part.lacks) == ("z-image-turbo", Naming.ORIGINAL, ())


@pytest.mark.parametrize("is_gguf", [False, True])
def test_qwen3_is_whole_and_fits_by_its_width(tmp_path: Path, is_gguf: bool) -> None:
    if is_gguf:
        metadata = {"general.architecture": "qwen3"}
        path = make.write_gguf(tmp_path / "Qwen3-4B.gguf", make.qwen3_llama_cpp(), metadata=metadata)
    else:
        path = make.write_safetensors(tmp_path / "qwen_3_4b.safetensors", make.qwen3())
    part = part_of(path, PartKind.QWEN3)
    assert (part.naming, part.width) == (Naming.LLAMA_CPP if is_gguf else Naming.TRANSFORMERS, 48)
    assert part.lacks == ()
    denoiser = part_of(make.write_safetensors(tmp_path / TURBO, make.z_image()), PartKind.DENOISER)
    assert mismatch(denoiser, part) is None
    assert mismatch(denoiser, replace(part, width=64)) is not None


@pytest.mark.parametrize(
    ("tensors", "kind", "lacks"),
    [
        (make.without(make.z_image(), ["layers.1.attention.qkv.weight"]), PartKind.DENOISER, "attention.qkv"),
        (make.without(make.z_image_diffusers(), ["x_pad_token"]), PartKind.DENOISER, "x_pad_token"),
        (make.without(make.z_image(), ["t_embedder.mlp.2.bias"]), PartKind.DENOISER, "t_embedder"),
        (make.without(make.qwen3(), ["model.layers.0.mlp.up_proj.weight"]), PartKind.QWEN3, "up_proj"),
        (make.without(make.qwen3(), ["model.embed_tokens.weight"]), PartKind.QWEN3, "embed_tokens"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, tensors: make.Tensors, kind: PartKind, lacks: str) -> None:
    path = make.write_safetensors(tmp_path / "model.safetensors", tensors)
    assert any(lacks in each for each in part_of(path, kind).lacks)
    refusal = wrong_place(identify(path), kind, architecture="z-image")
    assert refusal is not None and lacks in refusal.reason


EXPERTS = {"model.layers.0.mlp.experts.0.gate_proj.weight": (8, 8)}


@pytest.mark.parametrize(
    ("name", "tensors", "said"),
    [
        ("z_image_bf16.safetensors", make.z_image(), "Z-Image"),
        ("z-image-Q8_0.safetensors", make.z_image(), "Z-Image"),
        ("z_image_de_turbo_v1.safetensors", make.z_image(), "de-distilled"),
        (TURBO, make.z_image() | {"siglip_embedder.0.weight": (8,)}, "Omni"),
        (TURBO, make.z_image(token=128), "another task"),
        (TURBO, make.z_image(head=24), "another size"),
        (TURBO, make.without(make.z_image(), ["cap_pad_token"]), "Lumina 2"),
        ("qwen.safetensors", make.qwen3() | EXPERTS, "experts"),
    ],
)
def test_other_models_of_the_family_are_refused(tmp_path: Path, name: str, tensors: make.Tensors, said: str) -> None:
    layout = identify(make.write_safetensors(tmp_path / name, tensors))
    assert layout.refusal is not None
    assert said in layout.refusal.what


def test_fine_tune_with_any_other_name_is_drawn_as_turbo(tmp_path: Path) -> None:
    path = make.write_safetensors(tmp_path / "写实 zit v2.safetensors", make.z_image())
    assert part_of(path, PartKind.DENOISER).variant == "z-image-turbo"


def test_split_files_of_comfyui_become_one_model(tmp_path: Path) -> None:
    """Without the tokenizer, which `fetch` brings."""
    home = tmp_path / "ComfyUI/models"
    make.write_safetensors(home / "diffusion_models" / TURBO, make.z_image())
    make.write_safetensors(home / "text_encoders/qwen_3_4b.safetensors", make.qwen3())
    make.write_safetensors(home / "text_encoders/qwen_3_wide.safetensors", make.qwen3(width=64))
    make.write_safetensors(home / "vae/ae.safetensors", make.vae())
    config = PipelineConfig(models_dir=tmp_path / "models")
    (name,) = add_models([home], catalog_of(config), name=None, title=None).new
    card = find_model(name, config)
    places = {part: file.place.name for part, file in card.files.items() if file.place is not None}
    assert places == {"dit": TURBO, "qwen3": "qwen_3_4b.safetensors", "vae": "ae.safetensors"}
    assert card.files["tokenizer"].repo == "Tongyi-MAI/Z-Image-Turbo"
    assert card.architecture is Z_IMAGE_TURBO.architecture
    assert (card.default_steps, card.reads, card.is_commercial) == (8, ("en", "zh"), False)
