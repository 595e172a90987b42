"""Which messages this bot deleted itself: Discord reports their end like any other, and does not say who it was.

Kept in memory, per client: Discord reports a deletion at once, and never to a later process.
"""

from __future__ import annotations

import weakref
from typing import Final

import discord
from cachetools import TTLCache

REMEMBERED_S: Final = 600
REMEMBERED: Final = 10_000

_deleted: Final[weakref.WeakKeyDictionary[discord.Client, TTLCache[int, None]]] = weakref.WeakKeyDictionary()


def note(client: discord.Client, message_id: int) -> None:
    """Note that the bot is about to delete a message."""
    _deleted.setdefault(client, TTLCache(REMEMBERED, REMEMBERED_S))[message_id] = None


def is_ours(client: discord.Client, message_id: int) -> bool:
    """Whether the bot deleted this message itself, or tried to."""
    return client in _deleted and message_id in _deleted[client]
