"""Page-locked copies: as many as there is room for, then the data themselves. CUDA is stood in for."""

from __future__ import annotations

import logging

import pytest
import torch

from pipeline.streaming import pinned_memory
from pipeline.streaming.pinned_memory import LOCKED_SHARE, PinnedMemory

SIZE = 1000


class Cuda:
    """Locks so many bytes, then refuses. `held` are those that are locked, by address."""

    def __init__(self, limit: int) -> None:
        self.limit, self.held, self.calls, self.is_failed = limit, dict[int, int](), 0, False

    def cudart(self) -> Cuda:
        return self

    def cudaHostRegister(self, address: int, size: int, _flags: int) -> int:  # noqa: N802
        self.calls += 1
        if sum(self.held.values()) + size > self.limit:
            self.is_failed = True
            return 2
        self.held[address] = size
        return 0

    def cudaHostUnregister(self, address: int) -> int:  # noqa: N802
        del self.held[address]
        return 0

    def launch(self, *_size: int, device: str) -> None:
        """What torch does with an error that is left over: raise it, once."""
        assert device == "cuda"
        if self.is_failed:
            self.is_failed = False
            raise torch.AcceleratorError("CUDA error: out of memory")


def make(monkeypatch: pytest.MonkeyPatch, *, system: int, ram: int = 10**6) -> tuple[PinnedMemory, Cuda]:
    cuda = Cuda(system)
    monkeypatch.setattr(pinned_memory.torch.cuda, "cudart", cuda.cudart)
    monkeypatch.setattr(pinned_memory.torch, "ones", cuda.launch)
    monkeypatch.setattr(pinned_memory.psutil, "virtual_memory", lambda: type("Memory", (), {"total": ram}))
    return PinnedMemory(), cuda


def block(value: int) -> torch.Tensor:
    return torch.full((SIZE,), value, dtype=torch.uint8)


def test_copies_are_locked_and_equal_until_they_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, cuda = make(monkeypatch, system=10 * SIZE)
    data = [block(value) for value in range(3)]
    copies = [memory.copy(each) for each in data]
    assert all(torch.equal(copy, each) and copy is not each for copy, each in zip(copies, data, strict=True))
    assert set(cuda.held) == {copy.data_ptr() for copy in copies}
    copies.pop()
    assert set(cuda.held) == {copy.data_ptr() for copy in copies}


def test_share_of_the_host_is_kept_to_and_room_that_was_given_back_is_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    memory, cuda = make(monkeypatch, system=10**9, ram=int(2.5 * SIZE / LOCKED_SHARE))
    data = [block(value) for value in range(4)]
    copies = [memory.copy(each) for each in data]
    assert [copy is each for copy, each in zip(copies, data, strict=True)] == [False, False, True, True]
    assert sum(cuda.held.values()) == 2 * SIZE
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    del copies[0]
    assert memory.copy(data[0]) is not data[0]


def test_system_that_refuses_is_asked_once_and_leaves_no_error_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    memory, cuda = make(monkeypatch, system=SIZE)
    data = [block(value) for value in range(4)]
    copies = [memory.copy(each) for each in data]
    assert [copy is each for copy, each in zip(copies, data, strict=True)] == [False, True, True, True]
    assert cuda.calls == 2
    assert not cuda.is_failed
    assert len(caplog.records) == 1
    assert "0.0 GB" in caplog.text
