"""Messages made of components (Components V2): their rules, files and looks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.discord_server import Discord
from tests.discord_server.tests.rawbot import PNG, RawBot, button, row

V2, EPHEMERAL = 1 << 15, 1 << 6


def text(content: str = "text") -> dict[str, Any]:
    return {"type": 10, "content": content}


def item(name: str = "a.png", **extra: Any) -> dict[str, Any]:
    return {"media": {"url": f"attachment://{name}"}, **extra}


def gallery(*items: dict[str, Any]) -> dict[str, Any]:
    return {"type": 12, "items": list(items)}


def file(url: str = "attachment://a.png") -> dict[str, Any]:
    return {"type": 13, "file": {"url": url}}


def section(*inside: dict[str, Any], accessory: dict[str, Any]) -> dict[str, Any]:
    return {"type": 9, "components": list(inside), "accessory": accessory}


def container(*inside: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return {"type": 17, "components": list(inside), **extra}


def layout(*components: dict[str, Any]) -> dict[str, Any]:
    return {"flags": V2, "components": list(components)}


async def test_layout_shows_texts_galleries_and_buttons_at_any_depth() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d) as bot:
        thumbnail = {"type": 11, **item("b.png"), "description": "small"}
        body = layout(
            text("# Done"),
            container(
                text(f"<@{d.user.id}> a fox"), gallery(item(description="a red fox"), item("b.png")),
                {"type": 14}, section(text("by"), accessory=thumbnail), section(text("or"), accessory=button("more")),
                row(button("again", "Again")), file("attachment://c.txt"), accent_color=0x5865F2,
            ),
        )  # fmt: skip
        status, _ = await bot.send(body, {0: ("a.png", PNG), 1: ("b.png", PNG), 2: ("c.txt", b"c"), 3: ("d.png", PNG)})
        assert status == 200
        (message,) = d.messages(d.channel)
        assert message.texts == ["# Done", f"<@{d.user.id}> a fox", "by", "or"]
        assert message.text.startswith("# Done")
        assert [[i["description"] for i in g] for g in message.galleries] == [["a red fox", None]]
        assert [(i.place, i.description) for i in message.images] == [
            ("gallery", "a red fox"), ("gallery", None), ("thumbnail", "small"),
        ]  # fmt: skip
        assert message.image_bytes(0) == PNG
        assert [a["filename"] for a in message.attachments] == ["d.png"]  # shown by nothing
        assert message.pings == [d.user.id]
        await d.click(message, "Again")
        await d.click(message, "more")
        assert (await bot.interaction())["data"]["custom_id"] == "again"
        d.assert_clean()


BAD_LAYOUTS: dict[str, dict[str, Any]] = {
    "content": {**layout(text()), "content": "c"},
    "embeds": {**layout(text()), "embeds": [{"title": "t"}]},
    "41 components": layout(*(text() for _ in range(21)), container(*(text() for _ in range(19)))),
    "4001 characters": layout(text("x" * 2001), container(text("x" * 2000))),
    "bare button": layout(button()),
    "container in container": layout(container(container(text()))),
    "section without accessory": layout({"type": 9, "components": [text()]}),
    "section of 4 texts": layout(section(*(text() for _ in range(4)), accessory=button())),
    "section of a file": layout(section(file(), accessory=button())),
    "empty gallery": layout(gallery()),
    "11 in a gallery": layout(gallery(*(item() for _ in range(11)))),
    "alt text over 1024": layout(gallery(item(description="x" * 1025))),
    "file from elsewhere": layout(file("https://example.org/a.png")),
    "file that is not sent": layout(gallery(item("b.png"))),
    "custom id twice": layout(row(button()), container(row(button()))),
    "without the flag": {"components": [text()], "content": "c"},
}


@pytest.mark.parametrize("case", BAD_LAYOUTS)
async def test_bad_layout_is_refused(case: str) -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        status, body = await bot.send(BAD_LAYOUTS[case], {0: ("a.png", PNG)})
        assert (status, body["code"]) == (400, 50035)
        assert {v.kind for v in d.violations} <= {"schema", "limit"}
        assert d.messages(d.channel) == []


async def test_layouts_of_just_the_right_size_are_taken() -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        assert (await bot.send(layout(text("x" * 2000), container(text("x" * 2000)))))[0] == 200
        assert (await bot.send(layout(*(text() for _ in range(20)), container(*(text() for _ in range(19))))))[0] == 200
        assert (await bot.send({"flags": V2}))[1]["code"] == 50006
        d.assert_clean()


async def test_the_flag_stays_for_good() -> None:
    async with Discord(validate_responses=True, time_scale=0.001) as d, RawBot(d, connect=False, commands=()) as bot:
        _, made = await bot.send({"content": "classic"})
        path = f"/channels/{d.channel.id}/messages/{made['id']}"
        assert (await bot.patch(path, layout(text())))[0] == 400  # its content would stay
        assert (await bot.patch(path, {**layout(text()), "content": None}))[0] == 200
        for bad in ({"flags": 0}, {"content": "again"}, {"components": []}):
            assert (await bot.patch(path, bad))[0] == 400
        assert (await bot.patch(path, {"components": [text("new")]}))[0] == 200
        (message,) = d.messages(d.channel)
        assert (message.content, message.texts, message.flags) == ("", ["new"], V2)


async def test_kept_file_is_found_by_the_name_sent_with_its_id() -> None:
    async with Discord(time_scale=0.001) as d, RawBot(d, connect=False, commands=()) as bot:
        _, made = await bot.send(layout(gallery(item(description="a fox"))), {0: ("a.png", PNG)})
        assert made["attachments"] == []  # shown by a component
        shown = made["components"][0]["items"][0]["media"]
        path = f"/channels/{d.channel.id}/messages/{made['id']}"
        edit = {"components": [text("soon"), gallery(item())], "attachments": [{"id": shown["attachment_id"]}]}
        assert (await bot.patch(path, edit))[0] == 400
        edit["attachments"][0]["filename"] = "a.png"
        assert (await bot.patch(path, edit))[0] == 200
        assert (await bot.patch(path, {"components": [gallery(item())]}))[0] == 200
        (message,) = d.messages(d.channel)
        assert message.image_bytes(0) == PNG


async def test_deferred_answer_may_become_a_layout() -> None:
    async with Discord() as d, RawBot(d) as bot:
        use = await d.slash(d.user, d.channel, "imagine", prompt="cat")
        told = await bot.interaction()
        await bot.answer(told, 5, {"flags": EPHEMERAL})
        await bot.patch(bot.webhook(told, "@original"), layout(text("done")), token=None)
        answer = await use.wait()
        assert (answer.texts, answer.ephemeral) == (["done"], True)
        await bot.post(bot.webhook(told), layout(text("more")), token=None)
        assert [m.texts for m in use.followups] == [["more"]]
        d.assert_clean()
