"""Whoever asks to stop, and whatever dies, the process ends in time and with the right code."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bot.errors import DatabaseUnusable, ExitCode
from bot.lifecycle import FileThreads, exit_code, run_until, what_matters
from pipeline import EngineDead


def test_error_counts_by_what_the_supervisor_can_do_about_it(caplog: pytest.LogCaptureFixture) -> None:
    dead, damaged, bug = EngineDead("hangs"), DatabaseUnusable(Path("x.db"), "damaged"), RuntimeError("a bug")
    nested = ExceptionGroup("slots", [ExceptionGroup("slot", [dead])])
    assert exit_code([]) is ExitCode.OK
    assert exit_code([bug]) is ExitCode.FAILED
    assert exit_code([damaged]) is ExitCode.USAGE
    assert exit_code(what_matters([bug, nested], is_asked_to_stop=False)) is ExitCode.ENGINE_DEAD
    assert what_matters([bug], is_asked_to_stop=True) == [] and "a bug" in caplog.text
    assert what_matters([bug, nested], is_asked_to_stop=True) == [dead]


def test_file_that_hangs_does_not_hold_the_process() -> None:
    """asyncio waits for the threads of its default executor without an end."""
    begun, release = threading.Event(), threading.Event()

    def read() -> None:
        begun.set()
        release.wait(30)

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(FileThreads())
        reading = asyncio.create_task(asyncio.to_thread(read))
        await asyncio.to_thread(begun.wait, 10)
        reading.cancel()

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < 10
    release.set()


def test_guard_ends_a_process_whose_loop_hangs() -> None:
    script = (
        "import asyncio, time\n"
        "from bot.lifecycle import begin_to_end\n"
        "from bot.deadline import Deadline\n"
        "from bot.errors import ExitCode\n"
        "async def main():\n"
        "    begin_to_end(Deadline(), 0.1, ExitCode.ENGINE_DEAD)\n"
        "    time.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], timeout=40, check=False)
    assert ended.returncode == ExitCode.ENGINE_DEAD


async def test_part_that_ends_without_an_error_is_named() -> None:
    async def end() -> None:
        pass

    parts = [asyncio.create_task(end(), name="the page")]
    with pytest.raises(RuntimeError, match="the page ended"):
        await run_until(asyncio.Event(), parts)


async def test_wait_for_the_stop_leaves_no_task_behind() -> None:
    before, stop = asyncio.all_tasks(), asyncio.Event()

    async def serve() -> None:
        await asyncio.Event().wait()

    part = asyncio.create_task(serve())
    stop.set()
    await run_until(stop, [part])
    assert asyncio.all_tasks() == {*before, part}
    part.cancel()
    await asyncio.wait([part])
