"""Times whole images of any model at full size without its files, ours and DiffSynth's own.

Each in a process of its own, held to so much of the GPU. What a family brings for that is a `Tenant`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from PIL import Image

from pipeline.bench.isolation import apart, held_to, slow_link
from pipeline.bench.peak_memory import PeakMemory
from pipeline.bench.report import STOCK, Conditions
from pipeline.bench.tenants import Tenant, find_tenant
from pipeline.catalog.architecture import StepCost
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.device.gpu import MIB
from pipeline.engine import Reference
from pipeline.families.torch_engine import TorchEngine
from pipeline.runtime.out_of_memory import Rung
from pipeline.runtime.process_setup import silence_diffsynth
from pipeline.runtime.vram_budget import FakeBudget
from pipeline.spec import Aspect, ImageOptions, ImageSpec
from pipeline.streaming import autotune
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.quantization import Format
from pipeline.streaming.streamed_module import StreamedModule

PROMPT: Final = "a fox in fresh snow at sunrise"
STOCK_ROOM_MIB: Final = 512  # that DiffSynth's examples leave to activations


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One system at one size.

    step_s: median of the steps after the first.
    image_s: of a whole image of so many steps, with a prompt that was not read before.
    peak_mib: of the whole process, as the driver counts it; None on a CPU.
    streamed_bytes: that cross the link at every step; None if that is not ours to say.
    parameters: of the transformer and, if they are streamed too, the text encoders; None likewise.
    floor_s: what a step takes at least by link and arithmetic, at the rates that were measured here; None on a CPU.
    climbed: how often the engine had to help itself, by rung.
    """

    step_s: float
    image_s: float
    peak_mib: int | None
    streamed_bytes: int | None = None
    parameters: int | None = None
    floor_s: float | None = None
    climbed: Mapping[Rung, int] = field(default_factory=dict)

    @property
    def floor_share(self) -> float | None:
        """How near a step comes to its floor."""
        return self.floor_s / self.step_s if self.floor_s is not None else None


def time_model(
    name: str, system: str, conditions: Conditions, references: int = 0, *, folder: Path | None = None
) -> Figures:
    """Time a model on the GPU at the largest of the sizes, in a process of its own.

    Args:
        name: of a card, see `tenants.MAKERS`.
        system: a format of weights, or `STOCK`.
        references: how many images of the same size it looks at.
        folder: for what is measured and compiled; given again, that is not done again, as long as the emulation is the
            same. None for one that is deleted afterwards.

    Raises:
        UnknownModel
    """
    return apart(_time_named, name, system, conditions, references, folder)


def _time_named(name: str, system: str, conditions: Conditions, references: int, folder: Path | None) -> Figures:
    return time_tenant(find_tenant(name), system, conditions, "cuda", references, folder=folder)


def time_tenant(
    tenant: Tenant,
    system: str,
    conditions: Conditions,
    device: str,
    references: int = 0,
    *,
    folder: Path | None = None,
) -> Figures:
    """Time it in this process; on the CPU for tests."""
    memory = PeakMemory() if device == "cuda" else None  # before CUDA starts
    tenant = replace(tenant, card=sized(tenant.card, conditions))
    with held_to(conditions, device), memory or nullcontext():
        if system == STOCK:
            figures = _time_stock(tenant, conditions, device, references)
        else:
            with TemporaryDirectory(prefix="imagine-bot-", ignore_cleanup_errors=True) as own:
                measured = autotune.link_gb_s() if device == "cuda" else None
                with slow_link(conditions, measured) as link:
                    engine = load_engine(tenant, system, conditions, device, folder or Path(own))
                    figures = _time_ours(engine, tenant.card, references, link)
    return replace(figures, peak_mib=memory.mib if memory else None)


def sized(card: ModelCard, conditions: Conditions) -> ModelCard:
    """A card whose square and steps are those of the conditions."""
    side = max(conditions.sides_px)
    return replace(card, sizes={Aspect.SQUARE: (side, side)}, default_steps=conditions.steps)


def spec_of(card: ModelCard, prompt: str = PROMPT, references: Sequence[Reference] = ()) -> ImageSpec:
    """What is drawn."""
    keys = [each.key for each in references]
    return card.resolve(ImageOptions(prompt=prompt, seed=1), random_seed=0, references=keys)


def references_of(card: ModelCard, count: int) -> list[Reference]:
    """So many images of noise to look at, of the size that is drawn."""
    width, height = card.size(Aspect.SQUARE)
    noise = torch.Generator()
    return [
        Reference(
            pixels=torch.randint(256, (width * height * 3,), generator=noise.manual_seed(number), dtype=torch.uint8)
            .numpy()
            .tobytes(),
            width=width,
            height=height,
        )
        for number in range(count)
    ]


