"""What to expect of a large model on this card, from what was measured and packed before. No torch, so it is quick."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.catalog.architecture import Component, Kind, StepCost
from pipeline.catalog.files import read_header
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.device.gpu import MIB, Gpu, look_at_gpu
from pipeline.device.gpu_profile import GpuProfile, packed_path, read_profile
from pipeline.device.memory_plan import EFFICIENCY, Plan, Weights, floor_seconds, plan_blocks
from pipeline.errors import InvalidSpec, OutOfMemory
from pipeline.spec import Aspect, ImageSpec

CONTEXT_BYTES: Final = 500 * MIB  # of CUDA itself; the engine measures it
MAX_BLOCK_BYTES: Final = 2**40  # a damaged file says anything
BYTES_PER_WEIGHT: Final = {"float32": 4, "float16": 2, "bfloat16": 2, "float8": 1, "int8": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEstimate:
    """How a model runs on a card. `step_s` is for a square picture; it counts on compiled blocks."""

    weight_format: str
    speed: GpuProfile
    plan: Plan | None  # None before its weights were packed, or where it does not fit at all
    step_s: float | None


def estimate_runtime(card: ModelCard, config: PipelineConfig) -> RuntimeEstimate | None:
    """None if the model is not streamed, without a usable GPU, or before that was measured. Takes milliseconds."""
    if (found := _look(card, config)) is None:
        return None
    gpu, speed, weight_format, uses_8bit_matmul = found
    if (weights := _weights(card, config, weight_format)) is None:
        return RuntimeEstimate(weight_format=weight_format, speed=speed, plan=None, step_s=None)
    width, height = card.sizes[Aspect.SQUARE]
    cost = card.architecture.cost(width, height, card.default_steps)
    try:
        plan = _plan(card, weights, config.limit_mib(gpu.total_mib), cost)
    except OutOfMemory:
        return RuntimeEstimate(weight_format=weight_format, speed=speed, plan=None, step_s=None)
    tflops = speed.tflops.get(weight_format if uses_8bit_matmul else "bfloat16", speed.tflops.get("bfloat16"))
    if tflops is None:
        return RuntimeEstimate(weight_format=weight_format, speed=speed, plan=plan, step_s=None)
    floor_s = floor_seconds(
        weights[card.architecture.transformer],
        streamed_bytes=plan.streamed_bytes,
        bytes_per_weight=BYTES_PER_WEIGHT[weight_format],
        link_gb_s=speed.link_gb_s,
        tflops=tflops,
        cost=cost,
    )
    step_s = floor_s / EFFICIENCY * cost.passes / card.default_steps
    return RuntimeEstimate(weight_format=weight_format, speed=speed, plan=plan, step_s=step_s)


def check_memory(card: ModelCard, config: PipelineConfig, spec: ImageSpec) -> None:
    """Refuse an image that is larger than usual if the GPU has no room for it. Takes milliseconds.

    Of an upscale, the tiles count; of an edit, the images that it looks at as well. Before a large model was packed for
    this GPU nothing is known, and nothing refused.

    Raises:
        InvalidSpec: not even one block at a time fits beside it.
    """
    usual = max(width * height for width, height in card.sizes.values())
    if math.prod(spec.tile_size) + spec.reference_pixels <= usual or (found := _look(card, config)) is None:
        return
    gpu, _, weight_format, _ = found
    if (weights := _weights(card, config, weight_format)) is None:
        return
    try:
        cost = card.architecture.cost_of(*spec.tile_size, 1, reference_pixels=spec.reference_pixels)
        _plan(card, weights, config.limit_mib(gpu.total_mib), cost)
    except OutOfMemory:
        size = f"{spec.width}x{spec.height}"
        reason = f"{size} does not fit into the memory of this GPU"
        raise InvalidSpec("size", reason, detail="memory", size=size) from None


def _look(card: ModelCard, config: PipelineConfig) -> tuple[Gpu, GpuProfile, str, bool] | None:
    """The GPU, what it was measured at, the weight format, and whether products are made in it; None if unknown."""
    if not card.is_streamed or config.device == "cpu":
        return None
    state = look_at_gpu()
    if state.gpu is None or not state.is_usable:
        return None
    if (speed := read_profile(config.packed_folder, state.gpu)) is None:
        return None
    architecture, precision = card.architecture, config.precision
    chosen, uses_8bit_matmul = speed.choose_format(bears_float8=architecture.bears_float8)
    if precision == "auto":
        if architecture.prefers_half and _weights(card, config, architecture.half) is not None:
            return state.gpu, speed, architecture.half, False  # as the engine packed it, since all fits so
        return state.gpu, speed, chosen, uses_8bit_matmul
    return state.gpu, speed, architecture.half if precision == "float16" else precision, uses_8bit_matmul


def _weights(card: ModelCard, config: PipelineConfig, weight_format: str) -> dict[str, Weights] | None:
    """What was packed of a model's components, by name; None before that."""
    weights = {}
    for name, component in card.architecture.streamable.items():
        formats = [weight_format]
        if component.kind is Kind.TEXT_ENCODER:
            formats = _formats_of_text(component, weight_format, card.architecture.half)
        found = (_block_sizes(packed_path(config.packed_folder, card, name, each)) for each in formats)
        sizes = next(filter(None, found), None)
        if sizes is None:
            return None
        weights[name] = Weights(component=component, sizes=sizes)
    return weights


def _formats_of_text(component: Component, weight_format: str, half: str) -> list[str]:
    """What an engine may keep a text encoder in beside a transformer of such a format, the likelier first."""
    if BYTES_PER_WEIGHT[weight_format] == 1:
        return ["int8" if component.is_8bit else half]
    return [weight_format, half]  # the same, or 16 bits beside float32, too


def _plan(card: ModelCard, weights: Mapping[str, Weights], limit_mib: int, cost: StepCost) -> Plan:
    """Raises OutOfMemory: not even one block at a time fits."""
    architecture = card.architecture
    return plan_blocks(
        weights[architecture.transformer],
        [part for name, part in weights.items() if name != architecture.transformer],
        fixed_bytes=sum(component.fixed_bytes for component in architecture.components.values()),
        free_bytes=limit_mib * MIB - CONTEXT_BYTES,
        cost=cost,
    )


def _block_sizes(path: Path) -> dict[str, int] | None:
    """Bytes of each block of a packed file by name; None if there is none."""
    try:
        header: dict[str, Any] = json.loads(read_header(path) or b"")
        header.pop("__metadata__", None)
        sizes = {name: entry["shape"][0] for name, entry in header.items()}
        are_sizes = all(type(size) is int and 0 < size < MAX_BLOCK_BYTES for size in sizes.values())
        return sizes if are_sizes and sizes else None
    except (ValueError, RecursionError, KeyError, TypeError, IndexError, AttributeError):
        return None
