"""From the page's loop to the service's and back: the one place where the two meet.

Gradio works on its own loop for tens of milliseconds at a time, which must not delay answers to Discord.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Ask(Protocol):
    """Runs a coroutine on the service's loop and returns, or raises, what came of it."""

    def __call__(self, question: Coroutine[Any, Any, T], /) -> Awaitable[T]: ...


def bridge_to(loop: asyncio.AbstractEventLoop) -> Ask:
    """Make the bridge; a question whose asker is cancelled is cancelled too."""

    async def ask(question: Coroutine[Any, Any, T], /) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(question, loop))

    return ask
