"""Waits have no end while the service runs, and end with the deadline once it stops."""

from __future__ import annotations

import asyncio
import math

from bot.deadline import Deadline


def test_deadline_that_has_not_begun_is_never_over(clock) -> None:
    deadline = Deadline(monotonic=clock)
    clock.advance(1e9)
    assert not deadline.has_begun and not deadline.is_over and deadline.remaining() == math.inf
    assert deadline.remaining(3) == 3


def test_time_left_runs_out_and_is_shared_by_everybody(clock) -> None:
    deadline = Deadline(monotonic=clock)
    deadline.begin(10)
    clock.advance(8)
    deadline.begin(100)  # once
    assert deadline.remaining() == 2 and deadline.remaining(1) == 1
    clock.advance(3)
    assert deadline.is_over and deadline.remaining(1) == 0


async def test_pause_ends_when_the_stop_begins() -> None:
    deadline = Deadline()
    pausing = asyncio.create_task(deadline.pause(3600))
    await asyncio.sleep(0)
    deadline.begin(10)
    await asyncio.wait_for(pausing, 5)


async def test_pause_does_not_go_beyond_the_deadline(clock) -> None:
    deadline = Deadline(10, monotonic=clock)
    clock.advance(10)
    await asyncio.wait_for(deadline.pause(3600), 5)
