"""What of a prompt a model cannot read: text that its text encoder has no word pieces for, such as Chinese. No torch.

Counted with the model's own tokenizer, if it is there; words that mean nothing to it are `unknown_words.py`. What is
done about it, and in which words, is said upstairs.
"""

from __future__ import annotations

import logging
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from tokenizers import Tokenizer

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.unknown_words import Unknown, unknown_words

log = logging.getLogger(__name__)

UNKNOWN_PIECE: Final = "<unk>"
TOLD: Final = ("L", "M", "N", "So")  # letters, their marks, digits, emoji; that braces are not read is no news


class Unread(NamedTuple):
    """Characters of a prompt that its model cannot read, of how many; white space and punctuation apart.

    words: those that it reads and that mean nothing to it.
    """

    characters: int
    total: int
    words: tuple[Unknown, ...] = ()


NOTHING: Final = Unread(0, 0)


def find_unread(card: ModelCard, models_dir: Path, prompt: str) -> Unread:
    """Return everything that a model cannot make sense of in a prompt. Takes milliseconds, but for the first time."""
    return count_unread(card, models_dir, prompt)._replace(words=unknown_words(card, prompt))


def count_unread(card: ModelCard, models_dir: Path, prompt: str) -> Unread:
    """Count with the model's own tokenizer; nothing if people are not told of this model, or there is no such file.

    Takes microseconds, but for the first time.
    """
    tokenizer = card.architecture.prompt_tokenizer
    if not card.tells_unread or tokenizer not in card.files:
        return NOTHING
    try:
        return _count(files.path_of(card.files[tokenizer], models_dir) / "tokenizer.json", prompt)
    except Exception as error:  # noqa: BLE001 - the library raises bare ones: the file is absent, damaged, of another kind
        log.debug("what %s cannot read is not counted: %s", card.name, error)
        return NOTHING


@lru_cache(maxsize=512)
def _count(path: Path, prompt: str) -> Unread:
    tokenizer = _read(path)
    encoded = tokenizer.encode(prompt, add_special_tokens=False)
    unknown = tokenizer.token_to_id(UNKNOWN_PIECE)
    unread = {
        place
        for piece, (begin, end) in zip(encoded.ids, encoded.offsets, strict=True)
        if piece == unknown
        for place in range(begin, end)
    }
    told = [place for place, character in enumerate(prompt) if unicodedata.category(character).startswith(TOLD)]
    return Unread(characters=len(unread.intersection(told)), total=len(told))


@lru_cache(maxsize=4)
def _read(path: Path) -> Tokenizer:
    tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    return tokenizer
