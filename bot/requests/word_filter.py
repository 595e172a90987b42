"""Find the words of a list in a text, however they are written. Pure: words and text in, `Hit` out.

A word is found as a whole: *ass* is no part of *class*. Spelling tricks are undone by `word_folding.py` and here:
signs and spaces between letters, letters repeated, digits and signs for letters. Chinese, which has no spaces, is cut
into its words first, so that 性交 is not found in 男性交友.

The text is read in several ways (`_ways`), each a row of units; one automaton looks for all words in all of them at
once, by the skeletons of the units, which are equal for everything that might be meant. What it finds is then compared
exactly. So the time grows with the text, and hardly with the list.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from typing import Final, NamedTuple

from ahocorasick_rs import AhoCorasick

from bot.requests.word_folding import (
    BREAK,
    HAN,
    JOINER,
    MASK,
    SPACE,
    SYMBOLS,
    UNSPACED,
    UNSPACED_CHARACTER,
    Folded,
    fold,
    is_leet,
    leet,
    parted,
    with_w,
)

MIN_SPELLED: Final = 3  # letters of a word that is looked for in letters that stand alone
MIN_MASKED: Final = 4  # letters of a word that is recognised with one of them replaced by `*`
_EDGE: Final = "\x1f"
_SYMBOLS: Final = frozenset(SYMBOLS)
_SEPARATORS: Final = frozenset({JOINER, MASK, BREAK})
_SIGNS: Final = re.escape("".join(SYMBOLS))
_UNIT: Final = re.compile(f"[{UNSPACED}]|[^\\W_{UNSPACED}]+")
_LEET_UNIT: Final = re.compile(f"[{UNSPACED}]|(?:[{_SIGNS}]|[^\\W_{UNSPACED}])+")
_CHUNK: Final = re.compile(f"[{UNSPACED}]|[^{SPACE}{UNSPACED}]+")
_MASKED: Final = re.compile(r"(?<![\w*])[^\W\d_]+\*[^\W\d_]+(?![\w*])")


@dataclass(frozen=True, slots=True)
class Hit:
    """A word of the list in a text.

    word: as it stands in the list.
    found: the piece of the text.
    """

    word: str
    found: str


class _Unit(NamedTuple):
    """A word of a script with spaces, or a character of one without; `start` and `end` count folded characters."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Word:
    typed: str
    units: tuple[str, ...]

    @property
    def is_han(self) -> bool:
        return all(HAN.match(unit) for unit in self.units)


