"""Running a bot as a subprocess: start, watch, stop, crash.

Owns the process and its output. Must not know which bot it is, nor Discord beyond "it is online".
"""

# ruff: noqa: ASYNC109 - see signals.py

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.discord_server.driver import Discord
from tests.discord_server.forks import ForkedProcess, can_fork, fork_server
from tests.discord_server.gateway import Session
from tests.discord_server.signals import Signal


class BotExited(Exception):
    """The bot's process ended while it was needed."""


class BotProcess:
    """`async with BotProcess(d, command, env=..., cwd=...) as bot:`; gone when the block ends."""

    def __init__(
        self,
        discord: Discord,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        preload: str = "",
    ) -> None:
        """Start nothing yet.

        Args:
            preload: modules whose imports take long, with commas, for `python -m` commands: see forks.py.
        """
        self.discord = discord
        self.command = list(command)
        self.env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self.cwd = cwd
        self.lines: list[str] = []
        self.changed = Signal()
        self._preload = preload
        self._process: asyncio.subprocess.Process | ForkedProcess | None = None
        self._reader: asyncio.Task[None] | None = None
        self._sessions_before = 0

    async def __aenter__(self) -> BotProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    async def start(self) -> None:
        """Start the process, for the first time or again; returns before it is ready."""
        assert self._process is None or self.returncode is not None, "still running"
        self._sessions_before = len(self.discord.gateway.sessions)
        if self._preload and can_fork(self.env):
            assert self.command[:2] == [sys.executable, "-m"]
            server = fork_server(self._preload, self.env["PYTHONPATH"])
            self._process = await server.start(self.command[2], self.command[3:], self.env, Path(self.cwd or "."))
        else:
            self._process = await asyncio.create_subprocess_exec(
                *self.command, env=self.env, cwd=self.cwd, start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
        self._reader = asyncio.create_task(self._read(self._process))

    async def _read(self, process: asyncio.subprocess.Process | ForkedProcess) -> None:
        assert process.stdout is not None
        rest = b""
        while chunk := await process.stdout.read(1 << 16):
            *whole, rest = (rest + chunk).split(b"\n")
            self.lines += [line.decode(errors="replace") for line in whole]
            self.changed.notify()
        if rest:
            self.lines.append(rest.decode(errors="replace"))
        await process.wait()
        if isinstance(process, ForkedProcess):
            await process.release()
        self.changed.notify()

    # -- watching -------------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode if self._process else None

    @property
    def output(self) -> str:
        """Everything it wrote, over all its starts."""
        return "\n".join(self.lines)

    async def wait_ready(self, timeout: float = 30.0) -> Session:
        """Wait until this start of the bot is online; raise BotExited if it dies first."""
        ready = asyncio.create_task(self.discord.wait_ready(timeout, self._sessions_before + 1))
        assert self._reader is not None
        await asyncio.wait({ready, self._reader}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            raise BotExited(f"exit code {self.returncode} before READY; its output:\n{self._tail()}")
        return ready.result()

    async def wait_log(self, pattern: str, timeout: float = 10.0, after: int = 0) -> str:
        """Return the first output line (from number `after` on) that fits."""

        def fitting() -> str | None:
            found = next((line for line in self.lines[after:] if re.search(pattern, line)), None)
            if found is None and self.returncode is not None:
                raise BotExited(f"exit code {self.returncode} before writing {pattern!r}:\n{self._tail()}")
            return found

        wanted = lambda: f"{pattern!r} in the output:\n{self._tail()}\n"  # noqa: E731
        return await self.changed.wait_for(fitting, timeout, wanted)

    async def wait_exit(self, timeout: float = 10.0) -> int:
        """Wait until the process ends by itself or by a signal; return its exit code."""
        told = lambda: f"exit of the bot; its output:\n{self._tail()}\n"  # noqa: E731
        await self.changed.wait_for(lambda: self.returncode is not None, timeout, told)
        assert self.returncode is not None
        return self.returncode

    def _tail(self) -> str:
        return "\n".join(self.lines[-40:])

    # -- ending ---------------------------------------------------------------------

    async def stop(self, timeout: float = 15.0) -> int:
        """SIGTERM, as a service manager does; return the exit code."""
        self._signal(signal.SIGTERM)
        return await self.wait_exit(timeout)

    async def kill(self) -> int:
        """SIGKILL: a crash. Its children, if any, are left alone until close()."""
        self._signal(signal.SIGKILL)
        return await self.wait_exit()

    async def close(self) -> None:
        """End the process and whatever is left of its process group."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # the group this object started
        await self._process.wait()
        if self._reader is not None:
            await self._reader

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
