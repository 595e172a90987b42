"""How many connections the page has, and which of them gives way when there is no room for another.

Half-open ones never sent a whole request; whoever opens a thousand of them must not keep anybody out, nor take the
file descriptors that drawing, the database and Discord need. So connections are accepted here, one by one, not by
asyncio: that takes whatever comes, and out of descriptors it logs the same error a thousand times a second. Under
hypercorn, which has some of the time-outs that uvicorn lacks, it does so too (docs/benchmarks.md). One connection is
`protocol.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Final

from bot.clock import Clock
from bot.frontends.web.identity import THIS_MACHINE, neighbourhood
from bot.frontends.web.protocol import Connection

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 1000  # a browser has up to six
MIN_CONNECTIONS: Final = 32
WANTED_FILES: Final = 4096
RESERVED_FILES: Final = 224  # a page with the demo model has 60 open; large models, Discord and pictures some more
BACKLOG: Final = 2048  # the system keeps so many until they are accepted; Linux itself no more than `somaxconn`
# So long nobody gives way: a request needs the time to arrive, and may lie in the queue of a loop that is busy.
GRACE_S: Final = 0.2
LOOK_AGAIN_S: Final = 0.02
NO_LISTENER: Final = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})  # to ask again would be to ask for ever
OUT_OF_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
OUT_OF_FILES_PAUSE_S: Final = 0.2
REFUSAL: Final = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 5\r\n\r\n"


def raise_file_limit() -> int:
    """Let this process open as many files as the page can use, if the system allows; how many it may now."""
    if sys.platform == "win32":  # where sockets are not counted
        return WANTED_FILES
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED_FILES if soft == resource.RLIM_INFINITY else soft


def room_for(files: int) -> int:
    """How many connections leave enough of `files` to everything else, with one more file open for each of them."""
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, (files - RESERVED_FILES) // 2))


class Connections:
    """All connections to the page, each in the first of these groups that it fits: the order in which they give way."""

    def __init__(self, capacity: int, *, clock: Clock = time.monotonic) -> None:
        self.capacity = capacity
        self._clock = clock
        self._all: dict[Connection, str] = {}  # with its neighbourhood
        self._neighbours: Counter[str] = Counter()
        # Each in the order in which they came in, so the oldest first.
        self._half_open: dict[Connection, None] = {}
        self._answered: dict[Connection, None] = {}
        self._arriving: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    async def accept(self, listening: socket.socket, make: Callable[[], Connection]) -> None:
        """Accept until cancelled.

        Raises:
            ExceptionGroup: there is no listening socket any more.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as connecting:
            while True:
                try:
                    accepted, address = await loop.sock_accept(listening)
                except OSError as error:
                    if error.errno in NO_LISTENER:
                        raise
                    if error.errno in OUT_OF_FILES:
                        log.warning("no connection can be accepted: %s", error)
                        self._drop_oldest(self._all)
                        await asyncio.sleep(OUT_OF_FILES_PAUSE_S)
                    continue
                try:
                    has_room = await self._wait_for_room(neighbourhood(address[0]))
                except asyncio.CancelledError:
                    accepted.close()
                    raise
                if has_room:
                    connection = make()
                    self.add(connection, neighbourhood(address[0]))
                    connecting.create_task(self._connect(loop, connection, accepted))
                else:
                    _refuse(accepted)

    async def _wait_for_room(self, neighbours: str) -> bool:
        """Whether there is room, now or as soon as one that asks for nothing is old enough to give way.

        Meanwhile who waits outside is kept by the system.
        """
        await asyncio.sleep(0)  # what the others sent is read first
        while not self.has_room():
            if not (self._half_open or self._answered or self._arriving):
                return False
            await asyncio.sleep(LOOK_AGAIN_S)
        return self.has_room_for(neighbours)

    async def _connect(self, loop: asyncio.AbstractEventLoop, connection: Connection, accepted: socket.socket) -> None:
        try:
            await loop.connect_accepted_socket(lambda: connection, accepted)
        except OSError:  # gone already
            accepted.close()
            self.forget(connection)

    def add(self, connection: Connection, neighbours: str) -> None:
        """Count a connection from here on."""
        self._all[connection] = neighbours
        self._neighbours[neighbours] += 1
        self._half_open[connection] = None

    def note(self, connection: Connection) -> None:
        """Put a connection, which did something, into its group."""
        if connection not in self._all or connection.is_half_open:
            return
        for group in (self._half_open, self._answered, self._arriving):
            group.pop(connection, None)
        if connection.is_answered:
            self._answered[connection] = None
        elif connection.is_arriving:
            self._arriving[connection] = None

    def forget(self, connection: Connection) -> None:
        """Count a connection no longer."""
        neighbours = self._all.pop(connection, None)
        if neighbours is None:
            return
        self._neighbours[neighbours] -= 1
        if not self._neighbours[neighbours]:
            del self._neighbours[neighbours]
        for group in (self._half_open, self._answered, self._arriving):
            group.pop(connection, None)

    def has_room(self) -> bool:
        """Whether there is room for one more, once the one that can best be spared has given way."""
        return len(self._all) < self.capacity or self._drop_oldest(self._all)

    def has_room_for(self, neighbours: str) -> bool:
        """The same for one from there: those of one address, but for this machine's, have half of the room at most."""
        if neighbours == THIS_MACHINE or self._neighbours[neighbours] < self.capacity // 2:
            return True
        return self._drop_oldest({each for each, place in self._all.items() if place == neighbours})

    def sweep(self) -> None:
        """End those that take too long. To be called about once a second."""
        now = self._clock()
        for connection in [each for each in self._all if each.is_overdue(now)]:
            connection.drop()
            self.forget(connection)

    def _drop_oldest(self, among: Collection[Connection]) -> bool:
        latest = self._clock() - GRACE_S
        for group in (self._half_open, self._answered, self._arriving):
            oldest = next((each for each in group if each in among), None)
            if oldest is not None and oldest.since <= latest and oldest.transport is not None:
                log.warning("there are too many connections to the page: those that ask for nothing give way")
                oldest.drop()
                self.forget(oldest)
                return True
        return False


def _refuse(accepted: socket.socket) -> None:
    log.warning("there are too many connections to the page: new ones are refused")
    with contextlib.suppress(OSError):
        accepted.send(REFUSAL)
    accepted.close()
