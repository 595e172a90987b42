"""What a preset may be called and how much it may hold, of people and in the config alike. Pure."""

from __future__ import annotations

import unicodedata
from typing import Final

from bot.errors import PresetNameInvalid
from pipeline.spec import clean_prompt

MAX_NAME: Final = 32
MAX_WORDS: Final = 500  # before or behind the words of a prompt
MAX_PRESETS: Final = 25  # as many as Discord suggests
NAME_CHARACTERS: Final = frozenset(" -.'+&_")
NAME_KINDS: Final = frozenset({"Mn", "Mc", "So", "Pd"})  # marks of letters, emoji, dashes
SKIN_TONES: Final = frozenset("🏻🏼🏽🏾🏿")


def normal_name(typed: str) -> str:
    """Return a name as it is kept: lower case, single spaces, full-width characters as the plain ones.

    Raises:
        PresetNameInvalid: it is empty, too long, or has characters that mean something to Discord.
    """
    name = folded(typed)
    if not 0 < len(name) <= MAX_NAME or not all(map(_may_stand_in_name, name)):
        raise PresetNameInvalid(most=MAX_NAME)
    return name


def folded(typed: str) -> str:
    """Return a part of a name as it is looked for."""
    return clean_prompt(unicodedata.normalize("NFKC", typed).casefold())


def _may_stand_in_name(character: str) -> bool:
    is_named = character in NAME_CHARACTERS or character in SKIN_TONES
    return is_named or character.isalnum() or unicodedata.category(character) in NAME_KINDS
