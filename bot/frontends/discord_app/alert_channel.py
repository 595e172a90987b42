"""The channel in which the operator reads alerts: a message each, in the language of its server, mentioning nobody."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import discord

from bot.config import DiscordConfig
from bot.delivery.alerts import Alert
from bot.delivery.frontend import DeliveryDelayed
from bot.frontends.discord_app.embeds import MAX_CONTENT, NOBODY, shorten, voice_of
from bot.frontends.discord_app.http_errors import TROUBLES, Remedy, remedy, wait_s
from bot.logs import redacted
from bot.presentation.wording import wording_for

log = logging.getLogger(__name__)

POST_TIMEOUT_S: Final = 30.0


class AlertChannel:
    """Posts alerts in the channel of `[discord] alert_channel`, and nowhere else."""

    def __init__(self, client: discord.Client, config: DiscordConfig, is_ready: asyncio.Event) -> None:
        self._client = client
        self._id = config.alert_channel
        self._guilds = frozenset(config.allowed_guilds)
        self._is_ready = is_ready
        self._is_failing = False

    async def post(self, alert: Alert) -> None:
        """Post one alert; a channel that takes none is said once in the log, and again after it took one.

        Raises:
            DeliveryDelayed: Discord cannot be reached now.
        """
        await self._is_ready.wait()
        channel = None if self._id is None else self._client.get_channel(self._id)
        if not isinstance(channel, discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.Thread):
            self._fail("the bot sees no such channel that takes messages")
            return
        if self._guilds and channel.guild.id not in self._guilds:
            self._fail("its server is not among [discord] allowed_guilds")
            return
        voice = voice_of(wording_for(channel.guild.preferred_locale.value))
        try:
            async with asyncio.timeout(POST_TIMEOUT_S):
                await channel.send(
                    shorten(redacted(voice.say(alert.phrase)), MAX_CONTENT),
                    allowed_mentions=NOBODY,
                    suppress_embeds=True,
                    nonce=f"alert{alert.nonce}",  # discord.py adds enforce_nonce: a repeat returns the first message
                )
        except TROUBLES as error:
            if remedy(error) is Remedy.LATER:
                raise DeliveryDelayed(wait_s(error)) from error
            self._fail(str(error))
            return
        self._is_failing = False

    def _fail(self, why: str) -> None:
        if not self._is_failing:
            log.error("alerts cannot be posted in [discord] alert_channel %s: %s", self._id, why)
        self._is_failing = True
