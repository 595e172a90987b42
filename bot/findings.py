"""What a look at one part of the setup brings, a line each: `check` prints them. Pure; knows no part.

Every part that a start needs has a `preflight` of its own, which returns findings and starts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Mark(Enum):
    """How a finding is to be taken."""

    OK = "✔"
    NOTE = "•"  # worth knowing, nothing to do
    PROBLEM = "✘"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line about one topic; `way_out` says what to do about a problem."""

    mark: Mark
    topic: str
    text: str
    way_out: str = ""


def ok(topic: str, text: str, way_out: str = "") -> Finding:
    """Something is as it should be."""
    return Finding(Mark.OK, topic, text, way_out)


def note(topic: str, text: str, way_out: str = "") -> Finding:
    """Something works, but perhaps not as the operator expects."""
    return Finding(Mark.NOTE, topic, text, way_out)


def problem(topic: str, text: str, way_out: str) -> Finding:
    """Something that has to be mended first."""
    return Finding(Mark.PROBLEM, topic, text, way_out)
