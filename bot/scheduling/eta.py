"""When will it be done: order and finish times of waiting jobs, as pure arithmetic.

Foretells what the claim in `store/jobstore.py` will do: least GPU seconds first among the people waiting,
oldest first per person. No clock, no SQL.
"""

from __future__ import annotations

import heapq
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bot.jobs import Job, UserKey
from pipeline import ImageSpec

ENOUGH_MEASUREMENTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast this machine draws one kind of picture."""

    step_s: float
    fixed_s: float  # text encoding + decoding
    is_rough: bool

    def seconds(self, steps: int) -> float:
        """One whole picture."""
        return self.fixed_s + steps * self.step_s


def size_class(spec: ImageSpec) -> int:
    """Pictures of one class take about the same time per step: quarters of a megapixel, rounded."""
    return round(spec.width * spec.height / 2**18)


def measured_pace(step_s: Sequence[float], fixed_s: Sequence[float]) -> Pace | None:
    """The medians of what was measured; None without measurements, rough with fewer than three."""
    if not step_s:
        return None
    return Pace(
        step_s=statistics.median(step_s),
        fixed_s=statistics.median(fixed_s),
        is_rough=len(step_s) < ENOUGH_MEASUREMENTS,
    )


def claim_order(waiting: Iterable[Job], gpu_s: Mapping[UserKey, float], seconds: Callable[[Job], float]) -> list[Job]:
    """The order in which waiting jobs will be claimed.

    Args:
        waiting: oldest first.
        gpu_s: GPU seconds per person that count against them; none means 0.
        seconds: how long a job is expected to take.
    """
    by_user: defaultdict[UserKey, list[Job]] = defaultdict(list)
    for job in waiting:
        by_user[job.user].append(job)
    heap = [(gpu_s.get(user, 0.0), jobs[0].id, user) for user, jobs in by_user.items()]
    heapq.heapify(heap)  # ids differ, so people are never compared
    order = []
    while heap:
        used_s, _, user = heapq.heappop(heap)
        job = by_user[user].pop(0)
        order.append(job)
        if by_user[user]:
            heapq.heappush(heap, (used_s + seconds(job), by_user[user][0].id, user))
    return order


def finish_times(running_s: Sequence[float], durations_s: Iterable[float], slots: int) -> list[float]:
    """When each waiting job ends, in seconds from now.

    Args:
        running_s: seconds that each running job still needs.
        durations_s: how long each waiting job takes, in the order of claim.
        slots: how many jobs run at once.
    """
    free_s = [*running_s, *[0.0] * (slots - len(running_s))]
    heapq.heapify(free_s)
    return [heapq.heapreplace(free_s, free_s[0] + duration_s) + duration_s for duration_s in durations_s]
