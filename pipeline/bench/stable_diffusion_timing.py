"""Times whole images of SD 1.5 and SDXL at full size without their files, ours and DiffSynth's own.

As `engine_timing.py` does for FLUX.1: each in a process of its own, held to so much of the GPU.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from pipeline.bench.isolation import apart, held_to, here
from pipeline.bench.peak_memory import PeakMemory
from pipeline.bench.random_stable_diffusion import PARTS, Parts, random_model, stock_pipeline
from pipeline.bench.report import STOCK, Conditions
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.device.gpu import MIB
from pipeline.families.stable_diffusion.cards import VARIANTS
from pipeline.families.stable_diffusion.engine import StableDiffusionEngine
from pipeline.families.torch_engine import ReadModel
from pipeline.runtime.out_of_memory import Rung
from pipeline.runtime.process_setup import silence_diffsynth
from pipeline.runtime.vram_budget import FakeBudget
from pipeline.spec import Aspect, ImageOptions, ImageSpec
from pipeline.streaming.quantization import Format

PROMPT = "a fox in fresh snow at sunrise"
STOCK_ROOM_MIB = 512  # that DiffSynth's examples leave to activations


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One system at one size.

    step_s: median of the steps after the first.
    image_s: of a whole image of so many steps, with prompts that were not read before.
    peak_mib: of the whole process, as the driver counts it; None on a CPU.
    streamed_bytes: that cross the link at every step; None if that is not ours to say.
    climbed: how often the engine had to help itself, by rung.
    """

    step_s: float
    image_s: float
    peak_mib: int | None
    streamed_bytes: int | None = None
    climbed: Mapping[Rung, int] = field(default_factory=dict)


def time_model(name: str, system: str, conditions: Conditions, device: str = "cuda") -> Figures:
    """Time a model, `sd15` or `sdxl`, at the largest of the sizes, in a process of its own.

    Args:
        system: a format of weights, or `STOCK`.
        device: on the CPU, for tests, in this process.
    """
    call = apart if device == "cuda" else here
    return call(time_parts, PARTS[name] if device == "cpu" else None, name, system, conditions, device)


def draw_overflowing(name: str, conditions: Conditions, device: str = "cuda") -> Figures:
    """Draw from an init image in float16 with a VAE that overflows there; otherwise as `time_model`."""
    call = apart if device == "cuda" else here
    return call(draw_overflowing_parts, PARTS[name] if device == "cpu" else None, name, conditions, device)


def draw_overflowing_parts(parts: Parts | None, name: str, conditions: Conditions, device: str) -> Figures:
    """Draw so in this process; `parts`: None for those of full size."""
    memory = PeakMemory() if device == "cuda" else None  # before CUDA starts
    card = _card(name, conditions)
    width, height = card.size(Aspect.SQUARE)
    source = (bytes(range(256)) * (width * height * 3 // 256 + 1))[: width * height * 3]
    spec = replace(_spec(card, PROMPT), source=sha256(source).hexdigest(), strength=0.5)
    read = random_model(parts or PARTS[name], overflows=True)
    with (
        held_to(conditions, None, device),
        memory or nullcontext(),
        TemporaryDirectory(prefix="imagine-bot-", ignore_cleanup_errors=True) as folder,
    ):
        engine = _engine(read, card, Format.FLOAT16, conditions, device, Path(folder))
        image = engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False, source=source)
        assert engine.loaded is not None
        climbed = dict(engine.loaded.model.residency.ladder.climbed)
        engine.close()
    return Figures(step_s=image.step_s, image_s=image.seconds, peak_mib=memory.mib if memory else None, climbed=climbed)


def time_parts(parts: Parts | None, name: str, system: str, conditions: Conditions, device: str) -> Figures:
    """Time it in this process; `parts`: None for those of full size."""
    memory = PeakMemory() if device == "cuda" else None  # before CUDA starts
    parts = parts or PARTS[name]
    card = _card(name, conditions)
    with held_to(conditions, None, device), memory or nullcontext():
        if system == STOCK:
            figures = _time_stock(parts, card, conditions, device)
        else:
            with TemporaryDirectory(prefix="imagine-bot-", ignore_cleanup_errors=True) as folder:
                figures = _time_ours(parts, card, system, conditions, device, Path(folder))
    return replace(figures, peak_mib=memory.mib if memory else None)


def _card(name: str, conditions: Conditions) -> ModelCard:
    side = max(conditions.sides_px)
    return replace(VARIANTS[name], sizes={Aspect.SQUARE: (side, side)}, default_steps=conditions.steps)


def _engine(
    read: ReadModel, card: ModelCard, system: str, conditions: Conditions, device: str, folder: Path
) -> StableDiffusionEngine:
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
    engine = StableDiffusionEngine(card, config, budget=budget, read=read)
    engine.load()
    return engine


def _time_ours(
    parts: Parts, card: ModelCard, system: str, conditions: Conditions, device: str, folder: Path
) -> Figures:
    engine = _engine(random_model(parts), card, system, conditions, device, folder)
    images = [
        engine.generate(_spec(card, prompt), on_progress=lambda _progress: None, should_stop=lambda: False)
        for prompt in (PROMPT, f"{PROMPT}, again")  # the first warms up
    ]
    assert engine.loaded is not None
    streamed = engine.loaded.model.residency.transformer.streamed_bytes
    engine.close()
    return Figures(step_s=images[1].step_s, image_s=images[1].seconds, peak_mib=None, streamed_bytes=streamed)


def _time_stock(parts: Parts, card: ModelCard, conditions: Conditions, device: str) -> Figures:
    silence_diffsynth()
    limit_gib = (conditions.limit_mib - STOCK_ROOM_MIB) / 1024 if device == "cuda" else None
    pipe = stock_pipeline(parts, card, device, limit_gib)
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

    spec = _spec(card, PROMPT)
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
        )
        mark()
    _encode_s, *steps_s, _decode_s = (later - earlier for earlier, later in pairwise(marks))
    return Figures(step_s=statistics.median(steps_s), image_s=marks[-1] - marks[0], peak_mib=None)


def _spec(card: ModelCard, prompt: str) -> ImageSpec:
    return card.resolve(ImageOptions(prompt=prompt, seed=1), random_seed=0)
