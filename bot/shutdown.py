"""Ends parts within their time: one that hangs or fails is named in the log, and the next has its turn all the same.

The order is the caller's, `lifecycle.py`. Knows no part.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any, Final

from bot.deadline import Deadline

log = logging.getLogger(__name__)

LEAST_S: Final = 0.25  # for everyone, however late it is


class Shutdown:
    """Runs the steps of a stop. `is_hung` says whether something could not even be given up."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.is_hung = False

    async def run(self, steps: dict[str, Coroutine[Any, Any, object]], *, at_most_s: float) -> None:
        """Do all of these at the same time, by the name that the log may have to call them."""
        tasks = [asyncio.create_task(step, name=name) for name, step in steps.items()]
        await self._wait(tasks, at_most_s)
        late = [task for task in tasks if not task.done()]
        for task in late:
            log.error("stopping: %s takes too long and is given up", task.get_name())
        await self.cancel(late, at_most_s=LEAST_S)
        for task in tasks:
            if task not in late:
                _log_failure(task)

    async def cancel(self, tasks: Iterable[asyncio.Task[Any]], *, at_most_s: float) -> None:
        """Cancel those that have not ended, and wait until they have."""
        tasks = [task for task in tasks if not task.done()]
        for task in tasks:
            task.cancel()
        await self._wait(tasks, at_most_s)
        for task in tasks:
            if task.done():
                _log_failure(task)
            else:
                self.is_hung = True
                log.error("stopping: %s does not end and is left behind", task.get_name())

    async def _wait(self, tasks: list[asyncio.Task[Any]], at_most_s: float) -> None:
        if tasks:
            await asyncio.wait(tasks, timeout=max(LEAST_S, self.deadline.remaining(at_most_s)))


def _log_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("stopping: %s failed", task.get_name(), exc_info=error)
