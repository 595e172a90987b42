"""Which device torch computes on."""

from __future__ import annotations

import logging

import torch

from pipeline.catalog.model_card import ModelCard
from pipeline.device.gpu import INSTALL_DRIVER, TorchBuild, find_gpu, judge_gpu
from pipeline.errors import GenerationFailed, GpuUnusable

log = logging.getLogger(__name__)


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
