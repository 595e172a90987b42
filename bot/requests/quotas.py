"""Quotas of one person, or of everybody behind one origin. Pure: counts in, `Quota` out.

The insert in `bot/store/job_store.py` decides whether a request is refused; this only reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.config import LimitsConfig
from bot.jobs import USUAL, Allowance
from bot.scheduling.limits import LEAST_COST, daily_limit_ends_at, used_images
from bot.store.usage_store import Counted, Usage
from pipeline import Aspect, ImageSpec, Size
from pipeline.catalog.model_card import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The use and the limits of one person, or of several together."""

    used: float  # images of the usual size: a draft counts for less, a large one for more
    limit: int
    resets_at: int | None  # when one more of the usual size is allowed again; None while there is room
    active: int  # requests, of one image or several
    active_limit: int
    cooldown_s: int
    max_steps: int | None = None  # of one image; None for as many as a model takes
    models: tuple[str, ...] | None = None  # the names of the only models to draw with


def cost_in_images(spec: ImageSpec, model: ModelCard) -> float:
    """Return what an image counts for: 1 at its shape's normal size and the model's usual number of steps.

    In proportion to pixels × steps, in hundredths, and never less than LEAST_COST. Fewer steps than usual count as the
    usual ones: an image is an image. An upscale counts for what is computed: the tiles, and the steps that are taken.
    """
    named = model.name_of_size(*spec.source_size)
    width, height = model.size(Aspect.SQUARE if named is None else named[0], Size.NORMAL)
    steps = max(spec.steps, model.default_steps)
    pixel_steps = spec.pixel_steps if spec.upscale else spec.width * spec.height * steps
    return max(LEAST_COST, round(pixel_steps / (width * height * model.default_steps), 2))


def personal_quota(usage: Usage, limits: LimitsConfig, allowance: Allowance = USUAL) -> Quota:
    """Return the quota of one person."""
    used, limit = used_images(usage.counted), allowance.max_images_per_day or limits.max_images_per_day
    return Quota(
        used=used,
        limit=limit,
        resets_at=daily_limit_ends_at(usage.counted, limit) if used + 1 > limit else None,
        active=usage.active,
        active_limit=allowance.max_active or limits.max_active_per_user,
        cooldown_s=limits.cooldown_s,
        max_steps=allowance.max_steps,
        models=allowance.models,
    )


def shared_quota(active: int, counted: Sequence[Counted], limits: LimitsConfig, *, people: int) -> Quota:
    """Return the quota of everybody behind one origin, who may have as much as `people` persons."""
    used, limit = used_images(counted), limits.max_images_per_day * people
    return Quota(
        used=used,
        limit=limit,
        resets_at=daily_limit_ends_at(counted, limit) if used + 1 > limit else None,
        active=active,
        active_limit=limits.max_active_per_user * people,
        cooldown_s=0,
    )
