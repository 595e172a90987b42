"""What of a prompt a model cannot read: text in a script that it did not learn, such as Chinese, and too long an end.

Counted with the model's own tokenizer, if it is there; CLIP's has word pieces for every byte, so for a model without
another the letters themselves say it. Words that mean nothing to a model are `unknown_words.py`. What is done about
it, and in which words, is said upstairs. No torch.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from tokenizers import Tokenizer

from pipeline.catalog import files
from pipeline.catalog.architecture import Kind
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.unknown_words import Unknown, forget_unknown, unknown_words

log = logging.getLogger(__name__)

UNKNOWN_PIECE: Final = "<unk>"
TOLD: Final = ("L", "M", "N", "So")  # letters, their marks, digits, emoji; that braces are not read is no news


class Unread(NamedTuple):
    """Characters of a prompt that its model cannot read, of how many; white space and punctuation apart.

    words: those that it reads and that mean nothing to it.
    is_cut, is_negative_cut: the prompt, or the negative one, is longer than it reads, so that the end has no effect.
    is_untranslated: there is a translator, and what could not be read was not translated.
    is_negative_foreign: the negative prompt is not in a language that it reads, and was not translated.
    """

    characters: int
    total: int
    words: tuple[Unknown, ...] = ()
    is_cut: bool = False
    is_negative_cut: bool = False
    is_untranslated: bool = False
    is_negative_foreign: bool = False


NOTHING: Final = Unread(0, 0)


def find_unread(card: ModelCard, models_dir: Path, prompt: str, negative_prompt: str = "") -> Unread:
    """Return everything that a model cannot make sense of in a prompt. Takes milliseconds, but for the first time."""
    return count_unread(card, models_dir, prompt)._replace(
        words=unknown_words(card, prompt),
        is_cut=is_cut(card, models_dir, prompt),
        is_negative_cut=is_cut(card, models_dir, negative_prompt),
    )


def is_cut(card: ModelCard, models_dir: Path, prompt: str) -> bool:
    """Whether a prompt is longer than a model reads; false if there is no tokenizer to tell. Takes milliseconds."""
    architecture = card.architecture
    tokenizer = architecture.prompt_tokenizer or next(iter(architecture.of_kind(Kind.TOKENIZER)), "")
    if not prompt or tokenizer not in card.files or not (architecture.prompt_tokenizer or architecture.cuts):
        return False
    try:
        path = files.path_of(card.files[tokenizer], models_dir) / "tokenizer.json"
        return _is_cut(path, architecture.cuts, architecture.text_tokens, prompt)
    except Exception as error:  # noqa: BLE001 - the tokenizers library raises bare ones
        log.debug("whether %s reads all of a prompt is not known: %s", card.name, error)
        return False


def forget_prompts() -> None:
    """Drop what is remembered of prompts that were looked at; it is found again when needed."""
    for found in (_is_cut, _count):
        found.cache_clear()
    forget_unknown()


@lru_cache(maxsize=512)
def _is_cut(path: Path, cuts: str, text_tokens: int, prompt: str) -> bool:
    if cuts:
        module, _, name = cuts.partition(":")
        found: Callable[[Tokenizer, str], bool] = getattr(import_module(module), name)
        return found(_read(path), prompt)
    return 0 < text_tokens < len(_read(path).encode(prompt).ids)


def count_unread(card: ModelCard, models_dir: Path, prompt: str) -> Unread:
    """Count with the model's own tokenizer; nothing if people are not told of this model, or there is no such file.

    Without such a tokenizer, count the letters that no language of the model is written in. Takes microseconds, but for
    the first time.
    """
    tokenizer = card.architecture.prompt_tokenizer
    if not tokenizer and card.tells_unread and card.reads and "zh" not in card.reads:
        return _count_letters(prompt)
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
    told = _told(prompt)
    return Unread(characters=len(unread.intersection(told)), total=len(told))


def _count_letters(prompt: str) -> Unread:
    """Count what is not written in Latin letters; marks belong to the letter before them, digits and emoji to none."""
    unread = 0
    is_foreign = False
    for character in prompt:
        category = unicodedata.category(character)
        if not category.startswith("M"):
            is_foreign = category.startswith("L") and not unicodedata.name(character, "").startswith("LATIN")
        unread += is_foreign
    return Unread(characters=unread, total=len(_told(prompt)))


def _told(prompt: str) -> list[int]:
    """Return the places of what is told of."""
    return [place for place, character in enumerate(prompt) if unicodedata.category(character).startswith(TOLD)]


@lru_cache(maxsize=4)
def _read(path: Path) -> Tokenizer:
    tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    return tokenizer
