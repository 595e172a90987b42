"""The seam between the worker and whatever runs the engine: what may cross, what callers may rely on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from bot.jobs import StopSignal
from pipeline import GeneratedImage, ImageSpec, Progress, Reference


class Executor(Protocol):
    """Runs specs on engines, away from the event loop.

    Only plain data crosses. Implementations keep these promises:

    - `on_progress` is always called on the event loop, and only the latest value is kept: a slow reader
      loses steps, never time.
    - Cancelling a task that awaits `run` sets the stop signal, waits until the engine has come to rest, and
      then re-raises, so that the next run never meets a ghost.
    - After any outcome of `run` but EngineDead and RunnerLost, the next `run` works.
    """

    slots: int  # how many `run` calls may overlap
    models: frozenset[str] | None  # that it can draw; None: it tries whatever it is asked for

    async def start(self, model: str) -> None:
        """Load a model ahead of the first job.

        Raises:
            PipelineError: whatever `Engine.load` raises.
            RunnerLost: it is out of reach.
        """

    async def run(
        self,
        spec: ImageSpec,
        *,
        on_progress: Callable[[Progress], None],
        stop: StopSignal,
        source: bytes | None = None,
        references: Sequence[Reference] = (),
        upcoming: Sequence[str] = (),
    ) -> GeneratedImage:
        """Draw one picture; loads the spec's model first if need be.

        `source` and `references` are the images that the spec names, if it names any.

        `upcoming` are the prompts that will probably be drawn next with this model; see `Engine.generate`.

        Raises:
            PipelineError: whatever `Engine.generate` raises.
            RunnerLost: it went out of reach, and nobody knows what became of the picture.
        """

    async def forget_prompts(self) -> None:
        """Drop from memory whatever engines have read of prompts; waits for the image that is being drawn.

        Raises:
            RunnerLost: it is out of reach.
        """

    async def release(self) -> bool:
        """Give back the memory of the model that is loaded; waits for the image that is being drawn.

        The next `run` loads its model again.

        Returns:
            False if no model was there.

        Raises:
            RunnerLost: it is out of reach.
        """

    async def close(self, grace_s: float) -> bool:
        """Free the engine, waiting `grace_s` at most.

        Returns:
            False if a thread hangs in the engine, so that the process cannot end by itself.
        """
