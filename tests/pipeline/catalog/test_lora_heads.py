"""What a LoRA is, read from its head: naming, family, rank, words; and what is refused, with the reason."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog.headers import header_of
from pipeline.catalog.layouts import identify
from pipeline.catalog.layouts.lora import MOST_BYTES, LoraHead, lora_of, plain_name
from pipeline.catalog.lora_card import KeyStyle
from pipeline.catalog.parts import Refusal
from pipeline.families.flux.architecture import FLUX
from pipeline.families.stable_diffusion.architecture import SD15, SDXL
from tests.pipeline.catalog import miniature_headers as heads
from tests.pipeline.catalog import miniature_loras as make

OLD = ("lora.down.weight", "lora.up.weight")
DEFAULT = ("lora_A.default.weight", "lora_B.default.weight")
CLIP = {"text_model.encoder.layers.0.self_attn.q_proj": (768, 768)}

RECOGNISED = {
    "FLUX.1, kohya": (make.kohya(make.FLUX_BFL), "flux", KeyStyle.KOHYA),
    "FLUX.1, OneTrainer": (make.kohya(make.FLUX_DIFFUSERS, prefix="lora_transformer_"), "flux", KeyStyle.KOHYA),
    "FLUX.1, diffusers": (make.factors(make.FLUX_DIFFUSERS, prefix="transformer."), "flux", KeyStyle.DIFFUSERS),
    "FLUX.1, PEFT": (make.factors(make.FLUX_DIFFUSERS, prefix="base_model.model."), "flux", KeyStyle.DIFFUSERS),
    "FLUX.1, unprefixed": (make.factors(make.FLUX_DIFFUSERS, ends=DEFAULT), "flux", KeyStyle.DIFFUSERS),
    "FLUX.1, ComfyUI": (make.factors(make.FLUX_BFL, prefix="diffusion_model."), "flux", KeyStyle.COMFYUI),
    "FLUX.1, BFL": (make.factors(make.FLUX_BFL), "flux", KeyStyle.COMFYUI),
    "FLUX.1, attention of all blocks": (
        make.kohya({f"double_blocks.{n}.img_attn.qkv": (3072, 9216) for n in range(19)}),
        "flux",
        KeyStyle.KOHYA,
    ),
    "klein, kohya": (make.kohya(make.KLEIN_BFL), "flux2-klein", KeyStyle.KOHYA),
    "klein, diffusers": (
        make.factors(make.KLEIN_DIFFUSERS, prefix="transformer."),
        "flux2-klein",
        KeyStyle.DIFFUSERS,
    ),
    "klein, ComfyUI": (make.factors(make.KLEIN_BFL, prefix="diffusion_model."), "flux2-klein", KeyStyle.COMFYUI),
    "FLUX.1, XLabs": (
        make.factors(
            {f"double_blocks.7.processor.{name}": shape for name, shape in make.XLABS_DOUBLE.items()},
            ends=("down.weight", "up.weight"),
        ),
        "flux",
        KeyStyle.COMFYUI,
    ),
    "FLUX.1, XLabs' single blocks": (
        make.factors(
            {
                "single_blocks.1.processor.qkv_lora": (3072, 9216),
                "single_blocks.1.processor.proj_lora": (15360, 3072),
            },
            ends=("down.weight", "up.weight"),
        ),
        "flux",
        KeyStyle.COMFYUI,
    ),
    "Z-Image with its text encoder": (
        make.kohya(make.Z_IMAGE) | make.kohya(make.QWEN3, prefix="lora_te_"),
        "z-image",
        KeyStyle.KOHYA,
    ),
    "klein with its text encoder": (
        make.factors(make.KLEIN_BFL, prefix="diffusion_model.")
        | make.factors(make.QWEN3, prefix="text_encoders.qwen3_4b.transformer.model."),
        "flux2-klein",
        KeyStyle.COMFYUI,
    ),
    "SD 1.5, diffusers' first years": (
        make.factors(
            {
                "down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora": (768, 320),
                "mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora": (1280, 1280),
            },
            ends=("down.weight", "up.weight"),
        ),
        "sd15",
        KeyStyle.DIFFUSERS,
    ),
    "SD 1.5, diffusers' second year": (
        make.factors(make.SD15, prefix="unet.", ends=OLD)
        | make.factors(
            CLIP, prefix="text_encoder.", ends=("lora_linear_layer.down.weight", "lora_linear_layer.up.weight")
        ),
        "sd15",
        KeyStyle.DIFFUSERS,
    ),
    "Z-Image, diffusers": (make.factors(make.Z_IMAGE, prefix="transformer."), "z-image", KeyStyle.DIFFUSERS),
    "Z-Image, ComfyUI": (make.factors(make.Z_IMAGE, prefix="diffusion_model."), "z-image", KeyStyle.COMFYUI),
    "Z-Image, kohya": (make.kohya(make.Z_IMAGE), "z-image", KeyStyle.KOHYA),
    "SD 1.5, kohya": (make.kohya(make.SD15), "sd15", KeyStyle.KOHYA),
    "SD 1.5, diffusers": (make.factors(make.SD15, prefix="unet.", ends=OLD), "sd15", KeyStyle.DIFFUSERS),
    "SD 1.5, text encoder alone": (make.kohya(CLIP, prefix="lora_te_"), "sd15", KeyStyle.KOHYA),
    "SDXL, kohya": (make.kohya(make.SDXL), "sdxl", KeyStyle.KOHYA),
    "SDXL, the checkpoint's names": (make.kohya(make.SDXL_ORIGINAL), "sdxl", KeyStyle.KOHYA),
    "SDXL, diffusers": (
        make.factors({**make.SDXL}, prefix="unet.") | make.factors(CLIP, prefix="text_encoder."),
        "sdxl",
        KeyStyle.DIFFUSERS,
    ),
    "SDXL without cross-attention": (
        make.kohya({"mid_block.attentions.0.transformer_blocks.9.attn1.to_q": (1280, 1280)}),
        "sdxl",
        KeyStyle.KOHYA,
    ),
    "SD 1.5 without cross-attention": (
        make.kohya({"down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": (320, 320)}),
        "sd15",
        KeyStyle.KOHYA,
    ),
}


@pytest.mark.parametrize("kind", RECOGNISED)
def test_lora_is_recognised(kind: str, tmp_path: Path) -> None:
    shapes, base, style = RECOGNISED[kind]
    path = heads.write_safetensors(tmp_path / "style.safetensors", shapes)
    found = lora_of(path)
    assert isinstance(found, LoraHead), found
    assert (found.base, found.style, found.rank) == (base, style, 16)
    refusal = identify(path).refusal
    assert refusal is not None and refusal.what.startswith("a LoRA for "), "it is no model, and taken for none"


def test_bases_are_names_of_architectures() -> None:
    assert (FLUX.name, SD15.name, SDXL.name) == ("flux", "sd15", "sdxl")


def test_rank_is_the_largest_one(tmp_path: Path) -> None:
    shapes = make.kohya(make.SD15, rank=4) | make.kohya(CLIP, prefix="lora_te_", rank=128)
    found = lora_of(heads.write_safetensors(tmp_path / "x.safetensors", shapes))
    assert isinstance(found, LoraHead) and found.rank == 128


def test_convolutions_are_taken(tmp_path: Path) -> None:
    conv = "lora_unet_down_blocks_0_resnets_0_conv1"
    shapes = make.kohya(make.SD15) | {
        f"{conv}.lora_down.weight": (8, 320, 3, 3),
        f"{conv}.lora_up.weight": (320, 8, 1, 1),
    }
    assert isinstance(lora_of(heads.write_safetensors(tmp_path / "x.safetensors", shapes)), LoraHead)


BLOCK = "lora_unet_double_blocks_0_img_attn_qkv"
REFUSED: dict[str, tuple[Any, str]] = {
    "LoHa": (heads.lora(BLOCK, ends=("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "alpha")), "a LoHa"),
    "LoKr": (heads.lora(BLOCK, ends=("lokr_w1", "lokr_w2", "alpha")), "a LoKr"),
    "DoRA": (make.kohya(make.FLUX_BFL) | {f"{BLOCK}.dora_scale": (1, 9216)}, "a DoRA"),
    "three factors": (make.kohya(make.SD15) | {f"{BLOCK}.lora_mid.weight": (4, 4, 3, 3)}, "three factors"),
    "whole weights as well": (
        make.factors(make.FLUX_BFL) | {"double_blocks.0.img_attn.norm.query_norm.scale.set_weight": (128,)},
        "replaces weights",
    ),
    "biases as well": (
        make.factors(make.FLUX_BFL) | {"double_blocks.0.img_attn.qkv.lora_B.bias": (9216,)},
        "changes biases",
    ),
    "XLabs' of no stream": (
        heads.lora("double_blocks.0.processor.proj_lora", ends=("down.weight", "up.weight")),
        "none of its factors",
    ),
    "IA3": ({"base_model.model.transformer_blocks.0.attn.to_k.ia3_l": (3072, 1)}, "adapter|IA3"),
    "IA3 of kohya": (make.kohya(make.SD15) | {"lora_unet_x.on_input": ()}, "an IA3"),
    "words of its own": (make.kohya(make.SD15) | {"bundle_emb.ink.string_to_param.*": (2, 768)}, "words of its own"),
    "one factor": ({f"{BLOCK}.lora_down.weight": (4, 3072), f"{BLOCK}.alpha": ()}, "has not the two factors"),
    "ranks that differ": (
        {f"{BLOCK}.lora_down.weight": (4, 3072), f"{BLOCK}.lora_up.weight": (9216, 8)},
        "rank 4 and 8",
    ),
    "no rank": ({f"{BLOCK}.lora_down.weight": (0, 3072), f"{BLOCK}.lora_up.weight": (9216, 0)}, "no matrices"),
    "a vast rank": (make.kohya({"single_blocks.0.linear1": (3072, 21504)}, rank=600), "rank 600"),
    "alpha of nothing": (make.kohya(make.FLUX_BFL) | {"lora_unet_x.alpha": ()}, "has no factors"),
    "numbers in 4 bits": (
        {name: ("U8", shape) for name, shape in make.kohya(make.FLUX_BFL).items()},
        "a LoRA in U8",
    ),
    "two ways of naming": (
        make.kohya(make.FLUX_BFL) | make.factors(make.FLUX_DIFFUSERS, prefix="transformer."),
        "more than one way",
    ),
    "something beside its factors": (
        make.kohya(make.FLUX_BFL) | {"lora_unet_double_blocks_0_img_attn_qkv.scalar": (1,)},
        "none of its factors",
    ),
    "two families": (make.kohya({**make.FLUX_BFL, "double_blocks.1.img_mlp.0": (3072, 18432)}), "two families"),
    "klein 9B": (make.kohya({"double_blocks.0.img_attn.qkv": (4096, 12288)}), "klein] 9B"),
    "FLUX.2 [dev]": (make.kohya({"double_blocks.0.img_attn.qkv": (6144, 18432)}), r"FLUX\.2 \[dev\]"),
    "SD 3": (make.factors({"transformer_blocks.0.attn.to_q": (1536, 1536)}, prefix="transformer."), "Diffusion 3"),
    "Qwen-Image": (
        make.factors({f"transformer_blocks.{n}.attn.to_q": (3072, 3072) for n in range(60)}),
        "more blocks than",
    ),
    "SD 2": (make.kohya({"down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k": (1024, 320)}), "Diffusion 2"),
    "Lumina": (make.factors({"layers.0.attention.qkv": (2304, 4608)}, prefix="diffusion_model."), "Lumina"),
    "Wan": (make.factors({"blocks.0.self_attn.q": (5120, 5120)}, prefix="diffusion_model."), "LoRA for Wan"),
    "HunyuanVideo": (make.kohya({"double_blocks.0.img_mlp.fc1": (3072, 12288)}), "HunyuanVideo"),
    "FLUX.1's or klein's": (make.kohya({"double_blocks.0.img_attn.qkv": (3072, 9216)}), "alike"),
    "text encoder of several": (make.kohya(CLIP, prefix="lora_te1_"), "several families alike"),
    "unknown names": (make.kohya({"some_layer": (8, 8)}), "no family that is known"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_could_be_applied_by_half_only_is_refused(kind: str, tmp_path: Path) -> None:
    shapes, reason = REFUSED[kind]
    found = lora_of(heads.write_safetensors(tmp_path / "style.safetensors", shapes))
    assert isinstance(found, Refusal), found
    heads_told = f"{found.what}: {found.reason}; {found.instead}"
    assert re.search(reason, heads_told), heads_told


def test_notes_tell_what_layers_do_not(tmp_path: Path) -> None:
    ambiguous = make.kohya({"double_blocks.0.img_attn.qkv": (3072, 9216)})
    for note, base in (("Flux.1-dev/lora", "flux"), ("flux2-klein-4b", "flux2-klein")):
        path = tmp_path / f"{base}.safetensors"
        found = lora_of(heads.write_safetensors(path, ambiguous, metadata={"modelspec.architecture": note}))
        assert isinstance(found, LoraHead) and found.base == base
    text = heads.write_safetensors(
        tmp_path / "te.safetensors",
        make.kohya(CLIP, prefix="lora_te1_"),
        metadata={"ss_base_model_version": "sdxl_base_v1-0"},
    )
    assert isinstance(found := lora_of(text), LoraHead) and found.base == "sdxl"


def test_notes_do_not_overrule_layers(tmp_path: Path) -> None:
    path = heads.write_safetensors(
        tmp_path / "x.safetensors", make.kohya(make.SD15), metadata={"modelspec.architecture": "flux-1-dev/lora"}
    )
    assert isinstance(found := lora_of(path), LoraHead) and found.base == "sd15"


def test_other_files_are_no_loras(tmp_path: Path) -> None:
    assert lora_of(heads.write_safetensors(tmp_path / "model.safetensors", heads.flux())) is None
    assert lora_of(heads.write_safetensors(tmp_path / "nothing.safetensors", {})) is None
    pickle = tmp_path / "style.pt"
    pickle.write_bytes(b"PK\x03\x04archive/data.pkl")
    assert isinstance(found := lora_of(pickle), Refusal) and "pickled" in found.what
    assert isinstance(found := lora_of(tmp_path / "absent.safetensors"), Refusal) and found.what == "no file"
    assert isinstance(found := lora_of(tmp_path), Refusal) and found.what == "a folder"


def test_file_that_is_cut_off_or_still_arriving_is_refused(tmp_path: Path) -> None:
    path = make.write_lora(tmp_path / "style.safetensors")
    (tmp_path / "style.safetensors.part").touch()
    assert isinstance(found := lora_of(path), Refusal) and "still being downloaded" in found.what
    (tmp_path / "style.safetensors.part").unlink()
    assert isinstance(lora_of(path), LoraHead)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    assert isinstance(found := lora_of(path), Refusal) and "cut off" in found.what


def test_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    sides = {f"single_blocks.{n}.linear1": (3072, 21504) for n in range(200)}
    path = heads.write_safetensors(
        tmp_path / "vast.safetensors", {name: ("F32", shape) for name, shape in make.factors(sides, rank=256).items()}
    )
    assert path.stat().st_size > MOST_BYTES
    assert isinstance(found := lora_of(path), Refusal) and "too large" in found.what


NOTES = {
    "phrase": ({"modelspec.trigger_phrase": "inkstyle, black ink"}, ("inkstyle", "black ink")),
    "tags": ({"ss_tag_frequency": json.dumps({"10_ink": {"inkstyle": 40, "a tree": 3}})}, ("inkstyle",)),
    "several folders": (
        {"ss_tag_frequency": json.dumps({"1_a": {"ohwx": 9, "x": 1}, "1_b": {"ohwx": 7}, "c": {"zwx": 8, "y": 2}})},
        ("ohwx", "zwx"),
    ),
    "tags that are alike": ({"ss_tag_frequency": json.dumps({"a": dict.fromkeys("bcdef", 9)})}, ()),
    "captions": ({"ss_tag_frequency": json.dumps({"a": {"a photo of a cat": 1}})}, ()),
    "no JSON": ({"ss_tag_frequency": "{"}, ()),
    "nested": ({"ss_tag_frequency": "[" * 100_000}, ()),
    "another type": ({"ss_tag_frequency": '{"a": 3, "b": {"c": "d", "e": true, "f": null}}'}, ()),
    "a list": ({"ss_tag_frequency": "[1]"}, ()),
    "hostile": (
        {"modelspec.trigger_phrase": "@everyone\n\x1b[31m, " + "x" * 500 + ", ,\u202e,a,b,c,d,e"},
        ("@everyone [31m", "x" * 60, "a", "b", "c"),
    ),
}


@pytest.mark.parametrize("kind", NOTES)
def test_trigger_words_are_read_from_notes(kind: str, tmp_path: Path) -> None:
    notes, words = NOTES[kind]
    found = lora_of(make.write_lora(tmp_path / "x.safetensors", notes=notes))
    assert isinstance(found, LoraHead) and found.triggers == words


def test_title_is_read_from_notes(tmp_path: Path) -> None:
    path = make.write_lora(tmp_path / "x.safetensors", notes={"modelspec.title": " Ink\twash\n", "ss_output_name": "y"})
    assert isinstance(found := lora_of(path), LoraHead) and found.title == "Ink wash"


def test_names_of_layers_are_made_alike() -> None:
    for name, plain in (
        ("lora_unet_double_blocks_0_img_attn_qkv", "double_blocks_0_img_attn_qkv"),
        ("diffusion_model.double_blocks.0.img_attn.qkv", "double_blocks_0_img_attn_qkv"),
        ("base_model.model.transformer.layers.1.w", "layers_1_w"),
        ("lora_te2_text_model_x", "te2_text_model_x"),
        ("text_encoder_2.text_model.x", "te2_text_model_x"),
        ("text_encoder.text_model.x", "te1_text_model_x"),
        ("text_encoders.clip_l.transformer.text_model.x", "te1_text_model_x"),
    ):
        assert plain_name(name) == plain


def test_large_head_takes_milliseconds(tmp_path: Path) -> None:
    sides = {f"single_blocks.{n}.layer{m}": (8, 8) for n in range(38) for m in range(60)}
    path = heads.write_safetensors(tmp_path / "x.safetensors", make.factors({**make.FLUX_BFL, **sides}))
    header_of(path)
    begin = time.process_time()
    assert isinstance(lora_of(path), LoraHead)
    assert time.process_time() - begin < 0.5
    begin = time.process_time()
    lora_of(path)
    assert time.process_time() - begin < 0.01
