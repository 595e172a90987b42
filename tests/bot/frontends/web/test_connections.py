"""Connections to the page: what is no request, what takes too long, and who gives way when there are too many."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
import uvicorn

from bot.config import ConsoleConfig
from bot.frontends.web.connections import (
    GRACE_S,
    MAX_CONNECTIONS,
    MIN_CONNECTIONS,
    RESERVED_FILES,
    Connections,
    raise_file_limit,
    room_for,
)
from bot.frontends.web.protocol import BODY_S, BODY_WINDOW_S, HEAD_S, LINGER_S, MAX_HEAD_BYTES, STUCK_S, Connection
from bot.frontends.web.server import PageServer, listen
from tests.conftest import FrozenClock

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
WAIT, LARGE = (b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in (b"wait", b"large"))


class Page:
    """A real server with a small app: says what it was sent, and at /wait answers when it is told to."""

    def __init__(self, *, capacity: int = 64, clock: FrozenClock | None = None) -> None:
        self.clock = clock or FrozenClock()
        self.connections = Connections(capacity, clock=self.clock)
        self.answers = asyncio.Event()
        self.waiting = asyncio.Semaphore(0)
        self.bodies: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []
        listening, self.url = listen(ConsoleConfig(port=0))
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(
            self._app, interface="asgi3", log_config=None, http="h11", ws="none", lifespan="off", access_log=False
        )
        self.server = PageServer(config, listening, self.connections)
        self.server._connection = self._connection  # type: ignore[method-assign]

    def _connection(self) -> Connection:
        return Connection(
            self.server.config,
            self.server.server_state,
            {},
            on_change=self.connections.note,
            on_end=self.connections.forget,
            clock=self.clock,
        )

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            self.waiting.release()
            await self.answers.wait()
        body, message = b"", {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            return
        self.bodies.append(body)
        text = b"x" * 30_000_000 if scope["path"] == "/large" else b"ok"
        headers = [(b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    async def connect(self, first: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, and send something."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(first)
        return reader, writer

    async def open(self, first: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, and wait until the server has read what was sent."""
        before = len(self.connections)
        reader, writer = await self.connect(first)
        async with asyncio.timeout(10):
            while len(self.connections) <= before or not self._has_read(len(first)):
                await asyncio.sleep(0.001)
        return reader, writer

    def _has_read(self, number: int) -> bool:
        newest = list(self.connections._all)[-1]
        return (newest.transport is not None and newest._window_bytes >= number) or newest.cycle is not None

    async def ask(self) -> int:
        """An honest visitor: the status of the answer."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            return (await client.get(self.url)).status_code


@contextlib.asynccontextmanager
async def served(**options: Any) -> AsyncIterator[Page]:
    page = Page(**options)
    serving = asyncio.create_task(page.server.serve())
    try:
        async with asyncio.timeout(10):
            while not page.server.started:
                await asyncio.sleep(0.001)
        yield page
    finally:
        page.answers.set()
        page.server.should_exit = True
        page.server.config.timeout_graceful_shutdown = 1
        await asyncio.wait_for(serving, 10)
        for writer in page.writers:
            writer.transport.abort()
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the program the server runs in a thread, where uvicorn takes no signals."""
    monkeypatch.setattr(uvicorn.Server, "capture_signals", lambda _: contextlib.nullcontext())


async def is_ended(reader: asyncio.StreamReader) -> bool:
    """Whether the other side closes, now that it had the occasion."""
    try:
        async with asyncio.timeout(5):
            return await reader.read(100) == b""
    except ConnectionError:
        return True


