"""A card is measured once, and its format follows from what was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.device.gpu import Gpu
from pipeline.device.gpu_profile import FILE_NAME, Tiles, read_profile
from pipeline.errors import GenerationFailed
from pipeline.streaming import autotune
from pipeline.streaming.quantization import Format, int8_rows
from tests.pipeline.measured import measured_card

FIRST, SECOND = Tiles(128, 128, 128, 4, 3), Tiles(64, 128, 64, 4, 4)
GPU = Gpu(name="a card", driver="580", total_mib=8192, free_mib=8000, compute_capability=(8, 9))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Format]:
    """The formats that were measured so far, on a card that cannot multiply 8-bit floats."""
    asked: list[Format] = []

    def tflops(weight_format: Format, _tiles: Tiles | None) -> float | None:
        asked.append(weight_format)
        return {Format.BFLOAT16: 30.0, Format.INT8: 110.0}.get(weight_format)

    monkeypatch.setattr(autotune, "tflops_of", tflops)
    monkeypatch.setattr(autotune, "fastest_tiles", lambda: Tiles(128, 128, 64, 8, 4))
    monkeypatch.setattr(autotune, "can_fuse_rows", lambda: True)
    monkeypatch.setattr(autotune, "link_gb_s", lambda: 12.5)
    monkeypatch.setattr(autotune, "find_gpu", lambda: GPU)
    return asked


def test_card_is_measured_once(measured: list[Format], tmp_path: Path) -> None:
    speed = autotune.measure_gpu(tmp_path)
    assert (speed.gpu, speed.link_gb_s, speed.tflops) == ("a card", 12.5, {"bfloat16": 30.0, "int8": 110.0})
    assert speed.int8_tiles == Tiles(128, 128, 64, 8, 4)
    assert speed.fuses_rows
    assert len(measured) == len(Format)
    assert autotune.measure_gpu(tmp_path) == speed == read_profile(tmp_path, GPU)
    assert len(measured) == len(Format)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace('"580"', '"550"'),
        lambda text: text.replace('"a card"', '"another"'),
        lambda text: text[:-5],
        lambda text: text.replace("12.5", "-1"),
        lambda text: '{"gpu": "a card"}',
        lambda text: text.replace("128,", '"wide",', 1),
        lambda text: "\x00\xff",
        lambda text: text.replace("12.5", "13.5"),
        lambda text: text.replace("true", "false"),
        lambda text: text.partition("\n")[2],
    ],
    ids=["driver", "card", "cut off", "impossible", "incomplete", "tiles", "rubbish", "link", "kernel", "no checksum"],
)
def test_card_is_measured_again(measured: list[Format], tmp_path: Path, spoil: Callable[[str], str]) -> None:
    autotune.measure_gpu(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_text(spoil(path.read_text("utf-8")), "utf-8")
    assert read_profile(tmp_path, GPU) is None
    assert autotune.measure_gpu(tmp_path).tflops["int8"] == 110.0
    assert len(measured) == 2 * len(Format)


@pytest.mark.parametrize(
    ("rates", "wrong", "chosen"),
    [
        ({FIRST: 90.0, SECOND: 130.0}, None, SECOND),
        ({FIRST: 90.0, SECOND: 130.0}, SECOND, None),  # fast and wrong is no choice, right and slow neither
        ({FIRST: 120.0, SECOND: 130.0}, SECOND, FIRST),
        ({FIRST: 90.0}, None, None),  # the library is faster
        ({}, None, None),
    ],
)
def test_tiles_are_the_fastest_that_are_exact(
    rates: dict[Tiles, float], wrong: Tiles | None, chosen: Tiles | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(autotune, "has_triton", lambda: True)
    monkeypatch.setattr("pipeline.streaming.triton_int8.CHOICES", [FIRST, SECOND])
    monkeypatch.setattr(autotune, "_is_exact", lambda tiles: tiles != wrong)
    monkeypatch.setattr(autotune, "tflops_of", lambda _format, tiles=None: 110.0 if tiles is None else rates.get(tiles))
    assert autotune.fastest_tiles() == chosen


@pytest.mark.parametrize(("library", "has_triton"), [(None, True), (110.0, False)])
def test_without_integers_or_triton_there_are_no_tiles(
    library: float | None, has_triton: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autotune, "has_triton", lambda: has_triton)
    monkeypatch.setattr(autotune, "tflops_of", lambda _format: library)
    assert autotune.fastest_tiles() is None


def right(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return int8_rows(rows.float())


def two_off(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    integers, scale = right(rows)
    return integers.clamp(-100, 100) + 2, scale


def too_wide(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    integers, scale = right(rows)
    return integers, 1.01 * scale


def hides_overflow(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    integers, scale = right(rows)
    return integers, scale.nan_to_num()


def impossible(_rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    raise RuntimeError("PassManager::run failed")


@pytest.mark.parametrize(
    ("kernel", "has_triton", "expected"),
    [
        (right, True, True),
        (right, False, False),
        (two_off, True, False),
        (too_wide, True, False),
        (hides_overflow, True, False),
        (impossible, True, False),
    ],
)
def test_kernel_for_rows_is_used_where_it_is_right(
    kernel: Callable[[torch.Tensor], object], has_triton: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(autotune, "has_triton", lambda: has_triton)
    monkeypatch.setattr("pipeline.streaming.triton_int8.int8_rows", kernel)
    assert autotune.can_fuse_rows("cpu") is expected


def test_memory_that_is_short_for_once_says_nothing_about_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_rows: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    pytest.importorskip("triton")
    monkeypatch.setattr(autotune, "has_triton", lambda: True)
    monkeypatch.setattr("pipeline.streaming.triton_int8.int8_rows", fail)
    with pytest.raises(torch.OutOfMemoryError):
        autotune.can_fuse_rows("cpu")


def test_card_without_a_driver_is_a_clear_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune, "find_gpu", lambda: None)
    with pytest.raises(GenerationFailed, match="driver"):
        autotune.measure_gpu(tmp_path)


@pytest.mark.parametrize(
    ("tflops", "chosen"),
    [
        ({"bfloat16": 30.0, "int8": 120.0, "float8": 60.0}, ("int8", True)),  # as on GeForce
        ({"bfloat16": 30.0, "int8": 110.0, "float8": 120.0}, ("int8", True)),  # nearly as fast, and more exact
        ({"bfloat16": 700.0, "int8": 620.0, "float8": 1150.0}, ("float8", True)),  # as on an H200
        ({"bfloat16": 100.0, "int8": 85.0, "float8": 106.0}, ("float8", True)),  # nearly as fast, but no gain
        ({"bfloat16": 30.0, "int8": 31.0}, ("int8", False)),  # no gain in speed, so none is lost in precision
        ({"bfloat16": 30.0}, ("int8", False)),
        ({"bfloat16": 50.0, "float8": 100.0}, ("float8", True)),
    ],
)
def test_format_is_the_fastest_that_is_exact_enough(tflops: dict[str, float], chosen: tuple[str, bool]) -> None:
    speed = measured_card(tflops=tflops)
    assert speed.choose_format() == chosen


@pytest.mark.parametrize(
    ("tflops", "chosen"),
    [
        ({"bfloat16": 30.0, "int8": 120.0, "float8": 60.0}, ("int8", True)),
        ({"bfloat16": 700.0, "int8": 620.0, "float8": 1150.0}, ("int8", False)),
        ({"bfloat16": 50.0, "float8": 100.0}, ("int8", False)),
    ],
)
def test_models_that_do_not_bear_floats_of_8_bits_get_integers(
    tflops: dict[str, float], chosen: tuple[str, bool]
) -> None:
    assert measured_card(tflops=tflops).choose_format(bears_float8=False) == chosen
