"""What is said of folders, of shards, and of files in places where they do not belong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.catalog.layouts import identify, wrong_place
from pipeline.catalog.parts import PartKind
from tests.pipeline.catalog import miniature_headers as make

TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"


def kinds(path: Path) -> list[PartKind]:
    return [part.kind for part in identify(path).parts]


@pytest.mark.parametrize("index", [True, False])
def test_shards_are_one_part(tmp_path: Path, index: bool) -> None:
    paths = make.write_shards(tmp_path, make.flux_diffusers(), 3, index=index)
    for place in (tmp_path, paths[1], *tmp_path.glob("*.json")):  # one shard stands for all
        (part,) = identify(place).parts
        assert (part.variant, part.paths, part.lacks) == ("flux1-dev", tuple(paths), ())


@pytest.mark.parametrize(
    ("index", "lacking"),
    [(True, "encoder.block.9.some.weight"), (False, "whatever is in model-00002-of-00002.safetensors")],
)
def test_what_is_in_an_absent_shard_is_lacking(tmp_path: Path, index: bool, lacking: str) -> None:
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    make.write_safetensors(tmp_path / shards[0], make.t5())
    if index:
        places = dict.fromkeys(make.t5(), shards[0]) | {"encoder.block.9.some.weight": shards[1]}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (part,) = identify(tmp_path).parts
    assert part.lacks == (lacking,)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "x\0y"])
def test_index_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    assert identify(tmp_path).refusal is not None


def test_plain_precision_is_taken_before_marked_ones(tmp_path: Path) -> None:
    make.write_safetensors(tmp_path / "model.fp16.safetensors", make.typed(make.clip(), "F16"))
    assert identify(tmp_path).title == "CLIP-L text encoder, f16"
    make.write_safetensors(tmp_path / "model.safetensors", make.typed(make.clip(), "F32"))
    assert identify(tmp_path).title == "CLIP-L text encoder, f32"


def test_folder_of_several_models_is_refused(tmp_path: Path) -> None:
    for name in ("one.safetensors", "two.safetensors"):
        make.write_safetensors(tmp_path / name, make.flux())
    refusal = identify(tmp_path).refusal
    assert refusal is not None
    assert refusal.what == "a folder with several models"


def pipeline(folder: Path, name: str, parts: dict[str, make.Tensors]) -> Path:
    """A folder as diffusers saves a model."""
    folder.mkdir(exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": name}))
    for part, tensors in parts.items():
        stem = "model" if part.startswith("text") else "diffusion_pytorch_model"
        make.write_safetensors(folder / part / f"{stem}.safetensors", tensors)
    return folder


FLUX = {"transformer": make.flux_diffusers(), "vae": make.vae_diffusers(), "text_encoder": make.clip()}
SDXL = {"unet": make.unet_diffusers(is_xl=True), "vae": make.vae_diffusers(latent=4), "text_encoder": make.clip()}


def test_folder_of_a_pipeline_holds_its_parts(tmp_path: Path) -> None:
    flux = pipeline(tmp_path / "flux", "FluxPipeline", FLUX)
    make.write_shards(flux / "text_encoder_2", make.t5())
    projected = make.clip() | {"text_projection.weight": (16, 16)}
    sdxl = pipeline(tmp_path / "sdxl", "StableDiffusionXLPipeline", SDXL | {"text_encoder_2": projected})
    assert (
        kinds(flux)
        == kinds(flux / "model_index.json")
        == [PartKind.DENOISER, PartKind.CLIP_L, PartKind.T5, PartKind.VAE]
    )
    assert kinds(sdxl) == [PartKind.DENOISER, PartKind.CLIP_L, PartKind.CLIP_G, PartKind.VAE]


def test_folder_in_the_cache_of_hugging_face_is_followed(tmp_path: Path) -> None:
    (tmp_path / "refs").mkdir()
    (tmp_path / "refs/main").write_text("abc")
    (tmp_path / "snapshots").mkdir()
    pipeline(tmp_path / "snapshots/abc", "FluxPipeline", FLUX)
    assert kinds(tmp_path) == [PartKind.DENOISER, PartKind.CLIP_L, PartKind.VAE]


def test_class_of_a_pipeline_tells_what_no_shape_does(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "model", "FluxKontextPipeline", FLUX)
    for place in (folder, folder / "transformer", folder / TRANSFORMER):
        refusal = identify(place).refusal
        assert refusal is not None
        assert refusal.what == "FLUX.1 Kontext [dev]"


def test_v_prediction_is_told_by_the_scheduler(tmp_path: Path) -> None:
    folder = pipeline(tmp_path, "StableDiffusionXLPipeline", SDXL)
    (folder / "scheduler").mkdir()
    (folder / "scheduler/scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
    refusal = identify(folder).refusal
    assert refusal is not None
    assert refusal.what == "a v-prediction model of the family of SDXL"


@pytest.mark.parametrize(
    ("name", "what"),
    [("pytorch_model.bin", "a folder with pickled weights"), ("readme.md", "a folder without weights")],
)
def test_folder_without_weights_is_refused(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02")
    refusal = identify(tmp_path).refusal
    assert refusal is not None
    assert refusal.what == what


@pytest.mark.parametrize(
    ("tensors", "wanted", "architecture", "variant", "text"),
    [
        (make.t5(), PartKind.DENOISER, "flux", "", "it holds no transformer"),
        (make.vae(), PartKind.DENOISER, "sdxl", "", "it holds no UNet"),
        (make.clip(), PartKind.T5, "flux", "", "it holds no T5 text encoder"),
        (make.flux(), PartKind.VAE, "flux", "", "it holds no VAE"),
        (make.flux(guidance=False), PartKind.DENOISER, "flux", "flux1-dev", "in another way"),
        (make.unet(), PartKind.DENOISER, "sdxl", "", "it belongs to Stable Diffusion 1.5"),
        (make.vae(latent=4), PartKind.VAE, "flux", "", "it belongs to Stable Diffusion 1.5"),
        (make.without(make.flux(), ["img_in.bias"]), PartKind.DENOISER, "flux", "", "it lacks img_in.bias"),
        (make.lora("lora_unet_double_blocks_0_img_attn_proj"), PartKind.DENOISER, "flux", "", "changes a model"),
    ],
)
def test_file_in_the_wrong_place_is_refused(
    tmp_path: Path, tensors: make.Tensors, wanted: PartKind, architecture: str, variant: str, text: str
) -> None:
    layout = identify(make.write_safetensors(tmp_path / "x", tensors))
    refusal = wrong_place(layout, wanted, architecture=architecture, variant=variant)
    assert refusal is not None
    assert refusal.instead.startswith("put ") or "; put " in refusal.instead
    assert text in refusal.reason


@pytest.mark.parametrize(
    ("tensors", "wanted", "architecture", "variant"),
    [
        (make.flux(), PartKind.DENOISER, "flux", "flux1-dev"),
        (make.checkpoint_flux(), PartKind.T5, "flux", ""),
        (make.clip(), PartKind.CLIP_L, "flux", ""),
        (make.clip(), PartKind.CLIP_L, "sdxl", ""),
        (make.vae(latent=4), PartKind.VAE, "sdxl", ""),
    ],
)
def test_file_in_its_place_is_good(
    tmp_path: Path, tensors: make.Tensors, wanted: PartKind, architecture: str, variant: str
) -> None:
    layout = identify(make.write_safetensors(tmp_path / "x", tensors))
    assert wrong_place(layout, wanted, architecture=architecture, variant=variant) is None
