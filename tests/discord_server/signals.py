"""Waiting for state to change without polling.

Owns the one wake-up mechanism of the emulator, and the error of a wait that was in vain.
Must not know what is waited for.
"""

# ruff: noqa: ASYNC109 - the limit is a parameter because the error has to say what did not happen

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class HarnessTimeout(TimeoutError):
    """Something a scenario waited for did not happen."""


class Signal:
    """Wakes whoever waits, each time the state behind it changes."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Let every waiter look at the state again."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_for(
        self,
        predicate: Callable[[], T | None],
        timeout: float,
        what: str | Callable[[], str] = "a condition",
    ) -> T:
        """Return the predicate's first true value; raise HarnessTimeout after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            value = predicate()
            if value:
                return value
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.add(waiter)
            try:
                done, _ = await asyncio.wait({waiter}, timeout=max(0.0, deadline - loop.time()))
            finally:
                self._waiters.discard(waiter)
            if not done:
                text = what() if callable(what) else what
                raise HarnessTimeout(f"no {text} within {timeout:g} s")
