"""A sentence before it is said: a key of `wording/` with its values, and the voice in which a front end says it. Pure.

Each voice writes moments and quotes people in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bot.presentation.wording import Wording


@dataclass(frozen=True, slots=True)
class Typed:
    """Text that a person typed; a front end escapes its markup."""

    text: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A future moment in Unix seconds, said as "in 5 minutes"."""

    at: int


@dataclass(frozen=True, slots=True)
class ClockTime:
    """A future moment in Unix seconds, said as "08:00"."""

    at: int


@dataclass(frozen=True, slots=True)
class Phrase:
    """A sentence of `wording/` with its values; a value may be another phrase, or a list."""

    key: str
    values: Mapping[str, Value] = field(default_factory=dict)


Value = str | int | Typed | Moment | ClockTime | Phrase | tuple["Value", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """The way in which one front end speaks one language.

    write_clock: writes a time of day; None for a front end that does not know its reader's time zone.
    own: the keys of the front end's own sentences, by the keys that they replace.
    """

    wording: Wording
    write_moment: Callable[[int], str]
    quote: Callable[[str], str] = str
    own: Mapping[str, str] = field(default_factory=dict)
    write_clock: Callable[[int], str] | None = None

    def say(self, phrase: Phrase, **more: str | int) -> str:
        """Say a phrase; `more` are values that only this front end has, such as a mention."""
        values = {name: self._value(value) for name, value in phrase.values.items()}
        return self.wording.say(self.own.get(phrase.key, phrase.key), **values, **more)

    def _value(self, value: Value) -> str | int:
        match value:
            case Typed(text=text):
                return self.quote(text)
            case Moment(at=at):
                return self.write_moment(at)
            case ClockTime(at=at):
                return (self.write_clock or self.write_moment)(at)
            case Phrase():
                return self.say(value)
            case tuple():
                return self.wording.say("list-separator").join(str(self._value(each)) for each in value)
            case _:
                return value
