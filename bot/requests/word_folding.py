"""Reduce text to the letters that a reader sees: the ground on which `word_filter.py` compares. Pure, no I/O.

Letters of every case, width, font and script that look alike become one, marks on them and what cannot be seen
disappear, and Chinese is brought to its simplified characters. What stands for a letter only by its look, as `3` or
`$`, is kept here and read both ways by the filter. Must not know a list of words.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import Final

from confusable_homoglyphs.confusables import confusables_data  # UTS 39
from opencc import OpenCC

SPACE: Final = " "
JOINER: Final = "-"  # a sign that people put between the letters of one word
MASK: Final = "*"  # one of those, which may also hide a letter
BREAK: Final = ","  # a sign that ends a word
MAX_LIGATURE: Final = 4  # characters that one may be made of, as ㍿ is: a text must not grow at will
# Scripts that are written without spaces between words: each character is a unit of its own.
UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
UNSPACED_CHARACTER: Final = re.compile(f"[{UNSPACED}]")
HAN: Final = re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

# Signs that are read as a letter; `LEET` has the digits as well.
SYMBOLS: Final = {
    "@": "a", "$": "s", "!": "i", "|": "i", "+": "t", "€": "e", "£": "i", "¥": "y", "¢": "c", "©": "c", "®": "r",
    "×": "x", "✕": "x", "✖": "x", "†": "t", "°": "o", "¡": "i",
}  # fmt: skip
DIGITS: Final = {
    "0": "o", "1": "i", "2": "z", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g",
}  # fmt: skip
_LEET: Final = str.maketrans({**SYMBOLS, **DIGITS, "l": "i"})  # 1, ! and | may be either of the two

# Unicode's own table of look-alikes is about type, and leaves out what people write for its likeness.
_LIKE: Final = {
    **dict(zip("бвгдеёзийклмнопрстухцчшщъыьэюя", "bbrdeeeuuknmhonpctyxuywwbibeor", strict=True)),
    **dict(zip("αβγδεζηθικλμνξοπρσςτυφχψω", "abydeznoikluveonpostuoxyw", strict=True)),
    "ł": "l", "đ": "d", "ħ": "h", "ŧ": "t", "ı": "i", "ȷ": "j", "ø": "o", "ſ": "s", "ð": "d", "þ": "p",
}  # fmt: skip
_NAMED: Final = re.compile(
    r"LATIN (?:CAPITAL |SMALL )?LETTER (?:SMALL CAPITAL |TURNED |REVERSED |OPEN |SCRIPT |INSULAR |SIDEWAYS )*([A-Z])"
    r"(?: WITH .+)?"
)
_ENCLOSED: Final = re.compile(
    r"(?:NEGATIVE |CROSSED NEGATIVE )?(?:CIRCLED|SQUARED|PARENTHESIZED) LATIN (?:CAPITAL|SMALL) LETTER ([A-Z])"
    r"|REGIONAL INDICATOR SYMBOL LETTER ([A-Z])|TAG LATIN (?:CAPITAL|SMALL) LETTER ([A-Z])"
)
_ENDS: Final = frozenset(',;:()[]{}<>"“”„«»，。；：（）【】《》「」『』、？?！\n')
# What takes no room on the screen, though Unicode calls some of it letters.
_UNSEEN: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180e\u2800\u3164\uffa0\ufffc")
_SEAM: Final = re.compile(r"[^\W\d_][^\W_a-z\u0e00-\U0003ffff]|\d[^\W\d_]")  # where there may be one
_MARKS: Final = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]"
)


@dataclass(frozen=True, slots=True)
class Folded:
    """Text as it is compared.

    at: for each of its characters the index of the one that it came from.
    """

    text: str
    at: tuple[int, ...]


def fold(text: str) -> Folded:
    """Fold a text; takes time in proportion to its length."""
    parts: list[str] = []
    at: list[int] = []
    for index, character in enumerate(text):
        if folded := _fold(character):
            parts.append(folded)
            at.extend([index] * len(folded))
    return Folded("".join(parts), tuple(at))


def parted(text: str, folded: Folded) -> Folded | None:
    """Return a folded text with a break where capitals begin a word and where digits meet letters; None if nowhere."""
    if not _SEAM.search(text):
        return None
    parts: list[str] = []
    at: list[int] = []
    is_parted = False
    for character, index in zip(folded.text, folded.at, strict=True):
        if parts and at[-1] != index and _is_seam(text[at[-1]], text[index]):
            parts.append(JOINER)
            at.append(index)
            is_parted = True
        parts.append(character)
        at.append(index)
    return Folded("".join(parts), tuple(at)) if is_parted else None


def with_w(folded: Folded) -> Folded | None:
    """Return a folded text with `w` for every `vv`; None if it has none."""
    if "vv" not in folded.text:
        return None
    starts = [0, *(match.end() for match in re.finditer("vv", folded.text))]
    at = [index for start, end in pairwise([*starts, len(folded.text) + 1]) for index in folded.at[start : end - 1]]
    return Folded(folded.text.replace("vv", "w"), tuple(at))


def leet(letters: str) -> str:
    """Read digits and signs as the letters that they look like; `l` is `i`, because `1` may be either."""
    return letters.translate(_LEET)


def is_leet(letters: str) -> bool:
    """Whether some of it is meant to be read so: a number is not, nor `A55`, whose digits are more than half."""
    digits = sum(character in DIGITS for character in letters)
    symbols = sum(character in SYMBOLS for character in letters)
    others = len(letters) - digits - symbols
    return digits + symbols > 0 and others + symbols >= digits and (others > 0 or symbols > 1)


def _is_seam(before: str, after: str) -> bool:
    if before.islower() and after.isupper():
        return True
    return (before.isalpha() and after.isdigit()) or (before.isdigit() and after.isalpha())


@lru_cache(maxsize=1 << 16)
def _fold(character: str) -> str:
    """Return what a character is compared as: letters, digits, a sign that is read as a letter, or a separator."""
    if "a" <= character <= "z" or "0" <= character <= "9" or character in SYMBOLS:
        return character
    if character.isspace():
        return SPACE
    if character in "*•●∗":
        return MASK
    if (named := _ENCLOSED.fullmatch(unicodedata.name(character, ""))) is not None:
        return next(letter for letter in named.groups() if letter).lower()
    category = unicodedata.category(character)
    if category in ("Cf", "Cc", "Cs", "Co", "Cn", "Me") or character in _UNSEEN or _MARKS.match(character):
        return ""
    plain = unicodedata.normalize("NFKC", character)
    if len(plain) > MAX_LIGATURE:  # a whole phrase in one character
        return JOINER
    if plain != character:
        return "".join(map(_fold, plain)) if len(plain) > 1 else _fold(plain)
    if category[0] not in "LNM":
        return BREAK if character in _ENDS else JOINER
    if UNSPACED_CHARACTER.match(character):
        return _simplified(character)
    bare = _MARKS.sub("", unicodedata.normalize("NFD", character))
    return "".join(map(_letter, unicodedata.normalize("NFC", bare)))


def _letter(character: str) -> str:
    """Return the Latin letters that a letter looks like, or the letter itself in lower case."""
    for like in (character, character.casefold()):
        if like.isascii():
            return like.lower()
        for entry in confusables_data.get(like, ()):
            latin = _MARKS.sub("", unicodedata.normalize("NFKD", entry["c"])).lower()
            if latin.isascii() and latin.isalpha():
                return latin
        if latin := _LIKE.get(like, ""):
            return latin
        if (named := _NAMED.fullmatch(unicodedata.name(like, ""))) is not None:
            return named[1].lower()
    return character.casefold()


@cache
def _converters() -> tuple[OpenCC, OpenCC]:
    return OpenCC("jp2t"), OpenCC("t2s")


def _simplified(character: str) -> str:
    from_japanese, from_traditional = _converters()
    return str(from_traditional.convert(from_japanese.convert(character)))
