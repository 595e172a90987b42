"""What an image is drawn with is known exactly, or not at all."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.executors import drawing as module
from bot.executors.drawing import Drawing
from pipeline import ImageSpec
from pipeline.catalog.headers import NotWeights
from pipeline.catalog.models import DEMO, FLUX1_DEV
from pipeline.catalog.parts import Refusal
from pipeline.config import PipelineConfig
from pipeline.device.gpu import Gpu, GpuState

CARDS = {DEMO.name: DEMO, FLUX1_DEV.name: FLUX1_DEV}
GPU = Gpu(name="a", driver="1", total_mib=8192, free_mib=8000, compute_capability=(8, 9))


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"weights")
    part: Any = SimpleNamespace(paths=(file,))
    monkeypatch.setattr(module, "parts_of", lambda *_: ({"dit": part}, []))
    return file


@pytest.fixture
def of_demo(spec: ImageSpec) -> ImageSpec:
    return replace(spec, model=DEMO.name)


def test_it_is_the_same_for_all_images_of_a_model(weights: Path, of_demo: ImageSpec) -> None:
    config = PipelineConfig(models_dir=weights.parent)
    one, other = (Drawing(config, CARDS, release="1").hash_of(each) for each in (of_demo, replace(of_demo, seed=9)))
    assert one == other and len(one) == 64


@pytest.mark.parametrize(
    "what", ["release", "model", "content", "time", "precision", "limit", "gpu", "driver", "torch"]
)
def test_it_changes_with_whatever_may_change_the_bytes(
    what: str, weights: Path, of_demo: ImageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"models_dir": weights.parent}
    before = Drawing(PipelineConfig(**settings), CARDS, release="1").hash_of(of_demo)
    spec, release = of_demo, "1"
    match what:
        case "release":
            release = "2"
        case "model":
            spec = replace(of_demo, model=FLUX1_DEV.name)
        case "content":
            weights.write_bytes(b"other weights")
        case "time":
            os.utime(weights, ns=(1, 1))
        case "precision":
            settings["precision"] = "float32"
        case "limit":
            settings["vram_limit_mib"] = 5000
        case "gpu" | "driver":
            gpu = replace(GPU, driver="2") if what == "driver" else GPU
            monkeypatch.setattr(module, "look_at_gpu", lambda: GpuState(gpu=gpu, obstacle="", way_out=""))
        case "torch":
            monkeypatch.setattr(module, "torch_build", lambda: SimpleNamespace(version="9", cuda=None))
    assert Drawing(PipelineConfig(**settings), CARDS, release=release).hash_of(spec) not in ("", before)


def test_it_changes_with_the_image_check(weights: Path, of_demo: ImageSpec, tmp_path: Path) -> None:
    """Which has not seen the images that were drawn before it was there, or before its file changed."""
    script, hashes = tmp_path / "check.py", set[str]()
    for content in ("", "stricter"):
        script.write_text(content)
        for check in ((), ("python", str(script)), ("python", str(script), "--strict"), ("python", "x" * 5000)):
            drawing = Drawing(PipelineConfig(models_dir=weights.parent), CARDS, release="1", image_check=check)
            hashes.add(drawing.hash_of(of_demo))
            assert drawing.hash_of(of_demo) in hashes
    assert len(hashes - {""}) >= 5


@pytest.mark.parametrize("trouble", ["unknown model", "file gone", "no weights", "unknown LoRA", "no files"])
def test_what_cannot_be_known_is_not_known(
    trouble: str, weights: Path, of_demo: ImageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise NotWeights(Path("x"), Refusal(what="a text", reason="it is none", instead="fetch it"))

    spec = of_demo
    match trouble:
        case "unknown model":
            spec = replace(of_demo, model="of a later release")
        case "file gone":
            weights.unlink()
        case "no weights":
            monkeypatch.setattr(module, "parts_of", fail)
        case "unknown LoRA":
            spec = replace(of_demo, loras="nobody:1")
        case "no files":
            spec = replace(of_demo, model=FLUX1_DEV.name)
            monkeypatch.setattr(module, "parts_of", lambda *_: ({}, []))
    assert Drawing(PipelineConfig(models_dir=weights.parent), CARDS, release="1").hash_of(spec) == ""


def test_real_files_of_the_demo_have_one(of_demo: ImageSpec, tmp_path: Path) -> None:
    assert len(Drawing(PipelineConfig(models_dir=tmp_path), CARDS, release="1").hash_of(of_demo)) == 64
