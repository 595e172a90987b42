"""What is expected of a card is told from files that may be damaged, and then it is not known; nothing fails."""

from __future__ import annotations

import json
import struct
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalog.files import read_header
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import DEMO, MAJICFLUS_V1
from pipeline.config import PipelineConfig
from pipeline.device import runtime_estimate
from pipeline.device.gpu import Gpu, GpuState
from pipeline.device.gpu_profile import packed_path, write_profile
from pipeline.device.runtime_estimate import check_memory, estimate_runtime
from pipeline.errors import InvalidSpec
from pipeline.families.stable_diffusion.cards import SDXL
from pipeline.spec import ImageOptions
from tests.pipeline.measured import measured_card

GPU = Gpu(name="a card", driver="1", total_mib=8188, free_mib=8000, compute_capability=(8, 9))
PARTS = (("dit", "int8"), ("t5", "int8"), ("clip", "bfloat16"))


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_profile(folder / "packed", measured_card())
    return folder


def with_length(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def block(size: object) -> object:
    return {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}


HEADERS = [
    b"",
    b"\x80",
    struct.pack("<Q", 2**63) + b"{}",
    struct.pack("<Q", 2**62),
    with_length(b"{}"),
    with_length(b"[]"),
    with_length(b"7"),
    with_length(b"\xff"),
    with_length(b'{"":' * 100_000),
    with_length(b'{"": {"shape": [1e999]}}'),
    with_length(b'{"": {"shape": [NaN]}}'),
    with_length(b'{"": {"shape": [' + b"9" * 5000 + b"]}}"),
    with_length(b'{"": {"shape": [' + b"9" * 300 + b"]}}"),
    *(with_length(json.dumps({"": block(size)}).encode()) for size in (0, -1, True, None, "7", 2**40, 7)),
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_damaged_packed_files_are_no_reason_to_fail(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch, header: bytes
) -> None:
    monkeypatch.setattr(runtime_estimate, "look_at_gpu", lambda: GpuState(gpu=GPU))
    for kind, weight_format in PARTS:
        packed_path(models_dir / "packed", MAJICFLUS_V1, kind, weight_format).write_bytes(header)
    for limit_mib in (None, 2000):
        seen = estimate_runtime(MAJICFLUS_V1, PipelineConfig(models_dir=models_dir, vram_limit_mib=limit_mib))
        assert seen is not None and (seen.plan is None or seen.plan.streamed_bytes == 0)


@given(content=st.binary(max_size=200) | st.binary(max_size=200).map(with_length))
def test_header_is_read_only_where_the_file_has_one(models_dir: Path, content: bytes) -> None:
    path = models_dir / "x.safetensors"
    path.write_bytes(content)
    length = int.from_bytes(content[:8], "little")
    expected = content[8 : 8 + length] if len(content) >= 8 + length >= 8 and len(content) >= 8 else None
    assert read_header(path) == expected


@pytest.fixture
def packed_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with the headers of packed weights, of about the bytes that FLUX.1 has."""
    monkeypatch.setattr(runtime_estimate, "look_at_gpu", lambda: GpuState(gpu=GPU))
    write_profile(tmp_path / "packed", measured_card())
    blocks = {
        "dit": {"": 30, **{f"blocks.{n}": 227 for n in range(19)}, **{f"single_blocks.{n}": 113 for n in range(38)}},
        "t5": {"": 1, **{f"encoder.block.{n}": 190 for n in range(24)}},
        "clip": {"": 1, **{f"encoders.{n}": 14 for n in range(12)}},
    }
    for kind, weight_format in PARTS:
        header = {name: block(mib * 2**20) for name, mib in blocks[kind].items()}
        packed_path(tmp_path / "packed", MAJICFLUS_V1, kind, weight_format).write_bytes(
            with_length(json.dumps(header).encode())
        )
    return tmp_path


@pytest.mark.parametrize(
    ("limit_mib", "size", "fits"),
    [
        (7000, "large", True),
        (7000, "1440x1440", True),
        (2400, "large", False),
        (2400, "1440x1440", False),
        (2400, "normal", True),
        (2400, "draft", True),
        (2000, "normal", True),  # which is never refused here: the model could draw nothing at all
    ],
)
def test_larger_image_than_usual_is_refused_if_the_gpu_has_no_room_for_it(
    packed_dir: Path, limit_mib: int, size: str, fits: bool
) -> None:
    config = PipelineConfig(models_dir=packed_dir, vram_limit_mib=limit_mib)
    seen = estimate_runtime(MAJICFLUS_V1, config)
    assert seen is not None and (seen.plan is not None) == (limit_mib > 2000)
    spec = MAJICFLUS_V1.resolve(ImageOptions.read(prompt="x", size=size), random_seed=0)
    if fits:
        check_memory(MAJICFLUS_V1, config, spec)
        return
    with pytest.raises(InvalidSpec, match="size: 1440x1440 does not fit into the memory of this GPU") as raised:
        check_memory(MAJICFLUS_V1, config, spec)
    assert (raised.value.detail, raised.value.values) == ("memory", {"size": "1440x1440"})


@pytest.mark.parametrize(("limit_mib", "side", "fits"), [(7200, 1024, True), (2400, 1024, True), (2400, 1440, False)])
def test_upscale_needs_the_memory_of_a_tile(packed_dir: Path, limit_mib: int, side: int, fits: bool) -> None:
    config = PipelineConfig(models_dir=packed_dir, vram_limit_mib=limit_mib)
    options = ImageOptions.read(prompt="x", size=f"{side}x{side}", upscale=2)
    spec = MAJICFLUS_V1.resolve(options, random_seed=0, source="a" * 64)
    assert (spec.width, spec.strength) == (2 * side, MAJICFLUS_V1.upscale_strength)
    with nullcontext() if fits else pytest.raises(InvalidSpec, match=f"{2 * side}x{2 * side} does not fit"):
        check_memory(MAJICFLUS_V1, config, spec)


@pytest.mark.parametrize(
    ("card", "precision", "packed"),
    [
        (SDXL, "bfloat16", {"unet": "bfloat16", "clip_l": "bfloat16", "clip_g": "bfloat16"}),
        (SDXL, "float32", {"unet": "float32", "clip_l": "float32", "clip_g": "float32"}),
        (SDXL, "float16", {"unet": "float16", "clip_l": "float16", "clip_g": "float16"}),
        (SDXL, "int8", {"unet": "int8", "clip_l": "float16", "clip_g": "float16"}),
        (MAJICFLUS_V1, "float32", {"dit": "float32", "t5": "bfloat16", "clip": "bfloat16"}),
        (MAJICFLUS_V1, "bfloat16", {"dit": "bfloat16", "t5": "bfloat16", "clip": "bfloat16"}),
        (MAJICFLUS_V1, "float16", {"dit": "bfloat16", "t5": "bfloat16", "clip": "bfloat16"}),
        (MAJICFLUS_V1, "float8", {"dit": "float8", "t5": "int8", "clip": "bfloat16"}),
    ],
)
def test_weights_are_found_whatever_precision_they_were_packed_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: ModelCard, precision: str, packed: dict[str, str]
) -> None:
    monkeypatch.setattr(runtime_estimate, "look_at_gpu", lambda: GpuState(gpu=GPU))
    write_profile(tmp_path / "packed", measured_card())
    config = PipelineConfig.model_validate({"models_dir": tmp_path, "precision": precision})
    for kind, weight_format in packed.items():
        component = card.architecture.components[kind]
        assert component.streamable
        header = with_length(json.dumps({"": block(2**20)}).encode())
        packed_path(tmp_path / "packed", card, kind, weight_format).write_bytes(header)
    seen = estimate_runtime(card, config)
    assert seen is not None and seen.plan is not None


def test_nothing_is_refused_before_anything_is_known(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_estimate, "look_at_gpu", lambda: GpuState(gpu=GPU))
    large = MAJICFLUS_V1.resolve(ImageOptions.read(prompt="x", size="large"), random_seed=0)
    config = PipelineConfig(models_dir=models_dir / "empty", vram_limit_mib=2000)
    check_memory(MAJICFLUS_V1, config, large)
    check_memory(MAJICFLUS_V1, PipelineConfig(models_dir=models_dir, device="cpu"), large)
    check_memory(DEMO, config, DEMO.resolve(ImageOptions(prompt="x"), random_seed=0))
