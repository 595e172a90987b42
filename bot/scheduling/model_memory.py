"""Gives the memory of models back: when somebody wants it for another program, and when nothing was drawn for long.

A model is never taken away under an image: a release waits for the one that is being drawn, and the next image loads
its model again, which forecasts count. Knows no engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

from bot.deadline import Deadline
from bot.errors import RunnerLost
from bot.executors import Executor
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.runner import Runner, at_rest
from bot.supervision import supervise

log = logging.getLogger(__name__)

LOOK_S: Final = 15.0  # between two looks at how long nothing was drawn
ANSWER_S: Final = 5.0  # whoever asks for a release waits so long at most


class MemoryState(StrEnum):
    """Whether a model takes memory at this moment."""

    LOADED = "loaded"
    LOADING = "loading"  # ahead of its first image
    RELEASED = "released"  # none: the next image loads one


class Release(StrEnum):
    """What became of a wish for memory."""

    DONE = "done"
    AFTER_IMAGE = "after_image"  # as soon as what is drawn or loaded now is ready
    NOTHING = "nothing"  # no model was there


class ModelMemory:
    """The memory that models take, over all runners.

    left: returns the runners that are not lost.
    """

    def __init__(
        self, left: Callable[[], Sequence[Runner]], queue: JobQueue, *, deadline: Deadline | None = None
    ) -> None:
        self._left = left
        self._queue = queue
        self._deadline = deadline or Deadline()
        self._under_way: asyncio.Task[bool] | None = None

    @property
    def state(self) -> MemoryState:
        """How it is at this moment."""
        left = self._left()
        if any(runner.loading is not None for runner in left):
            return MemoryState.LOADING
        return MemoryState.LOADED if any(runner.model is not None for runner in left) else MemoryState.RELEASED

    async def release(self) -> Release:
        """Give the memory of every model back, but wait for no image: it follows by itself then. Twice is harmless."""
        if self._under_way is None or self._under_way.done():
            self._under_way = asyncio.create_task(self._release(), name="releasing models")
            self._under_way.add_done_callback(_note_error)
        done, _ = await asyncio.wait([self._under_way], timeout=ANSWER_S)
        if not done:
            return Release.AFTER_IMAGE
        return Release.DONE if self._under_way.result() else Release.NOTHING

    async def watch(self, unload_after_s: float) -> None:
        """Release models with which nothing was drawn for so long; with 0 never. Never returns."""

        async def turn() -> bool:
            await asyncio.sleep(await self.look(unload_after_s))
            return True

        if unload_after_s <= 0:
            await asyncio.Event().wait()
        await supervise("unloading the idle model", turn, self._deadline)

    async def look(self, unload_after_s: float) -> float:
        """Release models with which nothing was drawn for so long. Returns after how many seconds to look again."""
        if (rested_s := self._idle_s()) >= unload_after_s and self.state is MemoryState.LOADED:
            await self.release()
        return min(LOOK_S, max(1.0, unload_after_s - rested_s))

    def _idle_s(self) -> float:
        """Seconds for which nothing has been drawn or loaded."""
        return min((runner.idle_s for runner in self._left()), default=0.0)

    async def _release(self) -> bool:
        executors = {runner.executor: None for runner in self._left()}
        return any(await asyncio.gather(*map(self._release_executor, executors)))

    async def _release_executor(self, executor: Executor) -> bool:
        runners = [runner for runner in self._left() if runner.executor is executor]
        async with at_rest(runners):
            try:
                was_there = await executor.release()
            except RunnerLost as error:  # what it held is gone with it, and its next job settles the rest
                log.warning("the memory of a runner cannot be given back: %s", error)
                return False
            finally:  # an engine that could not be closed well is gone as well
                for runner in runners:
                    runner.model = None
        if was_there:
            log.info("the model left memory; the next image loads it again")
        self._queue.announce()
        return was_there


def _note_error(task: asyncio.Task[bool]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the memory of a model cannot be given back", exc_info=error)
