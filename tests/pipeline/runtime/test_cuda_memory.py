"""Memory of the GPU as it is asked for; what torch raises about it is tested with the engine."""

from __future__ import annotations

import pytest
import torch

from pipeline.device.gpu import MIB
from pipeline.runtime import cuda_memory


@pytest.mark.parametrize(
    "ask",
    [cuda_memory.total_mib, cuda_memory.available_bytes, lambda: cuda_memory.hold_to(4000 * MIB)],
    ids=["all", "free", "hold"],
)
def test_cuda_is_started_where_it_is_seen_what_that_takes(ask: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever starts it before `start_cuda` hides how much of the card CUDA takes by itself."""
    calls: list[str] = []

    def called(name: str, value: object) -> object:
        calls.append(name)
        return value

    monkeypatch.setattr(cuda_memory, "start_cuda", lambda: called("start", 500 * MIB))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: called("info", (7000 * MIB, 8192 * MIB)))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: called("reserved", 0))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share: called("limit", None))
    assert callable(ask)
    ask()
    assert calls[0] == "start"
    assert len(calls) > 1
