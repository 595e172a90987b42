"""How fast pictures are drawn here: as measured, as reckoned from another size, or as the model guesses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from bot.clock import Clock
from bot.jobs import Job
from bot.scheduling import eta
from bot.scheduling.eta import Pace
from bot.store.usage_store import UsageStore
from pipeline import ImageSpec


class Paces:
    """The paces of every model and size.

    named_sizes: for a picture, the same one in every size of its model that has a name; to reckon with.
    steps_taken: how many of its steps are taken.
    """

    def __init__(self, jobs: UsageStore, assumed: Callable[[ImageSpec], Pace], clock: Clock) -> None:
        self.named_sizes: Callable[[ImageSpec], Sequence[ImageSpec]] = lambda _spec: ()
        self.steps_taken: Callable[[ImageSpec], int] = lambda spec: spec.steps
        self._jobs = jobs
        self._assumed = assumed
        self._clock = clock

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

    async def of_jobs(self, jobs: Iterable[Job]) -> dict[int, Pace]:
        """How fast each of many jobs is expected to be drawn, by id; every size of a model is looked up once."""
        known: dict[tuple[str, int], Pace] = {}
        paces = {}
        for job in jobs:
            kind = job.spec.model, eta.size_class(job.spec)
            if kind not in known:
                known[kind] = await self.of(job.spec)
            share = self.steps_taken(job.spec) / job.spec.steps if job.spec.steps > 0 else 1.0
            paces[job.id] = replace(known[kind], share=share)
        return paces

    async def measured(self, spec: ImageSpec) -> Pace | None:
        """How fast pictures like this one were drawn here; None before any was."""
        measured = await self._jobs.measurements(spec.model, eta.size_class(spec), now=int(self._clock()))
        return eta.measured_pace([each.step_s for each in measured], [each.fixed_s for each in measured])
