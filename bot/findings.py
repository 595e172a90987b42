"""Findings: the lines that `check` prints about the setup. Pure; knows no part.

Every part that a start needs has a `preflight` module, which returns findings and starts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Mark(Enum):
    """The severity of a finding."""

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
    """Return a finding that something is in place."""
    return Finding(Mark.OK, topic, text, way_out)


def note(topic: str, text: str, way_out: str = "") -> Finding:
    """Return a finding that something works, but perhaps not as the operator expects."""
    return Finding(Mark.NOTE, topic, text, way_out)


def problem(topic: str, text: str, way_out: str) -> Finding:
    """Return a finding that something must be fixed before a start."""
    return Finding(Mark.PROBLEM, topic, text, way_out)
