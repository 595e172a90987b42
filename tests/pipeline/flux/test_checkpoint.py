"""Files → pipeline: the real layouts are recognised, wrong files are named."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.core.loader.file import convert_keys_dict_to_single_str, hash_model_file

from pipeline import files
from pipeline.demo.layouts import LAYOUTS
from pipeline.errors import GenerationFailed, ModelFilesMissing
from pipeline.flux.checkpoint import load_pipeline, placements, register_layouts, transformer_format
from pipeline.flux.formats import Format
from pipeline.models import DEMO
from tests.pipeline.flux import random_flux
from tests.pipeline.flux.random_flux import FULL, Shapes, miniature_card

CPU = placements(is_offloaded=False, device="cpu")


def names_that_diffsynth_finds(shapes: Shapes) -> set[str]:
    keys = convert_keys_dict_to_single_str({name: list(shape) for name, shape in shapes.items()})
    digest = hashlib.md5(keys.encode()).hexdigest()
    return {config["model_name"] for config in MODEL_CONFIGS if config["model_hash"] == digest}


def test_diffsynth_knows_the_published_layouts_at_full_size() -> None:
    """With and without the prefix: `majicflus_v134.safetensors` has it, `flux1-dev.safetensors` has not."""
    assert names_that_diffsynth_finds(random_flux.dit_shapes(FULL)) == {"flux_dit"}
    assert names_that_diffsynth_finds(random_flux.dit_shapes(FULL, "model.diffusion_model.")) == {"flux_dit"}
    assert names_that_diffsynth_finds(random_flux.t5_shapes(FULL)) == {"flux_text_encoder_t5"}
    assert "flux_text_encoder_clip" in names_that_diffsynth_finds(random_flux.clip_shapes(FULL))
    assert names_that_diffsynth_finds(random_flux.vae_shapes(FULL)) == {"flux_vae_encoder", "flux_vae_decoder"}


def test_demo_layouts_match_the_shipped_files() -> None:
    hashes = set()
    for kind in ("dit", "t5", "clip", "vae"):
        paths = [str(path) for path in files.weights_of(DEMO.files[kind], Path())]
        hashes.add(hash_model_file(paths))
    assert hashes == {layout["model_hash"] for layout in LAYOUTS}


def test_layouts_are_registered_once() -> None:
    register_layouts(LAYOUTS)
    count = len(MODEL_CONFIGS)
    register_layouts(LAYOUTS)
    assert len(MODEL_CONFIGS) == count


def test_missing_file_is_named_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesMissing) as raised:
        load_pipeline(miniature_card(), tmp_path, placements=CPU, kept_as=Format.FLOAT32, vram_limit_mib=None)
    assert tmp_path / "black-forest-labs/FLUX.1-dev/ae.safetensors" in raised.value.paths


def test_checkpoint_of_unknown_layout_is_named(miniature_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(miniature_dir, tmp_path, dirs_exist_ok=True)
    dit = tmp_path / "black-forest-labs/FLUX.1-dev/flux1-dev.safetensors"
    shapes: Shapes = {"a.weight": (2, 2)}
    random_flux.write_safetensors(dit, shapes, dtype=torch.float32, generator=torch.Generator().manual_seed(1))
    with pytest.raises(GenerationFailed, match=r"flux1-dev\.safetensors"):
        load_pipeline(miniature_card(), tmp_path, placements=CPU, kept_as=Format.FLOAT32, vram_limit_mib=None)


def test_file_in_the_wrong_place_is_noticed(miniature_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(miniature_dir, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "black-forest-labs/FLUX.1-dev"
    shutil.copy(folder / "ae.safetensors", folder / "flux1-dev.safetensors")
    with pytest.raises(GenerationFailed, match="no flux_dit"):
        load_pipeline(miniature_card(), tmp_path, placements=CPU, kept_as=Format.FLOAT32, vram_limit_mib=None)


def test_large_models_rest_in_host_memory_and_small_ones_stay() -> None:
    large = placements(is_offloaded=True, device="cuda")
    assert (large["dit"].offload_dtype, large["dit"].offload_device) == (torch.float8_e4m3fn, "cpu")
    assert (large["t5"].offload_dtype, large["t5"].computation_dtype) == (torch.bfloat16, torch.bfloat16)
    assert placements(is_offloaded=False, device="cuda")["dit"].offload_device is None
    assert placements(is_offloaded=True, device="cpu")["dit"].computation_dtype is torch.float32


@pytest.mark.parametrize(
    ("is_offloaded", "device", "precision", "kept_as"),
    [
        (False, "cpu", "auto", Format.FLOAT32),
        (False, "cuda", "auto", Format.FLOAT32),
        (False, "cpu", "int8", Format.INT8),
        (True, "cuda", "int8", Format.INT8),
        (True, "cuda", "auto", None),
        (True, "cpu", "bfloat16", Format.BFLOAT16),
    ],
)
def test_format_follows_from_model_device_and_setting(
    is_offloaded: bool, device: str, precision: str, kept_as: Format | None
) -> None:
    assert transformer_format(is_offloaded=is_offloaded, device=device, precision=precision) is kept_as
