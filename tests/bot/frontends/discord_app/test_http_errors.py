"""Every error of Discord's has one remedy."""

from __future__ import annotations

from types import SimpleNamespace

import aiohttp
import discord
import pytest

from bot.frontends.discord_app.http_errors import RETRY_S, TROUBLES, Remedy, remedy, wait_s


def http_error(status: int, code: int = 0) -> discord.HTTPException:
    response = SimpleNamespace(status=status, reason="because")
    return discord.HTTPException(response, {"code": code, "message": "no"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, 10003, Remedy.OTHER_WAY),
        (404, 10008, Remedy.MESSAGE_GONE),
        (413, 40005, Remedy.SMALLER),
        (413, 0, Remedy.SMALLER),
        (403, 50001, Remedy.OTHER_WAY),
        (403, 50007, Remedy.OTHER_WAY),
        (403, 50013, Remedy.OTHER_WAY),
        (429, 30046, Remedy.OTHER_WAY),
        (400, 50083, Remedy.OTHER_WAY),
        (400, 50035, Remedy.OTHER_WAY),
        (400, 200000, Remedy.WITHOUT_PROMPT),
        (429, 0, Remedy.LATER),
        (401, 0, Remedy.LATER),
        (500, 0, Remedy.LATER),
        (503, 0, Remedy.LATER),
    ],
)
def test_refusals_have_their_remedies(status: int, code: int, expected: Remedy) -> None:
    assert remedy(http_error(status, code)) is expected


@pytest.mark.parametrize(
    "error", [OSError(), TimeoutError(), aiohttp.ServerDisconnectedError(), discord.RateLimited(90)]
)
def test_network_trouble_passes(error: Exception) -> None:
    assert isinstance(error, TROUBLES) and remedy(error) is Remedy.LATER


def test_wait_is_as_long_as_discord_asks() -> None:
    assert (wait_s(discord.RateLimited(90)), wait_s(OSError())) == (90, RETRY_S)
