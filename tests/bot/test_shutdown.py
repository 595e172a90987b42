"""Nothing that hangs or fails on leaving keeps the others from their turn, or the process from its end."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.deadline import Deadline
from bot.shutdown import Shutdown


async def hang() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise RuntimeError("no")


class Stubborn:
    """Does not let itself be cancelled before it is released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def __call__(self) -> None:
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                continue


async def test_each_has_its_turn_whatever_became_of_those_before(caplog: pytest.LogCaptureFixture) -> None:
    said = []

    async def bow() -> None:
        said.append("bow")

    stubborn = Stubborn()
    shutdown = Shutdown(Deadline(0))  # as late as can be
    started = time.monotonic()
    for name, step in {"a": fail(), "b": hang(), "c": stubborn(), "d": bow()}.items():
        await shutdown.run({name: step}, at_most_s=60)
    stubborn.released.set()
    assert time.monotonic() - started < 5
    assert said == ["bow"] and shutdown.is_hung
    for line in ("a failed", "b takes too long and is given up", "c does not end and is left behind"):
        assert line in caplog.text
    assert "stopping: d" not in caplog.text


async def test_what_can_be_given_up_does_not_count_as_hung() -> None:
    shutdown = Shutdown(Deadline(0))
    await shutdown.run({"a": hang()}, at_most_s=60)
    await shutdown.cancel([asyncio.create_task(hang()), asyncio.create_task(fail())], at_most_s=60)
    assert not shutdown.is_hung


async def test_failure_while_being_cancelled_is_told_and_goes_no_further(caplog: pytest.LogCaptureFixture) -> None:
    async def ends_badly() -> None:
        try:
            await hang()
        finally:
            raise RuntimeError("in close")

    task = asyncio.create_task(ends_badly(), name="the page")
    await asyncio.sleep(0)
    await Shutdown(Deadline(1)).cancel([task], at_most_s=60)
    assert "the page failed" in caplog.text and "in close" in caplog.text
