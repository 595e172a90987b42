"""Draws with SD 1.5 or SDXL at full size without their files, with a VAE that overflows in 16 bits as SDXL's does.

How long images take is the business of `model_timing.py`.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.bench.isolation import apart, held_to
from pipeline.bench.model_timing import Figures, load_engine, sized, spec_of
from pipeline.bench.peak_memory import PeakMemory
from pipeline.bench.random_stable_diffusion import PARTS, Parts, tenant_of
from pipeline.bench.report import Conditions
from pipeline.streaming.quantization import Format


def draw_overflowing(name: str, conditions: Conditions) -> Figures:
    """Draw from an init image in float16 on the GPU, in a process of its own."""
    return apart(draw_overflowing_parts, None, name, conditions, "cuda")


def draw_overflowing_parts(parts: Parts | None, name: str, conditions: Conditions, device: str) -> Figures:
    """Draw so in this process; `parts`: None for those of full size."""
    memory = PeakMemory() if device == "cuda" else None  # before CUDA starts
    tenant = tenant_of(name, parts or PARTS[name], overflows=True)
    tenant = replace(tenant, card=sized(tenant.card, conditions))
    spec = spec_of(tenant.card)
    pixels = spec.width * spec.height * 3
    source = (bytes(range(256)) * (pixels // 256 + 1))[:pixels]
    spec = replace(spec, source=sha256(source).hexdigest(), strength=0.5)
    with (
        held_to(conditions, device),
        memory or nullcontext(),
        TemporaryDirectory(prefix="imagine-bot-", ignore_cleanup_errors=True) as folder,
    ):
        engine = load_engine(tenant, Format.FLOAT16, conditions, device, Path(folder))
        image = engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False, source=source)
        assert engine.loaded is not None
        climbed = dict(engine.loaded.model.residency.ladder.climbed)
        engine.close()
    return Figures(step_s=image.step_s, image_s=image.seconds, peak_mib=memory.mib if memory else None, climbed=climbed)
