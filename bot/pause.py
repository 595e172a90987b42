"""Why the queue starts no new job: who paused it, and what was said about it. Pure data, no I/O.

Who paused decides who may end it: an operator's pause lasts until `/admin resume`, one that the machine made ends by
itself (`bot/scheduling/breaker.py`). So the kind is never read out of the text that a person typed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from pipeline.spec import clean_prompt

VERSION: Final = 1
MAX_TEXT: Final = 200


class PauseKind(StrEnum):
    """Who paused the queue, or what did; those of the machine have a sentence in every language."""

    OPERATOR = "operator"
    ENGINE_FAILURES = "engine_failures"  # several pictures in a row failed
    STORAGE = "storage"  # pictures cannot be saved


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause of the queue. `text` is what an operator wrote: one line, "" if nothing."""

    kind: PauseKind
    text: str = ""

    @classmethod
    def by_operator(cls, text: str) -> Self:
        """Make the pause of a person; the text becomes one visible line of at most `MAX_TEXT` characters."""
        return cls(kind=PauseKind.OPERATOR, text=clean_prompt(text)[:MAX_TEXT].rstrip())

    @property
    def is_by_machine(self) -> bool:
        """Whether it may end without a person."""
        return self.kind is not PauseKind.OPERATOR

    def to_json(self) -> str:
        """Write it down for the next start."""
        return json.dumps({"version": VERSION, "kind": self.kind, "text": self.text})

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
        return cls.by_operator(text if isinstance(text, str) else "")
