"""How fast pictures are drawn here: as measured, as reckoned from another size, or as the model guesses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.scheduling import eta
from bot.scheduling.eta import Pace
from bot.store.job_store import JobStore
from pipeline import ImageSpec


class Paces:
    """The paces of every model and size.

    named_sizes: for a picture, the same one in every size of its model that has a name; to reckon with.
    """

    def __init__(self, jobs: JobStore, assumed: Callable[[ImageSpec], Pace]) -> None:
        self.named_sizes: Callable[[ImageSpec], Sequence[ImageSpec]] = lambda _spec: ()
        self._jobs = jobs
        self._assumed = assumed

    async def of(self, spec: ImageSpec) -> Pace:
        """How fast pictures like this one are drawn here.

        Before any was, it is reckoned from the nearest measured size of the model; the model's own guess before that.
        """
        if (pace := await self.measured(spec)) is not None:
            return pace
        for other in eta.nearest_first(spec, self.named_sizes(spec)):
            if (pace := await self.measured(other)) is not None:
                return pace.scaled(eta.pixels_of(spec) / eta.pixels_of(other))
        return self._assumed(spec)

    async def measured(self, spec: ImageSpec) -> Pace | None:
        """How fast pictures like this one were drawn here; None before any was."""
        measured = await self._jobs.measurements(spec.model, eta.size_class(spec))
        return eta.measured_pace([each.step_s for each in measured], [each.fixed_s for each in measured])
