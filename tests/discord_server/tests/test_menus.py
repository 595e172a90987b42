"""Entries in the menus of messages and users, as a bot without a library sees them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.discord_server import ClientRefused, Discord, Permission, Upload
from tests.discord_server.tests.rawbot import IMAGINE, PNG, RawBot

USER, MESSAGE = 2, 3
INFO, WHO = {"name": "Image info", "type": MESSAGE}, {"name": "imagine", "type": USER}
COMMANDS = (IMAGINE, INFO, WHO)


async def test_message_menu_gives_the_bot_the_whole_message() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d, commands=COMMANDS) as bot:
        theirs = d.say(d.user, d.channel, "not for the bot", files=[Upload("a.png", PNG)])
        use = await d.message_menu(d.user, theirs, "Image info")
        told = await bot.interaction()
        data = told["data"]
        assert (told["type"], data["type"], data["name"], data["target_id"]) == (2, MESSAGE, "Image info", theirs.id)
        message = data["resolved"]["messages"][theirs.id]
        assert (message["content"], len(message["attachments"])) == ("not for the bot", 1)
        assert "options" not in data
        await bot.answer(told, 4, {"content": "a picture", "flags": 64})
        answer = await use.wait()
        assert answer.payload["interaction_metadata"]["target_message_id"] == theirs.id
        d.assert_clean()


async def test_user_menu_gives_the_bot_the_user_and_may_share_a_commands_name() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d, commands=COMMANDS) as bot:
        bob = d.add_user("bob")
        use = await d.user_menu(d.user, d.channel, "imagine", bob)
        told = await bot.interaction()
        data = told["data"]
        assert (data["type"], data["target_id"]) == (USER, bob.id)
        assert data["resolved"]["users"][bob.id]["username"] == "bob"
        assert bob.id in data["resolved"]["members"]
        await bot.answer(told, 4, {"content": "that is Bob"})
        assert (await use.wait()).payload["interaction_metadata"]["target_user"]["id"] == bob.id
        await d.slash(d.user, d.channel, "imagine", prompt="cat")
        assert (await bot.interaction())["data"]["type"] == 1
        d.assert_clean()


async def test_menus_are_offered_only_where_they_apply() -> None:
    async with Discord() as d, RawBot(d, commands=COMMANDS) as bot:
        d.command_wait = 0.05
        use = await d.slash(d.user, d.channel, "imagine", prompt="cat")
        await bot.answer(await bot.interaction(), 4, {"content": "secret", "flags": 64})
        with pytest.raises(ClientRefused, match="ephemeral"):
            await d.message_menu(d.user, await use.wait(), "Image info")
        message = d.say(d.user, d.channel, "hi")
        with pytest.raises(ClientRefused, match="no entry"):
            await d.message_menu(d.user, message, "imagine")
        stranger = d.add_user("stranger", guild=d.add_guild("elsewhere"))
        with pytest.raises(ClientRefused, match="not here"):
            await d.user_menu(d.user, d.channel, "imagine", stranger)
        d.set_permissions(d.channel, d.user, deny=Permission.VIEW_CHANNEL)
        with pytest.raises(ClientRefused, match="does not see"):
            await d.message_menu(d.user, message, "Image info")
        d.set_permissions(d.channel, d.user, deny=Permission.USE_APPLICATION_COMMANDS)
        with pytest.raises(ClientRefused, match="may not use"):
            await d.message_menu(d.user, message, "Image info")


BAD_MENUS: dict[str, list[dict[str, Any]]] = {
    "description": [{**INFO, "description": "no"}],
    "options": [{**INFO, "options": IMAGINE["options"]}],
    "name over 32": [{**INFO, "name": "x" * 33}],
    "blank name": [{**INFO, "name": " "}],
    "same name twice": [INFO, INFO],
}


@pytest.mark.parametrize("case", BAD_MENUS)
async def test_bad_menu_is_refused(case: str) -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        status, body = await bot.put(f"/applications/{d.application_id}/commands", BAD_MENUS[case])
        assert (status, body["code"]) == (400, 50035)


@pytest.mark.parametrize(("kind", "most"), [(1, 100), (USER, 15), (MESSAGE, 15)])
async def test_each_kind_of_command_has_its_own_limit(kind: int, most: int) -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        path = f"/applications/{d.application_id}/commands"
        extra = {"description": "d"} if kind == 1 else {}
        many = [{"name": f"c{n}", "type": kind, **extra} for n in range(most + 1)]
        assert (await bot.put(path, many[:-1]))[0] == 200
        assert (await bot.put(path, many))[1]["code"] == 30032
