"""Measures what decides about a card: its link, which products it is fast at, and whether our own kernels are right.

Half a minute, once per card.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from torch.utils._triton import has_triton

from pipeline.device.gpu import find_gpu
from pipeline.device.gpu_profile import GpuProfile, Tiles, read_profile, write_profile
from pipeline.errors import GenerationFailed
from pipeline.streaming.quantization import FLOAT8, Format, int8_rows

log = logging.getLogger(__name__)

SHAPES: Final = ((3072, 21504), (15360, 3072), (3072, 12288), (3072, 9216))  # inputs, outputs: of 12 billion weights
TOKENS: Final = 1536  # of a picture of 512 × 512 and its text
REPEATS: Final = 8
LAUNCH_CYCLES: Final = 10**7  # some milliseconds
LINK_BYTES: Final = 2**28
ODD: Final = (200, 1040, 1016)  # tokens, inputs, outputs


def measure_gpu(packed_dir: Path) -> GpuProfile:
    """What this card was measured at, now or before.

    Raises:
        GenerationFailed: there is no driver to ask for the card's name.
    """
    gpu = find_gpu()
    if gpu is None:
        raise GenerationFailed("the driver of the graphics card does not answer")
    speed = read_profile(packed_dir, gpu, torch.__version__)
    if speed is None:
        tiles = fastest_tiles()
        tflops = {
            str(weight_format): rate
            for weight_format in Format
            if (rate := tflops_of(weight_format, tiles)) is not None
        }
        speed = GpuProfile(
            gpu=gpu.name,
            driver=gpu.driver,
            torch=torch.__version__,
            link_gb_s=link_gb_s(),
            tflops=tflops,
            int8_tiles=tiles,
            fuses_rows=can_fuse_rows(),
        )
        write_profile(packed_dir, speed)
        torch.cuda.empty_cache()
        log.info("the card was measured", extra=speed.model_dump(exclude={"torch"}))
    return speed


def is_supported(weight_format: Format) -> bool:
    """Whether the GPU can multiply in an 8-bit format."""
    return weight_format.is_8bit and tflops_of(weight_format, shapes=SHAPES[-1:]) is not None


def link_gb_s(*, is_locked: bool = True) -> float:
    """How fast memory goes to the GPU, page-locked or ordinary."""
    source = torch.zeros(LINK_BYTES, dtype=torch.uint8)
    source = source.pin_memory() if is_locked else source
    target = torch.empty(LINK_BYTES, dtype=torch.uint8, device="cuda")
    return LINK_BYTES / _seconds(lambda: target.copy_(source, non_blocking=True)) / 1e9


def fastest_tiles() -> Tiles | None:
    """Tiles of our own kernel that beat the library's products of integers; None where none do or none can run.

    The first time it takes half a minute, most of it compiling.
    """
    library = tflops_of(Format.INT8)
    if library is None or not has_triton():
        return None
    from pipeline.streaming.triton_int8 import CHOICES

    rates = {tiles: rate for tiles in CHOICES if _is_exact(tiles) and (rate := tflops_of(Format.INT8, tiles))}
    shown = ", ".join(f"{rate:.0f} in tiles {tuple(tiles)}" for tiles, rate in rates.items())
    log.info("products of integers, TFLOP/s: %.0f by the library, %s", library, shown or "none by our own kernel")
    best = max(rates, key=lambda tiles: rates[tiles], default=None)
    return best if best is not None and rates[best] > library else None


def can_fuse_rows(device: str = "cuda") -> bool:
    """Whether our kernel that rotates rows and rounds them to integers gives what it should on this card."""
    if not has_triton():
        return False
    from pipeline.streaming import triton_int8

    generator = torch.Generator(device).manual_seed(1)
    for inputs in {inputs for inputs, _outputs in SHAPES}:
        rows = torch.randn(ODD[0] + 1, inputs, device=device, generator=generator).bfloat16()
        wanted, wanted_scale = int8_rows(rows.float())
        try:
            made, scale = triton_int8.int8_rows(rows)
            _, no_scale = triton_int8.int8_rows(rows.fill_(torch.nan))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - too old a card
            log.debug("no integers of rows: %s", error)
            return False
        is_near = torch.allclose(scale, wanted_scale, rtol=1e-3) and bool((made.int() - wanted).abs().max() <= 1)
        if not is_near or not bool(no_scale.isnan().all()):
            log.warning("our own kernel makes wrong integers of rows on this card, and is not used")
            return False
    return True


def tflops_of(
    weight_format: Format, tiles: Tiles | None = None, *, shapes: tuple[tuple[int, int], ...] = SHAPES
) -> float | None:
    """The rate of the products, ending in bfloat16; None where the format is no choice or the card cannot.

    `tiles`: of our own kernel for integers, in place of the library's.
    """
    if weight_format in (Format.FLOAT32, Format.FLOAT16):  # the latter as fast as bfloat16
        return None
    operations, seconds = 0, 0.0
    try:
        for inputs, outputs in shapes:
            rows = torch.randn(TOKENS, inputs, device="cuda", dtype=torch.bfloat16)
            weight = torch.randn(outputs, inputs, device="cuda", dtype=torch.bfloat16)
            seconds += _seconds(_product(weight_format, rows, weight, tiles))
            operations += 2 * TOKENS * inputs * outputs
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - too old a card, a library without this product, tiles that are too large
        log.debug("no products in %s: %s", weight_format, error)
        return None
    return operations / seconds / 1e12


def _is_exact(tiles: Tiles) -> bool:
    """Whether our kernel gives what the library gives, bit for bit, at sizes that no tile divides."""
    from pipeline.streaming.triton_int8 import int8_product

    generator = torch.Generator("cuda").manual_seed(1)

    def integers(*shape: int) -> torch.Tensor:
        return torch.randint(-127, 128, shape, dtype=torch.int8, device="cuda", generator=generator)

    rows, weight = integers(ODD[0], ODD[1]), integers(ODD[2], ODD[1])
    row_scale, scale = (torch.rand(len(each), device="cuda", generator=generator) for each in (rows, weight))
    bias = scale.bfloat16()
    wanted = (torch._int_mm(rows, weight.t()) * row_scale[:, None] * scale).bfloat16() + bias
    try:
        made = int8_product(rows, weight, row_scale[:, None], scale, bias, torch.bfloat16, list(tiles))
    except Exception as error:  # noqa: BLE001 - too large for this card
        log.debug("no products in tiles %s: %s", tiles, error)
        return False
    return torch.equal(made, wanted)


def _product(
    weight_format: Format, rows: torch.Tensor, weight: torch.Tensor, tiles: Tiles | None
) -> Callable[[], object]:
    if weight_format is Format.BFLOAT16:
        return lambda: rows @ weight.t()
    if weight_format is Format.INT8:
        integers, kept = (rows * 32).to(torch.int8), (weight * 32).to(torch.int8)
        if tiles is None:  # what is made of the sums reads and writes them once more
            return lambda: torch._int_mm(integers, kept.t()).bfloat16()
        from pipeline.streaming.triton_int8 import int8_product

        scales = torch.ones(len(rows), 1, device="cuda"), torch.ones(len(weight), device="cuda")
        return lambda: int8_product(integers, kept, *scales, None, torch.bfloat16, list(tiles))
    floats, kept = rows.to(FLOAT8), weight.to(FLOAT8)
    row_scale = torch.ones(len(rows), 1, device="cuda")
    scale = torch.ones(1, len(weight), device="cuda")
    return lambda: torch._scaled_mm(floats, kept.t(), scale_a=row_scale, scale_b=scale, out_dtype=torch.bfloat16)


def _seconds(call: Callable[[], object]) -> float:
    """Mean of some calls in a row, as the card counts it, after two that warm up."""
    for _ in range(2):
        call()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(LAUNCH_CYCLES)  # until all calls are queued: what it takes to launch them is not asked for
    start.record()
    for _ in range(REPEATS):
        call()
    end.record()
    end.synchronize()
    milliseconds: float = start.elapsed_time(end)
    return milliseconds / 1000 / REPEATS
