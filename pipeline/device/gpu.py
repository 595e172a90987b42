"""The GPU of this machine as its driver describes it, and whether the installed PyTorch can compute on it.

`look_at_gpu` decides for everybody: `check`, the choice of a model, the engine. Nothing here imports torch, which takes
seconds: what it was built for is read from its files.
"""

from __future__ import annotations

import contextlib
import importlib.util
import mmap
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pynvml

MIB = 2**20
FULL_MIB: Final = 256  # so little free memory means that somebody may want more
HOT: Final = pynvml.nvmlClocksEventReasonSwThermalSlowdown | pynvml.nvmlClocksEventReasonHwThermalSlowdown
UNDERPOWERED: Final = pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown | pynvml.nvmlClocksEventReasonHwSlowdown

# The oldest driver for each CUDA; within one, newer releases run on it too:
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
OLDEST_DRIVERS: Final = {11: 450, 12: 525, 13: 580}
INSTALL_DRIVER: Final = "install the NVIDIA driver (nvidia-smi must list the card)"
INSTALL_CUDA: Final = "install the CUDA build of PyTorch, see docs/operating.md"
TORCH_LIBRARIES: Final = ("libtorch_python.so", "torch_python.dll")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """The card that is used. Memory counts every process on it."""

    name: str
    driver: str
    total_mib: int
    free_mib: int
    compute_capability: tuple[int, int]
    newest_cuda: tuple[int, int] | None = None  # that the driver runs; None if it does not say

    @property
    def description(self) -> str:
        """Card and driver, for sentences."""
        return f"{self.name}, driver {self.driver}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchBuild:
    """What the installed PyTorch was built for."""

    version: str
    cuda: str | None  # None: it computes on the CPU only
    architectures: tuple[str, ...] = ()  # of cards, as sm_86; none where its files do not say


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuState:
    """Whether PyTorch can compute on the card, and if not, why and what to do about it."""

    gpu: Gpu | None
    obstacle: str = ""
    way_out: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether it can."""
        return not self.obstacle


def find_gpu() -> Gpu | None:
    """Ask the driver for the card that CUDA will use; None if there is no driver or no card. Takes milliseconds."""
    with contextlib.suppress(pynvml.NVMLError), _driver():
        card = find_device()
        memory = pynvml.nvmlDeviceGetMemoryInfo(card)
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(card)
        return Gpu(
            name=str(pynvml.nvmlDeviceGetName(card)),
            driver=str(pynvml.nvmlSystemGetDriverVersion()),
            total_mib=int(memory.total) // MIB,
            free_mib=int(memory.free) // MIB,
            compute_capability=(int(major), int(minor)),
            newest_cuda=_newest_cuda(),
        )
    return None


def _newest_cuda() -> tuple[int, int] | None:
    with contextlib.suppress(pynvml.NVMLError):
        version = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())  # 13020 is 13.2
        return version // 1000, version % 1000 // 10
    return None


def look_at_gpu() -> GpuState:
    """What this machine can do: its card, and whether the installed PyTorch computes there. Takes milliseconds."""
    return judge_gpu(find_gpu(), torch_build())


def judge_gpu(gpu: Gpu | None, build: TorchBuild) -> GpuState:
    """Compare a card and its driver with what PyTorch was built for."""
    if gpu is None:
        return GpuState(gpu=None, obstacle="no NVIDIA GPU that its driver knows of", way_out=INSTALL_DRIVER)
    if build.cuda is None:
        obstacle = f"the installed PyTorch {build.version} was built without CUDA"
        return GpuState(gpu=gpu, obstacle=obstacle, way_out=INSTALL_CUDA)
    if build.architectures and not any(_runs_on(name, gpu.compute_capability) for name in build.architectures):
        return _foreign_card(gpu, build)
    needed = int(build.cuda.partition(".")[0])
    if (newest := _newest_major(gpu)) is not None and newest < needed:
        found = f"{gpu.newest_cuda[0]}.{gpu.newest_cuda[1]}" if gpu.newest_cuda else f"{newest}"
        oldest = f"{OLDEST_DRIVERS[needed]} or newer" if needed in OLDEST_DRIVERS else f"one for CUDA {needed}"
        return GpuState(
            gpu=gpu,
            obstacle=(
                f"its driver {gpu.driver} is too old: it runs CUDA {found}, and the installed PyTorch {build.version} "
                f"needs CUDA {needed}, that is driver {oldest}"
            ),
            way_out=f"update the NVIDIA driver to {oldest}",
        )
    return GpuState(gpu=gpu)


def _foreign_card(gpu: Gpu, build: TorchBuild) -> GpuState:
    known = [capability for name in build.architectures if (capability := _capability(name)) is not None]
    have, oldest = f"{gpu.compute_capability[0]}.{gpu.compute_capability[1]}", "{}.{}".format(*min(known))
    if gpu.compute_capability < min(known):
        obstacle = f"it has compute capability {have}, and the installed PyTorch {build.version} needs {oldest} or more"
        way_out = f"use a card of compute capability {oldest} or more (https://developer.nvidia.com/cuda-gpus)"
    else:
        names = ", ".join(build.architectures)
        obstacle = f"it has compute capability {have}, and the installed PyTorch {build.version} was built for {names}"
        way_out = "install a newer PyTorch, see docs/operating.md"
    return GpuState(gpu=gpu, obstacle=obstacle, way_out=way_out)


def _newest_major(gpu: Gpu) -> int | None:
    """Of the CUDA that a driver runs; from its number, of three digits, where it does not say so itself."""
    if gpu.newest_cuda is not None:
        return gpu.newest_cuda[0]
    if (found := re.match(r"(\d{3})\.", gpu.driver)) is None:
        return None
    majors = [major for major, oldest in OLDEST_DRIVERS.items() if int(found[1]) >= oldest]
    return max(majors, default=min(OLDEST_DRIVERS) - 1)


def _capability(architecture: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"(?:sm|compute)_(\d+)(\d)[af]?", architecture)
    return None if found is None else (int(found[1]), int(found[2]))


def _runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    """Whether code for an architecture runs on a card: machine code (sm_86) on its later minors, PTX on any later."""
    built_for = _capability(architecture)
    if built_for is None or architecture.endswith(("a", "f")):  # for one kind of card, or its family
        return built_for == capability
    if architecture.startswith("compute_"):
        return built_for <= capability
    return built_for[0] == capability[0] and built_for[1] <= capability[1]


def why_slow() -> list[str]:
    """What the driver says that may hold the card back at this moment, for the log. Takes milliseconds."""
    causes = []
    with contextlib.suppress(pynvml.NVMLError), _driver():
        card = find_device()

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


def find_device() -> Any:
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


@cache
def torch_build() -> TorchBuild:
    """Read what the installed PyTorch was built for. Takes milliseconds."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return TorchBuild(version="", cuda=None)
    folder = Path(spec.origin).parent
    text = (folder / "version.py").read_text("utf-8")
    version = re.search(r"^__version__ *= *['\"](.+?)['\"]", text, re.MULTILINE)
    cuda = re.search(r"^cuda\b[^=\n]*= *['\"](.+?)['\"]", text, re.MULTILINE)
    return TorchBuild(
        version=version[1] if version else "",
        cuda=cuda[1] if cuda else None,
        architectures=_architectures(folder / "lib") if cuda else (),
    )


def _architectures(folder: Path) -> tuple[str, ...]:
    """The list that `torch.cuda.get_arch_list` returns, as it stands in the library; none if it is not there."""
    for path in (folder / name for name in TORCH_LIBRARIES):
        with (
            contextlib.suppress(OSError, ValueError),
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library,
        ):
            found = re.search(rb"\0(sm_\d{2,3}[af]?(?: (?:sm|compute)_\d{2,3}[af]?)*)\0", library)
            return tuple(found[1].decode().split()) if found else ()
    return ()
