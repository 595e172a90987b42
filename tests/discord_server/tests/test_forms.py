"""Select menus, modals and attachment options, as a bot without a library sees them."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.discord_server import ClientRefused, Discord, MessageView, Upload, Use
from tests.discord_server.tests.rawbot import PNG, RawBot, button, row

MESSAGE, UPDATE, MODAL = 4, 7, 9
OPTIONS: list[dict[str, Any]] = [
    {"label": "Here", "value": "here", "description": "In this channel", "default": True},
    {"label": "By DM", "value": "dm"},
    {"label": "Off", "value": "off"},
]
NOTE = {"type": 10, "content": "Only the **prompt** is needed."}


def select(custom_id: str = "s", **extra: Any) -> dict[str, Any]:
    return {"type": 3, "custom_id": custom_id, "options": OPTIONS, **extra}


def text(custom_id: str = "t", **extra: Any) -> dict[str, Any]:
    return {"type": 4, "custom_id": custom_id, "style": 2, **extra}


def upload(custom_id: str = "u", **extra: Any) -> dict[str, Any]:
    return {"type": 19, "custom_id": custom_id, **extra}


def label(component: dict[str, Any], name: str = "Label") -> dict[str, Any]:
    return {"type": 18, "label": name, "component": component}


def modal(*components: dict[str, Any], title: str = "Form") -> dict[str, Any]:
    return {"custom_id": "m", "title": title, "components": list(components)}


async def shown(d: Discord, bot: RawBot, *components: dict[str, Any]) -> MessageView:
    """A message of the bot with these components."""
    _, made = await bot.send({"content": "choose", "components": [row(c) for c in components]})
    return next(m for m in d.messages(d.channel) if m.id == made["id"])


async def opened(d: Discord, bot: RawBot, *components: dict[str, Any]) -> Use:
    """A use whose answer was a modal with these components."""
    use = await d.slash(d.user, d.channel, "imagine", prompt="cat")
    assert (await bot.answer(await bot.interaction(), MODAL, modal(*components)))[0] == 204
    return use


async def submitted(d: Discord, bot: RawBot, use: Use, answers: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """What the bot is told: the components' answers by custom_id, and what is resolved."""
    await d.submit_modal(use, answers)
    told = (await bot.interaction())["data"]
    inside = [top.get("component") or next(iter(top.get("components", [{}]))) for top in told["components"]]
    return {c["custom_id"]: c.get("values", c.get("value")) for c in inside if c}, told.get("resolved")


# -- select menus -------------------------------------------------------------------


async def test_choice_in_a_select_menu_reaches_the_bot_and_can_be_answered() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d) as bot:
        message = await shown(d, bot, select(placeholder="Ping"))
        assert [o["label"] for o in message.selects[0]["options"]] == ["Here", "By DM", "Off"]
        assert message.selects[0]["options"][1] == {**OPTIONS[1], "description": None, "default": False}
        use = await d.select(message, "Ping", "By DM")
        told = await bot.interaction()
        assert (told["type"], told["message"]["id"]) == (3, message.id)
        assert told["data"] == {"custom_id": "s", "component_type": 3, "id": 2, "values": ["dm"]}
        await bot.answer(told, UPDATE, {"content": "by DM it is"})
        assert (await use.wait()).content == "by DM it is"
        d.assert_clean()


async def test_several_options_are_sent_in_the_order_they_were_chosen() -> None:
    async with Discord() as d, RawBot(d) as bot:
        message = await shown(d, bot, select(min_values=0, max_values=2))
        await d.select(message, "s", ["off", "Here"])
        assert (await bot.interaction())["data"]["values"] == ["off", "here"]
        await d.select(message, "s", [])
        assert (await bot.interaction())["data"]["values"] == []


async def test_select_of_users_resolves_them() -> None:
    async with Discord() as d, RawBot(d) as bot:
        message = await shown(d, bot, {"type": 5, "custom_id": "who"})
        await d.select(message, "who", d.user)
        data = (await bot.interaction())["data"]
        assert data["values"] == [d.user.id]
        assert data["resolved"]["users"][d.user.id]["username"] == d.user.username
        with pytest.raises(ClientRefused, match="does not take a Role"):
            await d.select(message, "who", d.add_role("r"))


