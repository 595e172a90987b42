"""What a person may ask about themselves: what is stored, a copy of it, and to have it erased. Knows no front end.

How it is erased is `erasure.py`, how it is packed `export.py`.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import Final

from bot.clock import Clock
from bot.errors import AlreadyExporting
from bot.jobs import Job, UserKey
from bot.requests.erasure import Erasure, Holders, Progress
from bot.requests.export import Export, JsonObject, export, when
from bot.store.moderation_store import Ban
from bot.store.retention_store import Counts
from bot.store.usage_store import Usage

ALL_PRESETS: Final = 10_000  # a later release may have let people keep more than this one does


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is stored of a person, apart from what their jobs say.

    presets: None in place of one that is damaged.
    own_limit: the images per day that a moderator allowed them; None if nobody did.
    """

    counts: Counts
    choices: dict[str, str]
    presets: dict[str, object]
    ban: Ban | None
    own_limit: int | None
    usage: Usage


class Privacy:
    """The rights of people over what is stored of them."""

    def __init__(self, holders: Holders, erasure: Erasure, *, clock: Clock = time.time) -> None:
        self.erasure = erasure
        self.holders = holders
        self._clock = clock
        self._exporting: set[UserKey] = set()

    async def about(self, user: UserKey) -> About:
        """Return what is stored.

        Raises:
            StoreUnavailable
        """
        held, person = self.holders, self.holders.pseudonyms.of(user)
        return About(
            counts=await held.jobs.counts(user),
            choices=dict(await held.choices.of(user)),
            presets={name: _parsed(options) for name, options in await held.presets.of(user, limit=ALL_PRESETS)},
            ban=await held.moderation.ban_of(person),
            own_limit=await held.quotas.get(user),
            usage=await held.jobs.usage(user, now=int(self._clock())),
        )

    async def export(self, user: UserKey, *, part: int, limit_bytes: int) -> Export:
        """Pack one part of everything that is stored, at most `limit_bytes` large.

        Raises:
            AlreadyExporting: a part is being packed for this person.
            StoreUnavailable
            OSError: the disk is full.
        """
        if user in self._exporting:
            raise AlreadyExporting
        self._exporting.add(user)
        try:
            about = _as_json(user, await self.about(user))
            return await export(user, self.holders, about=about, part=part, limit_bytes=limit_bytes)
        finally:
            self._exporting.discard(user)

    async def erase(self, user: UserKey) -> Progress:
        """Erase everything that is stored. Twice is harmless.

        Raises:
            StoreUnavailable: nothing was begun.
        """
        return await self.erasure.erase(user)

    async def take_back(self, job: Job) -> None:
        """Take back the message of a job whose person was erased before the message was there.

        Raises:
            StoreUnavailable
        """
        await self.holders.retractions.add([job])


def _parsed(options: str) -> object:
    try:
        return json.loads(options)
    except (ValueError, RecursionError):
        return None


def _as_json(user: UserKey, about: About) -> JsonObject:
    ban = about.ban
    return {
        "you": asdict(user),
        "counts": {**asdict(about.counts), "oldest_at": when(about.counts.oldest_at)},
        "settings": about.choices,
        "presets": about.presets,
        "ban": None
        if ban is None
        else {"reason": ban.reason, "since": when(ban.banned_at), "until": when(ban.until_at)},
        "images_per_day_that_a_moderator_allowed": about.own_limit,
        "counted_in_the_last_24_hours": [{"at": when(each.at), "images": each.cost} for each in about.usage.counted],
    }
