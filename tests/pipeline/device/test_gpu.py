"""What the GPU's driver says, or that there is none."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pynvml
import pytest

from pipeline.device.gpu import Gpu, TorchBuild, find_gpu, judge_gpu, torch_build, why_slow

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
        "nvmlSystemGetCudaDriverVersion_v2": lambda: 13010,
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
        newest_cuda=(13, 1),
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


def test_what_torch_was_built_for_is_read_without_importing_it() -> None:
    import torch

    build = torch_build()
    assert (build.version, build.cuda) == (torch.__version__, torch.version.cuda)
    assert list(build.architectures) == torch.cuda.get_arch_list()


BUILD = TorchBuild(
    version="2.15.0+cu132",
    cuda="13.2",
    architectures=("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"),
)


@pytest.mark.parametrize(
    ("name", "capability", "number", "newest_cuda", "obstacle", "way_out"),
    [
        ("GeForce GTX 1070", (6, 1), "535.183.01", 12020, "compute capability 6.1", "7.5 or more"),
        ("GeForce GTX 1070", (6, 1), "580.95.05", 13000, "compute capability 6.1", "7.5 or more"),
        ("Tesla V100", (7, 0), "580.95.05", 13000, "compute capability 7.0", "7.5 or more"),
        ("GeForce RTX 2070", (7, 5), "580.95.05", 13000, "", ""),
        ("GeForce RTX 2070", (7, 5), "535.183.01", 12020, "runs CUDA 12.2", "580 or newer"),
        ("GeForce RTX 2070", (7, 5), "535.183.01", None, "runs CUDA 12,", "580 or newer"),
        ("GeForce RTX 2070", (7, 5), "390.157", None, "too old", "580 or newer"),
        ("GeForce RTX 2070", (7, 5), "535.183.01", 13000, "", ""),  # with NVIDIA's package for compatibility
        ("GeForce RTX 4060", (8, 9), "610.10", None, "", ""),
        ("H200", (9, 0), "580.95.05", 13000, "", ""),
        ("GeForce RTX 5090", (12, 0), "610.10", 14000, "", ""),
        ("GeForce RTX 9090", (15, 0), "700.10", 14000, "compute capability 15.0", "newer PyTorch"),
        ("Orin", (8, 7), "580.95.05", 13000, "", ""),
        ("Thor", (11, 0), "580.95.05", 13000, "compute capability 11.0", "newer PyTorch"),
    ],
)
def test_card_and_driver_are_judged_by_what_torch_was_built_for(
    driver: None,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    capability: tuple[int, int],
    number: str,
    newest_cuda: int | None,
    obstacle: str,
    way_out: str,
) -> None:
    answers = {
        "nvmlDeviceGetName": lambda _device: name,
        "nvmlDeviceGetCudaComputeCapability": lambda _device: capability,
        "nvmlSystemGetDriverVersion": lambda: number,
        "nvmlSystemGetCudaDriverVersion_v2": fail if newest_cuda is None else lambda: newest_cuda,
    }
    for function, answer in answers.items():
        monkeypatch.setattr(pynvml, function, answer)
    state = judge_gpu(find_gpu(), BUILD)
    assert state.is_usable is (obstacle == "")
    assert obstacle in state.obstacle
    assert way_out in state.way_out
    assert state.gpu is not None and name in state.gpu.description and number in state.gpu.description


def test_torch_without_cuda_uses_no_card(driver: None) -> None:
    state = judge_gpu(find_gpu(), TorchBuild(version="2.15.0+cpu", cuda=None))
    assert "without CUDA" in state.obstacle


def test_code_that_can_be_compiled_for_later_cards_runs_there() -> None:
    card = Gpu(name="card", driver="580.1", total_mib=1, free_mib=1, compute_capability=(15, 0))
    assert judge_gpu(card, replace(BUILD, architectures=("sm_86", "compute_90"))).is_usable
    assert not judge_gpu(card, replace(BUILD, architectures=("sm_86", "sm_100a"))).is_usable


def test_where_the_files_of_torch_do_not_name_cards_the_driver_alone_is_judged() -> None:
    card = Gpu(name="card", driver="535.1", total_mib=1, free_mib=1, compute_capability=(6, 1))
    assert "too old" in judge_gpu(card, replace(BUILD, architectures=())).obstacle
