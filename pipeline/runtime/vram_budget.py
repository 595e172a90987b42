"""How much GPU memory this process may take and how much of it is there: `VramBudget`, real and fake.

The one place that decides is `pipeline/streaming/residency.py`; a budget only answers. Must not know models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import torch

from pipeline.device.gpu import MIB
from pipeline.runtime.cuda_memory import available_bytes, hold_to, room_bytes, start_cuda

GRAIN_BYTES: Final = 512 * MIB


class VramBudget(Protocol):
    """GPU memory in bytes, as this process sees it."""

    @property
    def limit(self) -> int:
        """What the setting allows this process, CUDA's own context included."""

    @property
    def grain(self) -> int:
        """Less than this is not worth another plan; also by how much a plan shrinks if memory runs out."""

    def available(self) -> int:
        """What this process takes and what nobody takes, together."""

    def context(self) -> int:
        """What CUDA takes by itself."""

    def largest_free(self) -> int:
        """What may still be allocated: neither withheld from this process nor taken by others."""

    def allocated(self) -> int:
        """What tensors take."""

    def trim(self) -> None:
        """Give back what no tensor uses."""


class CudaBudget:
    """The GPU's memory, of which torch is held to a limit."""

    grain = GRAIN_BYTES

    def __init__(self, limit_bytes: int) -> None:
        """Hold torch to the limit; starts CUDA if nobody has."""
        hold_to(limit_bytes)
        self.limit = limit_bytes

    def available(self) -> int:
        """Ask the driver."""
        return available_bytes()

    def context(self) -> int:
        """As measured when CUDA was started."""
        return start_cuda()

    def largest_free(self) -> int:
        """Ask the driver, and torch for its limit."""
        return room_bytes()

    def allocated(self) -> int:
        """Ask torch."""
        return torch.cuda.memory_allocated()

    def trim(self) -> None:
        """Empty torch's cache."""
        torch.cuda.empty_cache()


@dataclass
class FakeBudget:
    """A GPU that is not there: the CPU in its place, held to so many bytes. For tests.

    What `others` take is not available, as if another program had it.
    """

    limit: int
    grain: int = GRAIN_BYTES
    others: int = 0
    trims: int = 0

    def available(self) -> int:
        """All but what others take."""
        return self.limit - self.others

    def context(self) -> int:
        """The CPU needs none."""
        return 0

    def largest_free(self) -> int:
        """All but what others take."""
        return self.available()

    def allocated(self) -> int:
        """Nothing is counted."""
        return 0

    def trim(self) -> None:
        """Count how often."""
        self.trims += 1
