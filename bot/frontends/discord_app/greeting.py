"""What the bot answers to people who mention it or write to it directly: how to ask for a picture.

Discord hands over the content of such messages without the privileged intent. It is looked at for the mention, and
neither stored nor logged. Must not know jobs.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import discord
from cachetools import LRUCache, TTLCache

from bot.frontends.discord_app.command_ids import CommandIds
from bot.frontends.discord_app.http_errors import TROUBLES
from bot.frontends.discord_app.permissions import AccessPolicy, may_write, reference_to
from bot.presentation.wording import Wording, wording_for

log = logging.getLogger(__name__)

ONCE_PER_S: Final = 3600.0  # and person
CHANNEL_PER_S: Final = 60.0
CHANNEL_LIMIT: Final = 5  # greetings in that time, so that a crowd cannot make the bot flood a channel
REMEMBERED_PEOPLE: Final = 2000
REMEMBERED_CHANNELS: Final = 500
UNKNOWN_LANGUAGE: Final = ("en", "zh-CN")  # said one below the other


class Greeter:
    """Answers mentions and direct messages, each person once an hour.

    clock: seconds that never go back.
    """

    def __init__(
        self, access: AccessPolicy, command_ids: CommandIds, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._access = access
        self._command_ids = command_ids
        self._clock = clock
        self._greeted: TTLCache[int, None] = TTLCache(REMEMBERED_PEOPLE, ONCE_PER_S, timer=clock)
        self._greeted_in: LRUCache[int, deque[float]] = LRUCache(REMEMBERED_CHANNELS)
        self._locales: LRUCache[int, str] = LRUCache(REMEMBERED_PEOPLE)  # as their last interaction said

    def note_locale(self, interaction: discord.Interaction) -> None:
        """Remember the language of a person: messages do not tell it."""
        self._locales[interaction.user.id] = interaction.locale.value

    async def answer(self, message: discord.Message, me: discord.ClientUser) -> None:
        """Answer a message that is addressed to the bot, if that is due; any other is left alone."""
        if not _is_addressed(message, me) or not self._is_served(message) or not may_write(message):
            return
        if not self._is_due(message.author.id, message.channel.id):
            return
        try:
            await message.channel.send(
                self._text(message),
                reference=reference_to(message),  # type: ignore[arg-type]  # None is the default
                mention_author=False,
                allowed_mentions=discord.AllowedMentions.none(),
                suppress_embeds=True,
                nonce=f"hello{message.id}",  # discord.py adds enforce_nonce: a repeat returns the first answer
            )
        except TROUBLES as error:
            log.info("a mention in channel %s could not be answered: %s", message.channel.id, type(error).__name__)

    def _is_served(self, message: discord.Message) -> bool:
        return message.guild is None or self._access.serves_message(message)

    def _is_due(self, user_id: int, channel_id: int) -> bool:
        """Whether a person may be greeted in a channel now; notes it if so."""
        now = self._clock()
        recent = self._greeted_in.setdefault(channel_id, deque(maxlen=CHANNEL_LIMIT))
        is_crowded = len(recent) == CHANNEL_LIMIT and recent[0] > now - CHANNEL_PER_S
        if user_id in self._greeted or is_crowded:
            return False
        self._greeted[user_id] = None
        recent.append(now)
        return True

    def _text(self, message: discord.Message) -> str:
        guild = message.guild
        if guild is not None:
            return self._said("greeting-server", guild.id, wording_for(guild.preferred_locale.value))
        known = self._locales.get(message.author.id)
        languages = UNKNOWN_LANGUAGE if known is None else (known,)
        return "\n".join(self._said("greeting-direct", None, wording_for(language)) for language in languages)

    def _said(self, key: str, guild_id: int | None, wording: Wording) -> str:
        commands = {name: self._command_ids.mention(name, guild_id, wording) for name in ("imagine", "help")}
        return wording.say(key, **commands)


def _is_addressed(message: discord.Message, me: discord.ClientUser) -> bool:
    """Whether a person wrote to the bot, or names it in the text.

    A reply pings its author without naming them; @everyone and roles name nobody. Discord lists whom it really
    mentions, which a mention inside a code block does not.
    """
    if message.author.bot or message.webhook_id is not None or message.is_system():
        return False
    if message.guild is None:
        return isinstance(message.channel, discord.DMChannel)
    is_mentioned = any(user.id == me.id for user in message.mentions)
    return is_mentioned and re.search(rf"<@!?{me.id}>", message.content) is not None
