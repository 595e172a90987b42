"""What a verb makes of a finished job, so that a button means the same in every front end. Pure.

The functions are those of `derive.py`, with the values that a person is not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from bot.jobs import Job
from bot.presentation.job_view import Action
from bot.requests import derive
from bot.requests.batch import Batch
from bot.requests.models import Models
from pipeline.catalog.architecture import Feature
from pipeline.errors import InvalidSpec
from pipeline.spec import MAX_STEPS

MORE_STEPS_FACTOR: Final = 2


def steps_after(job: Job) -> int:
    """Return how many steps *more steps* takes."""
    return min(MAX_STEPS, job.spec.steps * MORE_STEPS_FACTOR)


def can_start_from_images(job: Job, models: Models) -> bool:
    """Whether the model of a job, or the one that takes its place, starts from images."""
    return Feature.INIT_IMAGE in models.nearest(job.spec.model).supports


def idle(job: Job, models: Models) -> set[Action]:
    """Return the verbs that would be refused of a finished job, and so are not offered."""
    actions = set()
    if job.spec.steps >= MAX_STEPS:
        actions.add(Action.MORE_STEPS)
    is_small = models.nearest(job.spec.model).final_size(job.spec.width, job.spec.height) is not None
    if not (is_small and can_start_from_images(job, models)):
        actions.add(Action.FINAL)
    if not models.can_upscale(job.spec):
        actions.add(Action.UPSCALE)
    return actions


def _vary(job: Job, models: Models) -> Batch:
    """Start from the image if its model can; else only the seed changes."""
    strength = models.nearest(job.spec.model).default_strength if can_start_from_images(job, models) else None
    return derive.vary(job, models, strength=strength)


def _more_steps(job: Job, models: Models) -> Batch:
    """Raises InvalidSpec: it has as many as there may be."""
    steps = steps_after(job)
    if steps <= job.spec.steps:
        raise InvalidSpec("steps", f"are at most {MAX_STEPS}")
    return derive.more_steps(job, models, steps=steps)


# Each raises what `derive.py` raises of a job that nothing can be made of.
VERBS: Final[Mapping[Action, Callable[[Job, Models], Batch]]] = MappingProxyType(
    {
        Action.REROLL: derive.reroll,
        Action.VARY: _vary,
        Action.UPSCALE: derive.upscale,
        Action.MORE_STEPS: _more_steps,
        Action.FINAL: derive.final,
    }
)