class WordFilter:
    """A list of words, ready to be looked for."""

    def __init__(self, words: Iterable[str]) -> None:
        """Prepare the list; takes a tenth of a second for thousands of words, and blocks."""
        self._by_skeleton: defaultdict[str, list[_Word]] = defaultdict(list)
        self._by_letters: defaultdict[str, list[_Word]] = defaultdict(list)
        self._masked: dict[str, _Word] = {}
        for typed in words:
            word = _Word(typed, units_of(typed))
            if word.units:
                self._add(word)
        self._rows, self._letters = _automaton(self._by_skeleton), _automaton(self._by_letters)

    def _add(self, word: _Word) -> None:
        self._by_skeleton[_row(map(_skeleton, word.units))].append(word)
        letters = "".join(word.units)
        if UNSPACED_CHARACTER.search(letters) or not letters.isalpha():
            return
        if len(letters) >= MIN_SPELLED:
            self._by_letters[_skeleton(letters)].append(word)
        if len(word.units) == 1 and len(letters) >= MIN_MASKED:
            for index in range(1, len(letters) - 1):
                self._masked.setdefault(f"{letters[:index]}*{letters[index + 1 :]}", word)

    def find(self, text: str) -> Hit | None:
        """Return the first word that is found; None if the text has none. Takes time in proportion to its length."""
        if not self._by_skeleton:
            return None
        folded = fold(text)
        for word, start, end in self._found(text, folded):
            return Hit(word.typed, text[start : end + 1])
        return None

    def _found(self, text: str, folded: Folded) -> Iterator[tuple[_Word, int, int]]:
        """Yield words with their first and last index in the text."""
        cutter = _Cutter(folded.text)
        for units in _ways(folded.text):
            for word, first, last in self._in_row(units):
                if not word.is_han or cutter.allows(units[first].start, units[last].end):
                    yield word, folded.at[units[first].start], folded.at[units[last].end - 1]
        for word, start, end in (*self._spelled(folded.text), *self._masked_in(folded.text)):
            yield word, folded.at[start], folded.at[end - 1]
        for other in (parted(text, folded), with_w(folded)):
            if other is not None:
                units = _units(other.text, _UNIT)
                for word, first, last in self._in_row(units):
                    if not word.is_han:
                        yield word, other.at[units[first].start], other.at[units[last].end - 1]

    def _in_row(self, units: Sequence[_Unit]) -> Iterator[tuple[_Word, int, int]]:
        """Yield words with the first and the last of their units."""
        skeletons = [_skeleton(unit.text) for unit in units]
        starts, place = {}, 0
        for number, skeleton in enumerate(skeletons):
            starts[place] = number
            place += len(skeleton) + len(_EDGE)
        row = _row(skeletons)
        for _, start, end in self._rows.find_matches_as_indexes(row, overlapping=True):
            first = starts[start]
            for word in self._by_skeleton[row[start:end]]:
                there = units[first : first + len(word.units)]
                if all(_is_same(unit.text, wanted) for unit, wanted in zip(there, word.units, strict=True)):
                    yield word, first, first + len(word.units) - 1

    def _spelled(self, folded: str) -> Iterator[tuple[_Word, int, int]]:
        """Yield words whose letters stand alone, at least two of them: `n u d e`, `n u de`."""
        units = [unit for unit in _units(folded, _LEET_UNIT) if unit.text not in "!|+°"]
        for first, last in _runs_of_single(units):
            run = units[first : last + 1]
            yield from self._in_letters(run)
            before, after = units[max(0, first - 1) : first], units[last + 1 : last + 2]
            beside = [unit for unit in (*before, *run, *after) if not UNSPACED_CHARACTER.match(unit.text)]
            if len(beside) > len(run):
                yield from self._in_letters(beside)

    def _in_letters(self, units: Sequence[_Unit]) -> Iterator[tuple[_Word, int, int]]:
        """Yield words that begin and end with a unit, in their joined letters."""
        joined = "".join(unit.text for unit in units)
        owners = [number for number, unit in enumerate(units) for _ in unit.text]
        runs = [(key, len(list(group))) for key, group in groupby(leet(joined))]
        begins = [0]
        for _, size in runs:
            begins.append(begins[-1] + size)
        for _, start, end in self._letters.find_matches_as_indexes("".join(key for key, _ in runs), overlapping=True):
            first, last = begins[start], begins[end] - 1
            skeleton = "".join(key for key, _ in runs[start:end])
            singles = sum(len(units[number].text) == 1 for number in set(owners[first : last + 1]))
            is_whole = first == 0 or owners[first - 1] != owners[first] or len(units[owners[first]].text) == 1
            is_whole &= last == len(joined) - 1 or owners[last + 1] != owners[last]
            if not is_whole or singles < 2:
                continue
            letters = joined[first : last + 1]
            for word in self._by_letters[skeleton]:
                if _is_same(letters, "".join(word.units), is_edge_open=True):
                    yield word, units[owners[first]].start, units[owners[last]].end

    def _masked_in(self, folded: str) -> Iterator[tuple[_Word, int, int]]:
        """Yield words with one letter replaced by `*`."""
        for match in _MASKED.finditer(folded):
            if (word := self._masked.get(match[0])) is not None:
                yield word, match.start(), match.end()


def units_of(word: str) -> tuple[str, ...]:
    """Return what a word is compared as: two spellings of it are equal; () if it has no letters."""
    return tuple(unit.text for unit in _units(fold(word).text, _UNIT))


# ── ways to read a text ─────────────────────────────────────────────────────────────────────────────


def _ways(folded: str) -> Iterator[Sequence[_Unit]]:
    """Yield the rows of units that a text can be read as."""
    pieces = _units(folded, _UNIT)
    yield pieces
    if len(kept := _without_fillers(pieces)) < len(pieces):
        yield kept
    has_symbols = not _SYMBOLS.isdisjoint(folded)
    if has_symbols:
        yield _units(folded, _LEET_UNIT)
    if has_symbols or not _SEPARATORS.isdisjoint(folded):
        chunks = list(_CHUNK.finditer(folded))
        yield [unit for chunk in chunks for unit in _joined(chunk, _UNIT)]
        if has_symbols:
            yield [unit for chunk in chunks for unit in _joined(chunk, _LEET_UNIT)]


def _units(folded: str, pattern: re.Pattern[str], offset: int = 0) -> list[_Unit]:
    found = []
    for match in pattern.finditer(folded):
        text = match[0].rstrip("!") or match[0]  # at the end of a word it is an exclamation
        found.append(_Unit(text, offset + match.start(), offset + match.start() + len(text)))
    return found


