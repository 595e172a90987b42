"""What the GPU's driver says, or that there is none."""

from __future__ import annotations

from types import SimpleNamespace

import pynvml
import pytest

from pipeline.hardware import Gpu, find_gpu, torch_has_cuda

CARDS = {0: "NVIDIA GeForce RTX 4060", 1: "NVIDIA A2", "GPU-5c0f": "NVIDIA L4", "MIG-77": "NVIDIA H100 MIG"}


def fail(*_args: object) -> None:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)


def test_no_driver_means_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert find_gpu() is None


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(total=8188 * 2**20, free=7000 * 2**20)
    answers = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetHandleByUUID": lambda uuid: uuid,
        "nvmlDeviceGetMemoryInfo": lambda device: memory,
        "nvmlDeviceGetCudaComputeCapability": lambda device: (8, 9),
        "nvmlDeviceGetName": lambda device: CARDS[device],
        "nvmlSystemGetDriverVersion": lambda: "580.1",
    }
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)


def test_first_card_is_described(driver: None) -> None:
    assert find_gpu() == Gpu(
        name="NVIDIA GeForce RTX 4060",
        driver="580.1",
        total_mib=8188,
        free_mib=7000,
        compute_capability=(8, 9),
    )


@pytest.mark.parametrize(
    ("visible", "name"),
    [
        ("1", "NVIDIA A2"),
        ("1,0", "NVIDIA A2"),
        (" 0", "NVIDIA GeForce RTX 4060"),
        ("GPU-5c0f", "NVIDIA L4"),
        ("MIG-77,0", "NVIDIA H100 MIG"),
        ("", None),
        ("-1", None),
        ("NoDevFiles", None),
    ],
)
def test_card_is_the_one_that_cuda_is_let_see(
    driver: None, visible: str, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    gpu = find_gpu()
    assert (gpu and gpu.name) == name


def test_driver_without_a_card_means_no_gpu(driver: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", fail)
    assert find_gpu() is None


def test_whether_torch_has_cuda_is_read_without_importing_it() -> None:
    import torch

    assert torch_has_cuda() is (torch.version.cuda is not None)
