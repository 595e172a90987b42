"""Who paused is never read out of what a person typed, and no stored value ends a start."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.pause import MAX_TEXT, Pause, PauseKind


@given(st.text())
def test_any_text_of_an_operator_stays_an_operators_text(text: str) -> None:
    pause = Pause.by_operator(text)
    assert Pause.from_stored(pause.to_json()) == pause
    assert not pause.is_by_machine and len(pause.text) <= MAX_TEXT and "\n" not in pause.text


@pytest.mark.parametrize("kind", [PauseKind.ENGINE_FAILURES, PauseKind.STORAGE])
def test_pause_of_the_machine_is_written_and_read(kind: PauseKind) -> None:
    assert Pause.from_stored(Pause(kind=kind).to_json()) == Pause(kind=kind)


@pytest.mark.parametrize(
    ("stored", "pause"),
    [
        ("", Pause(kind=PauseKind.OPERATOR)),
        ("a game night", Pause(kind=PauseKind.OPERATOR, text="a game night")),
        ("engine_failures", Pause(kind=PauseKind.ENGINE_FAILURES)),
        ('{"version": 1, "kind": "operator", "text": "night"}', Pause(kind=PauseKind.OPERATOR, text="night")),
        ('{"version": 1, "kind": "storage", "text": ""}', Pause(kind=PauseKind.STORAGE)),
    ],
)
def test_what_earlier_releases_wrote_is_understood(stored: str, pause: Pause) -> None:
    assert Pause.from_stored(stored) == pause


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 2, "kind": "engine_failures", "text": "kept"},
        {"version": 1, "kind": "flood", "text": "kept"},
        {"version": 1, "kind": ["storage"], "text": "kept"},
        {"version": None, "text": "kept"},
        {"version": 2, "kind": "operator", "text": "kept", "until": 1_900_000_000},
        {"version": 1, "kind": "quiet_hours", "text": "kept", "until": None},
    ],
)
def test_pause_that_a_later_release_wrote_waits_for_a_person(fields: dict[str, object]) -> None:
    assert Pause.from_stored(json.dumps(fields)) == Pause.by_operator("kept")


@given(st.text(), st.integers(1, 2**33))
def test_end_of_a_pause_is_written_and_read(text: str, until: int) -> None:
    pause = Pause.by_operator(text, until)
    assert Pause.from_stored(pause.to_json()) == pause
    assert (pause.is_over(until - 1), pause.is_over(until), pause.is_over(until + 1)) == (False, True, True)


@pytest.mark.parametrize("until", [None, 0, -1, True, 1.5, "1900000000", [], 10**12, 10**400])
def test_end_that_is_none_waits_for_a_person(until: object) -> None:
    stored = json.dumps({"version": 1, "kind": "operator", "text": "night", "until": until})
    assert Pause.from_stored(stored) == Pause.by_operator("night")


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_stored_text_cannot_be_read(stored: str) -> None:
    assert len(Pause.from_stored(stored).text) <= MAX_TEXT


@pytest.mark.parametrize("stored", ["[" * 100_000, '{"version": 1, "kind": "stor', '{"version": 1, "text": 7}', "{}"])
def test_damaged_value_counts_as_an_operators_pause(stored: str) -> None:
    assert Pause.from_stored(stored).kind is PauseKind.OPERATOR
