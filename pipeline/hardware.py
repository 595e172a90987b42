"""The GPU of this machine as its driver describes it, without torch: for `check` and for choosing a model."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pynvml

MIB = 2**20
FULL_MIB: Final = 256  # so little free memory means that somebody may want more
HOT: Final = pynvml.nvmlClocksEventReasonSwThermalSlowdown | pynvml.nvmlClocksEventReasonHwThermalSlowdown
UNDERPOWERED: Final = pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown | pynvml.nvmlClocksEventReasonHwSlowdown

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
    with contextlib.suppress(pynvml.NVMLError), _driver():
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
    return None


def why_slow() -> list[str]:
    """What the driver says that may hold the card back at this moment, for the log. Takes milliseconds."""
    causes = []
    with contextlib.suppress(pynvml.NVMLError), _driver():
        card = find_card()

        def asked(call: Callable[..., Any], *of: Any) -> Any:
            with contextlib.suppress(pynvml.NVMLError):  # of this driver, or of this card
                return call(card, *of)
            return None

        slowed_by = asked(pynvml.nvmlDeviceGetCurrentClocksEventReasons) or 0
        if slowed_by & HOT:
            temperature = asked(pynvml.nvmlDeviceGetTemperature, pynvml.NVML_TEMPERATURE_GPU)
            causes.append("it is too hot" if temperature is None else f"it is too hot, at {temperature} °C")
        elif slowed_by & UNDERPOWERED:
            causes.append("it gets too little power")
        if others := len(asked(pynvml.nvmlDeviceGetComputeRunningProcesses) or [None]) - 1:
            causes.append("another program uses it" if others == 1 else f"{others} other programs use it")
        memory = asked(pynvml.nvmlDeviceGetMemoryInfo)
        if memory is not None and memory.free < FULL_MIB * MIB:
            causes.append(
                "its memory is full, so its driver may lend it ordinary memory (on Windows: turn off the fallback to "
                "system memory)"
            )
    return causes


@contextlib.contextmanager
def _driver() -> Iterator[None]:
    """Start NVML and end it.

    Raises:
        NVMLError: there is no driver.
    """
    pynvml.nvmlInit()
    try:
        yield
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
