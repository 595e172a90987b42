"""What the GPU's driver says, or that there is none."""

from __future__ import annotations

from types import SimpleNamespace

import pynvml
import pytest

from pipeline.hardware import Gpu, find_gpu, torch_has_cuda, why_slow

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


HOT, POWER, IDLE = pynvml.nvmlClocksEventReasonSwThermalSlowdown, pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown, 1


@pytest.mark.parametrize(
    ("reasons", "programs", "free_mib", "expected"),
    [
        (IDLE, 1, 1000, []),
        (HOT | IDLE, 1, 1000, ["it is too hot, at 91 °C"]),
        (POWER, 1, 1000, ["it gets too little power"]),
        (0, 2, 1000, ["another program uses it"]),
        (0, 0, 1000, []),  # it did not say who computes on it
        (0, 1, 255, ["its memory is full"]),
        (HOT | POWER, 3, 0, ["it is too hot, at 91 °C", "2 other programs use it", "its memory is full"]),
    ],
)
def test_driver_says_why_a_card_is_slow(
    driver: None, monkeypatch: pytest.MonkeyPatch, reasons: int, programs: int, free_mib: int, expected: list[str]
) -> None:
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCurrentClocksEventReasons", lambda _card: reasons)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTemperature", lambda _card, _sensor: 91)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", lambda _card: [object()] * programs)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda _card: SimpleNamespace(free=free_mib * 2**20))
    assert [cause.partition(", so")[0] for cause in why_slow()] == expected


@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        ("nvmlInit", []),
        ("nvmlDeviceGetHandleByIndex", []),
        ("nvmlDeviceGetCurrentClocksEventReasons", ["another program uses it"]),  # an old driver
        ("nvmlDeviceGetTemperature", ["it is too hot", "another program uses it"]),
        ("nvmlDeviceGetComputeRunningProcesses", ["it is too hot, at 91 °C"]),
        ("nvmlDeviceGetMemoryInfo", ["it is too hot, at 91 °C", "another program uses it"]),
    ],
)
def test_what_a_driver_does_not_say_is_left_out(
    driver: None, monkeypatch: pytest.MonkeyPatch, failing: str, expected: list[str]
) -> None:
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCurrentClocksEventReasons", lambda _card: HOT)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTemperature", lambda _card, _sensor: 91)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", lambda _card: [object()] * 2)
    monkeypatch.setattr(pynvml, failing, fail)
    assert why_slow() == expected


def test_whether_torch_has_cuda_is_read_without_importing_it() -> None:
    import torch

    assert torch_has_cuda() is (torch.version.cuda is not None)
