"""Hearing of a loop that rests, so that no test has to wait for some time to see that nothing happens."""

from __future__ import annotations

import asyncio
from types import ModuleType

import pytest


class Rests:
    """The rests of a loop that waits by `bot.clock.wait_for`. It is woken by what it waits for, and never by time.

    At a rest the loop has looked at everything that was there, and done what it had to.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
        self.count = 0
        self._changed = asyncio.Event()
        monkeypatch.setattr(module, "wait_for", self._rest)

    async def _rest(self, event: asyncio.Event, _timeout_s: float) -> None:
        self.count += 1
        self._changed.set()
        await event.wait()

    async def wait(self, count: int) -> None:
        """Wait until there have been so many."""
        async with asyncio.timeout(10):
            while self.count < count:
                self._changed.clear()
                await self._changed.wait()
