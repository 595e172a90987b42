"""What is asked of a history: a stretch of it, and what its pictures have to have; as conditions of SQL. Pure.

The statements that they become part of are in `history_store.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_ID: Final = 2**63 - 1  # of SQLite's integers: people may write larger ones
SEARCHED: Final = 20_000  # pictures of one person that one look passes over, for one word
ROW_LOOKS: Final = 4  # words that could be looked for while one row is read, which holds the model
SHARED_SEARCHED: Final = 1_000  # pictures of one server

SqlValues = dict[str, str | int | float | None]
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A run of pictures between two numbers, neither of them included; None has no bound."""

    limit: int
    before_id: int | None = None
    after_id: int | None = None
    is_ascending: bool = False  # oldest first

    @property
    def direction(self) -> str:
        """The order, for SQL."""
        return "ASC" if self.is_ascending else "DESC"

    def values(self) -> SqlValues:
        """Return the values of `RANGE` and of the limit."""
        return {
            "limit": self.limit,
            "before_id": MAX_ID if self.before_id is None else max(-MAX_ID, min(self.before_id, MAX_ID)),
            "after_id": -MAX_ID if self.after_id is None else max(-MAX_ID, min(self.after_id, MAX_ID)),
        }


RANGE: Final = "id < :before_id AND id > :after_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a picture has to have, all of it.

    words: parts of the prompt in any order; one that is a number may be the seed instead.
    since, until: when it was asked for, Unix seconds: from `since` on, and before `until`.
    model: the name of the model that drew it.
    is_kept: its person keeps it.
    with_removed: those that a moderator removed as well, where nothing has to be found in them.
    """

    words: tuple[str, ...] = ()
    seed: int | None = None
    job_id: int | None = None
    since: int | None = None
    until: int | None = None
    model: str | None = None
    is_kept: bool = False
    with_removed: bool = False

    @property
    def is_bounded(self) -> bool:
        """Whether pictures may have to be passed over one by one, so that a look must end before all are seen."""
        is_looked_up = self.seed is not None or self.job_id is not None or self.is_kept
        return (bool(self.words) or self.model is not None) and not is_looked_up

    @property
    def searched(self) -> int:
        """How many pictures one look passes over: fewer for several words, each of which may be in every prompt."""
        looks = sum(len(_cases(word)) for word in self.words) + (0 if self.model is None else ROW_LOOKS)
        return max(1, SEARCHED // max(1, looks))

    def condition(self) -> str:
        """Return what holds for a picture that was found; what is not needed is left out."""
        parts = [_contains(word, f"word_{number}") for number, word in enumerate(self.words)]
        named = {"seed": "seed = :seed", "job_id": "id = :job_id", "model": "model = :model"}
        parts += [condition for name, condition in named.items() if getattr(self, name) is not None]
        parts += ["is_kept = 1"] if self.is_kept else []
        parts += [self.days()] if (self.since, self.until) != (None, None) else []
        return " AND ".join(parts) or "TRUE"

    def days(self) -> str:
        """Return what holds for a picture of these days."""
        bounds = {"since": "queued_at >= :since", "until": "queued_at < :until"}
        return " AND ".join(bound for name, bound in bounds.items() if getattr(self, name) is not None) or "TRUE"

    def values(self) -> SqlValues:
        """Return the values of `condition`."""
        names = ("seed", "job_id", "since", "until", "model")
        values: SqlValues = {name: getattr(self, name) for name in names}
        for number, word in enumerate(self.words):
            for case, text in enumerate(_cases(word)):
                values[f"word_{number}_{case}"] = "%" + re.sub(r"([%_\\])", r"\\\1", text) + "%"
            values[f"word_{number}_seed"] = int(word) if _NUMBER.fullmatch(word) else None
        return values


ANYTHING: Final = Wanted()


def _contains(word: str, name: str) -> str:
    escape = " ESCAPE '\\'" if re.search(r"[%_\\]", word) else ""
    found = [f"prompt LIKE :{name}_{number}{escape}" for number, _ in enumerate(_cases(word))]
    found += [f"seed = :{name}_seed"] if _NUMBER.fullmatch(word) else []
    return f"({' OR '.join(found)})"


def _cases(word: str) -> list[str]:
    """The word as it is written in sentences, titles and capitals. LIKE itself folds the case of ASCII letters only."""
    written = (word, word.lower(), word.capitalize(), word.title(), word.upper())
    return list({_ascii_folded(each): each for each in written}.values())


def _ascii_folded(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)
