"""Times the transformer of FLUX.1 at full size without its files: random weights, real shapes.

Speed and memory do not depend on what the weights are; what a picture looks like does, so nothing is drawn. Every
system runs in a process of its own: none finds memory or kernels of another, and one that dies takes no other along.
"""

from __future__ import annotations

import gc
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from typing import Any, Final, TypeVar

import torch
from diffsynth.core.vram.initialization import skip_model_initialization
from diffsynth.core.vram.layers import AutoWrappedLinear, AutoWrappedModule, enable_vram_management
from diffsynth.models.flux_dit import FluxDiT, RMSNorm
from diffsynth.pipelines.flux_image import model_fn_flux_image
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from pipeline.errors import GenerationFailed, OutOfMemory
from pipeline.flux import kernels
from pipeline.flux.formats import FLOAT8, Format
from pipeline.flux.memory import hold_to, start_cuda, translate
from pipeline.flux.packing import Block, layout, prepare
from pipeline.flux.peers import diffusers_steps
from pipeline.flux.transformer import Residency, Transformer, random_inputs
from pipeline.hardware import MIB, Gpu
from pipeline.timing import STOCK, Conditions, Machine, PeakMemory, Timing

log = logging.getLogger(__name__)

WARM_UP: Final = 2
OTHERS_STEPS: Final = 3  # they take seconds each
LONG_STEP_S: Final = 2.0
RANGES: Final = {torch.int8: (36.0, 127.0), FLOAT8: (100.0, 448.0)}  # spread of 8-bit weights, and the most they hold
PATTERN_BYTES: Final = 2**24 - 3  # odd, so that no two rows of a weight are equal
STOCK_ROOM_MIB: Final = 512  # that DiffSynth's examples leave to activations
PACKAGES: Final = ("torch", "triton", "diffsynth", "diffusers")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A system with its weights where they belong."""

    at: Callable[[int], Callable[[int], object]]  # side in px → what runs the step of a number, on noise
    streamed_bytes: Callable[[], int] | None = None  # may grow where memory turned out to be too little
    is_compiled: bool | None = None


class RandomBlocks(Mapping[str, Tensor]):
    """Blocks of a prepared module with arbitrary weights of the usual size, made when they are asked for."""

    def __init__(self, dit: nn.Module) -> None:
        self._blocks = layout(dit)
        self._linears = {f"{name}.weight" for name, module in dit.named_modules() if hasattr(module, "in_features")}
        generator = torch.Generator().manual_seed(1)
        self._pattern = torch.randn(PATTERN_BYTES, generator=generator)

    def __getitem__(self, name: str) -> Tensor:
        block: Block = self._blocks[name]
        data = torch.zeros(block.size, dtype=torch.uint8)
        for entry_name, view in block.views(data).items():
            if entry_name in self._linears:
                gain, most = RANGES.get(view.dtype, (view.shape[1] ** -0.5, torch.inf))
                flat = view.view(-1)
                for start in range(0, len(flat), PATTERN_BYTES):
                    part = flat[start : start + PATTERN_BYTES]
                    part.copy_((self._pattern[: len(part)] * gain).clamp_(-most, most))
            elif entry_name.endswith(".scale"):
                weight = entry_name.removesuffix("scale") + "weight"
                shape = next(entry.shape for entry in block.entries if entry.name == weight)
                view.fill_(shape[1] ** -0.5 / RANGES[self._dtype_of(block, weight)][0])
            elif not entry_name.endswith(".bias"):
                view.fill_(1)
        return data

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)

    @staticmethod
    def _dtype_of(block: Block, name: str) -> torch.dtype:
        return next(entry.dtype for entry in block.entries if entry.name == name)


def describe(gpu: Gpu) -> Machine:
    """Look up versions and measure the link."""
    versions = {"CUDA": str(torch.version.cuda)}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    link, pageable = _apart(_measure_link)
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
    make_dit: Callable[[], Any] = FluxDiT,
) -> Iterator[Timing]:
    """Time one system after the other; `systems` are formats, `STOCK` or peers. What fails gets an `error`.

    Args:
        link_gb_s: of page-locked memory, measured.
        device: on the CPU, for tests, nothing is measured but seconds.
        make_dit: makes the module; FLUX.1's unless a test wants a smaller one.
    """
    for system in systems:
        arguments = (system, conditions, link_gb_s, device, make_dit)
        try:
            timings = _apart(time_system, *arguments) if device == "cuda" else time_system(*arguments)
        except Exception as error:  # the process died: the system killed it, or a driver did
            timings = [_failed(system, side, error, conditions) for side in conditions.sides_px]
        yield from timings


def time_system(
    system: str, conditions: Conditions, link_gb_s: float | None, device: str, make_dit: Callable[[], Any]
) -> list[Timing]:
    """Time one system at every size, in this process."""
    memory = PeakMemory() if device == "cuda" else None  # before CUDA starts
    is_ours, link_repeat = system in list(Format), 1
    timings: dict[int, Timing] = {}
    with ExitStack() as stack:
        try:
            if device == "cuda":
                start_cuda()
                hold_to(conditions.limit_mib * MIB)
            if conditions.emulation is not None:
                stack.enter_context(_few_multiprocessors(conditions.emulation.multiprocessors))
                if is_ours and link_gb_s is not None:
                    link_repeat = max(1, round(link_gb_s / conditions.emulation.link_gb_s))
            with torch.no_grad(), memory or nullcontext():
                ready = _make_ready(system, conditions, link_repeat, device, make_dit)
        except Exception as error:
            return [_failed(system, side, error, conditions) for side in conditions.sides_px]
        ready_mib = memory.mib if memory else 0
        steps = conditions.steps if is_ours else min(conditions.steps, OTHERS_STEPS)
        # The largest first, because DiffSynth keeps on the card what fits beside its first picture.
        for side in sorted(conditions.sides_px, reverse=True):
            try:
                with memory or nullcontext():
                    seconds = _seconds_of_steps(ready.at(side), WARM_UP + steps, device)
                timings[side] = Timing(
                    system=system,
                    side_px=side,
                    first_step_s=seconds[0],
                    step_s=statistics.median(seconds[WARM_UP:]),
                    peak_mib=max(ready_mib, memory.mib) if memory else None,
                    streamed_bytes=ready.streamed_bytes() if ready.streamed_bytes else None,
                    link_gb_s=link_gb_s and link_gb_s / link_repeat,
                    is_compiled=ready.is_compiled,
                )
            except Exception as error:
                timings[side] = _failed(system, side, error, conditions)
        if device == "cuda":  # last, because whatever runs after a profiler runs slower
            timings = {side: _profiled(timing, ready.at) for side, timing in timings.items()}
    return [timings[side] for side in conditions.sides_px]


def _make_ready(
    system: str, conditions: Conditions, link_repeat: int, device: str, make_dit: Callable[[], Any]
) -> Ready:
    if system == STOCK:
        return _stock(conditions, device, make_dit)
    if system in list(Format):
        return _ours(Format(system), conditions, link_repeat, device, make_dit)
    return Ready(at=diffusers_steps(device))


def _ours(kept_as: Format, conditions: Conditions, link_repeat: int, device: str, make_dit: Callable[[], Any]) -> Ready:
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    with torch.device("meta"):
        dit = make_dit()
    prepare(dit, kept_as, dtype)
    transformer = Transformer(dit, RandomBlocks(dit), device)
    residency = Residency(transformer, sizes=[(side, side) for side in conditions.sides_px], link_repeat=link_repeat)
    is_compiled = None
    if device == "cuda":
        transformer.multiply_8bit(kernels.is_supported(kept_as))
        residency.fit(conditions.limit_mib * MIB)
        is_compiled = not conditions.is_eager and transformer.compile_blocks(residency.predict)
    else:
        transformer.place()
    schedule = torch.linspace(1000, 100, conditions.steps + WARM_UP)

    def at(side: int) -> Callable[[int], object]:
        inputs = random_inputs(dit, side, device, dtype)
        return lambda number: residency.predict(
            dit=dit,
            schedule=schedule,
            timestep=schedule[number][None].to(device, dtype),
            progress_id=number,
            **inputs,
        )

    return Ready(at=at, streamed_bytes=lambda: transformer.streamed_bytes, is_compiled=is_compiled)


def _stock(conditions: Conditions, device: str, make_dit: Callable[[], Any]) -> Ready:
    """The transformer in 8-bit floats in host memory, as DiffSynth's examples for small cards have it."""
    dtype = torch.bfloat16
    with skip_model_initialization():
        dit = make_dit()
    with torch.device("meta"):
        shapes = make_dit()
    prepare(shapes, Format.BFLOAT16, dtype)
    random = RandomBlocks(shapes)
    for name, block in layout(shapes).items():
        for entry_name, view in block.views(random[name]).items():
            owner, _, attribute = entry_name.rpartition(".")
            value = nn.Parameter(view.to(FLOAT8), requires_grad=False)
            dit.get_submodule(owner)._parameters[attribute] = value
    dit = enable_vram_management(
        dit.eval(),
        {nn.Linear: AutoWrappedLinear, RMSNorm: AutoWrappedModule},
        vram_config={
            "offload_dtype": FLOAT8,
            "offload_device": "cpu",
            "onload_dtype": FLOAT8,
            "onload_device": "cpu",
            "preparing_dtype": FLOAT8,
            "preparing_device": device,
            "computation_dtype": dtype,
            "computation_device": device,
        },
        vram_limit=(conditions.limit_mib - STOCK_ROOM_MIB) / 1024 if device == "cuda" else None,
    )
    for module in dit.modules():
        if hasattr(module, "onload"):
            module.onload()

    def at(side: int) -> Callable[[int], object]:
        inputs = random_inputs(dit, side, device, dtype)
        timestep = torch.tensor([500.0], device=device, dtype=dtype)
        return lambda _number: model_fn_flux_image(dit=dit, timestep=timestep, **inputs)

    return Ready(at=at)


