"""Reactions of users and of the bot, as a bot without a library sees them."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.discord_server import ClientRefused, Discord, MessageView, Permission
from tests.discord_server.tests.rawbot import INTENTS, RawBot

REACTION_INTENTS = INTENTS | 1 << 10 | 1 << 13
STAR, BIN = "⭐", "🗑️"


def path(message: MessageView, emoji: str, who: str = "@me") -> str:
    return f"/channels/{message.channel_id}/messages/{message.id}/reactions/{quote(emoji)}/{who}"


async def test_reaction_of_a_user_reaches_the_bot() -> None:
    async with Discord() as d, RawBot(d, intents=REACTION_INTENTS, commands=()) as bot:
        message = d.say(d.user, d.channel, "look")
        assert d.react(d.user, message, STAR).reactions == {STAR: [d.user.id]}
        d.react(d.user, message, STAR)  # nothing new
        told = await bot.event("MESSAGE_REACTION_ADD")
        assert (told["user_id"], told["message_id"], told["emoji"]) == (
            d.user.id, message.id, {"id": None, "name": STAR},
        )  # fmt: skip
        assert (told["guild_id"], told["member"]["user"]["id"]) == (d.guild.id, d.user.id)
        assert d.unreact(d.user, message, STAR).reactions == {}
        told = await bot.event("MESSAGE_REACTION_REMOVE")
        assert "member" not in told
        private = d.say(d.user, d.dm(d.user), "psst")
        d.react(d.user, private, BIN)
        assert "guild_id" not in await bot.event("MESSAGE_REACTION_ADD")
        assert message.reactions == {}  # a snapshot


async def test_reactions_come_only_with_their_intent() -> None:
    async with Discord() as d, RawBot(d, commands=()) as bot:
        d.react(d.user, d.say(d.user, d.channel, "look"), STAR)
        d.react(d.user, d.say(d.user, d.dm(d.user), "look"), STAR)
        d.add_channel("afterwards")
        await bot.event("CHANNEL_CREATE")
        assert not [e for e in bot.events if "REACTION" in (e.get("t") or "")]


async def test_bot_reacts_and_takes_it_back() -> None:
    async with Discord(validate_responses=True, time_scale=0.001) as d, RawBot(d, commands=(), connect=False) as bot:
        message = d.say(d.user, d.channel, "look")
        assert (await bot.put(path(message, STAR)))[0] == 204
        assert (await d.wait_reaction(message, STAR)).reactions == {STAR: [d.bot.id]}
        d.react(d.user, message, STAR)
        _, body = await bot.get(f"/channels/{d.channel.id}/messages/{message.id}")
        assert [(r["count"], r["me"]) for r in body["reactions"]] == [(2, True)]
        _, users = await bot.get(path(message, STAR, "").rstrip("/"))
        assert {u["id"] for u in users} == {d.user.id, d.bot.id}
        assert (await bot.delete(path(message, STAR)))[0] == 204
        assert (await bot.delete(path(message, STAR)))[0] == 204
        assert d.refresh(message).reactions == {STAR: [d.user.id]}
        status, body = await bot.delete(path(message, STAR, d.user.id))
        assert (status, body["code"]) == (403, 50013)
        d.set_permissions(d.channel, d.bot, allow=Permission.MANAGE_MESSAGES)
        assert (await bot.delete(path(message, STAR, d.user.id)))[0] == 204
        assert d.refresh(message).reactions == {}
        d.assert_clean()


async def test_reaction_that_cannot_be_added_is_refused() -> None:
    async with Discord(time_scale=0.001) as d, RawBot(d, commands=(), connect=False) as bot:
        message = d.say(d.user, d.channel, "look")
        for emoji in ("star", "a:1", "1"):
            assert (await bot.put(path(message, emoji)))[1]["code"] == 10014
        with pytest.raises(ClientRefused, match="Unknown Emoji"):
            d.react(d.user, message, "star")
        d.react(d.user, message, "1️⃣")
        d.set_permissions(d.channel, d.bot, deny=Permission.ADD_REACTIONS)
        d.set_permissions(d.channel, d.user, deny=Permission.ADD_REACTIONS)
        assert (await bot.put(path(message, STAR)))[1]["code"] == 50013
        assert (await bot.put(path(message, "1️⃣")))[0] == 204  # joining in is free
        with pytest.raises(ClientRefused, match="may not add"):
            d.react(d.user, message, STAR)
        with pytest.raises(ClientRefused, match="has not reacted"):
            d.unreact(d.user, message, STAR)
        d.set_permissions(d.channel, d.bot, allow=Permission.ADD_REACTIONS)
        for n in range(19):
            assert (await bot.put(path(message, chr(0x1F600 + n))))[0] == 204
        assert (await bot.put(path(message, STAR)))[1]["code"] == 30010
        d.assert_clean()


async def test_ephemeral_message_takes_no_reactions() -> None:
    async with Discord() as d, RawBot(d) as bot:
        use = await d.slash(d.user, d.channel, "imagine", prompt="cat")
        await bot.answer(await bot.interaction(), 4, {"content": "secret", "flags": 64})
        message = await use.wait()
        with pytest.raises(ClientRefused, match="ephemeral"):
            d.react(d.user, message, STAR)
        assert (await bot.put(path(message, STAR)))[1]["code"] == 10008
