"""A card as it was measured, where hardly anything of that matters."""

from __future__ import annotations

from typing import Any

from pipeline.device.gpu_profile import GpuProfile


def measured_card(**changes: Any) -> GpuProfile:
    """Fast at integers, as GeForce cards are; without kernels of our own."""
    figures = {
        "gpu": "a card",
        "driver": "1",
        "torch": "2",
        "link_gb_s": 12.5,
        "tflops": {"bfloat16": 30.0, "int8": 110.0},
        "int8_tiles": None,
        "fuses_rows": False,
    }
    return GpuProfile.model_validate(figures | changes)