def _failed(system: str, side: int, error: Exception, conditions: Conditions) -> Timing:
    log.warning("%s at %d px failed", system, side, exc_info=error)
    known = translate(error)
    reason = f"out of memory within {conditions.limit_mib} MiB" if isinstance(known, OutOfMemory) else str(known)
    return Timing(system=system, side_px=side, error=reason)


def _seconds_of_steps(step: Callable[[int], object], count: int, device: str) -> list[float]:
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


def _profiled(timing: Timing, at: Callable[[int], Callable[[int], object]]) -> Timing:
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


@contextmanager
def _few_multiprocessors(number: int) -> Iterator[None]:
    """What is launched inside uses so many multiprocessors of the card.

    Raises:
        GenerationFailed: this driver or this PyTorch cannot.
    """
    try:
        from torch.cuda.green_contexts import GreenContext

        context = GreenContext.create(num_sms=number, device_id=0)
        stream = context.Stream()
    except Exception as error:
        raise GenerationFailed(f"a smaller card cannot be emulated here: {error}") from error
    with torch.cuda.stream(stream):
        yield


def _measure_link() -> tuple[float, float]:
    return kernels.link_gb_s(), kernels.link_gb_s(is_locked=False)


def _apart(function: Callable[..., T], *arguments: Any) -> T:
    """Call it in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
