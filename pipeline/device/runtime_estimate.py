"""What to expect of a large model on this card, from what was measured and packed before. No torch, so it is quick."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.catalog.architecture import Kind
from pipeline.catalog.files import read_header
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.device.gpu import MIB, look_at_gpu
from pipeline.device.gpu_profile import GpuProfile, packed_path, read_profile
from pipeline.device.memory_plan import EFFICIENCY, Plan, Weights, floor_seconds, plan_blocks
from pipeline.errors import OutOfMemory
from pipeline.spec import Aspect

CONTEXT_BYTES: Final = 500 * MIB  # of CUDA itself; the engine measures it
MAX_BLOCK_BYTES: Final = 2**40  # a damaged file says anything
BYTES_PER_WEIGHT: Final = {"float32": 4, "bfloat16": 2, "float8": 1, "int8": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEstimate:
    """How a model runs on a card. `step_s` is for a square picture; it counts on compiled blocks."""

    weight_format: str
    speed: GpuProfile
    plan: Plan | None  # None before its weights were packed, or where it does not fit at all
    step_s: float | None


def estimate_runtime(card: ModelCard, config: PipelineConfig) -> RuntimeEstimate | None:
    """None if the model is not streamed, without a usable GPU, or before that was measured. Takes milliseconds."""
    if not card.is_streamed or config.device == "cpu":
        return None
    state = look_at_gpu()
    if state.gpu is None or not state.is_usable:
        return None
    gpu = state.gpu
    speed = read_profile(config.packed_folder, gpu)
    if speed is None:
        return None
    chosen, uses_8bit_matmul = speed.choose_format()
    weight_format = chosen if config.precision == "auto" else config.precision
    architecture = card.architecture
    weights: dict[str, Weights] = {}
    for name, component in architecture.streamable.items():
        format_ = weight_format
        if component.kind is Kind.TEXT_ENCODER:  # as the engines keep those
            format_ = "int8" if component.is_8bit and BYTES_PER_WEIGHT[weight_format] == 1 else "bfloat16"
        sizes = _block_sizes(packed_path(config.packed_folder, card, name, format_))
        if sizes is None:
            return RuntimeEstimate(weight_format=weight_format, speed=speed, plan=None, step_s=None)
        weights[name] = Weights(component=component, sizes=sizes)
    transformer = weights.pop(architecture.transformer)
    width, height = card.sizes[Aspect.SQUARE]
    cost = architecture.cost(width, height, card.default_steps)
    try:
        plan = plan_blocks(
            transformer,
            weights.values(),
            fixed_bytes=sum(component.fixed_bytes for component in architecture.components.values()),
            free_bytes=config.limit_mib(gpu.total_mib) * MIB - CONTEXT_BYTES,
            cost=cost,
        )
    except OutOfMemory:
        return RuntimeEstimate(weight_format=weight_format, speed=speed, plan=None, step_s=None)
    tflops = speed.tflops.get(weight_format if uses_8bit_matmul else "bfloat16", speed.tflops.get("bfloat16"))
    if tflops is None:
        return RuntimeEstimate(weight_format=weight_format, speed=speed, plan=plan, step_s=None)
    floor_s = floor_seconds(
        transformer,
        streamed_bytes=plan.streamed_bytes,
        bytes_per_weight=BYTES_PER_WEIGHT[weight_format],
        link_gb_s=speed.link_gb_s,
        tflops=tflops,
        cost=cost,
    )
    step_s = floor_s / EFFICIENCY * cost.passes / card.default_steps
    return RuntimeEstimate(weight_format=weight_format, speed=speed, plan=plan, step_s=step_s)


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
