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

DOUBLE_CLICK_S: Final = 3.0
REMEMBERED_PRESSES: Final = 2000


class Presses:
    """The presses of the last seconds.

    clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._pressed: TTLCache[Hashable, int] = TTLCache(REMEMBERED_PRESSES, DOUBLE_CLICK_S, timer=clock)

    def note(self, key: Hashable, interaction_id: int) -> int | None:
        """Note a press of `key`, unless it was pressed in the last `DOUBLE_CLICK_S`.

        Returns:
            The interaction of that earlier press. The time counts from there, so that somebody who keeps clicking is
            heard every few seconds.
        """
        if (earlier := self._pressed.get(key)) is None:
            self._pressed[key] = interaction_id
        return earlier

    def forget(self, key: Hashable) -> None:
        """Let `key` be pressed again at once."""
        self._pressed.pop(key, None)


def earlier_press(interaction: discord.Interaction) -> int | None:
    """Return the interaction in which this person pressed the same button of the same message a moment ago, if any.

    Another choice in a menu is another press. An interaction without a message or a custom id never repeats another.
    If there was none, this press is noted.
    """
    key = _key(interaction)
    return None if key is None else _presses_of(interaction).note(key, interaction.id)


def forget(interaction: discord.Interaction) -> None:
    """Let the same press be repeated at once: it was refused, or what it asked for is there."""
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
