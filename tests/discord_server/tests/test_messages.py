"""Alt texts, replies, pings and what a bot without the message-content intent may read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.discord_server import ClientRefused, Discord, Permission, Upload
from tests.discord_server.tests.rawbot import INTENTS, PNG, RawBot, button, row

NO_PING: dict[str, Any] = {"parse": []}


def here(d: Discord, message_id: str) -> str:
    return f"/channels/{d.channel.id}/messages/{message_id}"


# -- alt text -----------------------------------------------------------------------


async def test_alt_text_is_kept_until_it_is_changed() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d, connect=False, commands=()) as bot:
        files = {0: ("a.png", PNG), 1: ("b.png", PNG)}
        described = [{"id": 0, "filename": "a.png", "description": "a red fox"}, {"id": 1, "filename": "b.png"}]
        _, made = await bot.send({"attachments": described}, files)
        first, second = (a["id"] for a in made["attachments"])
        (message,) = d.messages(d.channel)
        assert [i.description for i in message.images] == ["a red fox", None]
        assert message.attachments[0]["description"] == "a red fox"
        await bot.patch(here(d, made["id"]), {"content": "no word of the files"})
        assert d.refresh(message).attachments[0]["description"] == "a red fox"
        kept = [{"id": first}, {"id": second, "description": "a cat"}, {"id": 0, "description": "new"}]
        status, _ = await bot.patch(here(d, made["id"]), {"attachments": kept}, {0: ("c.png", PNG)})
        assert status == 200
        latest = d.refresh(message)
        assert [i.description for i in latest.images] == ["a red fox", "a cat", "new"]
        assert [i.description for i in message.images] == ["a red fox", None]  # a snapshot
        assert latest.image_bytes(2) == PNG
        await bot.patch(here(d, made["id"]), {"attachments": [{"id": second}, {"id": second}]})
        assert [a["id"] for a in d.refresh(message).attachments] == [second]
        d.assert_clean()


async def test_refused_edit_leaves_files_and_alt_texts_alone() -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        _, made = await bot.send({"attachments": [{"id": 0, "description": "old"}]}, {0: ("a.png", PNG)})
        file = made["attachments"][0]["id"]
        for attachments in ([], [{"id": file, "description": "x" * 1025}], [{"id": file}, {"id": 7}]):
            status, _ = await bot.patch(here(d, made["id"]), {"attachments": attachments})
            assert status == 400
        (message,) = d.messages(d.channel)
        assert (message.images[0].description, message.image_bytes(0)) == ("old", PNG)


async def test_kept_file_can_be_shown_by_an_embed() -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        _, made = await bot.send({"attachments": [{"id": 0, "description": "a fox"}]}, {0: ("a.png", PNG)})
        body: dict[str, Any] = {"embeds": [{"title": "t", "image": {"url": "attachment://a.png"}}]}
        body["attachments"] = [{"id": made["attachments"][0]["id"]}]
        await bot.patch(here(d, made["id"]), body)
        (message,) = d.messages(d.channel)
        assert message.attachments == []
        assert (message.images[0].place, message.images[0].description) == ("embed", "a fox")
        assert message.image_bytes(0) == PNG
        d.assert_clean()


# -- pings and replies --------------------------------------------------------------


async def test_edits_after_which_a_message_looks_as_before_are_counted() -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        _, made = await bot.send({"content": "a", "embeds": [{"title": "b"}], "components": [row(button())]})
        for body in ({"content": "c"}, {"embeds": []}, {"components": []}):
            assert (await bot.patch(here(d, made["id"]), body))[0] == 200
        d.assert_thrifty()
        await bot.patch(here(d, made["id"]), {"content": "c", "embeds": [], "components": []})
        assert (d.stats()["edits"], d.stats()["vain_edits"]) == (4, ["c"])
        with pytest.raises(AssertionError, match="edits in vain"):
            d.assert_thrifty()


async def test_edits_never_ping() -> None:
    async with Discord() as d, RawBot(d) as bot:
        mention = f"<@{d.user.id}>"
        _, made = await bot.send({"content": "soon"})
        await bot.patch(here(d, made["id"]), {"content": f"{mention} done"})
        (message,) = d.messages(d.channel)
        assert (message.pings, message.mentions) == ([], [d.user.id])
        _, loud = await bot.send({"content": mention})
        await bot.patch(here(d, loud["id"]), {"content": "calm"})
        message = d.messages(d.channel)[1]
        assert (message.pings, message.mentions) == ([d.user.id], [])
        use = await d.slash(d.user, d.channel, "imagine", prompt="cat")
        told = await bot.interaction()
        await bot.answer(told, 5)
        await bot.patch(bot.webhook(told, "@original"), {"content": mention}, token=None)
        assert (await use.wait()).pings == []  # filling the placeholder is an edit too


async def test_only_who_sees_a_new_message_is_pinged() -> None:
    async with Discord() as d, RawBot(d, commands=(), connect=False) as bot:
        bob = d.add_user("bob")
        d.set_permissions(d.channel, bob, deny=Permission.VIEW_CHANNEL)
        await bot.send({"content": f"<@{bob.id}> <@{d.bot.id}> <@{d.user.id}>"})
        await bot.send({"content": f"<@{d.user.id}>", "flags": 1 << 12})
        assert [m.pings for m in d.messages(d.channel)] == [[d.user.id], []]


async def test_reply_pings_its_author_unless_told_not_to() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d, commands=(), connect=False) as bot:
        asked = d.say(d.user, d.channel, "draw a fox")
        reply = {"content": "done", "message_reference": {"message_id": asked.id, "channel_id": d.channel.id}}
        alone = {"parse": [], "users": [d.user.id]}
        for allowed in (None, NO_PING, {"parse": [], "replied_user": True}, {**alone, "replied_user": False}):
            await bot.send(reply if allowed is None else {**reply, "allowed_mentions": allowed})
        _, *replies = d.messages(d.channel)
        assert [m.pings for m in replies] == [[d.user.id], [], [d.user.id], []]
        assert {m.reference for m in replies} == {asked.id}
        both = {"parse": ["users"], "users": [d.user.id]}
        assert (await bot.send({"content": "c", "allowed_mentions": both}))[0] == 400


async def test_reply_to_a_message_that_is_gone() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d, commands=(), connect=False) as bot:
        asked = d.say(d.user, d.channel, "draw a fox")
        _, answered = await bot.send({"content": "yes", "message_reference": {"message_id": asked.id}})
        d.delete_message(asked)
        assert (await bot.get(here(d, answered["id"])))[1]["referenced_message"] is None
        reference = {"message_id": asked.id, "channel_id": d.channel.id}
        status, body = await bot.send({"content": "c", "message_reference": reference})
        assert (status, body["code"]) == (400, 50035)
        status, body = await bot.send({"content": "c", "message_reference": {**reference, "fail_if_not_exists": False}})
        assert (status, body["type"], "message_reference" in body) == (200, 0, False)
        d.set_permissions(d.channel, d.bot, deny=Permission.READ_MESSAGE_HISTORY)
        assert (await bot.send({"content": "c", "message_reference": reference}))[1]["code"] == 160002
        d.assert_clean()


# -- message content ----------------------------------------------------------------


async def test_content_reaches_a_bot_that_is_mentioned_replied_to_or_written_to_in_private() -> None:
    async with Discord() as d, RawBot(d, commands=()) as bot:
        d.say(d.user, d.channel, "hi all", files=[Upload("a.png", PNG)])
        told = await bot.event("MESSAGE_CREATE")
        assert (told["content"], told["attachments"]) == ("", [])
        d.say(d.user, d.channel, f"<@{d.bot.id}> hi", files=[Upload("a.png", PNG)])
        told = await bot.event("MESSAGE_CREATE")
        assert told["content"] == f"<@{d.bot.id}> hi"
        assert ([u["id"] for u in told["mentions"]], len(told["attachments"])) == ([d.bot.id], 1)
        for code in (f"`<@{d.bot.id}>` hi", f"```\n<@{d.bot.id}>\n```"):
            d.say(d.user, d.channel, code)
            told = await bot.event("MESSAGE_CREATE")
            assert (told["content"], told["mentions"]) == ("", [])
        _, own = await bot.send({"content": "mine"})
        assert (await bot.event("MESSAGE_CREATE"))["content"] == "mine"
        mine = d.messages(d.channel)[-1]
        d.say(d.user, d.channel, "loudly", reply_to=mine)
        told = await bot.event("MESSAGE_CREATE")
        assert (told["content"], told["referenced_message"]["id"]) == ("loudly", own["id"])
        d.say(d.user, d.channel, "silently", reply_to=mine, ping=False)
        told = await bot.event("MESSAGE_CREATE")
        assert (told["content"], told["referenced_message"]["content"]) == ("", "mine")
        d.say(d.user, d.dm(d.user), "hi")
        told = await bot.event("MESSAGE_CREATE")
        assert (told["content"], told["channel_type"], "guild_id" in told) == ("hi", 1, False)


async def test_content_cannot_be_read_by_request_either() -> None:
    async with Discord() as d, RawBot(d, commands=(), connect=False) as bot:
        quiet, loud = d.say(d.user, d.channel, "hi"), d.say(d.user, d.channel, f"hi <@{d.bot.id}>")
        assert (await bot.get(here(d, quiet.id)))[1]["content"] == ""
        assert (await bot.get(here(d, loud.id)))[1]["content"] == loud.content
        _, reply = await bot.send({"content": "yes?", "message_reference": {"message_id": quiet.id}})
        assert (reply["content"], reply["referenced_message"]["content"]) == ("yes?", "")
        d.config.privileged_intents = 1 << 15
        assert (await bot.get(here(d, quiet.id)))[1]["content"] == "hi"


@pytest.mark.parametrize(("missing", "heard"), [(1 << 9, ["private"]), (1 << 12, ["public"])])
async def test_messages_come_only_with_their_intent(missing: int, heard: list[str]) -> None:
    async with Discord() as d, RawBot(d, intents=INTENTS & ~missing, commands=()) as bot:
        d.say(d.user, d.channel, f"<@{d.bot.id}> public")
        d.say(d.user, d.dm(d.user), "private")
        d.add_channel("afterwards")
        await bot.event("CHANNEL_CREATE")
        contents = [e["d"]["content"] for e in bot.events if e.get("t") == "MESSAGE_CREATE"]
        assert [c.split()[-1] for c in contents] == heard


# -- deleting -----------------------------------------------------------------------


async def test_only_authors_and_those_who_manage_messages_delete_them() -> None:
    async with Discord() as d, RawBot(d, commands=()) as bot:
        _, made = await bot.send({"content": "mine"})
        (message,) = d.messages(d.channel)
        moderator = d.add_user("mod", roles=[d.add_role("mods", Permission.MANAGE_MESSAGES)])
        with pytest.raises(ClientRefused, match="may not delete"):
            d.delete_message(message, d.user)
        own = d.say(d.user, d.channel, "hello")
        d.delete_message(own, d.user)
        d.delete_message(message, moderator)
        assert d.messages(d.channel) == []
        assert [(await bot.event("MESSAGE_DELETE"))["id"] for _ in range(2)] == [own.id, made["id"]]
        assert (await bot.delete(here(d, made["id"])))[1]["code"] == 10008
        _, again = await bot.send({"content": "mine"})
        assert (await bot.delete(here(d, again["id"])))[0] == 204  # its own: no permission needed
        private = d.dm(d.user)
        await bot.post(f"/channels/{private.id}/messages", {"content": "psst"})
        with pytest.raises(ClientRefused, match="may not delete"):
            d.delete_message(d.messages(private)[0], d.user)
        d.assert_clean()


async def test_bot_deletes_its_ephemeral_answer_through_the_webhook_alone() -> None:
    async with Discord() as d, RawBot(d) as bot:
        use = await d.slash(d.user, d.channel, "imagine", prompt="cat")
        told = await bot.interaction()
        await bot.answer(told, 4, {"content": "secret", "flags": 64})
        message = await use.wait()
        with pytest.raises(ClientRefused, match="dismissed"):
            d.delete_message(message, d.user)
        assert (await bot.delete(here(d, message.id)))[1]["code"] == 10008
        assert (await bot.delete(bot.webhook(told, "@original"), token=None))[0] == 204
        assert d.messages(d.channel) == []
        assert use.timeline[-1].kind == "delete"
        d.assert_clean()
