"""Captions of nothing that the model draws: words, sentences, other scripts and plain typing.

What they are drawn as is `vocabulary.UNKNOWN_IS_DRAWN_AS`. A few patterns would teach only themselves, so words are
many and patterns mixed. No pattern holds a known name; `evaluation.UNKNOWN_PROBES` are kept out of all of this.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

from training.vocabulary import Language
from training.words import COLOURS, PRAISE_EN, PRAISE_ZH

TYPED_SHARE: Final = 0.1  # of the captions: letters, digits, signs and other scripts in place of words
KNOWN_ADJECTIVE_SHARE: Final = 0.2  # of the words: "red" or "beautiful" makes nothing known

PATTERNS: Final[Mapping[Language, Sequence[str]]] = {
    "en": (
        *["{}"] * 6,
        *["{} {}"] * 3,
        "{} {} {}",
        "{} {} {} {} {}",
        "{}, {}, {}",
        "{}, {}, {}, {}, {}",
        "{} and {}",
        "{} in a {}",
        "{} of the {}",
        "{} of my {} with the {}",
        "my {} and your {}",
        "the {} near the {} during {}",
        "{} made of {} and {}",
        "a very {} {}, {} and {}",
        "what is {}?",
        "how does the {} of {} work?",
        "why is {} so {}?",
        "tell me about {} and {}",
        "I need {} with {} for my {}",
        "the {} that we saw in the {} was {}, but not the {}",
        "when {} is {}, all of them {} without {}",
        "a scene with {} and {}, {} in the distance",
        "someone who can {} the {} while the others {}",
    ),
    "zh": (
        *["{}"] * 6,
        *["{}{}"] * 3,
        "{}{}{}",
        "{}，{}，{}",
        "{}的{}",
        "{}和{}",
        "{}里的{}",
        "{}与{}的{}",
        "我的{}",
        "我们的{}和他们的{}",
        "什么是{}",
        "{}为什么{}",
        "怎么{}",
        "我想要{}的{}，还有{}",
        "在{}的时候{}",
        "请告诉我{}的{}是什么",
        "{}之后，{}还没有{}",
        "因为{}，所以{}",
        "不{}的{}",
        "有{}也有{}，没有{}",
        "很{}的{}，{}",
    ),
}
SCRIPTS: Final = (  # first and last letter, some twice: Latin is what people type at random
    "az",
    "az",
    "az",
    "09",
    "!/",
    "ая",
    "αω",
    "ぁん",
    "ァン",
    "가힣",
    "一龥",
    "ءي",
    "את",
    "กฮ",
    "अह",
)


def caption(chance: random.Random, words: Mapping[Language, Sequence[str]], language: Language) -> str:
    """Say something that names no concept; `words` are unknown ones."""
    return _typed(chance) if chance.random() < TYPED_SHARE else _phrase(chance, words[language], language)


def _phrase(chance: random.Random, words: Sequence[str], language: Language) -> str:
    pattern = chance.choice(PATTERNS[language])
    chosen = chance.sample(words, pattern.count("{}"))
    return pattern.format(*(_described(chance, word, language) for word in chosen))


def _described(chance: random.Random, word: str, language: Language) -> str:
    if chance.random() >= KNOWN_ADJECTIVE_SHARE:
        return word
    english, chinese = COLOURS[chance.choice(list(COLOURS))][:2]
    if language == "en":
        return f"{chance.choice([*english, chance.choice(PRAISE_EN)])} {word}"
    return f"{chance.choice([*chinese, chance.choice(PRAISE_ZH)])}的{word}"


def _typed(chance: random.Random) -> str:
    first, last = chance.choice(SCRIPTS)
    word = "".join(chr(chance.randint(ord(first), ord(last))) for _ in range(chance.randint(1, 10)))
    return word if chance.random() < 0.6 else f"{word} {_typed(chance)}"
