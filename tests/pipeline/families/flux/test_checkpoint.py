"""Files → pipeline: wrong files are named, and arithmetic follows from where it runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from pipeline.config import PipelineConfig
from pipeline.errors import GenerationFailed, ModelFilesMissing
from pipeline.families.flux.checkpoint import load_pipeline
from pipeline.families.flux.sized import FLUX_MODULES
from pipeline.streaming import arithmetic
from pipeline.streaming.arithmetic import choose_arithmetic
from pipeline.streaming.quantization import Format
from tests.pipeline.families.flux import random_flux
from tests.pipeline.families.flux.random_flux import Shapes, miniature_card
from tests.pipeline.measured import measured_card

CPU = choose_arithmetic(is_streamed=False, device="cpu", precision="auto", packed_dir=Path())


def test_missing_file_is_named_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesMissing) as raised:
        load_pipeline(miniature_card(), PipelineConfig(device="cpu", models_dir=tmp_path), CPU)
    assert tmp_path / "black-forest-labs/FLUX.1-dev/ae.safetensors" in raised.value.paths


def test_checkpoint_of_unknown_layout_is_named(miniature_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(miniature_dir, tmp_path, dirs_exist_ok=True)
    dit = tmp_path / "black-forest-labs/FLUX.1-dev/flux1-dev.safetensors"
    shapes: Shapes = {"a.weight": (2, 2)}
    random_flux.write_safetensors(dit, shapes, dtype=torch.float32, generator=torch.Generator().manual_seed(1))
    with pytest.raises(ModelFilesMissing, match=r"flux1-dev\.safetensors"):
        load_pipeline(miniature_card(), PipelineConfig(device="cpu", models_dir=tmp_path), CPU)


def test_file_in_the_wrong_place_is_noticed(miniature_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(miniature_dir, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "black-forest-labs/FLUX.1-dev"
    shutil.copy(folder / "ae.safetensors", folder / "flux1-dev.safetensors")
    with pytest.raises(ModelFilesMissing, match=r"flux1-dev\.safetensors is a FLUX\.1 VAE"):
        load_pipeline(miniature_card(), PipelineConfig(device="cpu", models_dir=tmp_path), CPU)


@pytest.mark.parametrize("length", [248, 200_000])
def test_text_encoder_of_another_length_is_refused_before_its_mask_takes_memory(length: int) -> None:
    shapes = {
        "token_embedding.weight": (100, 64),
        "encoders.0.fc1.weight": (256, 64),
        "position_embeds": (1, length, 64),
    }
    with pytest.raises(GenerationFailed, match=f"{length} tokens"):
        FLUX_MODULES.clip(shapes)


@pytest.mark.parametrize(
    ("is_large", "device", "precision", "weight_format", "uses_8bit_matmul", "dtype"),
    [
        (False, "cpu", "auto", "float32", False, torch.float32),
        (False, "cuda", "auto", "float32", False, torch.float32),
        (False, "cpu", "int8", "int8", True, torch.float32),
        (False, "cpu", "float8", "float8", False, torch.float32),
        (False, "cuda", "int8", "int8", True, torch.bfloat16),
        (True, "cpu", "bfloat16", "bfloat16", False, torch.bfloat16),
        (True, "cuda", "bfloat16", "bfloat16", False, torch.bfloat16),
        (True, "cuda", "int8", "int8", True, torch.bfloat16),
        (True, "cuda", "float8", "float8", False, torch.bfloat16),  # asked for on a card that cannot multiply it
        (True, "cuda", "auto", "int8", True, torch.bfloat16),
    ],
)
def test_arithmetic_follows_from_model_device_and_setting(
    is_large: bool,
    device: str,
    precision: str,
    weight_format: str,
    uses_8bit_matmul: bool,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speed = measured_card()
    monkeypatch.setattr(arithmetic, "measure_gpu", lambda _models_dir: speed)
    monkeypatch.setattr(arithmetic, "is_supported", lambda weight_format: weight_format is Format.INT8)
    is_streamed = is_large and device == "cuda"
    found = choose_arithmetic(is_streamed=is_streamed, device=device, precision=precision, packed_dir=Path())
    assert (found.weight_format, found.uses_8bit_matmul, found.dtype) == (
        Format(weight_format),
        uses_8bit_matmul,
        dtype,
    )
    assert found.is_streamed is is_streamed
    assert (found.speed is not None) is found.is_streamed
