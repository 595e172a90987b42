"""Starts of one Python program without the seconds that its imports take.

A process imports the program once, and every start is a fork of it. What is started is a process like any other: it
has a session, an environment, a folder and an exit code of its own, and dies by kill -9. Only for Linux and macOS.

This file is also the program that forks; it imports nothing but the standard library, so that a start has only what
the program itself imports.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

MAX_REQUEST: Final = 1 << 20
LOOK_S: Final = 0.02  # how soon the end of a process is noticed
# Variables that no module reads when it is imported.
FRESH: Final = ("IMAGINE_BOT", "DISCORD_TOKEN", "NETWORK_GUARD_FILE", "ALL_PROXY", "HTTPS_PROXY")


class Pipe(NamedTuple):
    """The end from which it is read."""

    reader: asyncio.StreamReader
    transport: asyncio.ReadTransport

    async def close(self) -> None:
        """Close it now: an event loop that ends first would leave it open."""
        self.transport.close()
        await asyncio.sleep(0)


class ForkedProcess:
    """One start; what `asyncio.subprocess.Process` offers of it."""

    def __init__(self, pid: int, output: Pipe, status: Pipe) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = output.reader
        self._output = output
        self._ended = asyncio.create_task(self._wait(status))

    async def _wait(self, status: Pipe) -> int:
        self.returncode = int(await status.reader.readline() or -signal.SIGKILL)
        await status.close()
        return self.returncode

    async def release(self) -> None:
        """Let go of its output, once it was read to its end."""
        await self._output.close()

    async def wait(self) -> int:
        """Wait until it has ended; return its exit code, or the number of a signal as a negative one."""
        return await self._ended

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)


class ForkServer:
    """A process that has imported `preload`, and forks for every start."""

    def __init__(self, preload: str, path: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_REQUEST)
        self._socket = ours
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-P", __file__, str(theirs.fileno()), preload],
                env={**os.environ, "PYTHONPATH": path},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    async def start(self, module: str, arguments: Sequence[str], env: Mapping[str, str], cwd: Path) -> ForkedProcess:
        """Run a module as `python -m` does, its output through one pipe."""
        (out, out_end), (status, status_end) = os.pipe(), os.pipe()
        request = {"module": module, "arguments": list(arguments), "env": dict(env), "cwd": str(cwd)}
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode()], [out_end, status_end])
        finally:
            os.close(out_end)
            os.close(status_end)
        output, told = await _pipe(os.fdopen(out, "rb")), await _pipe(os.fdopen(status, "rb"))
        return ForkedProcess(int(await told.reader.readline()), output, told)


@cache
def fork_server(preload: str, path: str) -> ForkServer:
    """The one of this process. It ends with it."""
    return ForkServer(preload, path)


def can_fork(env: Mapping[str, str]) -> bool:
    """Whether a start with these variables finds modules in the state in which an import with them would leave them."""
    changed = {name for name in env.keys() | os.environ.keys() if env.get(name) != os.environ.get(name)}
    return hasattr(os, "fork") and all(name.startswith(FRESH) for name in changed - {"PYTHONPATH", "PYTHONUNBUFFERED"})


async def _pipe(end: BinaryIO) -> Pipe:
    reader, loop = asyncio.StreamReader(), asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), end)
    return Pipe(reader, transport)


# ── the process that forks ──────────────────────────────────────────────────────────────────────────


def _serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork for each request.

    Returns:
        The request, in the process that was made for it; None when there are no more.
    """
    running: dict[int, int] = {}
    while True:
        for pid in list(running):
            if (ended := os.waitpid(pid, os.WNOHANG))[0]:
                os.write(running[pid], b"%d\n" % os.waitstatus_to_exitcode(ended[1]))
                os.close(running.pop(pid))
        if not select.select([requests], [], [], LOOK_S if running else None)[0]:
            continue
        data, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST, 2)
        if not data:
            return None
        out, status = descriptors
        if pid := os.fork():
            os.close(out)
            os.write(status, b"%d\n" % pid)
            running[pid] = status
            continue
        for descriptor in (requests.fileno(), status, *running.values()):
            os.close(descriptor)
        _settle(out)
        request: dict[str, Any] = json.loads(data)
        return request


def _settle(out: int) -> None:
    """Make this fork a process of its own."""
    os.setsid()
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nothing.fileno(), 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(out)
    for number, name in enumerate(("stdin", "stdout", "stderr")):  # what they were may have been no pipe
        stream = os.fdopen(number, "w" if number else "r", closefd=False, buffering=1)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    random.seed()


def main() -> None:
    """Import a program, and fork for whoever wants to start it."""
    requests, preload = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    for module in preload.split(","):
        import_module(module)
    request = _serve(requests)
    if request is None:
        return
    os.environ.clear()
    os.environ.update(request["env"])
    if (tell := getattr(sys.modules.get("sitecustomize"), "tell", None)) is not None:  # tests/network_guard
        tell()
    os.chdir(request["cwd"])
    time.tzset()
    sys.path.insert(0, request["cwd"])
    sys.argv = [request["module"], *request["arguments"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
