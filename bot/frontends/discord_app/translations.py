"""Command names, descriptions and choices in the languages of Discord's clients.

`text(key)` marks a string of a command; discord.py asks `WordingTranslator` for its translations when commands are
registered. The sentences themselves are in `bot/presentation/wording`.
"""

from __future__ import annotations

from functools import cache

import discord
from discord import app_commands

from bot.presentation.wording import wording_for


def text(key: str) -> app_commands.locale_str:
    """Mark a text of a command: English, with the key of its translations."""
    return app_commands.locale_str(_say(discord.Locale.american_english, key), key=key)


class WordingTranslator(app_commands.Translator):
    """Looks texts up in `bot/presentation/wording`."""

    async def translate(
        self,
        string: app_commands.locale_str,
        locale: discord.Locale,
        context: app_commands.TranslationContextTypes,
    ) -> str | None:
        """Return the text in `locale`; None if it is the English one."""
        key = string.extras.get("key")
        if key is None:
            return None
        said = _say(locale, key)
        return None if said == string.message else said


@cache
def _say(locale: discord.Locale, key: str) -> str:
    """Say a text without values: Discord has thirty languages, and each of them is asked for every text, twice."""
    return wording_for(locale.value).say(key)
