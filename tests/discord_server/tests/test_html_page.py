"""Messages as pages: markdown, layout of pictures, forms, and nothing from outside."""

from __future__ import annotations

import asyncio
import io
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.discord_server import Discord, MessageView, Upload
from tests.discord_server.discord_markdown import Reader, to_html
from tests.discord_server.screenshots import PHONE_PX, browser, find_browser, shoot
from tests.discord_server.tests.rawbot import PNG, RawBot, button, row

NOW = 1_700_000_000
READER = Reader(now=NOW, name_of=lambda kind, thing_id: f"{kind}{thing_id}!")


class Parts(HTMLParser):
    """The classes, pictures and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.classes: Counter[str] = Counter()
        self.images: list[dict[str, str | None]] = []
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.text = ""
        self.feed(html.split("</style>")[-1])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags[tag] += 1
        self.classes.update((found.get("class") or "").split())
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "action")]
        if tag == "img":
            self.images.append(found)

    def handle_data(self, data: str) -> None:
        self.text += data


MARKDOWN = {
    "**b** *i* _j_ __u__ ~~s~~": "<strong>b</strong> <em>i</em> <em>j</em> <u>u</u> <s>s</s>",
    "**b *i***": "<strong>b <em>i</em></strong>",
    "a_b_c 2*3*4 1 * 2 * 3": "a_b_c 2<em>3</em>4 1 * 2 * 3",
    r"\*no\*": "*no*",
    "`a **b**` ``c ` d``": '<code class="inline">a **b**</code> <code class="inline">c ` d</code>',
    "||s||": '<span class="spoiler">s</span>',
    "<@5> <@!5> <@&6> <#7>": " ".join(
        f'<span class="mention">{m}</span>' for m in ("@@5!", "@@5!", "@@&amp;6!", "##7!")
    ),
    "</imagine:5>": '<span class="mention">/imagine</span>',
    "<script>&": "&lt;script&gt;&amp;",
    "[a](https://x.org/?a=1&b)": '<a class="link">a</a>',
    "see https://x.org/a.": 'see <a class="link">https://x.org/a</a>.',
    "[a](javascript:x)": "[a](javascript:x)",
    "one\ntwo": "one<br>two",
}


@pytest.mark.parametrize("source", MARKDOWN)
def test_markdown_looks_as_on_discord(source: str) -> None:
    assert to_html(source, READER) == f"<div>{MARKDOWN[source]}</div>"


def test_blocks_of_markdown_stand_alone() -> None:
    html = to_html("# Title\ntext\n- one\n  - two\n1. three\n> quoted\n-# small\n```py\na <b>\n\nc\n```\nend", READER)
    parts = Parts(html)
    assert (parts.classes["h1"], parts.classes["item"], parts.classes["subtext"], parts.tags["blockquote"]) == (
        1,
        3,
        1,
        1,
    )
    assert '<pre class="code-block"><code>a &lt;b&gt;\n\nc</code></pre><div>end</div>' in html


@pytest.mark.parametrize(
    ("text", "locale", "shown"),
    [
        (f"<t:{NOW + 125}:R>", "en-US", "in 2 minutes"), (f"<t:{NOW - 1}:R>", "en-US", "a second ago"),
        (f"<t:{NOW + 3600}:R>", "en-US", "in an hour"), (f"<t:{NOW + 58}:R>", "en-US", "in a minute"),
        (f"<t:{NOW}:R>", "en-US", "in 0 seconds"),
        (f"<t:{NOW + 125}:R>", "zh-CN", "2 分钟后"), (f"<t:{NOW - 40}:R>", "zh-TW", "40 秒前"),
        (f"<t:{NOW}>", "en-US", "14 November 2023 22:13"), (f"<t:{NOW}:t>", "en-US", "22:13"),
        ("<t:9999999999999:D>", "en-US", "Invalid date"),
    ],
)  # fmt: skip
def test_timestamps_are_words(text: str, locale: str, shown: str) -> None:
    assert Parts(to_html(text, Reader(locale, NOW))).text == shown


@pytest.mark.parametrize(
    "text", ["*" * 2000, "`" * 1999, "||" * 1000, "_a" * 1000, "[" * 2000, "<@" * 1000, "**a" * 600]
)
async def test_hostile_text_is_shown_soon_and_stays_text(text: str) -> None:
    async with asyncio.timeout(5):
        shown = await asyncio.to_thread(to_html, text + "<img src=x>", READER)
    assert not Parts(shown).images


def picture(width: int = 60, height: int = 40) -> bytes:
    raw = io.BytesIO()
    Image.new("RGB", (width, height), (200, 0, 0)).save(raw, "PNG")
    return raw.getvalue()


async def posted(d: Discord, bot: RawBot, body: dict[str, Any], files: Any = None) -> MessageView:
    status, made = await bot.send(body, files)
    assert status == 200, made
    return next(m for m in d.messages(d.channel) if m.id == made["id"])


@pytest.mark.parametrize(
    ("count", "classes"),
    [(1, {"n1"}), (2, {"n2"}), (3, {"n3"}), (4, {"n4"}), (5, {"many", "half"}), (6, {"many"}), (10, {"many", "whole"})],
)
async def test_pictures_are_laid_out_by_their_number(count: int, classes: set[str]) -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        described = [{"id": n, "description": f'"{n}" & more'} for n in range(count)]
        message = await posted(d, bot, {"attachments": described}, {n: (f"{n}.png", PNG) for n in range(count)})
        parts = Parts(d.html([message]))
        assert classes == {"n1", "n2", "n3", "n4", "many", "half", "whole"} & set(parts.classes)
        assert [i["alt"] for i in parts.images] == [f'"{n}" & more' for n in range(count)]
        assert all((i["src"] or "").startswith("data:image/png;base64,") for i in parts.images)


async def test_page_shows_everything_of_a_classic_message() -> None:
    async with Discord() as d, RawBot(d, commands=()) as bot:
        asked = d.say(d.user, d.channel, "**draw** a fox", files=[Upload("notes.txt", b"x" * 2048)])
        embed = {
            "title": "T", "description": "a *fox*", "color": 0x3BA55C, "author": {"name": "A"}, "footer": {"text": "F"},
            "fields": [{"name": "Seed", "value": "`42`", "inline": True}], "image": {"url": "attachment://b.png"},
        }  # fmt: skip
        select = {"type": 3, "custom_id": "s", "options": [{"label": "Second", "value": "2", "default": True}]}
        again = button("a", "Again", emoji={"name": "🔄"}, disabled=True)
        body = {
            "content": f"done <@{d.user.id}>", "embeds": [embed], "components": [row(select), row(again)],
            "message_reference": {"message_id": asked.id},
        }  # fmt: skip
        message = d.react(d.user, await posted(d, bot, body, {0: ("a.png", PNG), 1: ("b.png", PNG)}), "⭐")
        await bot.patch(f"/channels/{d.channel.id}/messages/{message.id}", {"content": "edited"})
        html = d.html([asked, message, d.refresh(message)], now=NOW)
        parts = Parts(html)
        for text in ("draw", "notes.txt", "2.00 KB", "done @Alice", "T", "fox", "A", "F", "Seed", "42", "Second", "🔄",
                     "Again", "⭐ 1", "(edited)", "APP"):  # fmt: skip
            assert text in parts.text
        assert (parts.classes["pinged"], parts.classes["bar"], parts.classes["off"]) == (2, 2, 2)
        assert "border-left-color:#3ba55c" in html
        assert len(parts.images) == 4
        assert not [link for link in parts.links if not link.startswith("data:")]
        assert not re.search(r"url\(|@import|<script|<link", html)


async def test_deferred_private_and_lost_messages_say_so_in_the_viewers_language() -> None:
    async with Discord() as d, RawBot(d) as bot:
        use = await d.slash(d.user, d.channel, "imagine", prompt="cat")
        told = await bot.interaction()
        await bot.answer(told, 5, {"flags": 64})
        waiting = await use.wait(lambda m: m.loading)
        assert "Imagebot is thinking..." in Parts(d.html([waiting])).text
        await bot.patch(bot.webhook(told, "@original"), {"content": "secret"}, token=None)
        private = await use.wait()
        assert "Alice used /imagine" in Parts(d.html([private])).text
        assert "Only you can see this" in Parts(d.html([private])).text
        asked = d.say(d.user, d.channel, "draw")
        reply = await posted(d, bot, {"content": "done", "message_reference": {"message_id": asked.id}})
        d.delete_message(asked)
        d.user.locale = "zh-TW"
        assert "只有您才能看到此訊息" in Parts(d.html([private])).text
        assert "原始訊息已刪除" in Parts(d.html([d.refresh(reply)])).text


async def test_page_shows_a_layout_of_components() -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        media = {"media": {"url": "attachment://a.png"}, "description": "a fox"}
        inside = [
            {"type": 10, "content": "## Done"}, {"type": 12, "items": [media, media]}, {"type": 14, "spacing": 2},
            {"type": 9, "components": [{"type": 10, "content": "side"}], "accessory": {"type": 11, **media}},
            {"type": 13, "file": {"url": "attachment://b.txt"}}, row(button("a", "Again")),
        ]  # fmt: skip
        body = {"flags": 1 << 15, "components": [{"type": 17, "accent_color": 255, "components": inside}]}
        message = await posted(d, bot, body, {0: ("a.png", PNG), 1: ("b.txt", b"b")})
        html = d.html([message])
        parts = Parts(html)
        assert [i["alt"] for i in parts.images] == ["a fox"] * 3
        assert parts.classes >= Counter(
            ["container", "accent", "h2", "n2", "separator", "section", "thumbnail", "file"]
        )
        assert "border-left-color:#0000ff" in html
        assert all(word in parts.text for word in ("Done", "side", "b.txt", "Again"))


MODAL = {
    "custom_id": "m", "title": "Edit <it>",
    "components": [
        {"type": 10, "content": "a **note**"},
        {"type": 18, "label": "Prompt", "description": "In words",
         "component": {"type": 4, "custom_id": "p", "style": 2, "value": "a fox"}},
        {"type": 18, "label": "Seed", "component": {"type": 4, "custom_id": "s", "style": 1, "required": False,
                                                    "placeholder": "random"}},
        {"type": 18, "label": "Ping", "component": {"type": 3, "custom_id": "x", "options": [
            {"label": "Here", "value": "h", "default": True}]}},
        {"type": 18, "label": "Start", "component": {"type": 19, "custom_id": "u", "required": False}},
    ],
}  # fmt: skip


async def test_page_shows_an_opened_modal() -> None:
    async with Discord() as d, RawBot(d) as bot:
        use = await d.slash(d.user, d.channel, "imagine", prompt="cat")
        await bot.answer(await bot.interaction(), 9, MODAL)
        parts = Parts(d.html([], modal=await use.wait_modal()))
        for text in (
            "Edit <it>",
            "note",
            "Prompt *",
            "In words",
            "a fox",
            "Seed",
            "random",
            "Here",
            "Cancel",
            "Submit",
        ):
            assert text in parts.text
        assert (parts.classes["tall"], parts.classes["drop"], parts.classes["select"]) == (1, 1, 1)
        assert "Seed *" not in parts.text


@pytest.mark.skipif(find_browser() is None, reason="no Chromium here")
async def test_picture_of_a_page_is_as_wide_as_the_phone(tmp_path: Path) -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        body = {"content": "word " * 50 + "x" * 300, "embeds": [{"description": "y" * 300}]}
        body["components"] = [row(*(button(str(n), "a long label") for n in range(5)))]
        message = await posted(d, bot, body, {0: ("a.png", picture(2000, 300))})
        async with browser() as chromium:
            await shoot(chromium, d.html([message]), tmp_path / "phone.png", width_px=PHONE_PX)
        with Image.open(tmp_path / "phone.png") as shot:
            assert shot.width == PHONE_PX  # it would be wider if anything stuck out
            assert shot.height > 400
            assert shot.convert("RGB").getpixel((2, 2)) == (0x31, 0x33, 0x38)
