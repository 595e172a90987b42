"""What `imagine-bot bench engine` measures, and the way to it. Torch is imported on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

STOCK: Final = "stock"  # DiffSynth with its own recipe for small cards
SYSTEMS: Final = ("int8", "float8", "bfloat16", STOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One system at one size."""

    system: str
    side_px: int
    first_step_s: float
    step_s: float  # median
    peak_mib: int | None  # that torch reserved; None on the CPU
    streamed_bytes: int | None  # to the device at every step; None where that is unknown
    link_gb_s: float | None  # 10⁹ bytes per second, measured; None on the CPU

    @property
    def link_share(self) -> float | None:
        """How much of a step the link would need alone; at 1 it is the limit and never waits."""
        if self.streamed_bytes is None or self.link_gb_s is None:
            return None
        return self.streamed_bytes / (self.link_gb_s * 1e9) / self.step_s


def time_engine(systems: Sequence[str], *, limit_mib: int, sides_px: Sequence[int], steps: int) -> Iterator[Timing]:
    """Time FLUX.1's transformer with random weights on the GPU; see `pipeline.flux.benchmark`. Takes minutes.

    Raises:
        OutOfMemory
    """
    from pipeline.flux.benchmark import time_systems

    yield from time_systems(systems, device="cuda", limit_mib=limit_mib, sides=sides_px, steps=steps)
