"""A message is deleted by its address alone, in its channel's turn; an address that says nothing is given up."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bot.delivery.frontend import DeliveryImpossible
from bot.frontends.discord_app.retraction import withdraw
from tests.bot.frontends.discord_app.conftest import Stage


async def test_message_is_deleted_in_its_channels_turn(stage: Stage) -> None:
    discord = stage.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="a red apple", steps=1)
    message = await use.wait(lambda message: not message.loading)
    channel_id, frontend = int(discord.channel.id), stage.client.frontend
    address = json.dumps({"channel_id": channel_id, "message_id": int(message.id), "guild_id": int(discord.guild.id)})
    async with frontend._sender.turn(channel_id):
        deletion = asyncio.create_task(withdraw(frontend, address))
        for _ in range(3):  # requests that are made after it, unless it waits
            await stage.client.fetch_channel(channel_id)
        assert not deletion.done() and discord.requests("DELETE .*") == []
        assert [each.id for each in discord.messages(discord.channel)] == [message.id]
    await deletion
    assert discord.messages(discord.channel) == []


@pytest.mark.parametrize(
    "address", ["", "no json", "[]", "3", "[" * 9999, "{}", '{"channel_id": "1", "message_id": 2}']
)
async def test_address_that_cannot_be_read_is_given_up(address: str) -> None:
    frontend: Any = None
    with pytest.raises(DeliveryImpossible):
        await withdraw(frontend, address)


async def test_address_without_a_message_asks_for_nothing() -> None:
    frontend: Any = None
    await withdraw(frontend, '{"channel_id": 1, "guild_id": 2}')
