"""What is said of files of weights: which part of which model they are, how they are kept, what is missing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pipeline.catalog.layouts import identify, wrong_place
from pipeline.catalog.parts import Naming, Part, PartKind, Storage
from tests.pipeline.catalog import miniature_headers as make

DEMO = Path(__file__).parents[3] / "pipeline/demo/weights"


def part_of(path: Path, kind: PartKind = PartKind.DENOISER) -> Part:
    layout = identify(path)
    assert layout.refusal is None
    part = layout.part(kind)
    assert part is not None
    return part


def refused(path: Path) -> str:
    """What a file that is of no use is."""
    layout = identify(path)
    assert layout.refusal is not None
    assert layout.parts == ()
    assert all((layout.refusal.what, layout.refusal.reason, layout.refusal.instead))
    return layout.refusal.what


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model.", "model.", "a.b."])
def test_transformer_is_known_under_any_prefix(tmp_path: Path, prefix: str) -> None:
    part = part_of(make.write_safetensors(tmp_path / "x", make.below(prefix, make.flux())))
    assert (part.architecture, part.variant, part.naming) == ("flux", "flux1-dev", Naming.ORIGINAL)
    assert (part.prefix, part.precision, part.lacks) == (prefix, "bf16", ())


@pytest.mark.parametrize("shapes", [make.flux(guidance=False), make.flux_diffusers(guidance=False)])
def test_transformer_without_guidance_is_schnell(tmp_path: Path, shapes: make.Shapes) -> None:
    layout = identify(make.write_safetensors(tmp_path / "x", shapes))
    assert layout.title == "FLUX.1 [schnell] transformer, bf16"
    assert layout.parts[0].variant == "flux1-schnell"


@pytest.mark.parametrize("variant", ["flux1-dev", "flux1-schnell"])
def test_transformer_of_full_size_in_the_names_of_diffsynth_is_not_the_demo(tmp_path: Path, variant: str) -> None:
    shapes = {
        "context_embedder.weight": (32, 4096),
        "x_embedder.weight": (32, 64),
        "blocks.0.attn.a_to_out.bias": (32,),
    }
    if variant == "flux1-dev":
        shapes |= make.both("guidance_embedder.timestep_embedder.0", shape=(32, 256))
    layout = identify(make.write_safetensors(tmp_path / "x", shapes))
    assert (layout.parts[0].variant, layout.parts[0].naming) == (variant, Naming.DIFFSYNTH)
    assert variant.removeprefix("flux1-") in layout.title


def test_plain_derivative_is_drawn_as_what_it_derives_from(tmp_path: Path) -> None:
    layout = identify(make.write_safetensors(tmp_path / "flux1-krea-dev.safetensors", make.flux()))
    assert layout.title == "FLUX.1 Krea [dev] transformer, bf16"
    assert layout.parts[0].variant == "flux1-dev"


@pytest.mark.parametrize(("dtype", "precision"), [("F16", "f16"), ("F32", "f32"), ("F8_E5M2", "fp8 e5m2")])
def test_plain_precisions_are_told(tmp_path: Path, dtype: str, precision: str) -> None:
    part = part_of(make.write_safetensors(tmp_path / "x", make.typed(make.flux(), dtype)))
    assert (part.storage, part.precision) == (Storage.PLAIN, precision)


@pytest.mark.parametrize(
    ("shapes", "kind", "architecture", "naming"),
    [
        (make.t5(), PartKind.T5, "flux", Naming.TRANSFORMERS),
        (make.clip(), PartKind.CLIP_L, "sd15", Naming.TRANSFORMERS),
        (
            make.clip(width=1280) | {"text_projection.weight": (1280, 1280)},
            PartKind.CLIP_G,
            "sdxl",
            Naming.TRANSFORMERS,
        ),
        (make.open_clip(), PartKind.CLIP_G, "sdxl", Naming.ORIGINAL),
        (make.vae(), PartKind.VAE, "flux", Naming.ORIGINAL),
        (make.vae(latent=4), PartKind.VAE, "sd15", Naming.ORIGINAL),
        (make.vae_diffusers(), PartKind.VAE, "flux", Naming.DIFFUSERS),
        (make.vae_diffusers(latent=4), PartKind.VAE, "sd15", Naming.DIFFUSERS),
        (make.unet(), PartKind.DENOISER, "sd15", Naming.ORIGINAL),
        (make.unet(is_xl=True), PartKind.DENOISER, "sdxl", Naming.ORIGINAL),
        (make.unet_diffusers(), PartKind.DENOISER, "sd15", Naming.DIFFUSERS),
        (make.unet_diffusers(is_xl=True), PartKind.DENOISER, "sdxl", Naming.DIFFUSERS),
    ],
)
def test_other_parts_are_known(
    tmp_path: Path, shapes: make.Shapes, kind: PartKind, architecture: str, naming: Naming
) -> None:
    part = part_of(make.write_safetensors(tmp_path / "x", shapes), kind)
    assert (part.architecture, part.naming, part.lacks) == (architecture, naming, ())


@pytest.mark.parametrize(
    ("name", "kind"),
    [("dit", PartKind.DENOISER), ("clip", PartKind.CLIP_L), ("t5", PartKind.T5), ("vae", PartKind.VAE)],
)
def test_shipped_files_are_known(name: str, kind: PartKind) -> None:
    part = part_of(DEMO / (name if name == "dit" else f"{name}.safetensors"), kind)
    assert (part.architecture, part.precision, part.lacks) == ("flux", "bf16", ())


@pytest.mark.parametrize("name", ["clip_g", "clip_g_fp16", "OpenCLIP-bigG"])
def test_small_clip_g_is_told_by_the_name_of_its_file(tmp_path: Path, name: str) -> None:
    shapes = make.clip() | {"text_projection.weight": (16, 16)}
    assert part_of(make.write_safetensors(tmp_path / f"{name}.safetensors", shapes), PartKind.CLIP_G).lacks == ()


def test_leftovers_in_text_encoders_and_vaes_are_ignored(tmp_path: Path) -> None:
    clip = make.clip() | {"text_projection.weight": (16, 16), "logit_scale": ()}
    t5 = make.t5() | {"encoder.embed_tokens.weight": (40, 24)}
    vae = make.below("first_stage_model.", make.vae()) | {"first_stage_model.loss.logvar": ("F32", (1,))}
    assert part_of(make.write_safetensors(tmp_path / "clip_l", clip), PartKind.CLIP_L).lacks == ()
    assert part_of(make.write_safetensors(tmp_path / "t5xxl", t5), PartKind.T5).lacks == ()
    assert part_of(make.write_safetensors(tmp_path / "ae", vae), PartKind.VAE).prefix == "first_stage_model."


def test_text_encoder_of_the_first_checkpoints_is_known(tmp_path: Path) -> None:
    shapes = {name.removeprefix("text_model."): shape for name, shape in make.clip().items()}
    path = make.write_safetensors(tmp_path / "x", make.below("cond_stage_model.transformer.", shapes))
    part = part_of(path, PartKind.CLIP_L)
    assert (part.prefix, part.lacks) == ("cond_stage_model.transformer.", ())


def test_each_part_of_a_checkpoint_has_its_own_prefix_and_precision(tmp_path: Path) -> None:
    layout = identify(make.write_safetensors(tmp_path / "x", make.checkpoint_flux()))
    assert [(part.kind, part.prefix, part.storage, part.precision, part.lacks) for part in layout.parts] == [
        (PartKind.DENOISER, "model.diffusion_model.", Storage.PLAIN, "bf16", ()),
        (PartKind.CLIP_L, "text_encoders.clip_l.transformer.", Storage.PLAIN, "f16", ()),
        (PartKind.T5, "text_encoders.t5xxl.transformer.", Storage.SCALED_FLOAT8, "fp8 e4m3, scaled", ()),
        (PartKind.VAE, "vae.", Storage.PLAIN, "f32", ()),
    ]


def test_checkpoints_of_stable_diffusion_hold_all_parts(tmp_path: Path) -> None:
    old = identify(make.write_safetensors(tmp_path / "old", make.checkpoint_sd15()))
    new = identify(make.write_safetensors(tmp_path / "new", make.checkpoint_sdxl()))
    assert old.title == "Stable Diffusion 1.5 UNet, f16; CLIP-L text encoder, f32; Stable Diffusion VAE, f32"
    assert [part.kind for part in new.parts] == [
        PartKind.DENOISER,
        PartKind.CLIP_L,
        PartKind.CLIP_G,
        PartKind.VAE,
    ]
    assert not any(part.lacks for part in (*old.parts, *new.parts))


@pytest.mark.parametrize(
    ("scale", "marker"), [("scale_weight", "scaled_fp8"), ("weight_scale", "comfy_quant"), ("weight_scale", "")]
)
def test_scaled_float8_is_known_in_all_spellings(tmp_path: Path, scale: str, marker: str) -> None:
    tensors = make.below("model.diffusion_model.", make.scaled_float8(make.flux(), scale=scale, marker=marker))
    path = make.write_safetensors(tmp_path / "x", tensors, contents=make.notes(tensors, make.FLOAT8_NOTE))
    part = part_of(path)
    assert (part.storage, part.precision, part.lacks) == (Storage.SCALED_FLOAT8, "fp8 e4m3, scaled", ())


@pytest.mark.parametrize(("form", "is_good"), [("float8_e4m3fn", True), ("nvfp4", False), ("something new", False)])
def test_formats_in_the_notes_of_a_file_count(tmp_path: Path, form: str, is_good: bool) -> None:
    layers = {stem: {"format": form} for stem in make.linears(make.flux())}
    path = make.write_safetensors(
        tmp_path / "x",
        make.scaled_float8(make.flux(), marker=""),
        metadata={"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})},
    )
    assert (identify(path).refusal is None) is is_good


def test_rotated_int8_is_known_by_its_markers(tmp_path: Path) -> None:
    tensors = make.marked(make.flux(text=32), make.CONVROT_NOTE, "I8")
    part = part_of(make.write_safetensors(tmp_path / "x", tensors, contents=make.notes(tensors, make.CONVROT_NOTE)))
    assert (part.storage, part.precision, part.lacks) == (Storage.INT8_CONVROT, "int8, rotated", ())


def said(**changes: object) -> bytes:
    return json.dumps({"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 16} | changes).encode()


@pytest.mark.parametrize(
    ("note", "changes"),
    [
        (said(convrot=1), {}),
        (said(convrot_groupsize=12), {}),
        (said(convrot_groupsize=64), {}),
        (said(convrot_groupsize="16"), {}),
        (said(format="float8_e4m3fn"), {}),
        (said(), {"weight_scale": ("F32", (5, 1))}),
        (said(), {"weight_scale": ("F8_E4M3", (32, 1))}),
        (said(), {"weight": ("I8", (32, 4, 4, 2))}),
    ],
)
def test_eight_bits_that_the_engine_cannot_read_are_refused_although_one_layer_alone_has_them(
    tmp_path: Path, note: bytes, changes: dict[str, make.Typed]
) -> None:
    tensors = make.marked(make.flux(text=32), make.CONVROT_NOTE, "I8")
    odd = "single_blocks.1.modulation.lin"
    tensors |= {f"{odd}.comfy_quant": ("U8", (len(note),))} | {f"{odd}.{end}": each for end, each in changes.items()}
    contents = make.notes(tensors, make.CONVROT_NOTE) | {f"{odd}.comfy_quant": note}
    layout = identify(make.write_safetensors(tmp_path / "x", tensors, contents=contents))
    assert layout.refusal is not None
    assert odd in layout.refusal.reason


def test_int8_without_a_marker_may_be_rotated_so_it_is_refused(tmp_path: Path) -> None:
    tensors = make.without(
        make.marked(make.flux(), b"x", "I8"), [f"{s}.comfy_quant" for s in make.linears(make.flux())]
    )
    assert "int8" in refused(make.write_safetensors(tmp_path / "x", tensors))


@pytest.mark.parametrize(("kind", "precision"), [("nf4", "NF4"), ("fp4", "FP4 of bitsandbytes")])
@pytest.mark.parametrize("shapes", [make.flux(), make.flux_diffusers(guidance=False), make.t5()])
def test_four_bits_of_bitsandbytes_are_known(tmp_path: Path, shapes: make.Shapes, kind: str, precision: str) -> None:
    tensors, contents = make.nf4(shapes, kind)
    layout = identify(make.write_safetensors(tmp_path / "x", tensors, contents=contents))
    assert [(part.storage, part.precision, part.lacks) for part in layout.parts] == [(Storage.NF4, precision, ())]


def test_shapes_before_quantization_tell_the_variant(tmp_path: Path) -> None:
    tensors, contents = make.nf4(make.flux(token=384))
    assert "Fill" in refused(make.write_safetensors(tmp_path / "x", tensors, contents=contents))


@pytest.mark.parametrize("dtype", ["Q4_0", "Q8_0", "Q2_K", "Q4_K", "Q6_K", "F16", "BF16"])
def test_gguf_is_known(tmp_path: Path, dtype: str) -> None:
    part = part_of(make.write_gguf(tmp_path / "x.gguf", make.flux(width=256), dtype=dtype))
    assert (part.variant, part.storage, part.precision, part.lacks) == ("flux1-dev", Storage.GGUF, dtype, ())


def test_gguf_of_a_type_without_a_way_back_is_refused(tmp_path: Path) -> None:
    assert "Q8_K" in refused(make.write_gguf(tmp_path / "x.gguf", make.flux(width=256), dtype="Q8_K"))


@pytest.mark.parametrize(
    ("shapes", "kind", "naming"),
    [
        (make.t5_llama_cpp(), PartKind.T5, Naming.LLAMA_CPP),
        (make.t5(width=32), PartKind.T5, Naming.TRANSFORMERS),
        (make.unet_diffusers(), PartKind.DENOISER, Naming.DIFFUSERS),
        (make.unet(is_xl=True), PartKind.DENOISER, Naming.ORIGINAL),
        (make.clip(width=32), PartKind.CLIP_L, Naming.TRANSFORMERS),
    ],
)
def test_other_parts_are_known_in_gguf(tmp_path: Path, shapes: make.Shapes, kind: PartKind, naming: Naming) -> None:
    metadata = {"general.architecture": "whatever", "tokenizer.ggml.tokens": ["a", "b"]}
    part = part_of(make.write_gguf(tmp_path / "x.gguf", shapes, metadata=metadata), kind)
    assert (part.naming, part.storage, part.lacks) == (naming, Storage.GGUF, ())


Z_IMAGE = {
    "cap_pad_token": (1, 8),
    "noise_refiner.0.attention.qkv.weight": (24, 8),
    "layers.0.attention.out.weight": (8, 8),
}
KLEIN = {
    "double_stream_modulation_img.lin.weight": (48, 8),
    "double_blocks.0.img_attn.qkv.weight": (24, 8),
    "img_in.weight": (8, 128),
}
QWEN3 = {"model.layers.0.self_attn.q_norm.weight": (8,), "model.embed_tokens.weight": (40, 8)}


@pytest.mark.parametrize(
    ("shapes", "kind", "architecture"),
    [
        (Z_IMAGE, PartKind.DENOISER, "z-image"),
        (KLEIN, PartKind.DENOISER, "flux2-klein"),
        (QWEN3, PartKind.QWEN3, "z-image"),
    ],
)
@pytest.mark.parametrize("is_gguf", [False, True])
def test_families_to_come_are_recognised(
    tmp_path: Path, shapes: make.Shapes, kind: PartKind, architecture: str, is_gguf: bool
) -> None:
    path = make.write_gguf(tmp_path / "x", shapes) if is_gguf else make.write_safetensors(tmp_path / "x", shapes)
    part = part_of(path, kind)
    assert part.architecture == architecture
    assert wrong_place(identify(path), PartKind.DENOISER, architecture="flux") is not None


FLUX = make.flux()
HALF = make.linears(FLUX)
STEMS = ["lora_unet_double_blocks_0_img_attn_proj", "lora_unet_single_blocks_1_linear1"]
AB = ("lora_A.weight", "lora_B.weight")
DISTANCES = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias"
REFUSED: list[tuple[make.Tensors, str]] = [
    (make.flux(token=384), "FLUX.1 Fill [dev]"),
    (make.flux_diffusers(token=384), "FLUX.1 Fill [dev]"),
    (make.flux(token=128), "FLUX.1 Depth [dev] or Canny [dev]"),
    (make.flux(token=196), "another task"),
    (FLUX | {"distilled_guidance_layer.in_proj.weight": (4, 4)}, "a Chroma transformer"),
    (make.both("redux_up", "redux_down", shape=(8, 8)), "FLUX.1 Redux [dev]"),
    (KLEIN | make.both("guidance_in.in_layer", shape=(8, 8)), "FLUX.2 [dev]"),
    (make.without(Z_IMAGE, ["cap_pad_token"]), "a Lumina 2 transformer"),
    ({"joint_blocks.0.x_block.attn.qkv.weight": (24, 8)}, "a Stable Diffusion 3 transformer"),
    ({f"transformer_blocks.0.{each}_mod.1.weight": (8, 8) for each in ("img", "txt")}, "a Qwen-Image transformer"),
    ({"blocks.0.cross_attn.q.weight": (8, 8), "head.modulation": (1, 2, 8)}, "a Wan transformer"),
    ({"transformer_blocks.0.attn1.to_q.weight": (8, 8), "adaln_single.linear.weight": (8, 8)}, "a PixArt transformer"),
    ({"transformer_blocks.0.attn1.to_q.weight": (8, 8)}, "a transformer of another family"),
    (FLUX | {"txt_in.individual_token_refiner.blocks.0.norm1.weight": (8,)}, "a HunyuanVideo transformer"),
    (make.unet(channels=9), "an inpainting model of the family of Stable Diffusion 1.5"),
    (make.unet_diffusers(channels=9, is_xl=True), "an inpainting model of the family of SDXL"),
    (make.unet(is_linear=True, context=1024), "a Stable Diffusion 2 UNet"),
    (make.unet(is_xl=True, context=1280), "the SDXL refiner"),
    (make.checkpoint_sdxl() | {"v_pred": ("F32", (0,))}, "a v-prediction model of the family of SDXL"),
    (make.open_clip(width=1024), "OpenCLIP's text encoder of Stable Diffusion 2"),
    (make.clip() | {"text_model.embeddings.position_embedding.weight": (248, 16)}, "LongCLIP"),
    (make.open_clip() | {"positional_embedding": (200_000, 16)}, "a CLIP text encoder of another length"),
    (make.vae(levels=3), "a VAE of 16 latent channels of another model"),
    (make.vae_diffusers(levels=5), "a VAE of 16 latent channels of another model"),
    (make.vae(latent=4, width=48), "a VAE of sizes that no model has"),
    (make.t5() | {f"{DISTANCES}.weight": (16, 4)}, "a T5 text encoder of another kind"),
    (make.t5_llama_cpp() | {"enc.blk.0.attn_rel_b.weight": (32, 5)}, "a T5 text encoder of another kind"),
    (make.flux(head=16), "a FLUX.1 transformer of another size"),
    (make.vae(latent=32), "a VAE of 32 latent channels"),
    (make.vae_diffusers() | {"decoder.conv_in.weight": (16, 16, 3, 3, 3)}, "the VAE of a video model"),
    (make.t5() | {"encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight": (32, 4)}, "UMT5"),
    ({"model.layers.0.self_attn.q_proj.weight": (8, 8)}, "a language model"),
    ({"vision_model.encoder.layers.0.mlp.fc1.weight": (8, 8)}, "an image encoder"),
    (make.lora(*STEMS), "a LoRA for FLUX.1"),
    (make.lora("transformer.single_transformer_blocks.0.attn.to_q", ends=AB), "a LoRA for FLUX.1"),
    (make.lora("double_blocks.0.img_attn.qkv", ends=AB), "a LoRA for FLUX.1"),
    (make.lora("double_blocks.0.processor.proj_lora1", ends=("down.weight", "up.weight")), "a LoRA for FLUX.1"),
    (make.lora("lora_te2_text_model_encoder_layers_0_mlp_fc1"), "a LoRA for SDXL"),
    (make.lora(*STEMS, ends=("hada_w1_a", "hada_w1_b", "alpha")), "a LoRA for FLUX.1"),
    (make.lora("a.b", ends=("lokr_w1", "lokr_w2", "alpha")), "a LyCORIS adapter for some model"),
    (FLUX | make.both("controlnet_blocks.0", shape=(8, 8)), "a ControlNet"),
    ({"control_model.input_blocks.0.0.weight": (8, 4, 3, 3)}, "a ControlNet"),
    ({"image_proj.proj.weight": (8, 8), "ip_adapter.1.to_k_ip.weight": (8, 8)}, "an IP-Adapter"),
    ({"model.1.sub.0.RDB1.conv1.0.weight": (8, 8, 3, 3)}, "an upscaler"),
    ({"emb_params": (4, 768)}, "a textual-inversion embedding"),
    ({"something": (4, 4)}, "weights of no model that is known here"),
    ({}, "a file without tensors"),
    (make.replaced(FLUX, ("qweight", "I8"), ("wscales", "BF16"), ("lora_down", "BF16")), "for nunchaku"),
    (make.replaced(make.flux_diffusers(), ("qweight", "I8"), ("smooth_factor", "BF16")), "for nunchaku"),
    (make.replaced(FLUX, ("qweight", "I32"), ("qzeros", "I32"), ("scales", "F16"), ("g_idx", "I32")), "GPTQ"),
    (make.replaced(FLUX, ("qweight", "I32"), ("qzeros", "I32"), ("scales", "F16")), "AWQ"),
    (make.replaced(FLUX, ("weight", "U32"), ("scales", "F16"), ("biases", "F16")), "MLX"),
    (make.replaced(FLUX, ("weight", "I8"), ("SCB", "F32")), "LLM.int8()"),
    (make.replaced(FLUX, ("weight._data", "I8"), ("weight._scale", "F32")), "optimum-quanto"),
    (make.replaced(FLUX, ("weight", "U8"), ("weight_scale", "F8_E4M3"), ("weight_scale_2", "F32")), "NVFP4"),
    (make.replaced(FLUX, ("weight", "U8"), ("weight_scale", "F8_E4M3")), "NVFP4"),
    (make.replaced(FLUX, ("weight", "F8_E4M3"), ("weight_scale", "U8")), "MXFP8"),
    (make.replaced(FLUX, ("weight", "U8")), "not known here"),
]  # fmt: skip


@pytest.mark.parametrize(("tensors", "what"), REFUSED, ids=[what for _, what in REFUSED])
def test_files_of_no_use_are_refused_by_name(tmp_path: Path, tensors: make.Tensors, what: str) -> None:
    assert what in refused(make.write_safetensors(tmp_path / "x.safetensors", tensors))


@pytest.mark.parametrize(
    ("note", "what"),
    [
        (b'{"format": "nvfp4"}', "NVFP4"),
        (b'{"format": "convrot_w4a4", "convrot_groupsize": 256}', "W4A4"),
        (b'{"format": "asym_w4a8_int8", "group_size": 16}', "W4A8"),
        (b'{"format": "mxfp8"}', "MXFP8"),
        (b'{"format": "from tomorrow"}', "from tomorrow"),
        (b"no JSON", "unknown"),
    ],
)
def test_markers_of_formats_that_cannot_be_read_are_refused_by_name(tmp_path: Path, note: bytes, what: str) -> None:
    tensors = make.marked(make.flux(), note, "U8")
    assert what in refused(make.write_safetensors(tmp_path / "x", tensors, contents=make.notes(tensors, note)))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("flux1-kontext-dev.safetensors", "FLUX.1 Kontext [dev]"),
        ("flux1-dev-kontext_fp8_scaled.safetensors", "FLUX.1 Kontext [dev]"),
        ("flux-dev-de-distill.safetensors", "a de-distilled FLUX.1"),
        ("OpenFLUX.1.safetensors", "a de-distilled FLUX.1"),
    ],
)
def test_names_tell_what_no_shape_does(tmp_path: Path, name: str, what: str) -> None:
    assert refused(make.write_safetensors(tmp_path / name, make.flux(guidance="kontext" in name))) == what
    title = {"modelspec.title": name.partition(".safetensors")[0]}
    assert refused(make.write_safetensors(tmp_path / "x.safetensors", make.flux(), metadata=title)) == what


@pytest.mark.parametrize(
    "name", ["final_layer.linear.weight", "double_blocks.0.txt_mlp.2.bias", "single_blocks.1.norm.key_norm.scale"]
)
def test_missing_tensors_are_named(tmp_path: Path, name: str) -> None:
    part = part_of(make.write_safetensors(tmp_path / "x", make.without(make.flux(), [name])))
    assert part.lacks == (name,)


@pytest.mark.parametrize(
    ("shapes", "block", "lacking"),
    [
        (make.flux(double=3), "double_blocks.1.", "double_blocks.1.img_mod.lin.weight"),
        (make.flux(), "single_blocks.", "single_blocks.0.linear1.weight"),
        (make.t5(blocks=3), "encoder.block.1.", "encoder.block.1.layer.0.SelfAttention.q.weight"),
        (make.unet(), "output_blocks.2.", "output_blocks.2.0.in_layers.0.weight"),
        (make.unet(), "out.2.", "out.2.weight"),
        (make.unet(), "input_blocks.3.0.skip_connection.", "input_blocks.3.0.skip_connection.weight"),
        (make.unet(), "output_blocks.1.1.conv.", "output_blocks.2.1.conv.weight"),
        (make.unet_diffusers(), "up_blocks.0.upsamplers.", "up_blocks.0.upsamplers.0.conv.weight"),
        (make.vae(), "encoder.down.1.", "encoder.down.1.block.0.conv1.weight"),
        (make.vae(), "decoder.up.1.upsample.", "decoder.up.1.upsample.conv.weight"),
        (
            make.vae_diffusers(),
            "encoder.down_blocks.0.downsamplers",
            "encoder.down_blocks.0.downsamplers.0.conv.weight",
        ),
        (make.unet_diffusers(), "up_blocks.1.resnets.0.conv1.", "up_blocks.1.resnets.0.conv1.weight"),
        (make.vae(), "encoder.", "encoder.conv_in.weight"),
    ],
)
def test_missing_blocks_are_named(tmp_path: Path, shapes: make.Shapes, block: str, lacking: str) -> None:
    left = {name: shape for name, shape in shapes.items() if not name.startswith(block)}
    layout = identify(make.write_safetensors(tmp_path / "x", left))
    assert lacking in layout.parts[0].lacks


def test_answer_is_kept_until_the_file_changes(tmp_path: Path) -> None:
    path = make.write_safetensors(tmp_path / "x", make.flux())
    before = identify(path)
    assert identify(path).parts is before.parts
    make.write_safetensors(path, make.t5())
    assert identify(path).title == "T5 text encoder, bf16"


def test_file_of_full_size_is_known_in_milliseconds(tmp_path: Path) -> None:
    shapes = make.flux(double=19, single=38, width=3072, head=128, text=4096, pooled=768)
    path = make.write_safetensors(tmp_path / "flux1-dev.safetensors", shapes)  # one hole of 24 GB
    began = time.process_time()
    layout = identify(path)
    assert time.process_time() - began < 0.2  # 8 ms on an idle core
    assert path.stat().st_size == 23_802_909_992
    assert layout.parts[0].lacks == ()
