"""What single kernels take: `uv run python -m tests.gpu.kernels` on a card of 12 GB or more. About a minute.

Says what making integers of rows takes, compiled by torch and by our own kernel, and where a step of FLUX.1 at full
size with all of its weights on the card goes, by torch's profiler.
"""

from __future__ import annotations

import itertools
import logging
import time
import warnings

import torch
from torch.profiler import ProfilerActivity, profile

from pipeline.bench.random_weights import FLUX1, random_transformer
from pipeline.families.flux.transformer import Transformer, random_inputs
from pipeline.streaming import autotune, quantization, triton_int8
from pipeline.streaming.quantization import Format

log = logging.getLogger(__name__)

STEPS = 8
SHOWN = 24  # kernels


def rows() -> None:
    log.info("integers of rows, tokens × inputs: µs compiled by torch, by our own kernel, and of copying at 3 TB/s")
    for tokens, inputs in itertools.product((4608, 1536), (3072, 12288, 15360)):
        x = torch.randn(tokens, inputs, device="cuda", dtype=torch.bfloat16)
        torch._dynamo.reset()
        compiled = torch.compile(quantization.int8_rows, dynamic=False)
        seconds = [autotune._seconds(lambda way=way, x=x: way(x)) for way in (compiled, triton_int8.int8_rows)]
        shown = ", ".join(f"{1e6 * each:.0f}" for each in (*seconds, 3 * tokens * inputs / 3e12))
        log.info("  %d × %d: %s", tokens, inputs, shown)


def steps(side_px: int, transformer: Transformer) -> None:
    inputs = random_inputs(transformer.module, side_px, "cuda", torch.bfloat16)
    schedule = torch.linspace(1000, 100, STEPS)

    def run() -> None:
        for number, timestep in enumerate(schedule):
            transformer.predict(
                dit=transformer.module,
                schedule=schedule,
                timestep=timestep[None].to("cuda", torch.bfloat16),
                progress_id=number,
                **inputs,
            )
        torch.cuda.synchronize()

    run()
    started_at = time.perf_counter()
    run()
    step_s = (time.perf_counter() - started_at) / STEPS
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        run()
    found = [
        (event.self_device_time_total / STEPS / 1e3, event.count / STEPS, event.key)
        for event in profiled.key_averages()
    ]
    total = sum(each for each, _, _ in found)
    log.info("%d²: %.1f ms per step, kernels %.1f ms, of which (ms, times, name)", side_px, 1e3 * step_s, total)
    for milliseconds, count, name in sorted(found, reverse=True)[:SHOWN]:
        log.info("  %7.2f %6.0f  %s", milliseconds, count, name[:120])


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    warnings.simplefilter("ignore")  # the profiler's, about itself
    rows()
    transformer = random_transformer(FLUX1.dit, Format.INT8, torch.bfloat16, "cuda")
    transformer.use_8bit_matmul(True)
    transformer.use_kernels(autotune.fastest_tiles(), fuses_rows=autotune.can_fuse_rows())
    transformer.place()
    transformer.compile_blocks()
    with torch.no_grad():
        for side_px in (512, 1024):
            steps(side_px, transformer)


if __name__ == "__main__":
    main()
