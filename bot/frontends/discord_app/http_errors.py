"""One table from Discord's errors to remedies. Pure.

Codes: Discord's documentation, topics/opcodes-and-status-codes.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import aiohttp
import discord

# Everything that sending or editing a message raises when it is not our own bug.
TROUBLES: Final = (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError, TimeoutError)
# The interaction's token is void: no answer can go through it.
VOID_TOKEN_CODES: Final = frozenset({10015, 10062, 40060, 50027})
RETRY_S: Final = 5.0


class Remedy(Enum):
    """The next thing to do about a message that was not accepted."""

    MESSAGE_GONE = auto()  # somebody deleted it: post nothing in its place
    SMALLER = auto()  # send a smaller file
    WITHOUT_PROMPT = auto()  # AutoMod dislikes a word: leave the prompt out
    OTHER_WAY = auto()  # it cannot be done here: try the next way to reach the person
    LATER = auto()  # it can be done, but not now


_REMEDIES: Final = {
    10003: Remedy.OTHER_WAY,  # unknown channel: the picture is still wanted
    10008: Remedy.MESSAGE_GONE,  # unknown message
    30046: Remedy.OTHER_WAY,  # too many edits of messages older than an hour
    40005: Remedy.SMALLER,  # request entity too large
    50001: Remedy.OTHER_WAY,  # missing access
    50007: Remedy.OTHER_WAY,  # cannot send messages to this person
    50013: Remedy.OTHER_WAY,  # missing permissions
    50083: Remedy.OTHER_WAY,  # thread is archived
    200000: Remedy.WITHOUT_PROMPT,  # blocked by AutoMod
}


def remedy(error: Exception) -> Remedy:
    """Choose what to do about one of `TROUBLES`.

    A refusal that is not in the table leads to the next way, so that nothing is tried for ever.
    """
    if not isinstance(error, discord.HTTPException):
        return Remedy.LATER
    if known := _REMEDIES.get(error.code):
        return known
    if error.status == 413:  # from a proxy in front of Discord, which knows no codes
        return Remedy.SMALLER
    if error.status in {401, 429} or error.status >= 500:
        return Remedy.LATER
    return Remedy.OTHER_WAY


def wait_s(error: Exception) -> float:
    """Return the seconds before the next try: as Discord asks, else RETRY_S."""
    return error.retry_after if isinstance(error, discord.RateLimited) else RETRY_S
