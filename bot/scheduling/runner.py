"""A runner: one slot of an executor, with the model it holds, its health, its failures and its pace. No I/O."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from typing import Final

from bot.executors import Executor
from bot.retry import doubled_s
from bot.scheduling.breaker import FIRST_COOL_DOWN_S, MAX_COOL_DOWN_S
from bot.scheduling.load_times import Loading
from bot.scheduling.placement import RunnerState

PICTURES: Final = 20  # the newest, that its pace is measured by


class Health(StrEnum):
    """Whether a runner may be given a job."""

    READY = "ready"
    COOLING_DOWN = "cooling_down"  # it keeps failing while others do not
    GONE = "gone"


class Runner:
    """What draws one job at a time."""

    def __init__(self, number: int, executor: Executor, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.number = number
        self.executor = executor
        self.model: str | None = None  # in its memory, as far as known, or on its way there
        self.loading: Loading | None = None  # ahead of its first job
        self.has_loaded = False  # a model, which may be gone again
        self.at_work = asyncio.Lock()  # held while it draws or loads: nothing takes its model away meanwhile
        self.idle_since = monotonic()
        self.failures_in_a_row = 0
        self._monotonic = monotonic
        self._cool_downs = 0
        self._ready_at = -math.inf
        self._is_gone = False
        self._paces: deque[float] = deque(maxlen=PICTURES)

    @property
    def health(self) -> Health:
        """How it is at this moment."""
        if self._is_gone:
            return Health.GONE
        return Health.COOLING_DOWN if self.ready_in_s > 0 else Health.READY

    @property
    def ready_in_s(self) -> float:
        """Seconds until it has cooled down."""
        return max(0.0, self._ready_at - self._monotonic())

    @property
    def pace(self) -> float:
        """Seconds it takes for an expected second: the median of its newest pictures."""
        return statistics.median(self._paces) if self._paces else 1.0

    def succeeded(self, *, took_s: float, expected_s: float) -> None:
        """Note a picture that was drawn."""
        self.failures_in_a_row = 0
        self._cool_downs = 0
        if took_s > 0 and expected_s > 0:
            self._paces.append(took_s / expected_s)

    def failed(self) -> None:
        """Note a failure that says something about the engine."""
        self.failures_in_a_row += 1

    def cool_down(self) -> float:
        """Draw nothing for a while, the longer the more often it came to this. Returns for how many seconds."""
        cool_down_s = doubled_s(FIRST_COOL_DOWN_S, MAX_COOL_DOWN_S, self._cool_downs)
        self._cool_downs += 1
        self._ready_at = self._monotonic() + cool_down_s
        return cool_down_s

    def came_to_rest(self) -> None:
        """Note that nothing is drawn or loaded any more."""
        self.has_loaded = self.has_loaded or self.model is not None
        self.idle_since = self._monotonic()

    @property
    def idle_s(self) -> float:
        """Seconds for which it has done nothing; 0 while it draws or loads."""
        return 0.0 if self.at_work.locked() else max(0.0, self._monotonic() - self.idle_since)

    def lost(self) -> None:
        """Note that it is out of reach for good."""
        self._is_gone = True

    def state(self, *, is_needed: bool, is_alone: bool) -> RunnerState:
        """How the placement sees it.

        Args:
            is_needed: no other runner is ready, so that it may not wait until it has cooled down.
            is_alone: what is expected was measured with this runner only, so that it is the pace itself.
        """
        load_s = 0.0 if self.loading is None else self.loading.left_s(self._monotonic())
        return RunnerState(
            number=self.number,
            model=self.model,
            models=self.executor.models,
            pace=1.0 if is_alone else self.pace,
            ready_in_s=max(load_s, 0.0 if is_needed else self.ready_in_s),
            is_loading=self.loading is not None,
            is_rough=self.loading is not None and self.loading.expected.is_rough,
            has_loaded=self.has_loaded,
        )


@asynccontextmanager
async def at_rest(runners: Sequence[Runner]) -> AsyncIterator[None]:
    """Wait until these runners neither draw nor load, and let nobody else begin meanwhile."""
    async with AsyncExitStack() as stack:
        for runner in runners:
            await stack.enter_async_context(runner.at_work)
        try:
            yield
        finally:
            for runner in runners:
                runner.came_to_rest()
