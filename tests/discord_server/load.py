"""Load: many users firing commands at a given rate, and what became of each command.

Owns the pacing and the report. Must not know the command's meaning; `options` and `done` tell.
"""

# ruff: noqa: ASYNC109 - each command has this long, whatever the others do

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.discord_server.driver import Discord, InteractionFailed, Use
from tests.discord_server.messages import Event
from tests.discord_server.signals import HarnessTimeout
from tests.discord_server.stats import percentile
from tests.discord_server.view import MessageView
from tests.discord_server.world import Channel, User


@dataclass
class Shot:
    """One command and its fate: "done", "lost" (no answer in time) or "unfinished"."""

    index: int
    user: User
    use: Use
    fate: str = "unfinished"
    seconds: float | None = None  # until the first final state
    finals: set[str] = field(default_factory=set)  # ids of the messages that reached a final state


@dataclass
class LoadReport:
    """What became of all commands."""

    shots: list[Shot]
    rate_limited: int  # 429s caused meanwhile
    violations: int

    def count(self, fate: str) -> int:
        return sum(s.fate == fate for s in self.shots)

    @property
    def duplicated(self) -> list[Shot]:
        """Commands with more than one final message."""
        return [s for s in self.shots if len(s.finals) > 1]

    def summary(self) -> dict[str, Any]:
        acks = [s.use.ack_seconds for s in self.shots if s.use.ack_seconds is not None]
        ends = [s.seconds for s in self.shots if s.seconds is not None]
        return {
            "sent": len(self.shots), "done": self.count("done"), "lost": self.count("lost"),
            "unfinished": self.count("unfinished"), "duplicated": len(self.duplicated),
            "ack_p50": percentile(acks, 50), "ack_p95": percentile(acks, 95),
            "ack_max": max(acks, default=None), "done_p50": percentile(ends, 50),
            "done_p95": percentile(ends, 95), "done_max": max(ends, default=None),
            "rate_limited": self.rate_limited, "violations": self.violations,
        }  # fmt: skip


async def fire(
    discord: Discord,
    channel: Channel,
    command: str,
    *,
    users: int,
    total: int,
    rate: float,
    options: Callable[[int], dict[str, Any]],
    done: Callable[[MessageView], Any],
    timeout: float,
) -> LoadReport:
    """Let `users` users use `command` `total` times in turn, `rate` times a second whatever the answers.

    `options(i)` makes the i-th command's options, `done` tells a final message, and each
    command has `timeout` seconds to reach one.
    """
    team = [discord.add_user(f"load-{n}") for n in range(users)]
    limited, violations = discord.stats()["rate_limited"], len(discord.violations)
    loop = asyncio.get_running_loop()
    began = loop.time()
    shots: list[Shot] = []
    async with asyncio.TaskGroup() as watches:
        for i in range(total):
            await asyncio.sleep(max(0.0, began + i / rate - loop.time()))
            user = team[i % users]
            shot = Shot(i, user, await discord.slash(user, channel, command, options=options(i)))
            shots.append(shot)
            watches.create_task(_watch(shot, done, timeout))
    for shot in shots:
        shot.finals = {e.message.id for e in _shown(shot) if e.message and done(e.message)}
    return LoadReport(shots, discord.stats()["rate_limited"] - limited, len(discord.violations) - violations)


async def _watch(shot: Shot, done: Callable[[MessageView], Any], timeout: float) -> None:
    try:
        await shot.use.wait(done, timeout)
    except InteractionFailed:
        shot.fate = "lost"
    except HarnessTimeout:
        pass  # stays "unfinished"
    else:
        shot.fate = "done"
        shot.seconds = next(e.t for e in _shown(shot) if e.message and done(e.message))


def _shown(shot: Shot) -> list[Event]:
    return [e for e in shot.use.timeline if e.kind in ("message", "edit")]
