"""Per-route buckets and the global limit, with the headers that tell a bot about them.

Owns the counting. Must not know what a request does. Discord publishes no bucket sizes: those here are
commonly reported ones, never measured against the live service.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass, field

from tests.discord_server.config import Config
from tests.discord_server.routes import Operation

MESSAGES = "/channels/{channel_id}/messages"
MESSAGE = f"{MESSAGES}/{{message_id}}"
WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"

# route -> (name of the bucket it shares, requests, seconds). Others: 50 per second each.
BUCKETS: dict[str, tuple[str, int, float]] = {
    f"POST {MESSAGES}": ("message-create", 5, 5.0),
    f"PATCH {MESSAGE}": ("message-edit", 5, 5.0),
    f"DELETE {MESSAGE}": ("message-delete", 5, 1.0),
    f"PUT {MESSAGE}/reactions/{{emoji_name}}/@me": ("reaction", 1, 0.25),
    f"DELETE {MESSAGE}/reactions/{{emoji_name}}/@me": ("reaction", 1, 0.25),
    "POST /channels/{channel_id}/typing": ("typing", 5, 5.0),
    f"POST {WEBHOOK}": ("webhook-execute", 5, 2.0),
    f"PATCH {WEBHOOK}/messages/@original": ("webhook-edit", 5, 5.0),
    f"PATCH {WEBHOOK}/messages/{{message_id}}": ("webhook-edit", 5, 5.0),
}
DEFAULT = (50, 1.0)
MAJOR = ("channel_id", "guild_id", "webhook_id", "webhook_token", "interaction_id")


@dataclass
class Window:
    """A fixed window of time in which so many requests may pass."""

    opened: float = -math.inf
    used: int = 0

    def take(self, limit: int, seconds: float, now: float) -> float:
        """Count one request; return the seconds to wait when the window is used up."""
        if now - self.opened >= seconds:
            self.opened, self.used = now, 0
        if self.used >= limit:
            return self.opened + seconds - now
        self.used += 1
        return 0.0


@dataclass
class Verdict:
    """What a bucket says about a request."""

    headers: dict[str, str] = field(default_factory=dict)
    retry_after: float = 0.0  # seconds
    is_global: bool = False

    @property
    def limited(self) -> bool:
        return self.retry_after > 0


class RateLimiter:
    """All buckets of one bot."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._windows: dict[tuple[str, ...], Window] = {}
        self._global = Window()

    def check(self, op: Operation) -> Verdict:
        """Count a request against its limits."""
        now = time.monotonic()
        if op.needs_auth:  # interaction endpoints are not bound to the global limit
            limit, seconds = self.config.global_rate
            wait = self._global.take(limit, self.config.scaled(seconds), now)
            if wait:
                headers = {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"}
                return Verdict(headers, _whole_ms(wait), is_global=True)
        bucket, limit, seconds = BUCKETS.get(op.name, (op.name, *DEFAULT))
        seconds = self.config.scaled(seconds)
        major = tuple(op.params[name] for name in MAJOR if name in op.params)
        window = self._windows.setdefault((bucket, *major), Window())
        wait = window.take(limit, seconds, now)
        reset_after = window.opened + seconds - now
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(limit - window.used),
            "X-RateLimit-Reset": f"{time.time() + reset_after:.3f}",
            "X-RateLimit-Reset-After": f"{_whole_ms(reset_after):.3f}",
            "X-RateLimit-Bucket": hashlib.sha256(bucket.encode()).hexdigest()[:32],
        }
        if wait:
            headers["X-RateLimit-Scope"] = "user"
        return Verdict(headers, _whole_ms(wait))


def _whole_ms(seconds: float) -> float:
    """Round up to milliseconds, so that waiting exactly this long is enough."""
    return math.ceil(seconds * 1000) / 1000
