"""What `imagine-bot bench engine` measures, and under which conditions. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

STOCK: Final = "stock"  # DiffSynth with its own recipe for small cards
SYSTEMS: Final = ("int8", "float8", "bfloat16", STOCK)
PEERS: Final = ("diffusers", "mmgp")  # not among our dependencies
PICTURE_STEPS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulation:
    """A small card as a part of a large one. Its memory is the limit's business."""

    multiprocessors: int
    link_gb_s: float


# 8 of an H200's 132 multiprocessors are good for some 60 TFLOP/s in bfloat16 and 120 in 8 bits; an RTX 4060 for as
# much in 8-bit integers, behind eight lanes of PCIe 4.0.
EMULATIONS: Final[Mapping[str, Emulation]] = {"rtx4060": Emulation(multiprocessors=8, link_gb_s=12.8)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The same for every system."""

    limit_mib: int  # of the card's memory for the whole process; held to by force
    sides_px: tuple[int, ...]  # of square pictures
    steps: int
    is_eager: bool = False  # blocks are not compiled
    draws_pictures: bool = False  # whole ones as well
    emulation: Emulation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where the figures come from."""

    gpu: str
    driver: str
    cpus: int
    versions: Mapping[str, str]  # of what is installed
    link_gb_s: float  # 10⁹ bytes per second to the card from page-locked memory, measured
    pageable_gb_s: float  # the same from ordinary memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One system at one size. None is what was not or cannot be measured."""

    system: str
    side_px: int
    first_step_s: float | None = None  # of a system that was made ready, its blocks compiled
    step_s: float | None = None  # median
    peak_mib: int | None = None  # of the whole process, as the driver counts it, making ready included
    streamed_bytes: int | None = None  # to the device at every step
    link_gb_s: float | None = None  # 10⁹ bytes per second that the link has for them
    kernels: int | None = None  # launched per step
    busy_s: float | None = None  # how long these take together
    floor_s: float | None = None  # the longer of link and arithmetic, at the rates that were measured of both
    is_compiled: bool | None = None
    error: str | None = None  # why there are no figures

    @property
    def link_share(self) -> float | None:
        """How much of a step the link would need alone; at 1 it is the limit and never waits."""
        if self.streamed_bytes is None or self.link_gb_s is None or self.step_s is None:
            return None
        return self.streamed_bytes / (self.link_gb_s * 1e9) / self.step_s

    @property
    def floor_share(self) -> float | None:
        """How near a step comes to its floor. Rates depend on shapes a little, so 1 is not quite the end."""
        return self.floor_s / self.step_s if self.floor_s is not None and self.step_s is not None else None

    @property
    def idle_share(self) -> float | None:
        """How much of a step the GPU computes nothing."""
        if self.busy_s is None or self.step_s is None:
            return None
        return max(0.0, 1 - self.busy_s / self.step_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Whole pictures of `PICTURE_STEPS` by one system at one size. None is what was not or cannot be measured."""

    system: str
    side_px: int
    new_prompt_s: float | None = None
    known_prompt_s: float | None = None  # another seed of the same prompt
    peak_mib: int | None = None  # as in `Timing`
    host_mib: int | None = None  # of main memory that the process has after these pictures, page-locked included
    error: str | None = None  # why there are no figures
