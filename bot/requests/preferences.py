"""What a person chose for themselves: how to be told that a picture is done. Knows no front end."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from bot.jobs import UserKey
from bot.store.user_setting_store import UserSettingStore

PING: Final = "ping"


class Ping(StrEnum):
    """Where to tell somebody who waited long that a picture is done."""

    HERE = "here"  # under the picture
    DM = "dm"
    OFF = "off"


class Preferences:
    """The choices of every person."""

    def __init__(self, store: UserSettingStore) -> None:
        self._store = store

    async def ping(self, user: UserKey) -> Ping:
        """Return where this person wants to be told; HERE before they chose, or if another release wrote the choice.

        Raises:
            StoreUnavailable
        """
        chosen = await self._store.get(user, PING)
        return next((ping for ping in Ping if ping.value == chosen), Ping.HERE)

    async def set_ping(self, user: UserKey, ping: Ping) -> None:
        """Remember where this person wants to be told.

        Raises:
            StoreUnavailable: nothing changed.
        """
        await self._store.set(user, PING, ping.value)
