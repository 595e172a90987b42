"""What is expected of a card is told from files that may be damaged, and then it is not known; nothing fails."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalog.files import read_header
from pipeline.catalog.models import MAJICFLUS_V1
from pipeline.config import PipelineConfig
from pipeline.device import runtime_estimate
from pipeline.device.gpu import Gpu, GpuState
from pipeline.device.gpu_profile import packed_path, write_profile
from pipeline.device.runtime_estimate import estimate_runtime
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
