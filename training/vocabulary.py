"""What the model draws, and by which names. Plain data; knows no pictures.

A name belongs to one concept only: a shared one ("cat" for the whole animal and for its face) teaches the mean
of two drawings, which is neither.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

FOLDER: Final = Path(__file__).parent
UNKNOWN_IS_DRAWN_AS: Final = "thinking face"
# Drawings with writing, a dial or another side that is wrong in a mirror; all others are drawn both ways round.
ONE_WAY_ROUND: Final = frozenset(
    {
        "alarm clock",
        "clapper board",
        "credit card",
        "globe showing americas",
        "kimono",
        "money bag",
        "money-mouth face",
        "musical note",
        "newspaper",
        "pool 8 ball",
        "red envelope",
        "sleeping face",
        "statue of liberty",
        "telephone",
        "ticket",
        "watch",
    }
)
Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """One thing with its names: the usual one first; aliases are rarer; tags only accompany a name."""

    key: str
    emoji: str
    is_animal: bool
    subgroup: str
    names: Mapping[Language, Sequence[str]]
    aliases: Mapping[Language, Sequence[str]]
    tags: Mapping[Language, Sequence[str]]


def load_concepts(limit: int | None = None) -> list[Concept]:
    """Read the shipped list, or its first `limit` entries."""
    rows = json.loads((FOLDER / "concepts.json").read_text("utf-8"))
    return [_concept(row) for row in rows[:limit]]


def load_unknown() -> dict[Language, list[str]]:
    """Read names of things that the model does not draw."""
    names: dict[Language, list[str]] = json.loads((FOLDER / "unknown.json").read_text("utf-8"))
    return names


def _concept(row: Mapping[str, Any]) -> Concept:
    return Concept(
        key=row["key"],
        emoji=row["emoji"],
        is_animal=row["group"] == "animal",
        subgroup=row["subgroup"],
        names={language: row[language] for language in LANGUAGES},
        aliases={language: row[f"{language}_alias"] for language in LANGUAGES},
        tags={language: row[f"{language}_tags"] for language in LANGUAGES},
    )
