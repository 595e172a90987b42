"""Rate and size rules as pure functions of (config, counts, now). No clock, no SQL.

The insert in `store/job_store.py` decides; these functions say afterwards which rule it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bot.config import LimitsConfig
from bot.errors import (
    BeingErased,
    CoolingDown,
    DailyLimit,
    JobTooLarge,
    PictureRemoved,
    QueueFull,
    Refusal,
    TooManyJobs,
    UploadGone,
)
from bot.jobs import Job, QueueStatus, Request, UserKey
from bot.pause import Pause
from bot.store.horizon import DAY_S
from bot.store.job_store import ROUNDING
from bot.store.usage_store import Counted, Usage
from pipeline import ImageSpec

DEFAULT_RETRY_S: Final = 600  # "try again in …" while nobody can draw what waits
LEAST_COST: Final = 0.05  # reading the prompt, decoding and delivering take their time, however small an image is


def bounds_of(request: Request, limits: LimitsConfig) -> LimitsConfig:
    """The limits of a request: those of its person, where they have their own.

    A further image waits and runs as a part of what the first one counted for.
    """
    allowance = request.allowance
    own: dict[str, int] = {}
    if allowance.max_images_per_day is not None:
        own["max_images_per_day"] = allowance.max_images_per_day
    if allowance.max_active is not None:
        own["max_active_per_user"] = allowance.max_active
    if request.is_more:
        own |= {"cooldown_s": 0, "max_active_per_user": limits.max_waiting + 1}
    return limits.model_copy(update=own) if own else limits


def check_size(spec: ImageSpec, limits: LimitsConfig) -> None:
    """Refuse a job that is too large for this machine, whatever the queue looks like.

    Raises:
        JobTooLarge
    """
    if spec.pixel_steps > limits.max_pixel_steps:
        max_steps = 0 if spec.upscale else limits.max_pixel_steps // spec.step_pixels
        raise JobTooLarge(pixel_steps=spec.pixel_steps, limit=limits.max_pixel_steps, max_steps=max_steps)


def check_cost(spec: ImageSpec, cost: float, limits: LimitsConfig) -> None:
    """Refuse a job that counts for more images than anybody has in a day: its time would never come.

    Raises:
        JobTooLarge
    """
    if cost > limits.max_images_per_day + ROUNDING:
        max_steps = 0 if spec.upscale else int(spec.steps * limits.max_images_per_day / cost)
        limit = int(spec.pixel_steps * limits.max_images_per_day / cost)
        raise JobTooLarge(pixel_steps=spec.pixel_steps, limit=limit, max_steps=max_steps)


def check_origin(origin: Job | None) -> None:
    """Refuse to start from the image of a job that went, or that a moderator removed, while it was read.

    Raises:
        UploadGone, PictureRemoved
    """
    if origin is None:
        raise UploadGone
    if origin.is_erased and origin.moderated_reason is not None:
        raise PictureRemoved(origin.id, origin.moderated_reason)


def find_refusal(
    limits: LimitsConfig, usage: Usage, *, next_free_at: int, own_free_at: int, now: int, cost: float = 1.0
) -> Refusal | None:
    """Say which bound has no room, the person's own bounds first; None if all have.

    Args:
        usage: what stands against the bounds.
        next_free_at: when a place in the queue is expected to become free.
        own_free_at: when a job of this person is expected to end.
        now: Unix seconds, like all of the above.
        cost: for how many images of the day the request counts.
    """
    if usage.is_erasing:
        return BeingErased()
    # A clock that was set back leaves jobs in the future; they must not lock anybody out.
    recent = [each.at for each in usage.counted if now - limits.cooldown_s < each.at <= now]
    used = used_images(usage.counted)
    # It protects those who wait, and the queue from somebody's burst; a lone iterator harms nobody.
    if recent and (usage.active or usage.waiting):
        return CoolingDown(retry_at=recent[-1] + limits.cooldown_s, cooldown_s=limits.cooldown_s)
    if usage.active >= limits.max_active_per_user:
        return TooManyJobs(active=usage.active, limit=limits.max_active_per_user, retry_at=own_free_at)
    if used + cost > limits.max_images_per_day + ROUNDING:
        retry_at = daily_limit_ends_at(usage.counted, limits.max_images_per_day, cost=cost)
        return DailyLimit(used=used, limit=limits.max_images_per_day, retry_at=retry_at)
    if usage.waiting >= limits.max_waiting:
        return QueueFull(waiting=usage.waiting, limit=limits.max_waiting, retry_at=next_free_at)
    return None


def free_times(user: UserKey, standings: Sequence[tuple[Job, QueueStatus]], *, now: int) -> tuple[int, int]:
    """When the next place in the queue, and the next place of this person, are expected to be free."""
    ends = [(job.user, standing.finish_at or now + DEFAULT_RETRY_S) for job, standing in standings]
    soon = now + 1
    next_free_at = max(soon, min((end for _, end in ends), default=soon))
    own_free_at = max(soon, min((end for owner, end in ends if owner == user), default=soon))
    return next_free_at, own_free_at


def while_paused(
    refusal: Refusal, user: UserKey, standings: Sequence[tuple[Job, QueueStatus]], pause: Pause | None
) -> Refusal:
    """Say until when the queue is paused, if what was refused waits for a job that cannot begin before."""
    if pause is not None and isinstance(refusal, QueueFull | TooManyJobs):
        is_drawing = any(job.user == user and not standing.position for job, standing in standings)
        if isinstance(refusal, QueueFull) or not is_drawing:
            return refusal.while_paused(pause.until)
    return refusal


def used_images(counted: Sequence[Counted]) -> float:
    """For how many images jobs count together, in hundredths."""
    return round(sum(each.cost for each in counted), 2)


def daily_limit_ends_at(counted: Sequence[Counted], limit: int, *, cost: float = 1.0) -> int:
    """When enough of the counted jobs are older than 24 hours for a request of so many images; needs a full day.

    One that is larger than the whole limit has room when nothing else counts.
    """
    left = used_images(counted)
    for each in counted:
        left -= each.cost
        if left + cost <= limit + ROUNDING:
            return each.at + DAY_S
    return counted[-1].at + DAY_S if counted else 0