@pytest.mark.parametrize(
    ("extra", "target", "values", "why"),
    [
        ({}, "nope", "here", "no 'nope'"), ({}, "s", "nowhere", "not offered"), ({}, "s", [], "at least 1"),
        ({}, "s", ["here", "dm"], "at most 1"), ({"disabled": True}, "s", "here", "disabled"),
        ({"max_values": 2}, "s", ["here", "Here"], "twice"),
    ],
)  # fmt: skip
async def test_client_refuses_a_choice_that_is_not_offered(
    extra: dict[str, Any], target: str, values: Any, why: str
) -> None:
    async with Discord() as d, RawBot(d, connect=False) as bot:
        message = await shown(d, bot, select(**extra))
        with pytest.raises(ClientRefused, match=why):
            await d.select(message, target, values)


@pytest.mark.parametrize(
    "bad",
    [
        row(select(), button()), row(select(), select("s2")), row(select(options=[])), row(select(max_values=4)),
        row(select(options=OPTIONS + OPTIONS[:1])), row(select(min_values=2)), select(),
        row(select(options=[{**o, "default": True} for o in OPTIONS])), row(text()),
        row(select(options=[{"label": str(n), "value": str(n)} for n in range(26)])),
    ],
)  # fmt: skip
async def test_bad_select_menu_is_refused(bad: dict[str, Any]) -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        status, body = await bot.send({"content": "c", "components": [bad]})
        assert (status, body["code"]) == (400, 50035)
        assert body["errors"]["components"]


# -- modals -------------------------------------------------------------------------


async def test_modal_left_alone_submits_what_it_was_opened_with() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d) as bot:
        fields = (
            NOTE, label(text(value="a red\nfox")), label(select()), label(upload(required=False)),
            row(text("old", label="Old", required=False)),
        )  # fmt: skip
        use = await opened(d, bot, *fields)
        told, resolved = await submitted(d, bot, use, {})
        assert told == {"t": "a red\nfox", "s": ["here"], "u": [], "old": ""}
        assert resolved is None
        d.assert_clean()


async def test_modal_is_answered_by_label_or_custom_id() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d) as bot, aiohttp.ClientSession() as http:
        use = await opened(
            d, bot, label(text(), "Prompt"), label(select(), "Ping"), label(upload(max_values=2), "Start")
        )
        files = [Upload("a b.png", PNG), Upload("notes.txt", b"hello")]
        told, resolved = await submitted(d, bot, use, {"Prompt": "a dog", "s": "Off", "Start": files})
        assert (told["t"], told["s"]) == ("a dog", ["off"])
        first, second = (resolved["attachments"][i] for i in told["u"])
        assert (first["filename"], first["content_type"], first["width"]) == ("a_b.png", "image/png", 1)
        assert (second["size"], "width" in second) == (5, False)
        async with http.get(first["url"]) as response:
            assert await response.read() == PNG
        d.assert_clean()


async def test_choices_of_a_modal_take_what_a_client_can_send() -> None:
    async with Discord() as d, RawBot(d) as bot:
        group, single = {"custom_id": "g", "options": OPTIONS}, {"custom_id": "c", "default": True}
        use = await opened(
            d, bot, label({"type": 21, **group, "custom_id": "r"}), label({"type": 22, **group}),
            label({"type": 23, **single}, "Yes"), label({"type": 5, "custom_id": "who", "required": False}),
        )  # fmt: skip
        told, resolved = await submitted(d, bot, use, {"r": "Off", "g": ["off", "dm"], "who": [d.user]})
        assert told == {"r": "off", "g": ["off", "dm"], "c": True, "who": [d.user.id]}
        assert d.user.id in resolved["users"]
        with pytest.raises(ClientRefused, match="True or False"):
            await d.submit_modal(use, {"Yes": "yes"})


@pytest.mark.parametrize(
    ("field", "answer", "why"),
    [
        (text(), "", "required"), (text(), 5, "takes text"), (text(max_length=3), "long", "at most 3"),
        (text(min_length=3), "ab", "at least 3"), (text(style=1), "two\nlines", "single line"),
        (text(), "x" * 4001, "at most 4000"),
        (select(), "nowhere", "not offered"), (select(), ["here", "dm"], "at most 1"), (select(), [], "required"),
        (upload(), None, "required"), (upload(), Upload("big.bin", b"x" * 101), "larger than 100"),
        (upload(), "a.png", "takes files"), (upload(), [Upload("a", b"a"), Upload("b", b"b")], "at most 1"),
        (upload(required=False, min_values=2, max_values=3), Upload("a", b"a"), "at least 2"),
    ],
)  # fmt: skip
async def test_client_refuses_a_modal_that_cannot_be_submitted(field: dict[str, Any], answer: Any, why: str) -> None:
    async with Discord(attachment_size_limit=100) as d, RawBot(d) as bot:
        use = await opened(d, bot, label(field))
        with pytest.raises(ClientRefused, match=why):
            await d.submit_modal(use, {"Label": answer})


