"""The GPU of this machine as its driver describes it, without torch: for `check` and for choosing a model."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import pynvml

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """The first NVIDIA card. Memory counts every process on it."""

    name: str
    driver: str
    total_mib: int
    free_mib: int
    compute_capability: tuple[int, int]


def find_gpu() -> Gpu | None:
    """Ask the driver for the first NVIDIA GPU; None if there is no driver or no card. Takes milliseconds."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        device = pynvml.nvmlDeviceGetHandleByIndex(0)
        memory = pynvml.nvmlDeviceGetMemoryInfo(device)
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(device)
        return Gpu(
            name=str(pynvml.nvmlDeviceGetName(device)),
            driver=str(pynvml.nvmlSystemGetDriverVersion()),
            total_mib=int(memory.total) // MIB,
            free_mib=int(memory.free) // MIB,
            compute_capability=(int(major), int(minor)),
        )
    except pynvml.NVMLError:
        return None
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
