"""What times SD 1.5 and SDXL on a GPU runs on a CPU, with small modules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from diffsynth.models.stable_diffusion_text_encoder import SDTextEncoder
from diffsynth.models.stable_diffusion_xl_text_encoder import SDXLTextEncoder2

from pipeline.bench.model_timing import time_tenant
from pipeline.bench.random_stable_diffusion import Parts, tenant_of
from pipeline.bench.report import STOCK, Conditions
from pipeline.bench.stable_diffusion_timing import draw_overflowing_parts
from pipeline.families.stable_diffusion.text_encoders import GELU, QUICK_GELU, Clip
from pipeline.runtime.out_of_memory import Rung
from tests.pipeline.families.stable_diffusion.random_sd import CLIP, sd15_unet, sdxl_unet, small_vae


def clip(projection: int | None, activation: str) -> Clip:
    return Clip(
        vocabulary=CLIP["vocab_size"],
        width=CLIP["hidden_size"],
        hidden_width=CLIP["intermediate_size"],
        heads=CLIP["num_attention_heads"],
        layers=CLIP["num_hidden_layers"],
        tokens=77,
        projection=projection,
        activation=activation,
    )


SD15 = Parts(
    unet=sd15_unet,
    vae=small_vae,
    clips={"clip_l": lambda: clip(None, QUICK_GELU)},
    stock_clips={"clip_l": lambda: SDTextEncoder(**CLIP)},
)
SDXL = replace(
    SD15,
    unet=sdxl_unet,
    clips={**SD15.clips, "clip_g": lambda: clip(64, GELU)},
    stock_clips={**SD15.stock_clips, "clip_g": lambda: SDXLTextEncoder2(**CLIP, projection_dim=64)},
)


@pytest.mark.parametrize(
    ("name", "parts", "system"),
    [("sd15", SD15, "float32"), ("sd15", SD15, STOCK), ("sdxl", SDXL, "int8"), ("sdxl", SDXL, STOCK)],
)
def test_every_system_is_timed(name: str, parts: Parts, system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.bench.random_weights.PATTERN", 2**16 - 3)
    monkeypatch.setattr("torch.cpu.empty_cache", lambda: None, raising=False)  # which DiffSynth calls by the device
    conditions = Conditions(limit_mib=2000, sides_px=(128,), steps=2, is_eager=True)
    figures = time_tenant(tenant_of(name, parts), system, conditions, "cpu")
    assert 0 < figures.step_s < figures.image_s
    assert figures.streamed_bytes == (None if system == STOCK else 0)
    assert figures.peak_mib is None


def test_vae_that_overflows_is_drawn_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.bench.random_weights.PATTERN", 2**16 - 3)
    conditions = Conditions(limit_mib=2000, sides_px=(64,), steps=2, is_eager=True)
    figures = draw_overflowing_parts(SD15, "sd15", conditions, "cpu")
    assert figures.climbed.get(Rung.FLOAT32) == 2  # the encoder and the decoder
    assert not figures.climbed.get(Rung.CPU)
