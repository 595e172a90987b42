"""Who may not draw, until when and why: in memory, because every request asks, and in the `bans` table.

A ban is kept by pseudonym, so that it holds for somebody who had everything erased.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Self

from bot.clock import Clock
from bot.errors import Banned, BannedUntil
from bot.jobs import UserKey
from bot.store.moderation_store import Ban, ModerationStore
from bot.store.pseudonyms import Pseudonyms


class Bans:
    """The bans of every server that the bot serves."""

    def __init__(
        self, bans: Iterable[Ban], store: ModerationStore, pseudonyms: Pseudonyms, *, clock: Clock = time.time
    ) -> None:
        self._bans = {ban.person: ban for ban in bans}
        self._store = store
        self._pseudonyms = pseudonyms
        self._clock = clock

    @classmethod
    async def open(cls, store: ModerationStore, pseudonyms: Pseudonyms, *, clock: Clock = time.time) -> Self:
        """Read the bans. Those that ended hold again if the clock turns out to have been ahead.

        Raises:
            StoreUnavailable
        """
        return cls(await store.bans(), store, pseudonyms, clock=clock)

    def check(self, user: UserKey) -> None:
        """Check that a person may draw.

        Raises:
            Banned, BannedUntil
        """
        ban = self._bans.get(self._pseudonyms.of(user)) if self._bans else None
        if ban is None or not self._holds(ban):
            return
        if ban.until_at is None:
            raise Banned(ban.reason)
        raise BannedUntil(ban.reason, until_at=ban.until_at)

    @property
    def all(self) -> list[Ban]:
        """The bans that hold, the newest first."""
        return sorted(filter(self._holds, self._bans.values()), key=lambda ban: ban.banned_at, reverse=True)

    async def put(self, user: UserKey, reason: str, *, until_at: int | None) -> Ban:
        """Ban a person; an earlier ban is over.

        Raises:
            StoreUnavailable: nothing changed.
        """
        ban = Ban(
            person=self._pseudonyms.of(user),
            user_frontend=user.frontend,
            user_id=user.id,
            reason=reason,
            banned_at=int(self._clock()),
            until_at=until_at,
        )
        await self._store.ban(ban)
        self._bans[ban.person] = ban
        return ban

    async def lift(self, user: UserKey) -> bool:
        """Let a person draw again. Returns False if that was so already.

        Raises:
            StoreUnavailable: nothing changed.
        """
        person = self._pseudonyms.of(user)
        await self._store.unban(person)
        ban = self._bans.pop(person, None)
        return ban is not None and self._holds(ban)

    async def forget_ended(self, moment: int) -> None:
        """Forget the bans that ended by `moment`, which is a believed one: see Horizon.

        Raises:
            StoreUnavailable
        """
        await self._store.forget_ended_bans(moment=moment)
        self._bans = {
            person: ban for person, ban in self._bans.items() if ban.until_at is None or ban.until_at > moment
        }

    def forget_id(self, user: UserKey) -> None:
        """Note that the id of a person was erased from the table; the ban holds."""
        person = self._pseudonyms.of(user)
        if (ban := self._bans.get(person)) is not None:
            self._bans[person] = replace(ban, user_id=None)

    def _holds(self, ban: Ban) -> bool:
        return ban.until_at is None or ban.until_at > self._clock()
