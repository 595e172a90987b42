"""Times FLUX.1 at full size without its files: steps of its transformer, and whole pictures, of noise alone.

Speed and memory do not depend on what the weights are; see `random_weights.py`. Every system runs in processes of its
own: none finds memory or kernels of another, and one that dies takes no other along.
"""

from __future__ import annotations

import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

import psutil
import torch
from diffsynth.pipelines.flux_image import model_fn_flux_image

from pipeline.bench.baselines import STEPS
from pipeline.bench.isolation import apart, held_to, here, slow_link
from pipeline.bench.peak_memory import PeakMemory
from pipeline.bench.random_weights import (
    FLUX1,
    Classes,
    random_model,
    random_transformer,
    stock_module,
    stock_pipeline,
)
from pipeline.bench.report import PEERS, PICTURE_STEPS, STOCK, Conditions, Machine, Pictures, Timing
from pipeline.bench.stopwatch import profiled, seconds_of_steps
from pipeline.catalog.models import FLUX1_DEV
from pipeline.config import PipelineConfig
from pipeline.device.gpu import MIB, Gpu
from pipeline.device.gpu_profile import Tiles
from pipeline.device.memory_plan import floor_seconds
from pipeline.errors import OutOfMemory
from pipeline.families.flux.architecture import FLUX
from pipeline.families.flux.engine import FluxEngine
from pipeline.families.flux.transformer import random_inputs
from pipeline.runtime.cuda_errors import translate
from pipeline.runtime.process_setup import silence_diffsynth
from pipeline.runtime.vram_budget import CudaBudget, FakeBudget
from pipeline.spec import Aspect, ImageSpec
from pipeline.streaming import autotune
from pipeline.streaming.quantization import Format
from pipeline.streaming.residency import Residency

log = logging.getLogger(__name__)

WARM_UP: Final = 2
OTHERS_STEPS: Final = 3  # they take seconds each
STOCK_ROOM_MIB: Final = 512  # that DiffSynth's examples leave to activations
PACKAGES: Final = ("torch", "triton", "diffsynth", *PEERS)

