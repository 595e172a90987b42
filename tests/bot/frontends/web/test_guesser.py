"""Somebody guesses the password over a hundred connections, and nobody else is hurt."""

from __future__ import annotations

import asyncio
import base64
import time

import httpx

from bot.frontends.web.security.admission import MAX_WAITING_HERE
from tests.bot.frontends.web.conftest import Start, session_at

CONNECTIONS = 100
PATIENCE_S = 3
QUEUED = 50  # on one connection, one behind the other


async def guess(url: str, count: list[int]) -> None:
    """Try one password after the other, from an address of its own on this machine."""
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2", limits=httpx.Limits(max_connections=1))
    async with httpx.AsyncClient(transport=transport, base_url=url, timeout=30) as client:
        while True:
            try:
                answer = await client.get("/console/state", auth=("", f"guess {count[0]}"))
            except httpx.TransportError:  # one connection too many
                await asyncio.sleep(0.1)
                continue
            count[0] += 1
            assert answer.status_code in {401, 429}


async def test_guesser_with_a_hundred_connections_delays_nobody_for_long_and_leaves_a_line(start: Start) -> None:
    async with start(console__password="right") as service:
        async with session_at(service.url, auth=("", "right")) as ann, httpx.AsyncClient(base_url=service.url) as ben:
            await ann.draw("[step=0] before")
            count = [0]
            guessing = [asyncio.create_task(guess(service.url, count)) for _ in range(CONNECTIONS)]
            while count[0] < 20:
                await asyncio.sleep(0.05)
            for password, status in (("rihgt", 401), ("right", 200)):
                began_at = time.monotonic()
                answer = await ben.get("/console/state", auth=("", password))
                assert answer.status_code == status and time.monotonic() - began_at < PATIENCE_S
            await ann.draw("[step=0] meanwhile")
            await ann.wait_for_pictures(2)
            for each in guessing:
                each.cancel()
            await asyncio.gather(*guessing, return_exceptions=True)
        told = [line for line in service.lines if "wrong password" in line]
        assert len([line for line in told if "127.0.0.2" in line]) == 1, told
        assert len([line for line in told if "127.0.0.1" in line]) == 1, told
        assert "guess" not in service.output


async def test_guesses_that_queue_on_hundreds_of_connections_keep_nobody_of_that_address_out(start: Start) -> None:
    guesses = QUEUED * (
        b"GET /console/state HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Authorization: Basic " + base64.b64encode(b":guess") + b"\r\n\r\n"
    )
    async with start(console__password="right") as service:
        host, port = service.url.removeprefix("http://").split(":")
        guessing = [await asyncio.open_connection(host, int(port)) for _ in range(3 * MAX_WAITING_HERE)]
        for _, writer in guessing:
            writer.write(guesses)
        answers = await asyncio.gather(*(reader.read() for reader, _ in guessing[:MAX_WAITING_HERE]))
        for answer in answers:  # the oldest gave way, and with each what else lay on its connection
            assert answer.startswith(b"HTTP/1.1 429 ") and answer.count(b"HTTP/1.1") == 1
        began_at = time.monotonic()
        async with httpx.AsyncClient(base_url=service.url, trust_env=False) as ann:
            honest = await ann.get("/console/state", auth=("", "right"))
        assert honest.status_code == 200 and time.monotonic() - began_at < PATIENCE_S
        for _, writer in guessing:
            writer.close()
