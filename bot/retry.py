"""Trying again: pauses that double, with jitter, and the one loop that takes them.

Every part that tries again takes its pauses from here. Knows nothing of what is tried, and sets no deadline.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from bot.deadline import Deadline

STOPPING_PAUSE_S: Final = 0.25  # while the process stops there is no time for long pauses
MAX_DOUBLINGS: Final = 60

T = TypeVar("T")


def doubled_s(first_s: float, max_s: float, times: int) -> float:
    """The pause after `times` pauses that doubled, at most `max_s`."""
    return min(max_s, first_s * 2.0 ** min(times, MAX_DOUBLINGS))


class Backoff:
    """Pauses that double from `first_s` to `max_s`.

    Each is shortened by up to half, so that those who wait for one thing do not all come back at the same moment.
    `chance` returns a number from 0 to 1; 1 shortens nothing.
    """

    def __init__(self, first_s: float, max_s: float, *, chance: Callable[[], float] = random.random) -> None:
        self._first_s, self._max_s = first_s, max_s
        self._chance = chance
        self._taken = 0

    def next_s(self) -> float:
        """Return how long to pause now; the next pause will be longer."""
        pause_s = doubled_s(self._first_s, self._max_s, self._taken)
        self._taken += 1
        return pause_s * (1 + self._chance()) / 2

    def reset(self) -> None:
        """Begin with the first pause again: it worked."""
        self._taken = 0


async def retry(
    action: Callable[[], Awaitable[T]],
    *,
    on: type[Exception],
    backoff: Backoff,
    deadline: Deadline,
    give_up: Callable[[], bool] | None = None,
    on_failure: Callable[[Exception, float], None],
) -> T:
    """Run `action` until it works, and return its result.

    Args:
        on: the errors that may pass by themselves; any other is raised at once.
        deadline: of the process. Once it has begun, pauses are short.
        give_up: asked after every failure; None: the deadline decides.
        on_failure: told of every failure after which it is tried again, and the pause in seconds.

    Raises:
        The last error of `on`, if it is given up.
    """
    while True:
        try:
            return await action()
        except on as error:
            if deadline.is_over if give_up is None else give_up():
                raise
            pause_s = min(backoff.next_s(), STOPPING_PAUSE_S if deadline.has_begun else math.inf)
            on_failure(error, pause_s)
            await deadline.pause(pause_s)
