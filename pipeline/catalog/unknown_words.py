"""Which words of a prompt mean nothing to a model that was trained on few. No torch.

Such a model ships its vocabulary (`training/known.py` writes it): the names of what it draws, the words that only
accompany a name, and what is said around them. English is read by words, Chinese by characters, longest match first.
Must not know any word itself, nor how words are told to people.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.catalog.model_card import ModelCard

log = logging.getLogger(__name__)

_PACKAGE_DIR: Final = Path(__file__).parents[1]
IRREGULAR: Final[Mapping[str, str]] = {
    "men": "man", "women": "woman", "mice": "mouse", "geese": "goose", "wolves": "wolf", "leaves": "leaf",
    "elves": "elf", "knives": "knife", "loaves": "loaf", "scarves": "scarf", "teeth": "tooth", "feet": "foot",
    "fairies": "fairy", "octopi": "octopus", "cacti": "cactus", "oxen": "ox", "fungi": "fungus",
}  # fmt: skip
NO_PLURALS: Final = frozenset({"glasses", "jeans", "news", "bus", "chess", "santa claus"})
_NOTHING: Final[frozenset[int]] = frozenset()
MIN_TYPO_CHARS: Final = 5  # shorter words are one letter away from everything
_TOKEN: Final = re.compile(
    r"(?P<han>[\u3400-\u9fff\uf900-\ufaff\u3005]+)"
    r"|(?P<emoji>[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff][\u200d\ufe0f\U0001f3fb-\U0001f3ff"
    r"\u2600-\u27bf\U0001f000-\U0001faff]*)"
    r"|(?P<word>[^\W_\u3400-\u9fff\uf900-\ufaff]+(?:['’](?:s|t|re|ve|ll|d|m)\b)?)"
)


class Unknown(NamedTuple):
    """A word or phrase as it was typed, and the name that it is one letter away from, if there is one."""

    text: str
    meant: str = ""


class _Kind(Enum):
    NAME = auto()
    SAID = auto()  # of captions, grammar
    WEAK = auto()
    BESIDE = auto()  # known beside some names only
    UNKNOWN = auto()


_Token = tuple[str, int, int, bool]  # as the trie has it, where it begins and ends, whether it is Chinese
_SINGLE: Final = (_Kind.NAME, _Kind.WEAK)  # kinds of which one character may belong to a longer word


@dataclass(slots=True)
class _Span:
    kind: _Kind
    first: int  # token
    last: int
    things: frozenset[int]


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    kind: _Kind | None = None
    things: frozenset[int] = _NOTHING
    beside: frozenset[int] = _NOTHING


class Vocabulary:
    """The words that one model knows."""

    def __init__(
        self,
        *,
        things: Sequence[Mapping[str, Sequence[str]]],
        said: Iterable[str],
        weak: Iterable[str],
        unknown: Iterable[str],
    ) -> None:
        """
        Args:
            things: of each thing its names in `en` and `zh`, rarer ones in `also`, the words beside them in `beside`.
            said: words that name nothing.
            weak: more of them, but only where no unknown character follows: 上 is a place, 上海 a city.
            unknown: words that look as if they were made of known ones.
        """
        self._root = _Node()
        self._one_off: dict[str, str] = {}  # a name without one of its letters → the name
        for number, thing in enumerate(things):
            for name in (*thing["en"], *thing["zh"], *thing["also"]):
                self._add_name(name, number)
            for name in thing["en"]:
                if name.isascii() and len(name) >= MIN_TYPO_CHARS:
                    self._one_off.update((shorter, name) for shorter in _shortened(name))
            for word in thing["beside"]:
                if (node := self._node(word)) is not None:
                    node.beside |= {number}
        for kind, words in ((_Kind.WEAK, weak), (_Kind.SAID, said), (_Kind.UNKNOWN, unknown)):
            for word in words:
                self._add(word, kind)

    def unknown(self, prompt: str) -> tuple[Unknown, ...]:
        """Return what it does not know of a prompt, in order, each once; neighbours make one phrase."""
        prompt = unicodedata.normalize("NFC", prompt)
        tokens = _tokens(prompt)
        spans = _settle(self._spans(tokens), tokens)
        found: dict[str, Unknown] = {}
        for text in _phrases(spans, tokens, prompt):
            found.setdefault(text.casefold(), Unknown(text, self._meant(text.casefold())))
        return tuple(found.values())

    # ── building ────────────────────────────────────────────────────────────────────────────────────

    def _node(self, phrase: str) -> _Node | None:
        node = None
        for token in _tokens(phrase):
            node = (node or self._root).children.setdefault(token[0], _Node())
        return node

    def _add(self, phrase: str, kind: _Kind) -> None:
        node = self._node(phrase)
        if node is not None and node.kind is None:
            node.kind = kind

    def _add_name(self, name: str, thing: int) -> None:
        *rest, last = name.split(" ")
        spellings = [name]
        if last.endswith("s") and name not in NO_PLURALS:  # "a cherry" of "cherries"
            spellings += [" ".join([*rest, singular]) for singular in _singulars(last)]
        for spelling in spellings:
            if (node := self._node(spelling)) is not None:
                node.kind, node.things = _Kind.NAME, node.things | {thing}

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────

    def _spans(self, tokens: Sequence[_Token]) -> list[_Span]:
        """Cut into the longest matches.

        A word that only accompanies names is chosen if nothing else matches; in Chinese, where 派对 is no 派, also if
        it is longer.
        """
        spans: list[_Span] = []
        place, count = 0, len(tokens)
        while place < count:
            kind, things, next_place = _Kind.UNKNOWN, _NOTHING, place + 1
            node, end = self._root, tokens[place][1]
            for last in range(place, count):
                text, begin, token_end, is_han = tokens[last]
                if is_han and begin != end:
                    break
                step = node.children.get(text)
                if step is None and not is_han:
                    step = next((node.children[form] for form in _singulars(text) if form in node.children), None)
                if step is None:
                    break
                node, end = step, token_end
                if node.kind is not None:
                    kind, things, next_place = node.kind, node.things, last + 1
                elif node.beside and (is_han or kind is _Kind.UNKNOWN):
                    kind, things, next_place = _Kind.BESIDE, node.beside, last + 1
            spans.append(_Span(kind, place, next_place - 1, things))
            place = next_place
        return spans

    def _meant(self, word: str) -> str:
        """The name that a word is one letter away from: added, left out, another, or two swapped."""
        if len(word) < MIN_TYPO_CHARS or not (word.isascii() and word.isalpha()):
            return ""
        for spelling in (word, word.removesuffix("s")):
            for shorter in _shortened(spelling):
                name = self._one_off.get(shorter, "")
                if name and _is_one_edit(spelling, name):
                    return name
        return ""


def unknown_words(card: ModelCard, prompt: str) -> tuple[Unknown, ...]:
    """Return the words of a prompt that a model does not know; nothing of models that know more than a list says.

    Takes a few milliseconds for the longest prompt, and some more for the first time.
    """
    if not card.vocabulary:
        return ()
    try:
        return _unknown(_PACKAGE_DIR / card.vocabulary, prompt)
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("the words that %s knows cannot be read: %s", card.name, error)
        return ()


def names_of(card: ModelCard, language: str) -> tuple[str, ...]:
    """Return the usual name of each thing that a model draws, in `en` or `zh`; nothing if no list says so."""
    if not card.vocabulary:
        return ()
    try:
        return tuple(thing[language][0] for thing in _read(_PACKAGE_DIR / card.vocabulary)["things"])
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        log.warning("the words that %s knows cannot be read: %s", card.name, error)
        return ()


def forget_unknown() -> None:
    """Drop what is remembered of prompts that were looked at; it is found again when needed."""
    _unknown.cache_clear()


@lru_cache(maxsize=256)
def _unknown(path: Path, prompt: str) -> tuple[Unknown, ...]:
    return _vocabulary(path).unknown(prompt)


@lru_cache(maxsize=4)
def _vocabulary(path: Path) -> Vocabulary:
    return Vocabulary(**_read(path))


@lru_cache(maxsize=4)
def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _tokens(text: str) -> list[_Token]:
    """Words, emoji, and each Chinese character; a prompt may have two thousand of those, so without detours."""
    tokens: list[_Token] = []
    for match in _TOKEN.finditer(text):
        begin, end = match.span()
        if match.lastgroup == "han":
            tokens += zip(match[0], range(begin, end), range(begin + 1, end + 1), itertools.repeat(True))
        else:
            word = match[0].casefold().replace("’", "'").removesuffix("'s")
            tokens.append((word, begin, end, False))
    return tokens


def _singulars(word: str) -> tuple[str, ...]:
    """What a word may be the plural of."""
    if word in IRREGULAR:
        return (IRREGULAR[word],)
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us")) or word in NO_PLURALS:
        return ()
    if word.endswith("ies"):
        return (f"{word[:-3]}y", word[:-1])
    return (word[:-1], word[:-2]) if word.endswith("es") else (word[:-1],)


def _settle(spans: list[_Span], tokens: Sequence[_Token]) -> list[_Span]:
    """Decide what only its surroundings tell.

    A word that accompanies names counts where one of them is named. Chinese has no spaces: a name of one character
    that touches an unknown one is part of a longer word (马斯克 is no horse), and so is a weak word before it.
    """
    named: set[int] = set()
    for span in spans:
        if span.kind is _Kind.NAME:
            named |= span.things
    for span in spans:
        if span.kind is _Kind.BESIDE:
            span.kind = _Kind.UNKNOWN if named.isdisjoint(span.things) else _Kind.SAID
    for after, span in itertools.pairwise(reversed(spans)):
        if after.kind is _Kind.UNKNOWN and span.kind in _SINGLE and _is_one_word(span, after, tokens):
            span.kind = _Kind.UNKNOWN
    for before, span in itertools.pairwise(spans):
        if before.kind is _Kind.UNKNOWN and span.kind is _Kind.NAME and _is_one_word(span, before, tokens):
            span.kind = _Kind.UNKNOWN
    return spans


def _is_one_word(span: _Span, unknown: _Span, tokens: Sequence[_Token]) -> bool:
    """Whether a span is one Chinese character right before or after an unknown one."""
    if span.first != span.last:
        return False
    _, begin, end, is_han = tokens[span.first]
    _, unknown_begin, _, is_unknown_han = tokens[unknown.first]
    _, _, unknown_end, _ = tokens[unknown.last]
    return is_han and is_unknown_han and (end == unknown_begin or unknown_end == begin)


def _phrases(spans: Iterable[_Span], tokens: Sequence[_Token], prompt: str) -> Iterator[str]:
    """The unknown spans as they were typed, joined where nothing but a space, a hyphen or a dot is between them."""
    begin = end = -1
    for span in spans:
        if span.kind is not _Kind.UNKNOWN:
            continue
        span_begin, span_end = tokens[span.first][1], tokens[span.last][2]
        if begin >= 0 and prompt[end:span_begin] in ("", " ", "-", "·", "‧", "・", ". "):
            end = span_end
            continue
        if begin >= 0:
            yield prompt[begin:end]
        begin, end = span_begin, span_end
    if begin >= 0:
        yield prompt[begin:end]


def _shortened(word: str) -> Iterator[str]:
    yield word
    for place in range(len(word)):
        yield word[:place] + word[place + 1 :]


def _is_one_edit(one: str, other: str) -> bool:
    if abs(len(one) - len(other)) > 1:
        return False
    if len(one) != len(other):
        longer, shorter = (one, other) if len(one) > len(other) else (other, one)
        return any(longer[:place] + longer[place + 1 :] == shorter for place in range(len(longer)))
    wrong = [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    match wrong:
        case [_]:
            return True
        case [a, b]:
            return b == a + 1 and one[a] == other[b] and one[b] == other[a]
        case _:
            return False
