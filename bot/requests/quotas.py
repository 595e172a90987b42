"""Quotas of one person, or of everybody behind one origin. Pure: counts in, `Quota` out.

The insert in `bot/store/job_store.py` decides whether a request is refused; this only reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bot.config import LimitsConfig
from bot.scheduling.limits import daily_limit_ends_at
from bot.store.horizon import DAY_S
from bot.store.job_store import Usage
from pipeline import Aspect, ImageSpec, Size
from pipeline.catalog.model_card import ModelCard

LEAST_COST: Final = 0.05  # reading the prompt, decoding and delivering take their time, however small an image is


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The use and the limits of one person, or of several together."""

    used: int
    limit: int
    resets_at: int | None  # when one more picture is allowed again; None while there is room
    active: int  # requests, of one image or several
    active_limit: int
    cooldown_s: int


def cost_in_images(spec: ImageSpec, model: ModelCard) -> float:
    """Return what an image counts for: 1 at its shape's normal size and the model's usual number of steps.

    In proportion to pixels × steps, in hundredths, and never less than LEAST_COST.
    """
    named = model.name_of_size(spec.width, spec.height)
    width, height = model.size(Aspect.SQUARE if named is None else named[0], Size.NORMAL)
    return max(LEAST_COST, round(spec.pixel_steps / (width * height * model.default_steps), 2))


def personal_quota(usage: Usage, limits: LimitsConfig) -> Quota:
    """Return the quota of one person."""
    is_used_up = len(usage.counted_at) >= limits.max_images_per_day
    return Quota(
        used=len(usage.counted_at),
        limit=limits.max_images_per_day,
        resets_at=daily_limit_ends_at(usage.counted_at, limits) if is_used_up else None,
        active=usage.active,
        active_limit=limits.max_active_per_user,
        cooldown_s=limits.cooldown_s,
    )


def shared_quota(active: int, counted_at: Sequence[int], limits: LimitsConfig, *, people: int) -> Quota:
    """Return the quota of everybody behind one origin, who may have as much as `people` persons."""
    limit = limits.max_images_per_day * people
    return Quota(
        used=len(counted_at),
        limit=limit,
        resets_at=counted_at[-limit] + DAY_S if len(counted_at) >= limit else None,
        active=active,
        active_limit=limits.max_active_per_user * people,
        cooldown_s=0,
    )
