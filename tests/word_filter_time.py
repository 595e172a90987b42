"""What a look for blocked words costs: `python -m tests.word_filter_time`. The worst known texts of 2000 characters."""

from __future__ import annotations

import random
import time
from typing import Final

from bot.requests.word_filter import WordFilter

LONG: Final = {
    "one letter": "a" * 2000,
    "letters apart": "n u d " * 333,
    "characters": "裸" * 2000,
    "characters apart": "裸 " * 1000,
    "fillers": "裸x体" * 666,
    "signs": "@4$3" * 500,
    "masks": "a*b " * 500,
    "capitals": "aB" * 1000,
    "pieces": "a.b" * 666,
    "ligatures": "\ufdfa" * 2000,
}
WORDS: Final = 5000


def make_long_list() -> WordFilter:
    """Make a list of 5000 words, some of them Chinese."""
    chance = random.Random(7)
    made = ["".join(chance.choices("abcdefghij", k=chance.randint(4, 10))) for _ in range(WORDS)]
    return WordFilter([*made, "裸体", "体裸体"])


def took_s(words: WordFilter, text: str) -> float:
    """Return the seconds of CPU time that one look takes."""
    began = time.process_time()
    words.find(text)
    return time.process_time() - began


if __name__ == "__main__":
    words = make_long_list()
    for name, text in LONG.items():
        took_s(words, text)  # caches fill
        print(f"{name:18} {1000 * min(took_s(words, text) for _ in range(5)):6.1f} ms")  # noqa: T201 - its purpose
