"""Rate and size rules as pure functions of (config, counts, now). No clock, no SQL.

The insert in `store/job_store.py` decides; these functions say afterwards which rule it was.
"""

from __future__ import annotations

from bot.config import LimitsConfig
from bot.errors import CoolingDown, DailyLimit, JobTooLarge, QueueFull, Refusal, TooManyJobs
from bot.store.horizon import DAY_S
from bot.store.job_store import Usage
from pipeline import ImageSpec


def check_size(spec: ImageSpec, limits: LimitsConfig) -> None:
    """Refuse a job that is too large for this machine, whatever the queue looks like.

    Raises:
        JobTooLarge
    """
    if spec.pixel_steps > limits.max_pixel_steps:
        max_steps = limits.max_pixel_steps // (spec.width * spec.height)
        raise JobTooLarge(pixel_steps=spec.pixel_steps, limit=limits.max_pixel_steps, max_steps=max_steps)


def find_refusal(
    limits: LimitsConfig, usage: Usage, *, next_free_at: int, own_free_at: int, now: int
) -> Refusal | None:
    """Say which bound has no room, the person's own bounds first; None if all have.

    Args:
        usage: what stands against the bounds.
        next_free_at: when a place in the queue is expected to become free.
        own_free_at: when a job of this person is expected to end.
        now: Unix seconds, like all of the above.
    """
    # A clock that was set back leaves jobs in the future; they must not lock anybody out.
    recent = [queued_at for queued_at in usage.counted_at if now - limits.cooldown_s < queued_at <= now]
    used = len(usage.counted_at)
    # It protects those who wait, and the queue from somebody's burst; a lone iterator harms nobody.
    if recent and (usage.active or usage.waiting):
        return CoolingDown(retry_at=recent[-1] + limits.cooldown_s, cooldown_s=limits.cooldown_s)
    if usage.active >= limits.max_active_per_user:
        return TooManyJobs(active=usage.active, limit=limits.max_active_per_user, retry_at=own_free_at)
    if used >= limits.max_images_per_day:
        retry_at = daily_limit_ends_at(usage.counted_at, limits)
        return DailyLimit(used=used, limit=limits.max_images_per_day, retry_at=retry_at)
    if usage.waiting >= limits.max_waiting:
        return QueueFull(waiting=usage.waiting, limit=limits.max_waiting, retry_at=next_free_at)
    return None


def daily_limit_ends_at(counted_at: tuple[int, ...], limits: LimitsConfig) -> int:
    """When enough of the counted jobs are older than 24 hours for one more; needs a full day's worth."""
    return counted_at[len(counted_at) - limits.max_images_per_day] + DAY_S
