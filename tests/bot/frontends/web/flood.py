"""1100 half-open connections before the page, and somebody who draws meanwhile.

Run it as `python -m tests.bot.frontends.web.flood`. Figures go to standard output.
The page is a process of its own, with few file descriptors; the attackers are another.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.bot.frontends.web.conftest import PageProcess, session_at, start_in

HALF_OPEN = b"GET /console/state HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
# A process of its own: an attacker does not share the loop of those whom it attacks. Says how many were let go.
ATTACK = """
import selectors, socket, sys, time
host, port, number, begin = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4])
def connect():
    held = socket.socket()
    held.setblocking(False)
    held.connect_ex((host, port))
    return held
held = [connect() for _ in range(number)]
print("connected", flush=True)
begun = set()
while True:
    for index, each in enumerate(held):
        try:
            each.send(b"a" if index in begun else begin)
            begun.add(index)
        except BlockingIOError:
            pass
        except OSError:  # let go: come again, as an attacker does
            each.close()
            begun.discard(index)
            held[index] = connect()
    time.sleep(0.3)
"""


@contextlib.asynccontextmanager
async def attack(url: str, number: int, begin: bytes = HALF_OPEN) -> AsyncIterator[None]:
    """Hold so many connections open, each with a request that never ends, and open it again when it is dropped."""
    host, port = url.removeprefix("http://").split(":")
    attacker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ATTACK, host, port, str(number), begin.hex(), stdout=asyncio.subprocess.PIPE
    )
    assert attacker.stdout is not None
    try:
        assert await attacker.stdout.readline() == b"connected\n"
        yield
    finally:
        attacker.kill()
        await attacker.wait()


@dataclass
class Seen:
    """What an honest visitor met with: how long each answer took, in seconds, on a connection of its own."""

    state_s: list[float] = field(default_factory=list)
    drawn_s: float = 0.0

    async def visit(self, page: PageProcess) -> None:
        """Ask for a picture, and look until it is there."""
        began = time.monotonic()
        async with session_at(page.url) as person:
            assert (await person.draw("[step=0.05] a red apple", -1, 10)).status_code == 200
            cookies = person.client.cookies
        while True:
            asked = time.monotonic()
            async with httpx.AsyncClient(base_url=page.url, timeout=30, trust_env=False, cookies=cookies) as client:
                state = (await client.get("/console/state")).json()
            self.state_s.append(time.monotonic() - asked)
            if state["newest"] is not None:
                self.drawn_s = time.monotonic() - began
                return
            assert "failure" not in str(state["jobs"]), state
            await asyncio.sleep(0.05)


def kinds(lines: Iterable[str]) -> Counter[str]:
    """How many lines there are of each kind: without time and numbers."""
    return Counter(re.sub(r"\d+", "0", line.partition("[")[2]) for line in lines if "[" in line)


def resident_mib(pid: int) -> float:
    """The memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def open_files(pid: int) -> int:
    """How many file descriptors a process has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def main(connections: int, files: int, rounds: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        async with start_in(Path(folder), files=files)() as page:
            for label, number in (("before", 0), ("during", connections), ("after", 0)):
                async with attack(page.url, number):
                    seen = Seen()
                    for _ in range(rounds):
                        await seen.visit(page)
                    worst, median = max(seen.state_s), sorted(seen.state_s)[len(seen.state_s) // 2]
                    sys.stdout.write(
                        f"{label}: {number} half-open, {open_files(page.pid)} of {files} files, "
                        f"{resident_mib(page.pid):.0f} MiB; of {len(seen.state_s)} answers the median "
                        f"{median * 1000:.0f} ms, worst {worst * 1000:.0f} ms; picture after {seen.drawn_s:.1f} s\n"
                    )
            assert await page.stop(timeout=20) == 0
            sys.stdout.write(f"{len(page.lines)} lines of log\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=1100)
    parser.add_argument("--files", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    asyncio.run(main(**vars(parser.parse_args())))