def _joined(chunk: re.Match[str], pattern: re.Pattern[str]) -> list[_Unit]:
    """Read what stands between two spaces as one word, if it seems to be cut into pieces for no reason but this one."""
    pieces = _units(chunk[0], pattern, chunk.start())
    if len(pieces) < 2:
        return pieces
    inside = chunk[0][pieces[0].start - chunk.start() : pieces[-1].end - chunk.start()]
    if BREAK in inside and all(len(piece.text) > 1 for piece in pieces):
        return pieces
    return [_Unit("".join(piece.text for piece in pieces), pieces[0].start, pieces[-1].end)]


def _without_fillers(units: Sequence[_Unit]) -> Sequence[_Unit]:
    """Leave out a letter or digit that stands alone between two characters of a script without spaces: 裸x体."""
    is_unspaced = [UNSPACED_CHARACTER.match(unit.text) is not None for unit in units]
    fillers = {
        number
        for number in range(1, len(units) - 1)
        if not is_unspaced[number]
        and len(units[number].text) == 1
        and is_unspaced[number - 1]
        and is_unspaced[number + 1]
    }
    return [unit for number, unit in enumerate(units) if number not in fillers] if fillers else units


def _runs_of_single(units: Sequence[_Unit]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of two or more units that are one letter each."""
    first = None
    for number, unit in enumerate((*units, _Unit("", 0, 0))):
        is_single = len(unit.text) == 1 and not UNSPACED_CHARACTER.match(unit.text)
        if is_single and first is None:
            first = number
        elif not is_single and first is not None:
            if number - first > 1:
                yield first, number - 1
            first = None


# ── comparing ───────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=1 << 14)
def _skeleton(letters: str) -> str:
    """Return what is equal for all spellings that might be meant: every run of a letter is one."""
    return "".join(key for key, _ in groupby(leet(letters)))


@lru_cache(maxsize=1 << 14)
def _is_same(found: str, wanted: str, *, is_edge_open: bool = False) -> bool:
    if _is_stretched(found, wanted, is_edge_open=is_edge_open):
        return True
    return is_leet(found) and _is_stretched(leet(found), leet(wanted), is_edge_open=is_edge_open)


def _is_stretched(found: str, wanted: str, *, is_edge_open: bool = False) -> bool:
    """Whether `found` is `wanted`, perhaps with letters repeated.

    Twice the same letter once is another word (*god*, *good*), but no word has one three times.
    """
    if found == wanted:
        return True
    there, asked = ([(key, len(list(group))) for key, group in groupby(text)] for text in (found, wanted))
    if [key for key, _ in there] != [key for key, _ in asked]:
        return False
    more = [(size, size - least) for (_, size), (_, least) in zip(there, asked, strict=True)]
    if is_edge_open:  # letters beside it may belong to its neighbours
        more = [
            (size, min(extra, 0) if number in (0, len(more) - 1) else extra)
            for number, (size, extra) in enumerate(more)
        ]
    longer = [size for size, extra in more if extra > 0]
    return all(extra >= 0 for _, extra in more) and (len(longer) != 1 or longer[0] > 2)


def _row(skeletons: Iterable[str]) -> str:
    return _EDGE + "".join(skeleton + _EDGE for skeleton in skeletons)


def _automaton(words: Iterable[str]) -> AhoCorasick:
    return AhoCorasick(list(words))


class _Cutter:
    """Where the words of a Chinese text begin and end."""

    def __init__(self, folded: str) -> None:
        self._folded = folded
        self._places: dict[int, tuple[int, frozenset[int]]] | None = None

    def allows(self, start: int, end: int) -> bool:
        """Whether what lies between two places is made of whole words, or part of a single longer one.

        A single character has to be a word itself: 裸 is not meant in 裸眼.
        """
        if self._places is None:
            self._places = dict(self._cut())
        (first, edges), (last, _) = self._places[start], self._places[end - 1]
        is_whole = first in edges and last + 1 in edges
        return is_whole or (last > first and not any(number in edges for number in range(first + 1, last + 1)))

    def _cut(self) -> Iterator[tuple[int, tuple[int, frozenset[int]]]]:
        """Yield for every place the number of its character in a row, and the numbers at which a word begins."""
        units = _without_fillers(_units(self._folded, _UNIT))
        for is_han, row in groupby(units, key=lambda unit: HAN.match(unit.text) is not None):
            if is_han:
                places = [unit.start for unit in row]
                edges = [0]
                for word in _segmenter()("".join(self._folded[place] for place in places), False):
                    edges.append(edges[-1] + len(word))
                begins = frozenset(edges)
                for number, place in enumerate(places):
                    yield place, (number, begins)


@cache
def _segmenter() -> Callable[[str, bool], list[str]]:
    import rjieba  # takes half a second: only lists with Chinese words need it

    cut: Callable[[str, bool], list[str]] = rjieba.cut  # with False, it guesses no words that its dictionary lacks
    return cut
