"""One run of an engine: its progress, its stop and its times. Must not know what is drawn, or with what."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized

import torch
from PIL import Image

from pipeline.device.gpu import MIB
from pipeline.engine import GeneratedImage, MemoryReport, OnProgress, Preview, Progress, Reference, ShouldStop, Stage
from pipeline.errors import GenerationFailed, GenerationStopped
from pipeline.spec import ImageSpec


class NotFinite(GenerationFailed):
    """A step overflowed: what follows would be noise."""


class DenoisingRun:
    """What is measured and reported about one image."""

    def __init__(
        self,
        spec: ImageSpec,
        on_progress: OnProgress,
        should_stop: ShouldStop,
        device: str,
        preview: Callable[[torch.Tensor], Preview] | None,
        *,
        references: Sequence[Reference] = (),
    ) -> None:
        """Begin, with the text encoders.

        Args:
            preview: paints latents (1, C, H, W).
            references: images that an edit looks at.
        """
        self.references = references
        self._paint = preview
        self._preview: Preview | None = None
        self._spec = spec
        self._steps = spec.steps  # that are taken; fewer with some samplers, from an init image
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._device = device
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self._started_at = self._encoded_at = self._denoised_at = self._now()
        self.steps_s: list[float] = []  # the first one makes what all steps share, too
        on_progress(Progress(stage=Stage.ENCODING, steps=spec.steps))

    def watch(self, timesteps: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Hand out timesteps one by one; between them, report and look for a stop.

        Raises:
            GenerationStopped: inside the loop over them, through which it leaves the pipeline.
        """
        self._encoded_at = self._denoised_at = self._now()
        if isinstance(timesteps, Sized):
            self._steps = len(timesteps)
        for step, timestep in enumerate(timesteps):
            self.check_stop()
            self._report(Stage.DENOISING, step)
            yield timestep
            # A GPU runs behind the program; without waiting, all steps would be reported at once.
            began_at, self._denoised_at = self._denoised_at, self._now()
            self.steps_s.append(self._denoised_at - began_at)
        self._report(Stage.DENOISING, self._steps)
        self._report(Stage.DECODING, self._steps)

    def show(self, estimate: torch.Tensor) -> None:
        """Take a look at where the image is heading: latents (1, C, H, W)."""
        if self._paint is not None:
            self._preview = self._paint(estimate)

    def check_stop(self) -> None:
        """Leave the pipeline if a stop was asked for.

        Raises:
            GenerationStopped
        """
        if self._should_stop():
            raise GenerationStopped

    def finish(self, picture: Image.Image, memory: MemoryReport | None = None) -> GeneratedImage:
        """Measure the end and pack the image."""
        ended_at = self._now()
        return GeneratedImage(
            pixels=picture.convert("RGB").tobytes(),
            width=picture.width,
            height=picture.height,
            spec=self._spec,
            encode_s=self._encoded_at - self._started_at,
            denoise_s=self._denoised_at - self._encoded_at,
            decode_s=ended_at - self._denoised_at,
            peak_mib=torch.cuda.max_memory_reserved() // MIB if self._device == "cuda" else None,
            memory=memory,
            steps_taken=len(self.steps_s) or None,
        )

    def _report(self, stage: Stage, step: int) -> None:
        denoise_s = self._denoised_at - self._encoded_at
        self._on_progress(
            Progress(stage=stage, step=step, steps=self._steps, denoise_s=denoise_s, preview=self._preview)
        )

    def _now(self) -> float:
        if self._device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()
