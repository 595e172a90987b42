"""No time is written as nothing, and none with more digits than it deserves."""

from __future__ import annotations

import pytest

from bot.presentation.spans import span
from bot.presentation.wording import LANGUAGES, wording_for


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0 s"), (0, "0 s"), (0.04, "0 s"), (3.6, "3.6 s"), (4.0, "4 s"), (12.4, "12 s"), (59.4, "59 s"),
        (60, "1 min"), (240, "4 min"), (89 * 60, "89 min"), (5400, "1.5 h"), (1e6, "277.8 h"),
    ],
)  # fmt: skip
def test_spans(seconds: float, said: str) -> None:
    assert span(seconds, wording_for("en")) == said


@pytest.mark.parametrize("language", LANGUAGES)
def test_spans_of_every_language(language: str) -> None:
    assert {len(span(seconds, wording_for(language))) for seconds in (3.6, 240, 5400)} <= set(range(3, 8))
