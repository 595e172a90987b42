"""The seam between the machine room and everything above it: `Engine`, its progress and its picture.

Torch-free, so that callers import it in milliseconds. Implementations: `families/torch_engine.py`, `fake.py`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from pipeline.errors import InvalidSpec
from pipeline.spec import SIDE_MULTIPLE_PX, ImageSpec


class Stage(StrEnum):
    """Where a run is."""

    LOADING = "loading"
    ENCODING = "encoding"
    DENOISING = "denoising"
    DECODING = "decoding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What the picture is about to be, small and rough: (height, width, RGB) uint8 as bytes."""

    pixels: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An image that an edit looks at: (height, width, RGB) uint8 as bytes.

    Both sides are multiples of `SIDE_MULTIPLE_PX`.
    """

    pixels: bytes
    width: int
    height: int

    @property
    def key(self) -> str:
        """SHA-256 of its size and its pixels, as a spec names it."""
        return hashlib.sha256(f"{self.width}x{self.height}:".encode() + self.pixels).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A snapshot of a run; the latest wins, any may be dropped. `step` counts finished steps, 0…steps.

    `denoise_s` is measured by the engine, since a busy listener may get several snapshots at once.
    """

    stage: Stage
    step: int = 0
    steps: int = 0
    denoise_s: float = field(default=0.0, compare=False)  # since the first step began
    preview: Preview | None = field(default=None, compare=False, repr=False)  # after the first step, if there is one
    taken_mib: int = field(default=0, compare=False)  # GPU memory that other programs have, if more is streamed for it


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReport:
    """What an engine does with the GPU's memory, in bytes, as `pipeline/streaming/residency.py` knows it."""

    state: str
    limit_bytes: int  # of all that this process takes, CUDA's own context included
    resident_bytes: int  # of blocks that stay on the GPU
    streamed_bytes: int  # of blocks that cross the link each time the transformer runs
    ring_bytes: int
    expected_peak_bytes: int
    climbed: Mapping[str, int]  # what was changed because memory ran out, and how often
    taken_bytes: int = 0  # that other programs have of what the setting allows, if more is streamed for it

    def summary(self) -> str:
        """For a log line."""
        mib = {
            "limit": self.limit_bytes,
            "resident": self.resident_bytes,
            "streamed": self.streamed_bytes,
            "ring": self.ring_bytes,
            "expected peak": self.expected_peak_bytes,
        }
        parts = [self.state, *(f"{name} {count >> 20} MiB" for name, count in mib.items())]
        return ", ".join([*parts, *(f"{rung} × {count}" for rung, count in self.climbed.items())])


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedImage:
    """A picture and what it cost.

    pixels: (height, width, RGB) uint8, row-major, as bytes. Encoding a PNG takes half a second at 1024²,
    so it is left to the caller, who has other threads than the GPU's.
    """

    pixels: bytes
    width: int
    height: int
    spec: ImageSpec
    encode_s: float
    denoise_s: float
    decode_s: float
    peak_mib: int | None  # GPU memory reserved at most during the run; None on the CPU
    memory: MemoryReport | None = field(default=None, compare=False)  # None if nothing is planned there
    steps_taken: int | None = None  # if not all of the spec's; see `Architecture.steps_taken`

    @property
    def seconds(self) -> float:
        """Wall time of the whole run."""
        return self.encode_s + self.denoise_s + self.decode_s

    @property
    def step_s(self) -> float:
        """Seconds per denoising step that was taken."""
        return self.denoise_s / (self.steps_taken or self.spec.steps)


def check_source(spec: ImageSpec, source: bytes | None) -> None:
    """See that the pixels to start from are those that the spec names.

    Raises:
        InvalidSpec: missing, not asked for, or others.
    """
    if source is None:
        if spec.source:
            raise InvalidSpec("image", "to start from is missing")
    elif hashlib.sha256(source).hexdigest() != spec.source or len(source) != math.prod(spec.source_size) * 3:
        raise InvalidSpec("image", "to start from is not the one that was asked for")


def check_references(spec: ImageSpec, references: Sequence[Reference]) -> None:
    """See that the images that an edit looks at are those that the spec names, in their order.

    Raises:
        InvalidSpec: one is missing, not asked for, another, or no image.
    """
    if tuple(reference.key for reference in references) != spec.reference_keys:
        raise InvalidSpec("references", "are not those that were asked for")
    for each in references:
        sides_fit = min(each.width, each.height) > 0 and not (each.width | each.height) % SIDE_MULTIPLE_PX
        if not sides_fit or len(each.pixels) != each.width * each.height * 3:
            raise InvalidSpec("references", "are no images")


OnProgress = Callable[[Progress], None]
ShouldStop = Callable[[], bool]


class Engine(Protocol):
    """Turns one spec into one picture. Synchronous; every call comes from the same one thread."""

    def load(self) -> None:
        """Read the model files into memory. Blocks for seconds to minutes; idempotent.

        Raises:
            ModelFilesMissing, OutOfMemory, GenerationFailed, EngineDead
        """

    def generate(
        self,
        spec: ImageSpec,
        *,
        on_progress: OnProgress,
        should_stop: ShouldStop,
        source: bytes | None = None,
        references: Sequence[Reference] = (),
        upcoming: Sequence[str] = (),
    ) -> GeneratedImage:
        """Draw one picture; loads first if nobody did.

        `source` is the picture that `spec.source` names, if it names one: (height, width, RGB) uint8 of
        `spec.source_size`; `check_source` says whether it is. `references` are those of
        `spec.references`, see `check_references`. `upcoming` are the prompts that will probably be drawn next, which an
        engine may read along with this one; no picture depends on it.

        `on_progress` is called on this thread before each step and after the last. `should_stop` is asked
        again and again, so stopping takes one step at most; encoding and decoding cannot be interrupted.
        Whatever the outcome, the models are back at rest and the next call works.

        Raises:
            GenerationStopped: `should_stop` returned True.
            InvalidSpec, ModelFilesMissing, OutOfMemory, GenerationFailed, EngineDead
        """

    def forget_prompts(self) -> None:
        """Drop from memory whatever was read of prompts; files are the caller's. The next call reads again."""

    def close(self) -> None:
        """Free memory. Idempotent; the engine may not be used afterwards."""
