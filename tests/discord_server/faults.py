"""Failures of the HTTP API, the gateway's address and the CDN, injected by route.

Owns which request fails next and how. Must not know HTTP; server.py acts the fault out.
"""

# ruff: noqa: ASYNC109 - see signals.py

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field

from tests.discord_server.errors import NAME_OF_CODE
from tests.discord_server.signals import Signal


@dataclass
class Fault:
    """What happens to the next `times` requests whose "METHOD /path" matches `pattern`.

    The path is the one of Discord's description (`/channels/{channel_id}/messages`) or the real
    one; `GET /gateway-ws` is the websocket upgrade and `GET /cdn/...` the CDN. Exactly one of
    status, code, retry_after, reset, hang, slow and cut is set; only code and retry_after go together.
    """

    pattern: str
    times: float = 1  # math.inf: until cleared
    status: int | None = None  # answer with this status and an HTML body, as an edge proxy does
    code: int | None = None  # answer with this Discord error, such as 30046 or 200000
    retry_after: float | None = None  # answer 429 and ask for this many seconds of patience
    reset: bool = False  # drop the connection without an answer
    hang: float | None = None  # stay silent for this many seconds, then drop the connection
    slow: float | None = None  # answer normally, this many seconds later
    cut: int | None = None  # of the CDN: send this many bytes of the file, then drop the connection
    is_global: bool = False  # with retry_after: the limit is the bot's as a whole
    applied: bool = False  # carry the request out, then fail it: the effect stays, the answer is lost
    hits: int = 0
    _changed: Signal = field(default_factory=Signal, repr=False)

    def __post_init__(self) -> None:
        json_error = self.code if self.code is not None else self.retry_after
        chosen = [self.status, json_error, self.hang, self.slow, self.cut, self.reset or None]
        if sum(how is not None for how in chosen) != 1:
            raise ValueError("a fault needs exactly one of status, code, retry_after, reset, hang, slow, cut")
        if self.code is not None and self.code not in NAME_OF_CODE:
            raise ValueError(f"code {self.code} is not in the catalogue of errors.py")

    @property
    def spent(self) -> bool:
        return self.hits >= self.times

    async def wait_spent(self, timeout: float = 10.0) -> None:
        """Wait until the fault has hit as often as it was asked to."""
        await self._changed.wait_for(lambda: self.spent, timeout, f"{self.times} hits on {self.pattern}")

    def hit(self) -> None:
        """Count one request that met this fault."""
        self.hits += 1
        self._changed.notify()


class Faults:
    """The faults in force, in the order they were added."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._stopped = asyncio.Event()

    def add(self, fault: Fault) -> Fault:
        self._rules.append(fault)
        return fault

    def clear(self) -> None:
        self._rules.clear()

    def take(self, method: str, *paths: str) -> Fault | None:
        """Return the first unspent fault that one of the paths matches, counted as hit."""
        for fault in self._rules:
            if not fault.spent and any(re.search(fault.pattern, f"{method} {path}") for path in paths):
                fault.hit()
                return fault
        return None

    async def pause(self, seconds: float) -> None:
        """Sleep, but no longer than the server lives."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    def stop(self) -> None:
        """End every pause."""
        self._stopped.set()
