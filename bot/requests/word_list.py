"""The moderators' list of words: kept in the database, and ready to be looked for in memory.

Some words are refused everywhere, others only outside age-restricted channels. What counts as the same word, and where
it is found, is `word_filter.py`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from bot.clock import Clock
from bot.errors import BlockedWord, InvalidWord, RestrictedWord, TooManyWords
from bot.requests.word_filter import Hit, WordFilter, units_of
from bot.store.moderation_store import ListedWord, ModerationStore
from pipeline.spec import clean_prompt

MAX_WORDS: Final = 5000
MAX_WORD: Final = 100  # characters
MAX_FOUND: Final = 60  # characters of a prompt that a refusal repeats
_BETWEEN: Final = re.compile(r"[,，、;；\n]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a text was caught for. `is_restricted`: it is allowed in age-restricted channels."""

    hit: Hit
    is_restricted: bool


class WordList:
    """The list of every server that the bot serves."""

    def __init__(self, words: Sequence[ListedWord], store: ModerationStore, *, clock: Clock = time.time) -> None:
        self._store = store
        self._clock = clock
        self._changing = asyncio.Lock()
        self._words: tuple[ListedWord, ...] = ()
        self._everywhere, self._outside = WordFilter(()), WordFilter(())
        self._use(words)

    @classmethod
    async def open(cls, store: ModerationStore, *, clock: Clock = time.time) -> Self:
        """Read the list.

        Raises:
            StoreUnavailable
        """
        words = await store.words()
        return await asyncio.to_thread(cls, words, store, clock=clock)

    @property
    def all(self) -> tuple[ListedWord, ...]:
        """The list, in the order of its letters."""
        return self._words

    async def check(self, prompt: str, *, is_age_restricted: bool) -> None:
        """Check that a prompt has no word of the list.

        Raises:
            BlockedWord
            RestrictedWord: it would be allowed in an age-restricted channel.
        """
        found = await self.test(prompt)
        if found is None or (found.is_restricted and is_age_restricted):
            return
        kind = RestrictedWord if found.is_restricted else BlockedWord
        raise kind(word=found.hit.word, found=_shortened(found.hit.found))

    async def test(self, text: str) -> Found | None:
        """Return what a text would be caught for, first what is refused everywhere; None if it passes."""
        return await asyncio.to_thread(self._find, text) if self._words else None

    async def add(self, text: str, *, is_restricted: bool) -> list[str]:
        """Add words, separated by commas; one that is there already is refused where it is said now.

        Raises:
            InvalidWord, TooManyWords
            StoreUnavailable: perhaps some were added.
        """
        async with self._changing:
            known = {units_of(listed.word): listed.word for listed in self._words}
            wanted = {units_of(word): word for word in _split(text)}
            if len(known.keys() | wanted.keys()) > MAX_WORDS:
                raise TooManyWords(limit=MAX_WORDS)
            words = [known.get(units, word) for units, word in wanted.items()]
            for word in words:
                await self._store.put_word(ListedWord(word=word, is_restricted=is_restricted), now=int(self._clock()))
            await self._reread()
            return words

    async def remove(self, text: str) -> list[str]:
        """Take words off the list, in whatever spelling. Returns those that were on it.

        Raises:
            InvalidWord
            StoreUnavailable: perhaps some were removed.
        """
        async with self._changing:
            known = {units_of(listed.word): listed.word for listed in self._words}
            words = [known[units] for word in _split(text) if (units := units_of(word)) in known]
            for word in words:
                await self._store.remove_word(word)
            await self._reread()
            return words

    async def _reread(self) -> None:
        await asyncio.to_thread(self._use, await self._store.words())

    def _use(self, words: Sequence[ListedWord]) -> None:
        self._everywhere = WordFilter(listed.word for listed in words if not listed.is_restricted)
        self._outside = WordFilter(listed.word for listed in words if listed.is_restricted)
        self._words = tuple(words)

    def _find(self, text: str) -> Found | None:
        if (hit := self._everywhere.find(text)) is not None:
            return Found(hit=hit, is_restricted=False)
        hit = self._outside.find(text)
        return None if hit is None else Found(hit=hit, is_restricted=True)


def _split(text: str) -> list[str]:
    words = [word for part in _BETWEEN.split(text) if (word := clean_prompt(part))]
    if not words:
        raise InvalidWord(_shortened(text))
    for word in words:
        units = units_of(word)
        if len(word) > MAX_WORD or not units or (len("".join(units)) == 1 and units[0].isascii()):
            raise InvalidWord(_shortened(word))
    return words


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_FOUND else f"{text[: MAX_FOUND - 1]}…"
