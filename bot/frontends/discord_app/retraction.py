"""Deletes a message of somebody whose jobs are gone, by its address alone."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible, MessageGone
from bot.frontends.discord_app.frontend import DiscordFrontend
from bot.frontends.discord_app.http_errors import TROUBLES, Remedy, remedy, wait_s
from bot.frontends.discord_app.message_ref import FRONTEND, Address
from bot.jobs import ReplyTo

TIMEOUT_S: Final = 60.0
# What an address does not say once nobody is to know whose it is: that of `delivery/retractions.nameless`.
UNSAID: Final = {"message_id": None, "guild_id": None, "user_id": 0, "locale": ""}


async def withdraw(frontend: DiscordFrontend, stored: str) -> None:
    """Delete the message at an address; the bot may always delete its own where it can see the channel.

    An address without a message is that of a placeholder: whoever opens it asks for it to be taken back.

    Raises:
        MessageGone, DeliveryDelayed, DeliveryImpossible
    """
    address = _read(stored)
    if address.message_id is None:
        return
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await frontend.delete(address)
    except TROUBLES as error:
        match remedy(error):
            case Remedy.MESSAGE_GONE:
                raise MessageGone from error
            case Remedy.LATER:
                raise DeliveryDelayed(wait_s(error)) from error
            case _:
                raise DeliveryImpossible(str(error)) from error


def _read(stored: str) -> Address:
    try:
        said = UNSAID | json.loads(stored)
    except (ValueError, TypeError, RecursionError) as error:
        raise DeliveryImpossible("where the message stands cannot be read") from error
    return Address.read(ReplyTo(frontend=FRONTEND, key="", address=json.dumps(said)))
