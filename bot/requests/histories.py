"""The histories of people, a page at a time, and what of them others may post: read only. Knows no front end.

What was typed to search is `history_search.py`; what becomes of single pictures is `archive.py`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from functools import partial
from typing import Final

from bot.clock import Clock
from bot.jobs import Job, UserKey
from bot.requests.history_search import Days, Search, midnight_in, read_search
from bot.store.history_query import ANYTHING, MAX_ID, Stretch, Wanted
from bot.store.history_store import HistoryStore

PAGE: Final = 10


class Turn(StrEnum):
    """Which page of a history."""

    NEWEST = "newest"
    NEWER = "newer"  # than a number
    OLDER = "older"
    OLDEST = "oldest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of a history, newest first, and where it goes on.

    newer_than, older_than: the number from which the next page in this direction begins; None if there is none.
    searched_to: the last number that was searched in the direction of the turn, if not all was: there may be more.
    days: those that the search was understood to name.
    """

    jobs: tuple[Job, ...]
    newer_than: int | None = None
    older_than: int | None = None
    searched_to: int | None = None
    days: Days | None = None


class Histories:
    """What people have drawn.

    zone: of the days that people type; None for that of the machine.
    """

    def __init__(self, jobs: HistoryStore, *, zone: tzinfo | None = None, clock: Clock = time.time) -> None:
        self._jobs = jobs
        self._zone = zone
        self._clock = clock

    async def page(self, user: UserKey, turn: Turn = Turn.NEWEST, *, at: int | None = None, search: str = "") -> Page:
        """Return a page of PAGE pictures, with those that a moderator removed among them.

        Raises:
            StoreUnavailable
        """
        read = self._read(search)
        wanted = replace(read.wanted, with_removed=read.wanted == ANYTHING or _is_by_days(read.wanted))
        if turn in (Turn.NEWEST, Turn.OLDEST):
            at = None
        elif at is None:
            turn = Turn.NEWEST
        is_ascending = turn in (Turn.NEWER, Turn.OLDEST)
        stretch = Stretch(
            limit=PAGE + 1,
            before_id=None if is_ascending else at,
            after_id=at if is_ascending else None,
            is_ascending=is_ascending,
        )
        found, edge = await self._look(user, stretch, wanted)
        if turn is Turn.NEWER and edge is None and len(found) <= PAGE:
            return await self.page(user, search=search)  # the newest page, and not a part of it
        shown, has_more = found[:PAGE], len(found) > PAGE
        onward = shown[-1].id if has_more else edge
        page = Page(
            jobs=tuple(reversed(shown) if is_ascending else shown),
            searched_to=None if has_more else edge,
            days=read.days,
        )
        if is_ascending:
            back = None if at is None else shown[0].id if shown else at + 1
            return replace(page, newer_than=onward, older_than=back)
        back = None if at is None else shown[0].id if shown else at - 1
        return replace(page, older_than=onward, newer_than=back)

    async def newest(
        self, user: UserKey, *, limit: int, before_id: int | None = None, search: str | None = None
    ) -> list[Job]:
        """Return pictures of this person from a number on, newest first; a search ends where `Page.is_cut` does."""
        wanted = self._read(search or "").wanted
        return (await self._look(user, Stretch(limit=limit, before_id=before_id), wanted))[0]

    async def older(
        self,
        user: UserKey,
        *,
        limit: int,
        before_id: int | None = None,
        search: str = "",
        model: str | None = None,
        is_kept: bool = False,
    ) -> Page:
        """Return images from a number on, newest first, for a list that grows; `older_than` is where it goes on.

        Args:
            model: the name of the model that drew them; None: any.
            is_kept: only those that their person keeps.

        Raises:
            StoreUnavailable
        """
        read = self._read(search)
        wanted = replace(read.wanted, model=model, is_kept=is_kept)
        found, edge = await self._look(user, Stretch(limit=limit + 1, before_id=before_id), wanted)
        has_more = len(found) > limit
        shown = tuple(found[:limit])
        onward = shown[-1].id if has_more else edge
        return Page(jobs=shown, older_than=onward, searched_to=None if has_more else edge, days=read.days)

    async def shared(self, frontend: str, guild_id: int, *, apart_from: UserKey, limit: int, search: str) -> list[Job]:
        """Return the newest pictures of others on a server that everybody there may see, newest first."""
        wanted = self._read(search).wanted
        return await self._jobs.shared(frontend, guild_id, apart_from=apart_from, limit=limit, wanted=wanted)

    async def _look(self, user: UserKey, stretch: Stretch, wanted: Wanted) -> tuple[list[Job], int | None]:
        """Return pictures of a stretch in its order, and the number from which a search that was cut is to go on."""
        if (wanted.since, wanted.until) != (None, None):
            days = await self._jobs.history_days(user, since=wanted.since or 0, until=wanted.until or MAX_ID)
            if days is None:
                return [], None
            stretch = replace(
                stretch,
                after_id=max(days[0] - 1, stretch.after_id if stretch.after_id is not None else -MAX_ID),
                before_id=min(days[1] + 1, stretch.before_id if stretch.before_id is not None else MAX_ID),
            )
        edge = None
        if wanted.is_bounded:
            edge = await self._jobs.history_edge(user, stretch, searched=wanted.searched)
        if edge is None:
            return await self._jobs.history(user, stretch, wanted), None
        short = replace(stretch, before_id=edge) if stretch.is_ascending else replace(stretch, after_id=edge)
        found = await self._jobs.history(user, short, wanted)
        if not found and (seed := _only_number(wanted)) is not None:  # an old picture is known by its seed at once
            found = await self._jobs.history(user, stretch, replace(wanted, words=(), seed=seed))
            if found:
                return found, None
        return found, edge - 1 if stretch.is_ascending else edge + 1

    def _read(self, search: str) -> Search:
        today = datetime.fromtimestamp(self._clock(), tz=UTC).astimezone(self._zone).date()
        return read_search(search, today=today, midnight=partial(midnight_in, zone=self._zone))


def _is_by_days(wanted: Wanted) -> bool:
    return wanted == Wanted(since=wanted.since, until=wanted.until)


def _only_number(wanted: Wanted) -> int | None:
    if len(wanted.words) != 1:
        return None
    word = wanted.words[0]
    return int(word) if word.isascii() and word.isdecimal() and len(word) <= 18 else None
