"""Which answers of a language model are translations; the others are refused, and the prompt stays as it is. Pure."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from pipeline.spec import clean_prompt
from pipeline.translation.foreign_text import has_foreign

MAX_GROWTH: Final = 8  # English characters for one of another script: a Han character is a word of three to six letters
MAX_MORE: Final = 40
MAX_REPEATED: Final = 4  # of the same words in a row
MAX_REPEATED_WORDS: Final = 6
_MEANT_AS_SYNTAX: Final = re.compile(r"[^\w\s,.;!?'’&%/+-]")  # brackets, colons, dashes in a row: they set something
_FLAG: Final = re.compile(r"-{2,}")
_KEYWORD: Final = re.compile(r"\b(?:BREAK|AND)\b")
_WORD: Final = re.compile(r"[^\W_]+")


class Fault(StrEnum):
    """Why a text was not translated, for the log."""

    EMPTY = "empty"
    FOREIGN = "still foreign"
    TOO_LONG = "too long"
    REPEATS = "repeats itself"
    UNFINISHED = "does not end"
    LATE = "takes too long"
    BUSY = "too many wait"
    UNUSABLE = "the language model cannot be used"
    CLOSED = "the translator is closed"


class NotTranslated(Exception):
    """A text was not translated. Its message says why and holds nothing of the text."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


def checked(text: str, answer: str, *, is_finished: bool = True) -> str:
    """Return an answer as part of a prompt: cleaned, without signs that prompts give a meaning.

    Raises:
        NotTranslated: it is no translation of this text.
    """
    clean = _FLAG.sub("-", _MEANT_AS_SYNTAX.sub(" ", clean_prompt(answer)))
    clean = clean_prompt(_KEYWORD.sub(lambda found: found[0].lower(), clean))
    if not text.rstrip().endswith((".", "。", "!", "！", "?", "？")):
        clean = clean.rstrip(" .")
    if has_foreign(clean):
        raise NotTranslated(Fault.FOREIGN)
    if len(clean) > MAX_MORE + MAX_GROWTH * len(text):
        raise NotTranslated(Fault.TOO_LONG)
    if _repeats(clean):
        raise NotTranslated(Fault.REPEATS)
    if not is_finished:
        raise NotTranslated(Fault.UNFINISHED)
    if not any(character.isalpha() for character in clean):
        raise NotTranslated(Fault.EMPTY)
    return clean


def _repeats(text: str) -> bool:
    words = _WORD.findall(text.lower())
    for size in range(1, MAX_REPEATED_WORDS + 1):
        same = 0
        for place in range(size, len(words)):
            same = same + 1 if words[place] == words[place - size] else 0
            if same >= size * (MAX_REPEATED - 1):
                return True
    return any(re.search(r"(\w{1,4})\1{5}", word) for word in words)
