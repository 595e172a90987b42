"""Starts the parts of the service, watches them, and ends them in order and in time. Takes the signals of the system.

Started together; the first that dies ends all others. On a stop: no new requests, the running job back to its place,
status messages and results out, then the loops, the front ends, the engine, the database. Knows what has to be told to
stop, and nothing of how a part is built (`app.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from bot.deadline import Deadline
from bot.delivery.results import DeliveryLoop
from bot.errors import ExitCode, OperatorError
from bot.requests.service import Service
from bot.scheduling.job_queue import JobQueue
from bot.shutdown import LEAST_S, Shutdown
from pipeline.errors import EngineDead

log = logging.getLogger(__name__)

# What the stop takes at most after stop_grace_s: with the default of 10 it is over within 20 s. In order:
STEPS_S: Final = 9.0
ANSWERS_S: Final = 2.0
ANNOUNCE_S: Final = 2.0
FLUSH_S: Final = 2.0
PARTS_S: Final = 3.0  # an open page is cut off after 2 s
FRONTENDS_S: Final = 1.5
ENGINE_S: Final = 1.0
DATABASE_S: Final = 0.5
LAST_S: Final = 0.5  # beyond all that: if even the event loop hangs


Loop = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """What runs. Each of `loops` runs until it is cancelled, under the name that the log calls it by."""

    service: Service
    queue: JobQueue
    delivery: DeliveryLoop
    finish_answers: Loop | None  # of people who were promised one
    draw: Loop  # until the queue is closed
    loops: Mapping[str, Loop]


Exits = dict[str, contextlib.AsyncExitStack]
Build = Callable[[Exits], Awaitable[Assembly]]


class Lifecycle:
    """The life of one process, from the first part to the exit code."""

    def __init__(self, *, grace_s: float) -> None:
        """`grace_s` is how long the running job may take to come out."""
        self.deadline = Deadline()
        self.shutdown = Shutdown(self.deadline)
        self.stop = asyncio.Event()  # set by whoever asks to stop
        self._grace_s = grace_s

    def listen_for_signals(self) -> None:
        """SIGTERM and Ctrl-C ask to stop; a second one ends the process at once."""
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            if self.stop.is_set():
                os._exit(ExitCode.INTERRUPTED)
            self.stop.set()
            self._begin_to_end(ExitCode.OK)

        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, on_signal)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(on_signal))

    async def serve(self, build: Build) -> list[BaseException]:
        """Build the parts and run them until the stop; returns what they died of: as a rule, nothing.

        `build` enters the front ends into the exits, which are left whatever happens.
        """
        exits = {"leaving the page": contextlib.AsyncExitStack(), "leaving discord": contextlib.AsyncExitStack()}
        tasks: list[asyncio.Task[None]] = []
        errors: list[BaseException] = []
        parts: Assembly | None = None
        try:
            parts = await build(exits)
            drawing = asyncio.create_task(parts.draw(), name="the worker")
            tasks = [drawing, *(asyncio.create_task(loop(), name=name) for name, loop in parts.loops.items())]
            await run_until(self.stop, tasks)
            if self.stop.is_set():
                await self._stop(parts, drawing)
        except Exception as error:  # noqa: BLE001 - whatever a part dies of is returned
            errors.append(error)
        errors = what_matters([*errors, *_errors_of(tasks)], is_asked_to_stop=self.stop.is_set())
        if errors:
            self._begin_to_end(exit_code(errors))
            if parts is not None:  # whoever was just shown "thinking…" is to have a message that the next start finds
                await self.shutdown.run(_answers(parts), at_most_s=ANSWERS_S)
        await self.shutdown.cancel(tasks, at_most_s=PARTS_S)
        await self.shutdown.run({name: each.aclose() for name, each in exits.items()}, at_most_s=FRONTENDS_S)
        return errors

    async def _stop(self, parts: Assembly, drawing: asyncio.Task[None]) -> None:
        """Bring everything to rest that other parts are still needed for."""
        log.info("stopping: no new requests, the running job goes back to its place")
        parts.service.stop_accepting()
        parts.queue.close()
        await asyncio.wait([drawing], timeout=self.deadline.remaining(self._grace_s))
        run = self.shutdown.run
        await run({"sending jobs back": parts.queue.requeue_all(), **_answers(parts)}, at_most_s=ANSWERS_S)
        await run({"bringing messages up to date": parts.delivery.updates.announce_stop()}, at_most_s=ANNOUNCE_S)
        await run({"delivering results": parts.delivery.flush()}, at_most_s=FLUSH_S)

    async def end(
        self,
        errors: Sequence[BaseException],
        *,
        close_engine: Callable[[float], Awaitable[bool]],
        close_database: Coroutine[Any, Any, object],
    ) -> ExitCode:
        """Close the last parts and return what the supervisor is told; ends the process if something hangs in it.

        Raises:
            The first error, if the supervisor cannot mend it with a fresh process.
        """

        async def engine() -> None:
            if not await close_engine(ENGINE_S):
                log.error("stopping: the engine's thread hangs and is left behind")
                self.shutdown.is_hung = True

        await self.shutdown.run({"the engine": engine()}, at_most_s=ENGINE_S + LEAST_S)
        await self.shutdown.run({"the database": close_database}, at_most_s=DATABASE_S)
        code = exit_code(errors)
        if errors and code is not ExitCode.ENGINE_DEAD:
            if self.shutdown.is_hung:  # then nobody may come to say it
                log.critical("%s", errors[0])
            raise errors[0] from None
        log.info("stopped")
        if self.shutdown.is_hung:
            logging.shutdown()
            os._exit(code)
        return code

    def _begin_to_end(self, code: ExitCode) -> None:
        begin_to_end(self.deadline, self._grace_s + STEPS_S, code)


def _answers(parts: Assembly) -> dict[str, Coroutine[Any, Any, object]]:
    return {} if parts.finish_answers is None else {"giving answers": parts.finish_answers()}


async def run_until(stop: asyncio.Event, parts: Sequence[asyncio.Task[None]]) -> None:
    """Wait until all are to stop, or a part dies.

    Raises:
        RuntimeError: a part ended without an error, which is never right.
    """
    stopping = asyncio.create_task(stop.wait())
    try:
        ended, _ = await asyncio.wait([stopping, *parts], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        await asyncio.wait([stopping])
    if not stop.is_set() and not _errors_of(parts):
        raise RuntimeError(f"{ended.pop().get_name()} ended, and nobody asked for that")


def _errors_of(tasks: Sequence[asyncio.Task[None]]) -> list[BaseException]:
    """What parts that have ended by themselves died of."""
    ended = [task for task in tasks if task.done() and not task.cancelled()]
    return [error for task in ended if (error := task.exception()) is not None]


def what_matters(errors: Sequence[BaseException], *, is_asked_to_stop: bool) -> list[BaseException]:
    """The plain errors that the supervisor hears of; who asked to stop is only told that the engine is dead."""
    leaves = [leaf for error in errors for leaf in _leaves(error)]
    if not is_asked_to_stop:
        return leaves
    for error in leaves:
        if not isinstance(error, EngineDead):
            log.error("an error while stopping", exc_info=error)
    return [error for error in leaves if isinstance(error, EngineDead)]


def exit_code(errors: Sequence[BaseException]) -> ExitCode:
    """What the supervisor is told: that the engine is dead comes first, because only a fresh process helps then."""
    if any(isinstance(error, EngineDead) for error in errors):
        return ExitCode.ENGINE_DEAD
    if not errors:
        return ExitCode.OK
    return errors[0].exit_code if isinstance(errors[0], OperatorError) else ExitCode.FAILED


def _leaves(error: BaseException) -> list[BaseException]:
    """The plain exceptions inside nested groups: an operator wants one sentence, not a tree."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]


class FileThreads(ThreadPoolExecutor):
    """Threads for files, which nobody waits for at the end: a disk that hangs would hold the process for ever."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; what is under way is left to `bot/cli/output.py`, which gives every thread a moment."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)


def begin_to_end(deadline: Deadline, seconds: float, code: ExitCode) -> None:
    """Set the deadline, and see that the process ends soon after, whatever hangs: the event loop, or Python's exit."""
    deadline.begin(seconds)
    guard = threading.Timer(deadline.remaining() + LAST_S, _end_process, (code,))
    guard.daemon = True
    guard.start()


def _end_process(code: ExitCode) -> None:
    # In a thread of its own: what hangs may be what the log is written to.
    threading.Thread(target=log.critical, args=("something hangs: the process ends all the same",), daemon=True).start()
    time.sleep(0.1)
    os._exit(code)