BAD_MODALS = {
    "no component": modal(),
    "6 components": modal(*(label(text(str(n))) for n in range(6))),
    "title over 45": modal(label(text()), title="x" * 46),
    "label over 45": modal(label(text(), "x" * 46)),
    "value longer than allowed": modal(label(text(max_length=3, value="long"))),
    "value shorter than allowed": modal(label(text(min_length=3, value="ab"))),
    "min over max": modal(label(text(min_length=3, max_length=2))),
    "custom_id twice": modal(label(text()), label(text())),
    "26 options": modal(label(select(options=[{"label": str(n), "value": str(n)} for n in range(26)]))),
    "disabled select": modal(label(select(disabled=True))),
    "required and none": modal(label(upload(min_values=0))),
    "11 files": modal(label(upload(max_values=11))),
    "button": modal(label(button())),
    "bare text input": modal(text()),
    "row without label": modal(row(text())),
    "row with two inputs": modal(row(text(label="a"), text("t2", label="b"))),
    "row with select": modal(row(select())),
}


@pytest.mark.parametrize("case", BAD_MODALS)
async def test_bad_modal_is_refused_and_a_right_one_still_taken(case: str) -> None:
    async with Discord() as d, RawBot(d) as bot:
        await d.slash(d.user, d.channel, "imagine", prompt="cat")
        told = await bot.interaction()
        status, body = await bot.answer(told, MODAL, BAD_MODALS[case])
        assert (status, body["code"]) == (400, 50035)
        assert body["errors"]["data"]
        assert (await bot.answer(told, MODAL, modal(label(text()))))[0] == 204


async def test_modal_is_a_first_answer_and_none_to_a_modal() -> None:
    async with Discord() as d, RawBot(d) as bot:
        await d.slash(d.user, d.channel, "imagine", prompt="cat")
        told = await bot.interaction()
        await bot.answer(told, 5)
        assert (await bot.answer(told, MODAL, modal(label(text()))))[1]["code"] == 40060
        use = await opened(d, bot, label(text()))
        await d.submit_modal(use, {"t": "a dog"})
        assert (await bot.answer(await bot.interaction(), MODAL, modal(label(text()))))[0] == 400
        assert [v.kind for v in d.violations] == ["double_ack", "limit"]


# -- attachment options -------------------------------------------------------------


async def test_attachment_option_is_resolved_to_a_file_the_bot_can_fetch() -> None:
    async with Discord() as d, RawBot(d) as bot, aiohttp.ClientSession() as http:
        await d.slash(d.user, d.channel, "imagine", prompt="cat", image=Upload("start (1).png", PNG))
        data = (await bot.interaction())["data"]
        given = next(o["value"] for o in data["options"] if o["name"] == "image")
        file = data["resolved"]["attachments"][given]
        assert (file["filename"], file["size"], file["content_type"]) == ("start_1.png", len(PNG), "image/png")
        assert (file["width"], file["height"], file["ephemeral"]) == (1, 1, True)
        for url in (file["url"], file["proxy_url"]):
            async with http.get(url) as response:
                assert await response.read() == PNG
        d.assert_clean()


async def test_file_that_is_no_picture_has_the_type_of_its_name_and_no_size_in_pixels() -> None:
    async with Discord() as d, RawBot(d) as bot:
        await d.slash(d.user, d.channel, "imagine", prompt="cat", image=Upload("fake.png", b"MZ"))
        (file,) = (await bot.interaction())["data"]["resolved"]["attachments"].values()
        assert (file["content_type"], "width" in file) == ("image/png", False)
        with pytest.raises(ClientRefused, match="larger than"):
            await d.slash(
                d.user, d.channel, "imagine", prompt="cat", image=Upload("a", bytes(d.config.attachment_size_limit + 1))
            )
