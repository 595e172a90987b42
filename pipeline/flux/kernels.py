"""Measures what decides about a card: its link, and which 8-bit products it is fast at. A second, once per card."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from pipeline.errors import GenerationFailed
from pipeline.flux.formats import FLOAT8, Format
from pipeline.hardware import find_gpu
from pipeline.speed import CardSpeed, read_speed, write_speed

log = logging.getLogger(__name__)

SHAPES: Final = ((3072, 21504), (15360, 3072), (3072, 12288), (3072, 9216))  # inputs, outputs: FLUX.1's large products
TOKENS: Final = 1536  # of a picture of 512 × 512 and its text
REPEATS: Final = 8
LINK_BYTES: Final = 2**28


def card_speed(models_dir: Path) -> CardSpeed:
    """What this card was measured at, now or before.

    Raises:
        GenerationFailed: there is no driver to ask for the card's name.
    """
    gpu = find_gpu()
    if gpu is None:
        raise GenerationFailed("the driver of the graphics card does not answer")
    speed = read_speed(models_dir, gpu, torch.__version__)
    if speed is None:
        tflops = {str(kept_as): rate for kept_as in Format if (rate := tflops_of(kept_as)) is not None}
        speed = CardSpeed(
            gpu=gpu.name, driver=gpu.driver, torch=torch.__version__, link_gb_s=link_gb_s(), tflops=tflops
        )
        write_speed(models_dir, speed)
        torch.cuda.empty_cache()
        log.info("the card was measured", extra=speed.model_dump(exclude={"torch"}))
    return speed


def is_supported(kept_as: Format) -> bool:
    """Whether the GPU can multiply in an 8-bit format."""
    return kept_as.is_8bit and tflops_of(kept_as, SHAPES[-1:]) is not None


def link_gb_s(*, is_locked: bool = True) -> float:
    """How fast memory goes to the GPU, page-locked or ordinary."""
    source = torch.zeros(LINK_BYTES, dtype=torch.uint8)
    source = source.pin_memory() if is_locked else source
    target = torch.empty(LINK_BYTES, dtype=torch.uint8, device="cuda")
    return LINK_BYTES / _seconds(lambda: target.copy_(source, non_blocking=True)) / 1e9


def tflops_of(kept_as: Format, shapes: tuple[tuple[int, int], ...] = SHAPES) -> float | None:
    """The rate of the products alone; None where the format is no choice or the card cannot."""
    if kept_as is Format.FLOAT32:
        return None
    operations, seconds = 0, 0.0
    try:
        for inputs, outputs in shapes:
            rows = torch.randn(TOKENS, inputs, device="cuda", dtype=torch.bfloat16)
            weight = torch.randn(outputs, inputs, device="cuda", dtype=torch.bfloat16)
            seconds += _seconds(_product(kept_as, rows, weight))
            operations += 2 * TOKENS * inputs * outputs
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # too old a card, or a library without this product
        log.debug("no products in %s: %s", kept_as, error)
        return None
    return operations / seconds / 1e12


def _product(kept_as: Format, rows: torch.Tensor, weight: torch.Tensor) -> Callable[[], object]:
    if kept_as is Format.BFLOAT16:
        return lambda: rows @ weight.t()
    if kept_as is Format.INT8:
        integers, kept = (rows * 32).to(torch.int8), (weight * 32).to(torch.int8)
        return lambda: torch._int_mm(integers, kept.t())
    floats, kept = rows.to(FLOAT8), weight.to(FLOAT8)
    row_scale = torch.ones(len(rows), 1, device="cuda")
    scale = torch.ones(1, len(weight), device="cuda")
    return lambda: torch._scaled_mm(floats, kept.t(), scale_a=row_scale, scale_b=scale, out_dtype=torch.bfloat16)


def _seconds(call: Callable[[], object]) -> float:
    """Median of some calls, each waited for, after two that warm up."""
    seconds = []
    for _ in range(REPEATS + 2):
        torch.cuda.synchronize()
        started_at = time.perf_counter()
        call()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started_at)
    return statistics.median(seconds[2:])
