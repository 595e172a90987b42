"""Which parts of a prompt a model cannot read, told by their script, and the prompt with these parts replaced. Pure.

Everything else stays as it was typed: English words, numbers, weights such as `(word:1.2)`, tags in angle brackets,
BREAK. A text without foreign letters is never touched.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from pipeline.catalog.model_card import ModelCard
from pipeline.spec import clean_prompt

HAN: Final = "han"
SYLLABLES: Final = "syllables"  # a letter alone is a word, or part of one
LETTERS: Final = "letters"  # a letter alone is a sign in a formula
# How the Unicode names of letters begin.
_SCRIPTS: Final = (
    (("CJK", "IDEOGRAPHIC"), HAN),
    (("HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "HANGUL", "BOPOMOFO"), SYLLABLES),
    (
        (
            "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "TAMIL", "TELUGU",
            "KANNADA", "MALAYALAM", "SINHALA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "MONGOLIAN", "GEORGIAN",
            "ARMENIAN", "ETHIOPIC",
        ),
        LETTERS,
    ),
)  # fmt: skip
_TAG: Final = re.compile(r"<[^<>]{1,200}>")
_BETWEEN: Final = frozenset(" ,.;!?'·・…—-，。、；！？～「」『』《》“”‘’")  # inside a run, never at its ends
_ASCII: Final = str.maketrans(
    {
        "，": ", ", "、": ", ", "。": ". ", "；": "; ", "！": "! ", "？": "? ", "：": ":", "（": "(", "）": ")",
        "“": '"', "”": '"', "「": '"', "」": '"', "『": '"', "』": '"', "《": '"', "》": '"', "‘": "'", "’": "'",
    }
)  # fmt: skip
MAX_RUN_CHARS: Final = 120  # given to a small language model at a time
_CUT_AFTER: Final = "。！？；.!?;，、, "


class Run(NamedTuple):
    """A part of a prompt."""

    text: str
    is_foreign: bool


def is_translated_for(card: ModelCard) -> bool:
    """Whether prompts are translated for a model: it says which languages it reads, and English is one of them."""
    return card.tells_unread and "en" in card.reads


def needs_translation(card: ModelCard, prompt: str) -> bool:
    """Whether a prompt holds anything that a model cannot read and that is translated for it."""
    return not prompt.isascii() and is_translated_for(card) and has_foreign(prompt, reads_han="zh" in card.reads)


def has_foreign(text: str, *, reads_han: bool = False) -> bool:
    """Whether a text holds letters of a script that is not read."""
    return any(run.is_foreign for run in runs_of(text, reads_han=reads_han))


def runs_of(text: str, *, reads_han: bool = False) -> list[Run]:
    """Split a text into runs that are translated and runs that stay; together they are the text. Linear time.

    A foreign run begins and ends with a foreign letter, digits before it apart ("2只猫"), and holds no Latin letter, no
    bracket and no colon. Han that is read becomes foreign where kana or other syllables stand in the same run.
    """
    kinds = _kinds(text)
    runs: list[Run] = []
    begin, place, count = 0, 0, len(text)
    while place < count:
        if not kinds[place]:
            place += 1
            continue
        first = last = place
        while first > begin and text[first - 1].isdecimal() and kinds[place] == HAN:
            first -= 1
        while place < count and (kinds[place] or text[place] in _BETWEEN or text[place].isdecimal()):
            last = place if kinds[place] else last
            place += 1
        if _is_translated(kinds[first : last + 1], reads_han=reads_han):
            runs += [Run(text[begin:first], is_foreign=False)] if begin < first else []
            runs += [Run(piece, is_foreign=True) for piece in _pieces(text[first : last + 1])]
            begin = last + 1
        place = last + 1
    return [*runs, Run(text[begin:], is_foreign=False)] if begin < count else runs


def replaced(text: str, translate: Callable[[str], str], *, reads_han: bool = False) -> str:
    """Return a text with `translate` of each foreign run in its place, and with English punctuation around it."""
    parts: list[str] = []
    for run in runs_of(text, reads_han=reads_han):
        part = _translated(run.text, translate) if run.is_foreign else _with_ascii_punctuation(run.text)
        if parts and part and _needs_space(parts[-1][-1:], part[0]):
            parts.append(" ")
        parts.append(part)
    return clean_prompt("".join(parts))


def _translated(text: str, translate: Callable[[str], str]) -> str:
    """Return a translation that ends in a comma if the text was cut there."""
    translation = translate(text)
    return f"{translation.rstrip(',;')}," if text.rstrip()[-1] in "，、,；;" else translation


def _needs_space(before: str, after: str) -> bool:
    return (before.isalnum() or before in ",.;!?") and after.isalnum()


def _with_ascii_punctuation(text: str) -> str:
    """Replace full-width punctuation, but for that inside of tags, which are names."""
    begin, parts = 0, []
    for tag in _TAG.finditer(text):
        parts += [text[begin : tag.start()].translate(_ASCII), tag[0]]
        begin = tag.end()
    return "".join([*parts, text[begin:].translate(_ASCII)])


def _is_translated(kinds: list[str], *, reads_han: bool) -> bool:
    if set(kinds) <= {"", HAN}:
        return not reads_han
    is_word = any(one == other == LETTERS for one, other in itertools.pairwise(kinds))
    return is_word or SYLLABLES in kinds or (HAN in kinds and not reads_han)


def _kinds(text: str) -> list[str]:
    """Return the kind of each character; "" for what is not foreign. Marks are of the kind of the letter before."""
    kinds: list[str] = []
    for character in text:
        kind = _kind(character)
        if not kind and kinds and kinds[-1] and unicodedata.category(character).startswith("M"):
            kind = kinds[-1]
        kinds.append(kind)
    for tag in _TAG.finditer(text):
        kinds[tag.start() : tag.end()] = [""] * len(tag[0])
    return kinds


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    if character.isascii() or not (unicodedata.category(character).startswith("L") or character == "〇"):
        return ""
    name = unicodedata.name(character, "")
    return next((kind for beginnings, kind in _SCRIPTS if name.startswith(beginnings)), "")


def _pieces(run: str) -> Iterator[str]:
    """Cut what is too long for one answer, after punctuation if there is any in the second half of a piece."""
    while len(run) > MAX_RUN_CHARS:
        cut = next(
            (end for end in range(MAX_RUN_CHARS, MAX_RUN_CHARS // 2, -1) if run[end - 1] in _CUT_AFTER), MAX_RUN_CHARS
        )
        yield run[:cut]
        run = run[cut:]
    if run:
        yield run