def load_engine(tenant: Tenant, system: str, conditions: Conditions, device: str, folder: Path) -> TorchEngine:
    """Make a tenant's engine and load it."""
    config = PipelineConfig.model_validate(
        {
            "device": device,
            "precision": system,
            "vram_limit_mib": conditions.limit_mib,
            "compile": not conditions.is_eager,
            "models_dir": folder,
        }
    )
    budget = FakeBudget(conditions.limit_mib * MIB) if device == "cpu" else None
    engine = tenant.engine(tenant.card, config, budget=budget, read=tenant.read)
    engine.load()
    return engine


def _time_ours(engine: TorchEngine, card: ModelCard, references: int, link_gb_s: float | None) -> Figures:
    shown = references_of(card, references)
    images = [
        engine.generate(
            spec_of(card, prompt, shown),
            on_progress=lambda _progress: None,
            should_stop=lambda: False,
            references=shown,
        )
        for prompt in (PROMPT, f"{PROMPT}, again")  # the first warms up
    ]
    assert engine.loaded is not None
    residency = engine.loaded.model.residency
    width, height = card.size(Aspect.SQUARE)
    cost = card.architecture.cost_of(width, height, card.default_steps, reference_pixels=references * width * height)
    figures = Figures(
        step_s=images[1].step_s,
        image_s=images[1].seconds,
        peak_mib=None,
        streamed_bytes=residency.transformer.streamed_bytes,
        parameters=sum(_parameters(part.module) for part in residency.parts),
        floor_s=_floor_s(engine.loaded.arithmetic, residency.transformer, cost, link_gb_s),
        climbed=dict(residency.ladder.climbed),
    )
    engine.close()
    return figures


def _floor_s(
    arithmetic: Arithmetic, transformer: StreamedModule, cost: StepCost, link_gb_s: float | None
) -> float | None:
    """What a step takes at least: products at the rate of the format, attention and convolutions at that of 16 bits."""
    if arithmetic.speed is None or link_gb_s is None:
        return None
    weight_format, tflops = arithmetic.weight_format, arithmetic.speed.tflops
    half = tflops[Format.BFLOAT16]
    rate = tflops.get(weight_format, half) if arithmetic.uses_8bit_matmul else half
    weights = {name: size / weight_format.dtype.itemsize for name, size in transformer.weights.running.items()}
    others = cost.operations(dict.fromkeys(weights, 0.0))
    arithmetic_s = ((cost.operations(weights) - others) / rate + others / half) / 1e12
    return max(transformer.streamed_bytes / (link_gb_s * 1e9), arithmetic_s)


def _parameters(module: torch.nn.Module) -> int:
    """How many it has, without the scales of weights in 8 bits."""
    return sum(tensor.numel() for name, tensor in module.state_dict().items() if not name.endswith("scale"))


def _time_stock(tenant: Tenant, conditions: Conditions, device: str, references: int) -> Figures:
    silence_diffsynth()
    limit_gib = (conditions.limit_mib - STOCK_ROOM_MIB) / 1024 if device == "cuda" else None
    pipe = tenant.stock(tenant.card, device, limit_gib)
    marks: list[float] = []

    def mark() -> None:
        if device == "cuda":
            torch.cuda.synchronize()
        marks.append(time.perf_counter())

    def watch(timesteps: torch.Tensor) -> Iterator[torch.Tensor]:
        mark()
        for timestep in timesteps:
            yield timestep
            mark()

    spec = spec_of(tenant.card)
    edit: dict[str, Any] = {}
    if references:
        shown = references_of(tenant.card, references)
        pictures = [Image.frombytes("RGB", (each.width, each.height), each.pixels) for each in shown]
        edit = {"edit_image": pictures, "edit_image_auto_resize": False}
    for _ in range(2):
        marks.clear()
        mark()
        pipe(
            prompt=spec.prompt,
            cfg_scale=spec.cfg_scale,
            width=spec.width,
            height=spec.height,
            seed=spec.seed,
            num_inference_steps=spec.steps,
            progress_bar_cmd=watch,
            **edit,
        )
        mark()
    _encode_s, *steps_s, _decode_s = (later - earlier for earlier, later in pairwise(marks))
    return Figures(step_s=statistics.median(steps_s), image_s=marks[-1] - marks[0], peak_mib=None)
