"""What a person chose for themselves, with `/settings`. Knows no front end.

Everything is kept in memory as well, as far as there is room: the language of an answer and whether an image is private
must be known before the first await, also while the database is locked. A stored value that this release cannot read
counts as none and is named in `Personal.unread`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from cachetools import LRUCache

from bot.errors import SettingInvalid
from bot.jobs import UserKey
from bot.presentation.wording import LANGUAGES
from bot.store.user_setting_store import UserSettingStore
from pipeline.spec import MAX_STEPS, Aspect, clean_prompt

MAX_SUFFIX: Final = 300  # characters that are added to every prompt
MAX_MODEL: Final = 100
REMEMBERED_PEOPLE: Final = 5000
REMEMBERED_VALUES: Final = 45_000  # read at a start: nine of each of them
ON: Final = "on"
OFF: Final = "off"


class Setting(StrEnum):
    """Something that people choose; the values are the names of the rows."""

    ASPECT = "aspect"
    STEPS = "steps"
    SUFFIX = "suffix"
    MODEL = "model"
    PING = "ping"
    LANGUAGE = "language"
    PRIVATE = "private"
    PRIVATE_TO = "private_to"
    SPOILER = "spoiler"


class Ping(StrEnum):
    """Where to tell somebody who waited long that a picture is done."""

    HERE = "here"  # under the picture
    DM = "dm"
    OFF = "off"


class PrivateTo(StrEnum):
    """How a private picture reaches its person."""

    DM = "dm"
    BUTTON = "button"  # in the channel, behind a button that only they may press


Member = TypeVar("Member", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """The choices of one person; None where they made none.

    model: a name, which may be of a model that is here no more.
    unread: the settings whose stored value is of another release, or damaged.
    """

    aspect: Aspect | None = None
    steps: int | None = None
    suffix: str = ""
    model: str | None = None
    ping: Ping | None = None
    language: str | None = None
    is_private: bool | None = None
    private_to: PrivateTo | None = None
    is_spoiler: bool | None = None
    unread: tuple[Setting, ...] = ()

    @classmethod
    def read(cls, stored: Mapping[str, str]) -> Personal:
        """Read what is stored, by the names of rows; names that are not known are left alone."""
        unread = []
        values: dict[Setting, str] = {}
        for setting in Setting:
            if (text := stored.get(setting)) is None:
                continue
            if _checked(setting, text) is None:
                unread.append(setting)
            else:
                values[setting] = text
        steps = values.get(Setting.STEPS)
        return cls(
            aspect=_member(Aspect, values.get(Setting.ASPECT)),
            steps=None if steps is None else int(steps),
            suffix=values.get(Setting.SUFFIX, ""),
            model=values.get(Setting.MODEL),
            ping=_member(Ping, values.get(Setting.PING)),
            language=values.get(Setting.LANGUAGE),
            is_private=_switch(values.get(Setting.PRIVATE)),
            private_to=_member(PrivateTo, values.get(Setting.PRIVATE_TO)),
            is_spoiler=_switch(values.get(Setting.SPOILER)),
            unread=tuple(unread),
        )


NOTHING_CHOSEN: Final = Personal()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is in memory about one person; `stored` has what this release cannot read as well."""

    stored: Mapping[str, str]
    personal: Personal


