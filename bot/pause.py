"""Why the queue starts no new job: who paused it, what was said about it, and until when. Pure data, no I/O.

Who paused decides who may end it: an operator's pause lasts until `/admin resume`, or until the time that they named;
one that the machine made ends by itself (`bot/scheduling/breaker.py`), and so do quiet hours. So the kind is never
read out of the text that a person typed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from pipeline.spec import clean_prompt

VERSION: Final = 1
MAX_TEXT: Final = 200
MAX_MOMENT: Final = 253_402_300_800  # the end of the year 9999


class PauseKind(StrEnum):
    """Who paused the queue, or what did; those of the machine have a sentence in every language."""

    OPERATOR = "operator"
    ENGINE_FAILURES = "engine_failures"  # several pictures in a row failed
    STORAGE = "storage"  # pictures cannot be saved
    QUIET_HOURS = "quiet_hours"  # of the config; never stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause of the queue.

    text: what an operator wrote: one line, "" if nothing.
    until: when it ends by itself, in Unix seconds; None if nobody knows.
    """

    kind: PauseKind
    text: str = ""
    until: int | None = None

    @classmethod
    def by_operator(cls, text: str, until: int | None = None) -> Self:
        """Make the pause of a person; the text becomes one visible line of at most `MAX_TEXT` characters."""
        return cls(kind=PauseKind.OPERATOR, text=clean_prompt(text)[:MAX_TEXT].rstrip(), until=until)

    def is_over(self, now: float) -> bool:
        """Whether its end has come."""
        return self.until is not None and self.until <= now

    @property
    def is_by_machine(self) -> bool:
        """Whether it may end without a person."""
        return self.kind is not PauseKind.OPERATOR

    def to_json(self) -> str:
        """Write it down for the next start."""
        ends = {} if self.until is None else {"until": self.until}  # which an earlier release passes over
        return json.dumps({"version": VERSION, "kind": self.kind, "text": self.text, **ends})

    @classmethod
    def from_stored(cls, stored: str) -> Self:
        """Read what any release wrote; never fails.

        Releases without versions wrote the operator's text alone, or the code of the one pause that they made
        themselves. Whatever this release does not know counts as an operator's pause: a queue that waits for a person
        is an annoyance, one that goes on against somebody's will may be more than that.
        """
        try:
            fields = json.loads(stored)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict) or "version" not in fields:
            if stored == PauseKind.ENGINE_FAILURES:
                return cls(kind=PauseKind.ENGINE_FAILURES)
            return cls.by_operator(stored)
        kind, text = fields.get("kind"), fields.get("text")
        if fields["version"] == VERSION and kind in (PauseKind.ENGINE_FAILURES, PauseKind.STORAGE):
            return cls(kind=PauseKind(kind))
        until = fields.get("until")
        is_moment = fields["version"] == VERSION and type(until) is int and 0 < until < MAX_MOMENT
        return cls.by_operator(text if isinstance(text, str) else "", until if is_moment else None)
