"""What somebody types to find pictures is understood, and never refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.requests.history_search import MAX_WORDS, Days, midnight_in, read_search
from bot.store.history_query import Wanted

TODAY = date(2026, 11, 30)


def at(day: date) -> int:
    """A clock of Greenwich."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def days(text: str, today: date = TODAY) -> tuple[str, str] | None:
    read = read_search(text, today=today, midnight=at)
    return None if read.days is None else (str(read.days.first or ""), str(read.days.last or ""))


def words(text: str) -> set[str]:
    return set(read_search(text, today=TODAY, midnight=at).wanted.words)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-29", "2026-11-29", "2026-11-29"),
        ("2026/11/29", "2026-11-29", "2026-11-29"),
        ("2026.11.29", "2026-11-29", "2026-11-29"),
        ("yesterday", "2026-11-29", "2026-11-29"),
        ("Today", "2026-11-30", "2026-11-30"),
        ("昨天", "2026-11-29", "2026-11-29"),
        ("前天", "2026-11-28", "2026-11-28"),
        ("今天", "2026-11-30", "2026-11-30"),
        ("11-29", "2026-11-29", "2026-11-29"),
        ("12-25", "2025-12-25", "2025-12-25"),  # the last one, not the next
        ("02-29", "2024-02-29", "2024-02-29"),
        ("11月29日", "2026-11-29", "2026-11-29"),
        ("11月29号", "2026-11-29", "2026-11-29"),
        ("11月29號", "2026-11-29", "2026-11-29"),
        ("2025年3月1日", "2025-03-01", "2025-03-01"),
        ("１１月２９日", "2026-11-29", "2026-11-29"),
        ("2026－11－29", "2026-11-29", "2026-11-29"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("2025年12月", "2025-12-01", "2025-12-31"),
        ("12月", "2025-12-01", "2025-12-31"),
        ("2026-11-01..2026-11-10", "2026-11-01", "2026-11-10"),
        ("2026-11-01 .. 2026-11-10", "2026-11-01", "2026-11-10"),
        ("2026-11-10..2026-11-01", "2026-11-01", "2026-11-10"),
        ("2026-11-01～11-10", "2026-11-01", "2026-11-10"),
        ("11月1日到11月10日", "2026-11-01", "2026-11-10"),
        ("11月1日至昨天", "2026-11-01", "2026-11-29"),
        ("2026-11-01..", "2026-11-01", ""),
        ("..2026-11-10", "", "2026-11-10"),
        ("2026-01..2026-02", "2026-01-01", "2026-02-28"),
    ],
)
def test_days_in_the_ways_that_people_write_them(text: str, first: str, last: str) -> None:
    assert days(text) == (first, last)
    assert words(text) == set()


@pytest.mark.parametrize("text", ["2026-13-45", "02-30", "3.5", "16:9", "24/7", "..", "2026-11-01..fox", "0000-00-00"])
def test_what_is_no_day_of_the_calendar_is_a_word(text: str) -> None:
    assert days(text) is None
    assert words(text) == {text}


def test_days_are_bounds_with_their_last_one_inside() -> None:
    read = read_search("2026-11-01..2026-11-10", today=TODAY, midnight=at)
    assert read.wanted == Wanted(since=at(date(2026, 11, 1)), until=at(date(2026, 11, 11)))
    assert read.days == Days(first=date(2026, 11, 1), last=date(2026, 11, 10))
    assert midnight_in(TODAY) == int(datetime(2026, 11, 30).timestamp())  # noqa: DTZ001
    assert midnight_in(TODAY, UTC) == at(TODAY)


def test_words_seed_number_and_day_go_together_in_any_order() -> None:
    for text in (
        "fox seed:42 yesterday #35 castle",
        "yesterday castle #35 fox seed 42",
        "castle fox 昨天 种子：42 #35",
    ):
        wanted = read_search(text, today=TODAY, midnight=at).wanted
        assert set(wanted.words) == {"fox", "castle"}, text
        assert (wanted.seed, wanted.job_id) == (42, 35), text
        assert (wanted.since, wanted.until) == (at(date(2026, 11, 29)), at(TODAY)), text


def test_chinese_needs_no_spaces_around_a_day() -> None:
    wanted = read_search("昨天的狐狸", today=TODAY, midnight=at).wanted
    assert wanted.words == ("狐狸",) and wanted.until == at(TODAY)


def test_quoted_text_is_a_phrase_and_nothing_else() -> None:
    assert words('"a red fox" “11-29” 「昨天」 castle') == {"a red fox", "11-29", "昨天", "castle"}
    assert days('"11-29"') is None


def test_long_words_are_asked_first_and_each_once() -> None:
    read = read_search("a fox a castle fox", today=TODAY)
    assert read.wanted.words == ("castle", "fox", "a")
    assert len(read_search(" ".join(map(chr, range(0x4E00, 0x4F00))), today=TODAY).wanted.words) == MAX_WORDS


def test_nothing_typed_wants_nothing() -> None:
    for text in ("", "   ", "\n\t\u3000"):
        assert read_search(text, today=TODAY).wanted == Wanted(), text


@given(st.text(max_size=60) | st.text(alphabet='0123456789-./年月日号..至昨天# seed:"“”', max_size=40))
def test_nothing_that_can_be_typed_is_refused(text: str) -> None:
    wanted = read_search(text, today=TODAY, midnight=at).wanted
    assert len(wanted.words) <= MAX_WORDS and all(word.strip() == word != "" for word in wanted.words)
    for number in (wanted.seed, wanted.job_id, wanted.since, wanted.until):
        assert number is None or abs(number) < 2**63
    assert midnight_in(TODAY + timedelta(days=1)) > midnight_in(TODAY)


def test_ends_of_the_calendar_are_days() -> None:
    for text in ("0001-01-01", "9999-12-31", "0001-01-01..9999-12-31"):
        wanted = read_search(text, today=TODAY).wanted  # with this machine's clock
        assert wanted.since is not None and wanted.until is not None and wanted.since <= wanted.until