class Preferences:
    """The choices of every person."""

    def __init__(self, store: UserSettingStore, *, remembered: int = REMEMBERED_PEOPLE) -> None:
        self._store = store
        self._known: LRUCache[UserKey, _Known] = LRUCache(remembered)
        self._is_complete = False  # whoever is not in memory has chosen nothing

    async def load(self) -> None:
        """Read the choices of everybody, as many as there is room for; call once, at the start.

        Raises:
            StoreUnavailable
        """
        rows = await self._store.first(REMEMBERED_VALUES + 1)
        people: dict[UserKey, dict[str, str]] = {}
        for user, name, value in rows[:REMEMBERED_VALUES]:
            people.setdefault(user, {})[name] = value
        self._is_complete = len(rows) <= REMEMBERED_VALUES and len(people) <= self._known.maxsize
        if len(rows) > REMEMBERED_VALUES:
            people.popitem()  # of whom some values may be missing
        for user, values in people.items():
            self._remember(user, values)

    async def of(self, user: UserKey) -> Personal:
        """Return what this person chose.

        Raises:
            StoreUnavailable: only if it is not in memory.
        """
        if (known := self.known(user)) is not None:
            return known
        stored = await self._store.of(user)
        if (known := self.known(user)) is not None:  # set meanwhile
            return known
        return self._remember(user, stored)

    def known(self, user: UserKey) -> Personal | None:
        """Return what this person chose, from memory; None if it is not there."""
        if (known := self._known.get(user)) is not None:
            return known.personal
        return NOTHING_CHOSEN if self._is_complete else None

    def language(self, user: UserKey) -> str | None:
        """Return the language that this person chose, from memory; None if they chose none."""
        return (self.known(user) or NOTHING_CHOSEN).language

    async def set(self, user: UserKey, setting: Setting, value: str | int | bool) -> None:
        """Remember a choice.

        Raises:
            SettingInvalid: it cannot be chosen.
            StoreUnavailable: nothing changed.
        """
        text = (ON if value else OFF) if isinstance(value, bool) else str(value)
        if (checked := _checked(setting, text)) is None:
            raise SettingInvalid(setting=setting.value)
        before = await self._of_store(user)
        await self._store.set(user, setting, checked)
        self._remember(user, {**self._in_memory(user, before), setting: checked})

    async def reset(self, user: UserKey, setting: Setting | None = None) -> None:
        """Forget a choice, or with None every choice of this person.

        Raises:
            StoreUnavailable: nothing changed.
        """
        before = await self._of_store(user)
        await self._store.delete(user, setting)
        now = self._in_memory(user, before)
        self._remember(user, {} if setting is None else {name: now[name] for name in now if name != setting})

    def forget(self, user: UserKey) -> None:
        """Drop what is in memory about somebody whose rows were deleted."""
        self._known.pop(user, None)

    async def ping(self, user: UserKey) -> Ping:
        """Return where this person wants to be told; HERE before they chose.

        Raises:
            StoreUnavailable
        """
        return (await self.of(user)).ping or Ping.HERE

    async def _of_store(self, user: UserKey) -> Mapping[str, str]:
        known = self._known.get(user)
        return await self._store.of(user) if known is None else known.stored

    def _in_memory(self, user: UserKey, before: Mapping[str, str]) -> Mapping[str, str]:
        """Return what is known now that something was written: another command may have been quicker."""
        known = self._known.get(user)
        return before if known is None else known.stored

    def _remember(self, user: UserKey, stored: Mapping[str, str]) -> Personal:
        if user not in self._known and len(self._known) >= self._known.maxsize:
            self._is_complete = False  # somebody makes room
        personal = Personal.read(stored)
        self._known[user] = _Known(stored=stored, personal=personal)
        return personal


def _checked(setting: Setting, text: str) -> str | None:
    """Return a value as it is stored; None if it is not one of this setting."""
    match setting:
        case Setting.ASPECT:
            return text if text in set(Aspect) else None
        case Setting.STEPS:
            is_number = text.isascii() and text.isdecimal() and len(text) < len(str(MAX_STEPS)) + 1
            return text if is_number and 1 <= int(text) <= MAX_STEPS else None
        case Setting.SUFFIX:
            return clean if 0 < len(clean := clean_prompt(text)) <= MAX_SUFFIX else None
        case Setting.MODEL:
            return text if 0 < len(text) <= MAX_MODEL else None
        case Setting.PING:
            return text if text in set(Ping) else None
        case Setting.PRIVATE_TO:
            return text if text in set(PrivateTo) else None
        case Setting.LANGUAGE:
            return text if text in LANGUAGES else None
        case Setting.PRIVATE | Setting.SPOILER:
            return text if text in (ON, OFF) else None


def _member(kind: type[Member], text: str | None) -> Member | None:
    return None if text is None else kind(text)


def _switch(text: str | None) -> bool | None:
    return None if text is None else text == ON
