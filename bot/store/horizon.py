"""The moment from which age is counted before anything is deleted, by a clock that may be wrong. Pure.

One start with the clock 91 days ahead must not delete everything: history, bans with an end, messages that are to be
taken back, what people who were erased drew today. So that moment goes on with the clock only as long as looks at it
are close together; after a leap it waits until a look a day later, on the same clock, confirms it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeGuard

DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """What a look at the clock leaves for the next one. Unix seconds."""

    trusted_at: int  # the newest moment that is believed to have come
    leapt_at: int | None = None  # what the clock said when it was first seen to be far ahead of that

    def look(self, now: int) -> Horizon:
        """Take the present time into account."""
        if now < self.trusted_at - DAY_S:  # set back: what was believed was a mistake, or this is, which costs nothing
            return Horizon(trusted_at=now)
        if now <= self.trusted_at + DAY_S:
            return Horizon(trusted_at=max(now, self.trusted_at))
        if self.leapt_at is None or now < self.leapt_at:
            return Horizon(trusted_at=self.trusted_at, leapt_at=now)
        if now < self.leapt_at + DAY_S:
            return self
        return Horizon(trusted_at=now)

    @classmethod
    def read(cls, stored: object, *, newest_at: int) -> Horizon:
        """The horizon of the last look, as JSON; without one, or if it is damaged, history ends with its newest row."""
        if isinstance(stored, dict):
            trusted_at, leapt_at = stored.get("trusted_at"), stored.get("leapt_at")
            if _is_moment(trusted_at) and (leapt_at is None or _is_moment(leapt_at)):
                return cls(trusted_at=trusted_at, leapt_at=leapt_at)
        return cls(trusted_at=newest_at)


def _is_moment(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 2**40
