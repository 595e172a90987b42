"""What torch is told before a model is read: which device, how many threads, where compiled code is kept."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

import torch

from pipeline.catalog.model_card import ModelCard
from pipeline.device.gpu import INSTALL_DRIVER, TorchBuild, find_gpu, judge_gpu
from pipeline.device.gpu_profile import is_writable
from pipeline.errors import GenerationFailed, GpuUnusable

log = logging.getLogger(__name__)

COMPILERS: Final = ("torchinductor", "triton")
_TORCH_THREADS: Final = torch.get_num_threads()  # torch's own choice: the cores that this process may use


def keep_compiled_in(packed_dir: Path) -> None:
    """Let compiled code outlive the process, beside the packed weights; the system's temporary folder would lose it."""
    if not is_writable(packed_dir):  # all has been packed before
        return
    for compiler in COMPILERS:
        os.environ.setdefault(f"{compiler.upper()}_CACHE_DIR", str(packed_dir / compiler))


def default_threads() -> int:
    """All cores but one, which is the event loop's; both where there are only two."""
    return _TORCH_THREADS - 1 if _TORCH_THREADS > 2 else _TORCH_THREADS


def choose_device(setting: str, card: ModelCard) -> str:
    """Return `cuda` or `cpu` for a setting of `auto`, `cuda` or `cpu`.

    Raises:
        GenerationFailed: it has to be `cuda`, and PyTorch finds no card.
        GpuUnusable: the model is large, and nobody asked for the CPU by name.
    """
    if setting == "cpu":
        if card.needs_gpu:
            log.warning(
                "%s draws on the CPU, as [pipeline] device says: that takes hours and tens of gigabytes", card.name
            )
        return "cpu"
    build = TorchBuild(
        version=torch.__version__, cuda=torch.version.cuda, architectures=tuple(torch.cuda.get_arch_list())
    )
    state = judge_gpu(find_gpu(), build)
    # Some containers have CUDA and not the part of the driver that describes cards.
    if torch.cuda.is_available() and (state.gpu is None or state.is_usable):
        return "cuda"
    obstacle = state.obstacle or "PyTorch finds no graphics card that it can use"
    if card.needs_gpu:
        gpu = "" if state.gpu is None else state.gpu.description
        raise GpuUnusable(card.name, gpu=gpu, obstacle=obstacle, way_out=state.way_out or INSTALL_DRIVER)
    if setting == "cuda":
        raise GenerationFailed(f"PyTorch finds no graphics card that it can use: {obstacle}")
    return "cpu"
