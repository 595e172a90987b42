"""Deletes a message of somebody whose jobs are gone, by its address alone."""

from __future__ import annotations

import asyncio
import json
from typing import Final

import discord

from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible, MessageGone
from bot.frontends.discord_app import own_deletions
from bot.frontends.discord_app.frontend import DiscordFrontend
from bot.frontends.discord_app.http_errors import TROUBLES, Remedy, remedy, wait_s

TIMEOUT_S: Final = 60.0


async def withdraw(client: discord.Client, frontend: DiscordFrontend, address: str) -> None:
    """Delete the message at an address; the bot may always delete its own where it can see the channel.

    An address without a message is that of a placeholder: whoever opens it asks for it to be taken back.

    Raises:
        MessageGone, DeliveryDelayed, DeliveryImpossible
    """
    channel_id, message_id, guild_id = _read(address)
    if message_id is None:
        return
    frontend.forget(str(message_id))
    own_deletions.note(client, message_id)
    channel = client.get_partial_messageable(channel_id, guild_id=guild_id)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await channel.get_partial_message(message_id).delete()
    except TROUBLES as error:
        match remedy(error):
            case Remedy.MESSAGE_GONE:
                raise MessageGone from error
            case Remedy.LATER:
                raise DeliveryDelayed(wait_s(error)) from error
            case _:
                raise DeliveryImpossible(str(error)) from error


def _read(address: str) -> tuple[int, int | None, int | None]:
    try:
        stored = json.loads(address)
        channel_id, message_id, guild_id = (stored.get(name) for name in ("channel_id", "message_id", "guild_id"))
    except (ValueError, AttributeError, RecursionError) as error:
        raise DeliveryImpossible("where the message stands cannot be read") from error
    if type(channel_id) is not int:
        raise DeliveryImpossible("where the message stands cannot be read")
    return channel_id, message_id, guild_id