async def is_open(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.05):
            return await reader.read(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False


# ── what is no request ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "sent",
    [
        GET + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        GET + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
        GET.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        GET + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        GET + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        GET + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        GET + b"Content-Length: 2, 3\r\n\r\nabc",
        GET + b"Content-Length: -1\r\n\r\n",
        GET + b"Content-Length: +1\r\n\r\na",
        GET + b"Content-Length: \xd9\xa1\r\n\r\na",
        GET + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        GET + b"Content-Length : 1\r\n\r\na",
        GET + b"X: a\r\n b\r\n\r\n",
        GET + b"X: a\r\n\tb\r\n\r\n",
        GET + b"X: a\rY: b\r\n\r\n",
        GET + b"X: a\nY: b\r\n\r\n",
        GET + b"X: a\0b\r\n\r\n",
        GET + b"X: " + b"a" * (MAX_HEAD_BYTES + 1) + b"\r\n\r\n",
        GET + b"X: " + b"a" * 4 * MAX_HEAD_BYTES,
        GET + b"X: a\r\n" * 50_000 + b"\r\n",
        b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        GET + b"Host: y\r\n\r\n",
        b"G\x00T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G(T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.9\r\nHost: x\r\n\r\n",
        b"GET / http/1.1\r\nHost: x\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"\n\n",
    ],
)
async def test_what_is_no_request_is_refused_and_makes_no_trouble(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as page:
        reader, _ = await page.connect(sent)
        with contextlib.suppress(ConnectionError):
            answer = await asyncio.wait_for(reader.read(-1), 5)
            assert answer.startswith(b"HTTP/1.1 400 ") or answer == b""
            assert answer.count(b"HTTP/1.1") <= 1
        assert await page.ask() == 200
    assert page.bodies == [b""]  # the honest one's
    assert [record.exc_info for record in caplog.records if record.exc_info] == []
    assert len(caplog.records) <= 1


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (GET + b"\r\nnonsense\r\n\r\n", [b"200", b"400"]),
        (GET + b"\r\n" + GET + b"X: a\r\n b\r\n\r\n", [b"200", b"400"]),
        (GET + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", [b"400"]),
        (GET + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", [b"400"]),
        (GET + b"\r\n" + GET + b"\r\n" + GET + b"Connection: close\r\n\r\n", [b"200"] * 3),
        (GET + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n", [b"200"]),
        (GET + b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n", [b"200"]),
        (GET + b"X: " + b"a" * 60_000 + b"\r\nConnection: close\r\n\r\n", [b"200"]),
        (GET + b"Content-Length: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab", [b"200"]),
    ],
)
async def test_what_follows_on_a_connection_is_judged_as_the_first(
    sent: bytes, statuses: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as page:
        reader, _ = await page.connect(sent)
        answers = await asyncio.wait_for(reader.read(-1), 5)
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == statuses
    assert [record.exc_info for record in caplog.records if record.exc_info] == []
    assert len(caplog.records) <= 1


async def test_nonsense_in_the_middle_of_an_answer_only_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as page:
        reader, writer = await page.open(b"POST /wait HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await page.waiting.acquire()
        writer.write(b"nonsense\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(-1), 5)).startswith(b"HTTP/1.1 400")
        page.answers.set()
        assert await page.ask() == 200
    assert [record.exc_info for record in caplog.records if record.exc_info] == []


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("begin", [b"", b"G", GET])
async def test_head_has_to_be_whole_in_time_however_it_drips(begin: bytes) -> None:
    async with served() as page:
        reader, writer = await page.open(begin)
        for _ in range(HEAD_S):
            page.clock.advance(1)
            writer.write(b"" if begin != GET else b"X")
            page.connections.sweep()
            assert len(page.connections) == 1
        page.clock.advance(0.1)
        page.connections.sweep()
        assert await is_ended(reader) and len(page.connections) == 0


async def test_second_head_on_a_connection_has_no_more_time_than_the_first() -> None:
    async with served() as page:
        reader, writer = await page.open(GET + b"\r\n")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET / HT")
        while not next(iter(page.connections._all))._window_bytes:
            await asyncio.sleep(0.001)
        page.clock.advance(HEAD_S + 0.1)
        page.connections.sweep()
        assert await is_ended(reader)


@pytest.mark.parametrize(("bytes_per_s", "lasts_s"), [(0, BODY_WINDOW_S + 1), (100, BODY_WINDOW_S + 1), (8192, BODY_S)])
async def test_body_has_to_make_progress_and_to_end(bytes_per_s: int, lasts_s: int) -> None:
    async with served() as page:
        reader, _ = await page.open(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        connection = next(iter(page.connections._all))
        lived_s = 0
        while len(page.connections) and lived_s <= BODY_S:
            page.clock.advance(1)
            connection.data_received(b"x" * bytes_per_s) if bytes_per_s else None
            connection.cycle.body.clear()
            connection.flow.resume_reading()
            page.connections.sweep()
            lived_s += 1
        assert lasts_s <= lived_s <= lasts_s + 1
        assert await is_ended(reader)


async def test_body_waits_for_an_app_that_is_slow_itself() -> None:
    async with served() as page:
        await page.open(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
        connection = next(iter(page.connections._all))
        while not connection.flow.read_paused:
            await asyncio.sleep(0.001)
        for _ in range(5):
            page.clock.advance(BODY_WINDOW_S + 1)
            page.connections.sweep()
        assert len(page.connections) == 1


async def test_answer_that_nobody_reads_ends_and_one_that_is_waited_for_does_not() -> None:
    async with served() as page:
        await page.open(LARGE)
        connection = next(iter(page.connections._all))
        while connection._stuck_at is None:
            await asyncio.sleep(0.001)
        await page.open(WAIT)
        page.clock.advance(STUCK_S + 1)
        page.connections.sweep()
        assert len(page.connections) == 1
        page.clock.advance(3600)
        page.connections.sweep()
        assert len(page.connections) == 1


async def test_connection_that_is_being_closed_is_closed_in_the_end() -> None:
    async with served() as page:
        await page.open(LARGE)
        connection = next(iter(page.connections._all))
        while connection._stuck_at is None:
            await asyncio.sleep(0.001)
        connection.transport.close()  # its last bytes are never read
        for seconds, left in ((0, 1), (LINGER_S, 1), (0.1, 0)):
            page.clock.advance(seconds)
            page.connections.sweep()
            assert len(page.connections) == left


# ── number ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_oldest_half_open_connection_gives_way_to_a_new_one(caplog: pytest.LogCaptureFixture) -> None:
    async with served(capacity=3) as page:
        held = [await page.open() for _ in range(3)]
        page.clock.advance(GRACE_S)
        assert await page.ask() == 200
        assert await is_ended(held[0][0])
        assert await is_open(held[1][0]) and await is_open(held[2][0])
    assert "those that ask for nothing give way" in caplog.text


async def test_what_asks_for_nothing_gives_way_first_and_never_what_is_being_answered() -> None:
    async with served(capacity=4) as page:
        drawing, _ = await page.open(WAIT)
        sending, _ = await page.open(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        idle, _ = await page.open(GET + b"\r\n")
        await idle.readuntil(b"ok")
        half_open, _ = await page.open()
        for loser in (half_open, idle, sending):
            page.clock.advance(GRACE_S)
            await page.connect(WAIT)
            assert await is_ended(loser)
            await page.waiting.acquire()
        page.clock.advance(GRACE_S)
        assert await page.ask() == 503
        page.answers.set()
        assert b"200" in await drawing.read(100)


async def test_young_connections_have_time_to_ask() -> None:
    async with served(capacity=2) as page:
        held = [await page.open() for _ in range(2)]
        asking = asyncio.create_task(page.ask())
        assert await is_open(held[0][0]) and await is_open(held[1][0])
        assert not asking.done()
        held[0][1].write(GET + b"\r\n")
        assert (await held[0][0].readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        page.clock.advance(GRACE_S)
        assert await asking == 200


async def test_who_comes_while_everybody_is_being_answered_is_refused_at_once() -> None:
    async with served(capacity=2) as page:
        held = [await page.open(WAIT) for _ in range(2)]
        assert await page.ask() == 503
        page.answers.set()
        for reader, writer in held:
            await reader.readuntil(b"ok")
            writer.close()
        while len(page.connections):
            await asyncio.sleep(0.001)
        assert await page.ask() == 200


class Entry:
    """A connection, as far as counting goes."""

    is_half_open, is_answered, is_arriving, since = True, False, False, 0.0
    transport = object()

    def drop(self) -> None:
        self.transport = None


def test_one_address_has_half_of_the_room_and_its_own_give_way_to_it() -> None:
    connections = Connections(8, clock=FrozenClock())
    mine = [Entry() for _ in range(4)]
    other = Entry()
    for each, place in ((other, "192.0.2.2"), *((each, "192.0.2.1") for each in mine)):
        connections.add(cast("Connection", each), place)
    assert connections.has_room_for("192.0.2.3") and len(connections) == 5
    assert connections.has_room_for("192.0.2.1") and len(connections) == 4
    assert mine[0].transport is None and other.transport is not None
    assert connections.has_room_for("192.0.2.1") and len(connections) == 4


def test_one_address_with_nothing_that_can_give_way_is_refused_and_no_other() -> None:
    connections = Connections(4, clock=FrozenClock())
    for _ in range(2):
        busy = Entry()
        busy.is_half_open = False
        connections.add(cast("Connection", busy), "192.0.2.1")
        connections.note(cast("Connection", busy))
    assert not connections.has_room_for("192.0.2.1")
    assert connections.has_room_for("192.0.2.2") and connections.has_room_for("local")


@pytest.mark.parametrize(
    ("files", "room"),
    [(64, MIN_CONNECTIONS), (512, 144), (1024, 400), (4096, MAX_CONNECTIONS), (10**6, MAX_CONNECTIONS)],
)
def test_room_leaves_files_for_everything_else(files: int, room: int) -> None:
    assert room_for(files) == room
    assert files < 512 or files - 2 * room >= RESERVED_FILES


def test_file_limit_is_raised_as_far_as_the_system_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    limits = [(256, 2000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    assert raise_file_limit() == 2000
    limits.append((256, resource.RLIM_INFINITY))
    assert raise_file_limit() == 4096
    limits.append((20_000, 20_000))
    assert raise_file_limit() == 20_000


async def test_without_descriptors_it_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    accept, refusals = loop.sock_accept, iter([errno.EMFILE, errno.ECONNABORTED, errno.ENFILE])

    async def sock_accept(listening: socket.socket) -> tuple[socket.socket, Any]:
        for number in refusals:
            raise OSError(number, "refused by a test")
        return await accept(listening)

    monkeypatch.setattr(loop, "sock_accept", sock_accept)
    async with served() as page:
        assert await page.ask() == 200
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


async def test_listening_socket_that_is_gone_is_an_error_and_is_not_asked_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def sock_accept(_listening: socket.socket) -> tuple[socket.socket, Any]:
        raise OSError(errno.EBADF, "closed by a test")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_accept", sock_accept)
    with socket.socket() as listening, pytest.raises(ExceptionGroup) as raised:
        await Connections(4).accept(listening, lambda: cast("Connection", Entry()))
    assert raised.group_contains(OSError, match="closed by a test")


async def test_stopping_closes_what_asks_for_nothing_and_waits_for_what_is_answered() -> None:
    async with served() as page:
        half_open, _ = await page.open(b"GET / H")
        busy, _ = await page.open(WAIT)
        await page.waiting.acquire()
        page.server.should_exit = True
        assert await is_ended(half_open)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", page.port)
        page.answers.set()
        assert (await busy.read(-1)).startswith(b"HTTP/1.1 200")


def test_uvicorn_still_calls_what_this_builds_on() -> None:
    for name in ("send_400_response", "on_response_complete", "_should_upgrade", "shutdown", "pause_writing"):
        assert name in vars(Connection) and hasattr(Connection.__bases__[0], name)
