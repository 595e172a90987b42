"""The life of interactions, their tokens and messages, as a bot without a library sees it."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.discord_server import ClientRefused, Discord, HarnessTimeout, InteractionFailed, Permission, Upload, Use
from tests.discord_server.tests.rawbot import PNG, RawBot, button, row

EPHEMERAL, LOADING = 64, 128
TEXT = {"type": 4, "custom_id": "prompt", "style": 1, "min_length": 3, "max_length": 9}
MODAL = {"custom_id": "m", "title": "Modal", "components": [{"type": 18, "label": "Prompt", "component": TEXT}]}


async def start(d: Discord, bot: RawBot, **more: Any) -> tuple[Use, dict[str, Any]]:
    use = await d.slash(d.user, d.channel, "imagine", prompt="cat", **more)
    return use, await bot.interaction()


async def test_bot_is_told_options_locales_and_permissions() -> None:
    async with Discord(guild_locale="fr") as d, RawBot(d) as bot:
        d.user.locale = "zh-CN"
        d.set_permissions(d.channel, d.bot, deny=Permission.ATTACH_FILES)
        _, i = await start(d, bot, seed=5, style="Oil paint", hq=True, image=Upload("a.png", PNG))
        assert (i["type"], i["locale"], i["guild_locale"], i["context"]) == (2, "zh-CN", "fr", 0)
        assert i["member"]["user"]["id"] == d.user.id
        assert Permission.ATTACH_FILES not in Permission(int(i["app_permissions"]))
        given = {o["name"]: o["value"] for o in i["data"]["options"]}
        uploaded = i["data"]["resolved"]["attachments"][given.pop("image")]
        assert given == {"prompt": "cat", "seed": 5, "style": "oil", "hq": True}
        assert (uploaded["filename"], uploaded["width"]) == ("a.png", 1)
        await d.slash(d.user, d.dm(d.user), "imagine", prompt="cat")
        i = await bot.interaction()
        assert (i["user"]["id"], i["context"], "member" in i) == (d.user.id, 1, False)
        d.assert_clean()


async def test_deferred_answer_is_edited_and_deleted() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d) as bot:
        use, i = await start(d, bot)
        callback = f"/interactions/{i['id']}/{i['token']}/callback?with_response=true"
        status, body = await bot.post(callback, {"type": 5}, token=None)
        assert (status, body["interaction"]["response_message_loading"]) == (200, True)
        created = await bot.event("MESSAGE_CREATE")
        assert (created["flags"], created["interaction_metadata"]["id"]) == (LOADING, i["id"])
        original = bot.webhook(i, "@original")
        status, body = await bot.patch(original, {"content": "done"}, {0: ("a.png", PNG)}, token=None)
        assert (status, body["flags"], body["attachments"][0]["width"]) == (200, 0, 1)
        assert body["edited_timestamp"] is None
        assert (await use.wait()).attachment_bytes(0) == PNG
        _, body = await bot.patch(original, {"attachments": []}, token=None)
        assert body["attachments"] == []
        assert (await bot.delete(original, token=None))[0] == 204
        assert (await bot.event("MESSAGE_DELETE"))["id"] == body["id"]
        assert (await bot.patch(original, {"content": "x"}))[1]["code"] == 10008
        assert [e.kind for e in use.timeline] == ["ack", "message", "edit", "edit", "delete"]
        d.assert_clean()


async def test_second_answer_is_40060() -> None:
    async with Discord() as d, RawBot(d) as bot:
        _, i = await start(d, bot)
        assert (await bot.answer(i, 4, {"content": "one"}))[0] == 204
        status, body = await bot.answer(i, 4, {"content": "two"})
        assert (status, body["code"]) == (400, 40060)
        assert [v.kind for v in d.violations] == ["double_ack"]


async def test_late_answer_is_10062() -> None:
    async with Discord(time_scale=0.02) as d, RawBot(d) as bot:
        use, i = await start(d, bot)
        with pytest.raises(InteractionFailed):
            await use.wait()
        assert use.timeline[0].t >= 0.06
        status, body = await bot.answer(i, 5)
        assert (status, body["code"]) == (404, 10062)
        assert [v.kind for v in d.violations] == ["late_ack"]


@pytest.mark.parametrize("how", ["lifetime", "age", "fault"])
async def test_expired_token_is_50027_but_the_bot_may_edit(how: str) -> None:
    config = {"interaction_lifetime": 0.2} if how == "lifetime" else {}
    async with Discord(**config) as d, RawBot(d) as bot:
        use, i = await start(d, bot, **({"age": 899.8} if how == "age" else {}))
        await bot.answer(i, 5)
        if how == "fault":
            d.expire_token(use)
        expired = await use.wait_event("expired")
        assert expired.detail == "The application did not respond"  # the placeholder was never filled
        status, body = await bot.patch(bot.webhook(i, "@original"), {"content": "late"}, token=None)
        assert (status, body["code"]) == (401, 50027)
        assert use.response is not None
        path = f"/channels/{d.channel.id}/messages/{use.response.id}"
        assert (await bot.patch(path, {"content": "saved"}))[0] == 200
        assert (await use.wait()).content == "saved"
        d.assert_clean()


async def test_first_followup_fills_a_deferred_answer() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d) as bot:
        use, i = await start(d, bot)
        await bot.answer(i, 5, {"flags": EPHEMERAL})
        _, first = await bot.post(bot.webhook(i), {"content": "first"}, token=None)
        assert use.response is not None
        assert (first["id"], first["flags"]) == (use.response.id, EPHEMERAL)
        _, second = await bot.post(bot.webhook(i), {"content": "second", "flags": EPHEMERAL}, token=None)
        assert [(m.id, m.ephemeral) for m in use.followups] == [(second["id"], True)]
        d.assert_clean()


async def test_ephemeral_answer_is_seen_by_its_user_alone() -> None:
    async with Discord() as d, RawBot(d) as bot:
        bob = d.add_user("bob")
        use, i = await start(d, bot)
        await bot.answer(i, 4, {"content": "secret", "flags": EPHEMERAL, "components": [row(button())]})
        message = await use.wait()
        assert d.messages(d.channel, bob) == []
        with pytest.raises(ClientRefused, match="does not see"):
            await d.click(message, "B", bob)
        status, body = await bot.patch(f"/channels/{d.channel.id}/messages/{message.id}", {})
        assert (status, body["code"]) == (404, 10008)
        d.assert_clean()


async def test_click_updates_the_message() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d) as bot:
        use, i = await start(d, bot)
        buttons = row(button("go", "Go"), button("no", "No", disabled=True))
        await bot.answer(i, 4, {"content": "one", "components": [buttons]})
        message = await use.wait()
        with pytest.raises(ClientRefused, match="disabled"):
            await d.click(message, "No")
        with pytest.raises(ClientRefused, match="no 'Nope'"):
            await d.click(message, "Nope")
        click = await d.click(message, "Go")
        i2 = await bot.interaction()
        assert (i2["type"], i2["data"]["custom_id"], i2["message"]["content"]) == (3, "go", "one")
        await bot.answer(i2, 7, {"content": "two"})
        assert (await click.wait()).id == message.id
        latest = use.timeline[-1].message
        assert latest is not None
        assert latest.content == "two"  # both uses show it
        click = await d.click(message, "Go")
        i3 = await bot.interaction()
        await bot.answer(i3, 6)
        await bot.patch(bot.webhook(i3, "@original"), {"content": "three"}, token=None)
        assert (await click.wait()).content == "three"
        d.delete_message(message)
        with pytest.raises(ClientRefused, match="deleted"):
            await d.click(message, "Go")
        d.assert_clean()


async def test_modal_takes_what_a_client_would_send() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d) as bot:
        use, i = await start(d, bot)
        await bot.answer(i, 9, MODAL)
        for answers, why in (
            ({}, "required"), ({"prompt": "ab"}, "at least 3"), ({"prompt": "x" * 10}, "at most 9"),
            ({"prompt": "a dog", "nope": "x"}, "no \\['nope'\\]"),
        ):  # fmt: skip
            with pytest.raises(ClientRefused, match=why):
                await d.submit_modal(use, answers)
        submitted = await d.submit_modal(use, {"Prompt": "a dog"})
        i2 = await bot.interaction()
        assert i2["data"]["components"][0]["component"]["value"] == "a dog"
        assert (await bot.answer(i2, 9, MODAL))[0] == 400  # no modal on a modal
        assert (await bot.answer(i2, 4, {"content": "ok"}))[0] == 204
        assert (await submitted.wait()).content == "ok"
        assert [v.kind for v in d.violations] == ["limit"]


REFUSED: dict[str, dict[str, Any]] = {
    "is required": {"prompt": None},
    "no option": {"nope": 1},
    "at least 2": {"prompt": "c"},
    "at most 20": {"prompt": "c" * 21},
    "another kind": {"seed": "5"},
    "must be at most 99": {"seed": 100},
    "not a choice": {"style": "water"},
    "takes a file": {"image": "a.png"},
    "does not take": {"who": "alice"},
}


@pytest.mark.parametrize("why", REFUSED)
async def test_client_refuses_what_a_user_could_not_send(why: str) -> None:
    async with Discord() as d, RawBot(d, connect=False):
        with pytest.raises(ClientRefused, match=why):
            await d.slash(d.user, d.channel, "imagine", options={"prompt": "cat", **REFUSED[why]})


async def test_waiting_tells_the_story_when_in_vain() -> None:
    async with Discord() as d, RawBot(d) as bot:
        use, i = await start(d, bot)
        await bot.answer(i, 4, {"content": "one"})
        await bot.patch(bot.webhook(i, "@original"), {"content": "two"}, token=None)
        assert (await use.wait()).content == "one"  # seen, though already replaced
        with pytest.raises(HarnessTimeout, match="two"):
            await use.wait(lambda m: m.content == "three", timeout=0.05)
        assert (await d.wait_message(lambda m: "t" in m.content)).content == "two"


async def test_file_of_an_option_is_the_bots_to_fetch_and_may_be_described_wrongly() -> None:
    async with Discord() as d, RawBot(d) as bot, aiohttp.ClientSession() as session:
        lie = Upload("a cat.png", PNG, content_type="text/plain", size=7)
        await d.slash(d.user, d.channel, "imagine", prompt="cat", image=lie)
        told = await bot.interaction()
        (option,) = [each for each in told["data"]["options"] if each["name"] == "image"]
        file = told["data"]["resolved"]["attachments"][option["value"]]
        assert (option["type"], file["ephemeral"], file["filename"]) == (11, True, "a_cat.png")
        assert (file["content_type"], file["size"]) == ("text/plain", 7)
        async with session.get(file["url"]) as response:
            assert await response.read() == PNG
