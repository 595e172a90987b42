"""The GPU of this machine as its driver describes it, without torch: for `check` and for choosing a model."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml

MIB = 2**20

# Cards are numbered as the driver's tools number them; CUDA by itself would put the fastest first.
os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """The card that is used. Memory counts every process on it."""

    name: str
    driver: str
    total_mib: int
    free_mib: int
    compute_capability: tuple[int, int]


def find_gpu() -> Gpu | None:
    """Ask the driver for the card that CUDA will use; None if there is no driver or no card. Takes milliseconds."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        card = find_card()
        memory = pynvml.nvmlDeviceGetMemoryInfo(card)
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(card)
        return Gpu(
            name=str(pynvml.nvmlDeviceGetName(card)),
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


def find_card() -> Any:
    """NVML's handle of the first card, or of the one that `CUDA_VISIBLE_DEVICES` names first. NVML must be started.

    Raises:
        NVMLError: there is no such card.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if named.startswith(("GPU-", "MIG-")):
        return pynvml.nvmlDeviceGetHandleByUUID(named)
    if not named.isdecimal():  # nothing or -1 hides every card from CUDA
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
    return pynvml.nvmlDeviceGetHandleByIndex(int(named))


def torch_has_cuda() -> bool:
    """Whether the installed torch was built for CUDA, read from its version file: importing it takes seconds."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    text = (Path(spec.origin).parent / "version.py").read_text("utf-8")
    return re.search(r"^cuda\b[^=]*= *['\"]", text, re.MULTILINE) is not None
