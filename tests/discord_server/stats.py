"""What the emulator counted, and the misdeeds it saw.

Owns the record of requests, gateway events and rule breaks. Must not know who reports to it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Violation:
    """Something a correct bot never does.

    kind: schema, limit, unknown_route, not_emulated, double_ack, late_ack, unanswered, dangling,
    gateway, or emulator (a fault of the emulator itself).
    """

    t: float  # seconds since the emulator began
    kind: str
    message: str
    method: str = ""
    path: str = ""

    def __str__(self) -> str:
        where = f" {self.method} {self.path}" if self.method else ""
        return f"[{self.t:.3f} {self.kind}]{where}: {self.message}"


@dataclass(frozen=True)
class RequestRecord:
    """One HTTP request and its answer."""

    t: float  # seconds since the emulator began
    method: str
    route: str  # the path as described, with {parameters}
    path: str
    status: int  # 0: the connection was dropped without an answer
    code: int | None  # Discord's error code
    seconds: float
    injected: bool  # the answer came from a fault


@dataclass
class Stats:
    """Counters of one emulator."""

    connections: int = 0
    identifies: int = 0
    resumes: int = 0
    failed_resumes: int = 0
    bad_tokens: int = 0
    heartbeats: int = 0
    max_heartbeat_gap: float = 0.0
    interactions: int = 0
    interactions_failed: int = 0
    ack_seconds: list[float] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    error_codes: Counter[int] = field(default_factory=Counter)
    rate_limited: Counter[str] = field(default_factory=Counter)
    edits: int = 0  # of messages that showed something before
    vain_edits: list[str] = field(default_factory=list)  # the texts of those after which readers see what they saw

    def note(self, record: RequestRecord) -> None:
        """Count a request; answers that came from a fault are not the bot's doing."""
        self.requests[f"{record.method} {record.route}"] += 1
        if record.injected:
            return
        self.statuses[record.status] += 1
        if record.code:
            self.error_codes[record.code] += 1
        if record.status == 429:
            self.rate_limited[f"{record.method} {record.route}"] += 1

    def summary(self) -> dict[str, Any]:
        """Return all counters as plain values."""
        plain = (
            "connections", "identifies", "resumes", "failed_resumes", "bad_tokens", "heartbeats",
            "max_heartbeat_gap", "interactions", "interactions_failed",
        )  # fmt: skip
        return {name: getattr(self, name) for name in plain} | {
            "ack_p50": percentile(self.ack_seconds, 50), "ack_p95": percentile(self.ack_seconds, 95),
            "ack_max": max(self.ack_seconds, default=None),
            "requests": dict(self.requests), "statuses": dict(self.statuses),
            "error_codes": dict(self.error_codes), "rate_limited": self.rate_limited.total(),
            "rate_limited_by_route": dict(self.rate_limited),
            "edits": self.edits, "vain_edits": list(self.vain_edits),
            # what counts towards Discord's ban of 10,000 invalid requests per 10 minutes
            "invalid_requests": sum(self.statuses[s] for s in (401, 403, 429)),
        }  # fmt: skip


def percentile(values: list[float], percent: float) -> float | None:
    """Return the value that `percent` of the values do not exceed; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