T = TypeVar("T")
R = TypeVar("R", Timing, Pictures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A system with its weights where they belong."""

    at: Callable[[int], Callable[[int], object]]  # side in px → what runs the step of a number, on noise
    streamed_bytes: Callable[[], int] | None = None  # may grow where memory turned out to be too little
    is_compiled: bool | None = None
    floor_s: Callable[[int, float, float], float] | None = None  # of a side, a link in GB/s and a rate in TFLOP/s


def describe_machine(gpu: Gpu) -> Machine:
    """Look up versions and measure the link."""
    versions = {"CUDA": str(torch.version.cuda)}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    link, pageable = apart(_measure_link)
    return Machine(
        gpu=gpu.name,
        driver=gpu.driver,
        cpus=os.cpu_count() or 1,
        versions=versions,
        link_gb_s=link,
        pageable_gb_s=pageable,
    )


def time_systems(
    systems: Sequence[str],
    conditions: Conditions,
    *,
    link_gb_s: float | None,
    device: str = "cuda",
    classes: Classes = FLUX1,
) -> Iterator[Timing | Pictures]:
    """Time one system after the other; `systems` are formats, `STOCK` or peers. What fails gets an `error`.

    Args:
        link_gb_s: of page-locked memory, measured.
        device: on the CPU, for tests, nothing is measured but seconds.
        classes: make the modules; FLUX.1's unless a test wants smaller ones.
    """
    call = apart if device == "cuda" else here
    for system in systems:
        arguments = (system, conditions, link_gb_s, device, classes)
        try:
            timings = call(time_system, *arguments)
        except Exception as error:  # noqa: BLE001 - the process died: the system killed it, or a driver did
            timings = [_failed(Timing, system, side, error, conditions) for side in conditions.sides_px]
        yield from timings
        if not conditions.draws_pictures or system in PEERS or all(timing.error for timing in timings):
            continue
        try:
            yield from call(time_pictures, *arguments)
        except Exception as error:  # noqa: BLE001 - why a system has no figures is one of them
            yield from [_failed(Pictures, system, side, error, conditions) for side in conditions.sides_px]


def time_system(
    system: str, conditions: Conditions, link_gb_s: float | None, device: str, classes: Classes
) -> list[Timing]:
    """Time one system at every size, in this process."""
    memory = PeakMemory() if device == "cuda" else None  # before CUDA starts
    is_ours = system in list(Format)
    timings: dict[int, Timing] = {}
    with ExitStack() as stack:
        try:
            stack.enter_context(held_to(conditions, device))
            link = stack.enter_context(slow_link(conditions, link_gb_s if is_ours else None))
            tiles = autotune.fastest_tiles() if system == Format.INT8 and device == "cuda" else None
            tflops = autotune.tflops_of(Format(system), tiles) if is_ours and device == "cuda" else None
            with torch.no_grad(), memory or nullcontext():
                ready = _make_ready(system, conditions, device, classes, tiles)
        except Exception as error:  # noqa: BLE001 - why a system has no figures is one of them
            return [_failed(Timing, system, side, error, conditions) for side in conditions.sides_px]
        ready_mib = memory.mib if memory else 0
        steps = conditions.steps if is_ours else min(conditions.steps, OTHERS_STEPS)
        # The largest first, because DiffSynth keeps on the card what fits beside its first picture.
        for side in sorted(conditions.sides_px, reverse=True):
            try:
                with memory or nullcontext():
                    seconds = seconds_of_steps(ready.at(side), WARM_UP + steps, device)
                timings[side] = Timing(
                    system=system,
                    side_px=side,
                    first_step_s=seconds[0],
                    step_s=statistics.median(seconds[WARM_UP:]),
                    peak_mib=max(ready_mib, memory.mib) if memory else None,
                    streamed_bytes=ready.streamed_bytes() if ready.streamed_bytes else None,
                    link_gb_s=link,
                    is_compiled=ready.is_compiled,
                    floor_s=ready.floor_s(side, link, tflops) if ready.floor_s and link and tflops else None,
                )
            except Exception as error:  # noqa: BLE001 - why a system has no figures is one of them
                timings[side] = _failed(Timing, system, side, error, conditions)
        if device == "cuda":  # last, because whatever runs after a profiler runs slower
            timings = {side: profiled(timing, ready.at) for side, timing in timings.items()}
    return [timings[side] for side in conditions.sides_px]


def time_pictures(
    system: str, conditions: Conditions, link_gb_s: float | None, device: str, classes: Classes
) -> list[Pictures]:
    """Draw with one system at every size, in this process."""
    memory = PeakMemory() if device == "cuda" else None  # before CUDA starts
    pictures: dict[int, Pictures] = {}
    with ExitStack() as stack:
        try:
            stack.enter_context(held_to(conditions, device))
            stack.enter_context(slow_link(conditions, link_gb_s))
            with memory or nullcontext():
                if system == STOCK:
                    draw = _stock_pictures(conditions, device, classes)
                else:
                    # What is measured and compiled goes there; compiled code may still be in use at the end.
                    place = TemporaryDirectory(prefix="imagine-bot-", ignore_cleanup_errors=True)
                    folder = Path(stack.enter_context(place))
                    draw = _our_pictures(Format(system), conditions, device, classes, folder)
        except Exception as error:  # noqa: BLE001 - why a system has no figures is one of them
            return [_failed(Pictures, system, side, error, conditions) for side in conditions.sides_px]
        ready_mib = memory.mib if memory else 0
        for side in sorted(conditions.sides_px, reverse=True):
            try:
                with memory or nullcontext():
                    new_s, known_s = draw(side)
                pictures[side] = Pictures(
                    system=system,
                    side_px=side,
                    new_prompt_s=new_s,
                    known_prompt_s=known_s,
                    peak_mib=max(ready_mib, memory.mib) if memory else None,
                    host_mib=psutil.Process().memory_info().rss // MIB,
                )
            except Exception as error:  # noqa: BLE001 - why a system has no figures is one of them
                pictures[side] = _failed(Pictures, system, side, error, conditions)
    return [pictures[side] for side in conditions.sides_px]


def _our_pictures(
    weight_format: Format, conditions: Conditions, device: str, classes: Classes, folder: Path
) -> Callable[[int], tuple[float, float | None]]:
    """Side in px → seconds of a picture with a new prompt, and of another with the same."""
    largest = max(conditions.sides_px)
    card = replace(FLUX1_DEV, sizes={Aspect.SQUARE: (largest, largest)})
    config = PipelineConfig.model_validate(
        {
            "device": device,
            "precision": weight_format,
            "vram_limit_mib": conditions.limit_mib,
            "compile": not conditions.is_eager,
            "models_dir": folder,
        }
    )
    budget = FakeBudget(conditions.limit_mib * MIB) if device == "cpu" else None
    engine = FluxEngine(card, config, budget=budget, read=random_model(classes))
    engine.load()

    def seconds(prompt: str, side: int, seed: int, steps: int) -> float:
        spec = ImageSpec(
            prompt=prompt,
            seed=seed,
            steps=steps,
            width=side,
            height=side,
            guidance=card.guidance,
            cfg_scale=card.cfg_scale,
            model=card.name,
        )
        return engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False).seconds

    def draw(side: int) -> tuple[float, float]:
        seconds("warm", side, 0, WARM_UP)
        return seconds(f"new at {side}", side, 1, PICTURE_STEPS), seconds(f"new at {side}", side, 2, PICTURE_STEPS)

    return draw


def _stock_pictures(
    conditions: Conditions, device: str, classes: Classes
) -> Callable[[int], tuple[float, float | None]]:
    """Side in px → seconds of a picture, reckoned from its first steps. It knows no prompt from before."""
    silence_diffsynth()
    pipe = stock_pipeline(classes, device, _stock_limit_gib(conditions, device))

    def seconds(side: int) -> float:
        marks = [time.perf_counter()]

        def mark() -> None:
            if device == "cuda":
                torch.cuda.synchronize()
            marks.append(time.perf_counter())

        def watch(timesteps: torch.Tensor) -> Iterator[torch.Tensor]:
            mark()
            for timestep in timesteps:
                yield timestep
                mark()

        pipe(
            prompt="a picture",
            seed=1,
            width=side,
            height=side,
            num_inference_steps=OTHERS_STEPS,
            progress_bar_cmd=watch,
        )
        mark()
        encode_s, *steps_s, decode_s = (later - earlier for earlier, later in pairwise(marks))
        first_s, *others_s = steps_s  # which brings to the card what fits there
        return encode_s + first_s + (PICTURE_STEPS - 1) * statistics.median(others_s) + decode_s

    def draw(side: int) -> tuple[float, None]:
        seconds(side)  # which warms up
        return seconds(side), None

    return draw


def _make_ready(system: str, conditions: Conditions, device: str, classes: Classes, tiles: Tiles | None) -> Ready:
    if system == STOCK:
        return _stock(conditions, device, classes)
    if system in list(Format):
        return _ours(Format(system), conditions, device, classes, tiles)
    return Ready(at=STEPS[system](device, conditions.limit_mib))


def _ours(weight_format: Format, conditions: Conditions, device: str, classes: Classes, tiles: Tiles | None) -> Ready:
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    transformer = random_transformer(classes.dit, weight_format, dtype, device)
    dit = transformer.module
    largest = max(conditions.sides_px)
    budget = CudaBudget(conditions.limit_mib * MIB) if device == "cuda" else None
    cost = FLUX.cost(largest, largest, conditions.steps)
    residency = Residency(transformer, budget=budget, cost=cost)
    is_compiled = None
    if device == "cuda":
        transformer.use_8bit_matmul(autotune.is_supported(weight_format))
        transformer.use_kernels(tiles, fuses_rows=weight_format is Format.INT8 and autotune.can_fuse_rows())
    if device == "cpu":
        residency.fit()
    else:
        residency.fit_to(conditions.limit_mib * MIB)
        is_compiled = not conditions.is_eager and transformer.compile_blocks(residency.run_step)
    schedule = torch.linspace(1000, 100, conditions.steps + WARM_UP)

    def at(side: int) -> Callable[[int], object]:
        inputs = random_inputs(dit, side, device, dtype)
        return lambda number: residency.run_step(
            lambda: transformer.predict(
                dit=dit,
                schedule=schedule,
                timestep=schedule[number][None].to(device, dtype),
                progress_id=number,
                **inputs,
            )
        )

    def floor_s(side: int, link_gb_s: float, tflops: float) -> float:
        return floor_seconds(
            transformer.weights,
            streamed_bytes=transformer.streamed_bytes,
            bytes_per_weight=weight_format.dtype.itemsize,
            link_gb_s=link_gb_s,
            tflops=tflops,
            cost=FLUX.cost(side, side, 1),
        )

    return Ready(at=at, streamed_bytes=lambda: transformer.streamed_bytes, is_compiled=is_compiled, floor_s=floor_s)


def _stock(conditions: Conditions, device: str, classes: Classes) -> Ready:
    dtype = torch.bfloat16
    dit = stock_module(classes.dit, device, _stock_limit_gib(conditions, device))
    for module in dit.modules():
        if hasattr(module, "onload"):
            module.onload()

    def at(side: int) -> Callable[[int], object]:
        inputs = random_inputs(dit, side, device, dtype)
        timestep = torch.tensor([500.0], device=device, dtype=dtype)
        return lambda _number: model_fn_flux_image(dit=dit, timestep=timestep, **inputs)

    return Ready(at=at)


def _stock_limit_gib(conditions: Conditions, device: str) -> float | None:
    return (conditions.limit_mib - STOCK_ROOM_MIB) / 1024 if device == "cuda" else None


def _failed(result: type[R], system: str, side: int, error: Exception, conditions: Conditions) -> R:
    log.warning("%s at %d px failed", system, side, exc_info=error)
    known = translate(error)
    reason = f"out of memory within {conditions.limit_mib} MiB" if isinstance(known, OutOfMemory) else str(known)
    return result(system=system, side_px=side, error=reason)


def _measure_link() -> tuple[float, float]:
    return autotune.link_gb_s(), autotune.link_gb_s(is_locked=False)
