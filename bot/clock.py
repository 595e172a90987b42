"""The clock that parts are given, so that a test can set it, and waiting for no longer than a time. Knows no part."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

Clock = Callable[[], float]  # seconds


async def wait_for(event: asyncio.Event, timeout_s: float) -> None:
    """Wait until the event is set, but not longer than this."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
