"""When will it be done: order and finish times of waiting jobs, as pure arithmetic.

Foretells what the runners will do by letting `placement.py` decide for them, one picture after the other. No clock,
no SQL.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bot.scheduling.load_times import NO_LOAD, Load, no_load
from bot.scheduling.placement import RunnerState, Ticket, place, take
from pipeline import ImageSpec
from pipeline.spec import MAX_SIDE_PX

ENOUGH_MEASUREMENTS: Final = 3
QUARTER_MEGAPIXEL: Final = 2**18
FINE_BELOW: Final = 7 * 2**17  # px
PATCH_PIXELS: Final = 16 * 16
FINE_CLASSES_PER_OCTAVE: Final = 8
DEMO_PIXELS: Final = 256 * 256
UPSCALED: Final = 1000  # added to the class of an upscale: tiles take another time than a whole image of their pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast this machine draws one kind of picture.

    step_s: of a step that is taken.
    fixed_s: of text encoding and decoding.
    share: of the steps that were asked for, those that are taken; fewer from an init image, with some models.
    """

    step_s: float
    fixed_s: float
    is_rough: bool
    share: float = 1.0

    def seconds(self, steps: int) -> float:
        """One whole picture for which so many steps were asked for."""
        return self.fixed_s + steps * self.share * self.step_s

    def scaled(self, times: float) -> Pace:
        """Guess the pace of a picture with so many times the pixels."""
        return replace(self, step_s=self.step_s * times, fixed_s=self.fixed_s * times, is_rough=True)


def pixels_of(spec: ImageSpec) -> int:
    """The number of pixels that a step computes on, within bounds: a damaged row says anything."""
    return max(PATCH_PIXELS, min(spec.step_pixels, MAX_SIDE_PX**2))


def size_class(spec: ImageSpec) -> int:
    """Pictures of one class take about the same time per step: no more than a seventh more or less than another.

    Rows keep it, so a size that earlier releases drew keeps its class: quarters of a megapixel, rounded, which gave 4
    to those of large models and 0 to the demo's. All smaller ones have negative numbers: eighths of an octave.
    So have upscales, above 1000.
    """
    pixels = pixels_of(spec)
    if spec.upscale:
        return UPSCALED + round(FINE_CLASSES_PER_OCTAVE * math.log2(pixels / PATCH_PIXELS))
    if pixels >= FINE_BELOW:
        return round(pixels / QUARTER_MEGAPIXEL)
    if pixels == DEMO_PIXELS:
        return 0
    return -1 - round(FINE_CLASSES_PER_OCTAVE * math.log2(pixels / PATCH_PIXELS))


def nearest_first(spec: ImageSpec, others: Iterable[ImageSpec]) -> list[ImageSpec]:
    """Order specs by how near they are to another in the number of pixels, as a ratio; without those of its class."""
    far = [other for other in others if size_class(other) != size_class(spec)]
    return sorted(far, key=lambda other: abs(math.log(pixels_of(other) / pixels_of(spec))))


def measured_pace(step_s: Sequence[float], fixed_s: Sequence[float]) -> Pace | None:
    """The medians of what was measured; None without measurements, rough with fewer than three."""
    if not step_s:
        return None
    return Pace(
        step_s=statistics.median(step_s),
        fixed_s=statistics.median(fixed_s),
        is_rough=len(step_s) < ENOUGH_MEASUREMENTS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """When a waiting job will be drawn, in seconds from now; None if no runner that there is can draw it."""

    job_id: int
    begins_s: float | None
    ends_s: float | None
    held_s: float = 0.0  # of the time until it begins, how long nothing is begun
    is_rough: bool = False  # a load whose length is a guess comes before that


def foretell(
    order: Iterable[Ticket],
    runners: Iterable[RunnerState],
    busy_s: Mapping[int, float],
    load: Callable[[str, bool], Load] = no_load,
    opens_s: Callable[[float], float] = lambda moment_s: moment_s,
) -> list[Forecast]:
    """Say when waiting jobs will be drawn, in the order in which they will be begun.

    Args:
        order: the fair order.
        runners: with the models they hold, or will hold when they are free.
        busy_s: seconds until a runner is free, by number; none means now.
        load: how long a runner needs to read a model that it does not hold, and whether it holds none.
        opens_s: from which second on, not before that one, a job may be begun; always a finite one.
    """
    waiting = list(order)
    free_s = {runner: max(runner.ready_in_s, busy_s.get(runner.number, 0.0)) for runner in runners}
    forecasts: list[Forecast] = []
    is_rough, held_s = False, 0.0
    while waiting and free_s:
        free_at_s = min(free_s.values())
        now_s = max(free_at_s, opens_s(free_at_s))
        held_s += now_s - free_at_s
        free_s = {runner: max(at_s, now_s) for runner, at_s in free_s.items()}
        idle = [runner for runner, at_s in free_s.items() if at_s <= now_s]
        if (placement := place(waiting, idle)) is None:  # nothing that waits is for them
            free_s = {runner: at_s for runner, at_s in free_s.items() if at_s > now_s}
            continue
        runner = placement.runner
        job = take(waiting, placement)
        reading = NO_LOAD if job.model is None or runner.holds(job.model) else load(job.model, runner.is_first_load)
        ends_s = now_s + reading.seconds + job.seconds * runner.pace
        is_rough = is_rough or reading.is_rough or runner.is_rough
        del free_s[runner]
        free_s[replace(runner, model=job.model or runner.model)] = ends_s
        forecasts.append(Forecast(job_id=job.id, begins_s=now_s, ends_s=ends_s, held_s=held_s, is_rough=is_rough))
    return [*forecasts, *(Forecast(job_id=job.id, begins_s=None, ends_s=None) for job in waiting)]
