"""Seconds and kernels of steps, by the clock and by torch's profiler."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import torch
from torch.profiler import ProfilerActivity, profile

from pipeline.bench.report import Timing

log = logging.getLogger(__name__)

LONG_STEP_S: Final = 2.0


def seconds_of_steps(step: Callable[[int], object], count: int, device: str) -> list[float]:
    """Seconds of each of so many steps."""
    if device == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
    return [_seconds(device, partial(step, number)) for number in range(count)]


@torch.no_grad()
def _seconds(device: str, call: Callable[[], object]) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    started_at = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started_at


def profiled(timing: Timing, at: Callable[[int], Callable[[int], object]]) -> Timing:
    """With the kernels of one more step; without them where no profiler works, or a step takes too long for it."""
    if timing.step_s is None or timing.step_s > LONG_STEP_S:
        return timing
    try:
        step = at(timing.side_px)
        _seconds("cuda", lambda: step(0))  # another size may have been the last
        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            _seconds("cuda", lambda: step(0))
        durations_us = [
            event.time_range.elapsed_us()
            for event in profiler.events() or ()
            if event.device_type.name == "CUDA"
            and not event.is_user_annotation
            and not event.name.startswith(("Memcpy", "Memset"))
        ]
    except Exception as error:
        log.warning("%s at %d px was not profiled", timing.system, timing.side_px, exc_info=error)
        return timing
    return replace(timing, kernels=len(durations_us), busy_s=sum(durations_us) / 1e6) if durations_us else timing
