"""Which press of a button is the second half of a double click.

Discord sends two interactions for a double click, each with its own id, so the key of a request cannot tell. Kept in
memory, per client: a restart takes longer than a double click. Must not know what a button does.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Final

import discord
from cachetools import TTLCache

DOUBLE_CLICK_S: Final = 1.5
REMEMBERED_PRESSES: Final = 2000


class Presses:
    """The presses of the last seconds.

    clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._pressed: TTLCache[Hashable, None] = TTLCache(REMEMBERED_PRESSES, DOUBLE_CLICK_S, timer=clock)

    def is_repeat(self, key: Hashable) -> bool:
        """Whether `key` was pressed in the last `DOUBLE_CLICK_S`; notes the press if not.

        The time counts from the press that was noted, so that somebody who keeps clicking is heard every few seconds.
        """
        if key in self._pressed:
            return True
        self._pressed[key] = None
        return False

    def forget(self, key: Hashable) -> None:
        """Let `key` be pressed again at once."""
        self._pressed.pop(key, None)


def is_repeat(interaction: discord.Interaction) -> bool:
    """Whether this person pressed the same button of the same message, with the same choice, a moment ago.

    Call it once per press. An interaction without a message or a custom id is never a repeat.
    """
    key = _key(interaction)
    return key is not None and _presses_of(interaction).is_repeat(key)


def forget(interaction: discord.Interaction) -> None:
    """Let the same press be repeated at once: it was refused, so that a second one is meant."""
    if (key := _key(interaction)) is not None:
        _presses_of(interaction).forget(key)


_presses: Final[weakref.WeakKeyDictionary[discord.Client, Presses]] = weakref.WeakKeyDictionary()


def _presses_of(interaction: discord.Interaction) -> Presses:
    return _presses.setdefault(interaction.client, Presses())


def _key(interaction: discord.Interaction) -> Hashable | None:
    data: Any = interaction.data or {}
    custom_id, message = data.get("custom_id"), interaction.message
    if message is None or not isinstance(custom_id, str):
        return None
    return (interaction.user.id, message.id, custom_id, tuple(map(str, data.get("values", ()))))
