"""Command names, descriptions and choices in the languages of Discord's clients.

`text(key)` marks a string of a command; discord.py asks `WordingTranslator` for its translations when commands are
registered. The sentences themselves are in `bot/presentation/wording`.
"""

from __future__ import annotations

import discord
from discord import app_commands

from bot.presentation.wording import wording_for


def text(key: str) -> app_commands.locale_str:
    """Mark a text of a command: English, with the key of its translations."""
    return app_commands.locale_str(wording_for("en").say(key), key=key)


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
        said = wording_for(locale.value).say(key)
        return None if said == string.message else said
