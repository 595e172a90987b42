"""A refusal names the bound that has no room and the time when it will."""

from __future__ import annotations

import dataclasses

import pytest

from bot.config import LimitsConfig
from bot.errors import CoolingDown, DailyLimit, JobTooLarge, QueueFull, TooManyJobs
from bot.scheduling.limits import check_cost, check_size, daily_limit_ends_at, find_refusal
from bot.store.usage_store import Counted, Usage
from pipeline import ImageSpec

LIMITS = LimitsConfig(max_waiting=2, max_active_per_user=2, max_images_per_day=3, cooldown_s=5)
NOW = 1_000_000
ROOM = {"waiting": 0, "active": 0, "counted": ()}
TIMES = {"next_free_at": NOW + 7, "own_free_at": NOW + 9, "now": NOW}


def images(*moments: int, cost: float = 1.0) -> tuple[Counted, ...]:
    return tuple(Counted(at, cost) for at in moments)


def test_drafts_count_for_less_and_a_large_image_needs_more_room() -> None:
    drafts = Usage(waiting=0, active=0, counted=images(NOW - 90, NOW - 80, NOW - 70, NOW - 60, cost=0.25))
    assert find_refusal(LIMITS, drafts, **TIMES, cost=2.0) is None
    refusal = find_refusal(LIMITS, drafts, **TIMES, cost=2.25)
    assert isinstance(refusal, DailyLimit)
    assert (refusal.used, refusal.retry_at) == (1.0, NOW - 90 + 86_400)  # one of them is old then


def test_image_larger_than_the_whole_limit_may_come_back_when_nothing_counts_any_more() -> None:
    assert daily_limit_ends_at(images(NOW - 90, NOW - 80), 1, cost=2.5) == NOW - 80 + 86_400


def test_image_that_no_day_has_room_for_is_told_how_many_steps_would_fit(spec: ImageSpec) -> None:
    limits = LimitsConfig(max_images_per_day=1)
    check_cost(spec, 1.0, limits)
    with pytest.raises(JobTooLarge) as caught:
        check_cost(dataclasses.replace(spec, steps=50), 2.5, limits)
    assert caught.value.max_steps == 20


def test_hundredths_add_up() -> None:
    usage = Usage(waiting=0, active=0, counted=tuple(Counted(NOW - 90, 0.1) for _ in range(20)))
    assert find_refusal(LIMITS, usage, **TIMES, cost=1.0) is None


def test_room_everywhere_is_no_refusal() -> None:
    assert find_refusal(LIMITS, Usage(**ROOM), **TIMES) is None
    usage = Usage(waiting=1, active=1, counted=images(NOW - 50, NOW - 5))
    assert find_refusal(LIMITS, usage, **TIMES) is None


def test_cool_down_binds_nobody_who_harms_nobody() -> None:
    assert find_refusal(LIMITS, Usage(waiting=0, active=0, counted=images(NOW - 1)), **TIMES) is None


@pytest.mark.parametrize(
    ("counts", "kind", "retry_at"),
    [
        ({"waiting": 2}, QueueFull, NOW + 7),
        ({"active": 2}, TooManyJobs, NOW + 9),
        ({"active": 1, "counted": images(NOW - 4)}, CoolingDown, NOW + 1),
        ({"waiting": 1, "counted": images(NOW - 4)}, CoolingDown, NOW + 1),
        ({"counted": images(NOW - 90, NOW - 80, NOW - 70)}, DailyLimit, NOW - 90 + 86_400),
        ({"waiting": 2, "active": 2}, TooManyJobs, NOW + 9),  # what the person can change comes first
    ],
)
def test_refusal_names_the_bound_and_the_time(counts: dict[str, object], kind: type, retry_at: int) -> None:
    refusal = find_refusal(LIMITS, Usage(**ROOM | counts), **TIMES)
    assert type(refusal) is kind
    assert refusal.retry_at == retry_at


def test_lowered_daily_limit_waits_until_enough_jobs_are_old() -> None:
    counted = images(NOW - 90, NOW - 80, NOW - 70, NOW - 60, NOW - 50)
    assert (
        daily_limit_ends_at(counted, LIMITS.max_images_per_day) == NOW - 70 + 86_400
    )  # then two are left, under three


def test_too_large_a_job_is_told_how_many_steps_would_fit(spec: ImageSpec) -> None:
    limits = LimitsConfig(max_pixel_steps=64 * 64 * 10)
    check_size(dataclasses.replace(spec, steps=10), limits)
    with pytest.raises(JobTooLarge) as refusal:
        check_size(dataclasses.replace(spec, steps=11), limits)
    assert refusal.value.max_steps == 10


def test_upscale_that_is_too_large_is_told_to_be_smaller_since_nobody_chooses_its_steps() -> None:
    spec = ImageSpec(
        prompt="x", seed=1, steps=20, width=2048, height=2048, guidance=1.0, cfg_scale=1.0, model="fake",
        source="a" * 64, strength=0.3, upscale=2,
    )  # fmt: skip
    with pytest.raises(JobTooLarge) as refused:
        check_size(spec, LIMITS.model_copy(update={"max_pixel_steps": spec.pixel_steps - 1}))
    assert refused.value.max_steps == 0
    check_size(spec, LIMITS.model_copy(update={"max_pixel_steps": spec.pixel_steps}))
    with pytest.raises(JobTooLarge) as refused:
        check_cost(spec, 3.5, LIMITS)
    assert refused.value.max_steps == 0


def test_images_that_an_edit_looks_at_count_as_pixels_of_every_step(spec: ImageSpec) -> None:
    pixels = spec.width * spec.height
    edit = dataclasses.replace(spec, references="a" * 64, reference_pixels=3 * pixels)
    limits = LimitsConfig(max_pixel_steps=pixels * spec.steps)
    check_size(spec, limits)
    with pytest.raises(JobTooLarge) as caught:
        check_size(edit, limits)
    assert (caught.value.pixel_steps, caught.value.max_steps) == (4 * pixels * spec.steps, spec.steps // 4)
    check_size(edit, LimitsConfig(max_pixel_steps=4 * pixels * spec.steps))
