"""Messages as they look on Discord, as one HTML page without any outside resource: for the pictures in the docs.

Owns the looks (with page.css) and the few words Discord itself shows. Must not know how messages come to be, nor a
browser; screenshots.py takes the pictures.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from tests.discord_server.components import SELECTS, Kind
from tests.discord_server.discord_markdown import Reader, inline_html, to_html
from tests.discord_server.view import MessageView, Picture
from tests.discord_server.world import COMPONENTS_V2, User, World

STYLE = Path(__file__).with_name("page.css")
AVATARS = ("#5865f2", "#757e8a", "#3ba55c", "#faa61a", "#ed4245", "#eb459f")
EYE = '<svg viewBox="0 0 24 24"><path d="M12 5C6 5 2.5 9.6 1.5 12c1 2.4 4.5 7 10.5 7s9.5-4.6 10.5-7c-1-2.4-4.5-7-10.5-7Zm0 11a4 4 0 1 1 0-8 4 4 0 0 1 0 8Z"/></svg>'  # noqa: E501
LINK, LARGE, PARAGRAPH = 5, 2, 2
WORDS: dict[str, dict[str, str]] = {
    "en-US": {
        "app": "APP", "edited": "(edited)", "used": "used", "thinking": "{} is thinking...", "today": "Today at {}",
        "only you": "Only you can see this", "dismiss": "Dismiss message", "gone": "Original message was deleted",
        "to see": "Click to see attachment", "choose": "Make a selection", "cancel": "Cancel", "submit": "Submit",
        "drop": "Drop a file here or choose one",
        "notice": "This form will be submitted to {}. Do not share passwords or other sensitive information.",
    },
    "zh-CN": {
        "app": "应用", "edited": "（已编辑）", "used": "使用了", "thinking": "{} 正在思考……", "today": "今天 {}",
        "only you": "只有您才能看到此信息", "dismiss": "忽略此信息", "gone": "原始消息已被删除",
        "to see": "点击查看附件", "choose": "请选择", "cancel": "取消", "submit": "提交",
        "drop": "将文件拖放到此处或选择文件",
        "notice": "此表单将提交给 {}。请勿分享密码或其他敏感信息。",
    },
    "zh-TW": {
        "app": "應用程式", "edited": "（已編輯）", "used": "使用了", "thinking": "{} 正在思考……", "today": "今天 {}",
        "only you": "只有您才能看到此訊息", "dismiss": "忽略訊息", "gone": "原始訊息已刪除",
        "to see": "點擊以查看附件", "choose": "請選擇", "cancel": "取消", "submit": "提交",
        "drop": "將檔案拖放到此處或選擇檔案",
        "notice": "此表單會提交給 {}。請勿分享密碼或其他敏感資訊。",
    },
}  # fmt: skip


def render(
    world: World,
    messages: Iterable[MessageView],
    viewer: User,
    *,
    modal: dict[str, Any] | None = None,
    now: float | None = None,
    clock: str | None = None,
) -> str:
    """Return a page with these messages, and perhaps a form opened over them, as `viewer` sees it.

    `now` is the present moment of relative timestamps, in seconds since 1970. `clock` ("12:00") is shown as the time
    of every message instead of its own, so that pictures of the same thing are the same. Discord's own words are in
    the viewer's language (English, and Chinese in both scripts).
    """
    page = _Page(world, viewer, time.time() if now is None else now, clock)
    body = "".join(page.message(m) for m in messages) + (page.dialog(modal) if modal else "")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Discord</title>'
    style = STYLE.read_text(encoding="utf-8")
    return (
        f'<!doctype html><html lang="{escape(viewer.locale)}"><head>{head}<style>{style}</style></head>'
        f"<body><main>{body}</main></body></html>"
    )


class _Page:
    """What all parts of one page share: the world's names, the reader and their words."""

    def __init__(self, world: World, viewer: User, now: float, clock: str | None) -> None:
        self._world, self._viewer, self._clock = world, viewer, clock
        self._words = WORDS.get(viewer.locale, WORDS["en-US"])
        self._reader = Reader(viewer.locale, now, self._name_of)
        self._pictures: dict[str, Picture] = {}  # of the message at hand, by URL

    def _name_of(self, kind: str, thing_id: str) -> str:
        if kind == "#":
            channel = self._world.channels.get(thing_id)
            return channel.name if channel else "unknown"
        if kind == "@&":
            roles = (g.roles[thing_id] for g in self._world.guilds.values() if thing_id in g.roles)
            return next((r.name.removeprefix("@") for r in roles), "unknown-role")
        user = self._world.users.get(thing_id)
        return (user.global_name or user.username) if user else "unknown-user"

    # -- messages -------------------------------------------------------------------

    def message(self, view: MessageView) -> str:
        self._pictures = {p.url: p for p in view.images}
        author = view.payload["author"]
        at = self._clock or datetime.fromisoformat(view.payload["timestamp"]).astimezone(UTC).strftime("%H:%M")
        tag = f'<span class="tag">{self._words["app"]}</span>' if author["bot"] else ""
        head = (
            f'<div class="head"><span class="name">{escape(_name(author))}</span>{tag}'
            f'<span class="time">{escape(self._words["today"].format(at))}</span></div>'
        )
        marks = "private" if view.ephemeral else "pinged" if self._viewer.id in view.pings else ""
        body = self._thinking(author) if view.loading else self._body(view)
        return (
            f'<article class="message {marks}" data-id="{view.id}">{self._above(view)}{_avatar(author)}{head}{body}'
            f"{self._reactions(view)}{self._only_you() if view.ephemeral else ''}</article>"
        )

    def _body(self, view: MessageView) -> str:
        edited = f'<span class="edited">{self._words["edited"]}</span>' if view.payload["edited_timestamp"] else ""
        text = to_html(view.content, self._reader)
        if edited and text.endswith("</div>"):
            text = f"{text.removesuffix('</div>')}{edited}</div>"
        elif edited:
            text += edited
        files = "" if view.flags & COMPONENTS_V2 else self._attachments(view)
        embeds = "".join(map(self._embed, view.embeds))
        return f'<div class="text">{text}</div>{files}{embeds}' + "".join(map(self._component, view.components))

    def _above(self, view: MessageView) -> str:
        """Return the line above a message: which command or message it answers."""
        used = view.payload.get("interaction")
        if used:
            who = f'{_avatar(used["user"])}<span class="who">{escape(_name(used["user"]))}</span>'
            command = f'<span class="mention">{escape(_command(used["name"], view))}</span>'
            return f'<div class="above bar">{who} {self._words["used"]} {command}</div>'
        if view.reference is None:
            return ""
        replied = view.payload.get("referenced_message")
        if replied is None:
            return f'<div class="above bar"><span class="excerpt"><em>{self._words["gone"]}</em></span></div>'
        text = replied["content"].split("\n")[0]
        excerpt = inline_html(text, self._reader) if text else f"<em>{self._words['to see']}</em>"
        who = f'{_avatar(replied["author"])}<span class="who">{escape(_name(replied["author"]))}</span>'
        return f'<div class="above bar">{who}<span class="excerpt">{excerpt}</span></div>'

    def _thinking(self, author: dict[str, Any]) -> str:
        return f'<div class="thinking"><b>•••</b>{escape(self._words["thinking"].format(_name(author)))}</div>'

    def _only_you(self) -> str:
        words = f'{self._words["only you"]} • <span class="link">{self._words["dismiss"]}</span>'
        return f'<div class="only-you">{EYE}<span>{words}</span></div>'

    def _reactions(self, view: MessageView) -> str:
        def one(emoji: str, users: list[str]) -> str:
            mine = "mine" if self._viewer.id in users else ""
            return f'<span class="reaction {mine}">{escape(emoji)} {len(users)}</span>'

        shown = "".join(one(emoji, users) for emoji, users in view.reactions.items())
        return f'<div class="reactions">{shown}</div>' if shown else ""

    # -- pictures and files ---------------------------------------------------------

    def _attachments(self, view: MessageView) -> str:
        pictures = [p for p in view.images if p.place == "attachment"]
        urls = {p.url for p in pictures}
        files = [_file(a["filename"], a["size"]) for a in view.attachments if a["url"] not in urls]
        return self._mosaic([(p, p.description) for p in pictures]) + "".join(files)

    def _mosaic(self, pictures: list[tuple[Picture, str | None]]) -> str:
        """Lay pictures out as Discord does: alone, side by side, one beside two, two by two, or rows of three."""
        if not pictures:
            return ""
        count = len(pictures)
        kind = f"n{count}" if count <= 4 else "many"
        first_row = count % 3
        wide = {1: "whole", 2: "half"}.get(first_row, "")
        figures = []
        for n, (picture, alt) in enumerate(pictures):
            size = wide if kind == "many" and n < first_row else ""
            badge = '<span class="alt">ALT</span>' if alt else ""
            cover = '<span class="cover">SPOILER</span>' if picture.is_spoiler else ""
            size = f"{size} blurred" if cover else size
            figures.append(f'<figure class="{size}">{_image(picture, alt)}{badge}{cover}</figure>')
        return f'<div class="mosaic {kind}">{"".join(figures)}</div>'

    def _picture(self, url: str) -> Picture:
        return self._pictures.get(url) or Picture("elsewhere", url, None)

    # -- embeds ---------------------------------------------------------------------

    def _embed(self, embed: dict[str, Any]) -> str:
        def part(name: str, text: str | None) -> str:
            return f'<div class="{name}">{to_html(text, self._reader)}</div>' if text else ""

        def field(item: dict[str, Any]) -> str:
            inline = "inline" if item.get("inline") else ""
            name, value = inline_html(item["name"], self._reader), to_html(item["value"], self._reader)
            return f'<div class="field {inline}"><b>{name}</b>{value}</div>'

        def media(name: str, key: str) -> str:
            if key not in embed:
                return ""
            picture = self._picture(embed[key]["url"])
            return f'<div class="{name}">{_image(picture, picture.description)}</div>'

        color = f' style="border-left-color:#{embed["color"]:06x}"' if embed.get("color") else ""
        foot = [escape((embed.get("footer") or {}).get("text") or "")]
        if embed.get("timestamp"):
            foot.append(datetime.fromisoformat(embed["timestamp"]).astimezone(UTC).strftime("%d/%m/%Y %H:%M"))
        foot_text = " • ".join(filter(None, foot))
        author = escape((embed.get("author") or {}).get("name") or "")
        fields = "".join(map(field, embed.get("fields") or []))
        parts = (
            f'<div class="author">{author}</div>' if author else "", part("title", embed.get("title")),
            part("description", embed.get("description")), f'<div class="fields">{fields}</div>' if fields else "",
            media("thumbnail", "thumbnail"), media("picture", "image"),
            f'<div class="foot">{foot_text}</div>' if foot_text else "",
        )  # fmt: skip
        return f'<section class="embed"{color}>{"".join(parts)}</section>'

    # -- components -----------------------------------------------------------------

    def _component(self, component: dict[str, Any]) -> str:
        match component["type"]:
            case Kind.ROW:
                return f'<div class="row">{"".join(map(self._component, component["components"]))}</div>'
            case Kind.BUTTON:
                return self._button(component)
            case Kind.TEXT_DISPLAY:
                return f'<div class="text">{to_html(component["content"], self._reader)}</div>'
            case Kind.SECTION:
                inside = "".join(map(self._component, component["components"]))
                accessory = self._component(component["accessory"])
                return f'<div class="section"><div>{inside}</div>{accessory}</div>'
            case Kind.THUMBNAIL:
                picture = self._picture(component["media"]["url"])
                return f'<div class="thumbnail">{_image(picture, component["description"])}</div>'
            case Kind.MEDIA_GALLERY:
                items = component["items"]
                return self._mosaic([(self._picture(i["media"]["url"]), i["description"]) for i in items])
            case Kind.FILE:
                return _file(component["name"] or "", component["size"] or 0)
            case Kind.SEPARATOR:
                looks = ["large"] * (component["spacing"] == LARGE) + ["blank"] * (not component["divider"])
                return f'<div class="separator {" ".join(looks)}"></div>'
            case Kind.CONTAINER:
                inside = "".join(map(self._component, component["components"]))
                color = component["accent_color"]
                accent = "" if color is None else f' accent" style="border-left-color:#{color:06x}'
                return f'<div class="container{accent}">{inside}</div>'
            case kind if kind in SELECTS:
                return self._select(component)
        return ""

    def _button(self, button: dict[str, Any]) -> str:
        emoji = (button.get("emoji") or {}).get("name")
        words = [f"<span>{escape(w)}</span>" for w in (emoji, button.get("label")) if w]
        if button["style"] == LINK:
            words.append("<span>↗</span>")
        off = "off" if button.get("disabled") else ""
        return f'<span class="button s{button["style"]} {off}">{"".join(words)}</span>'

    def _select(self, select: dict[str, Any]) -> str:
        chosen = [o for o in select.get("options") or [] if o.get("default")]
        off = "off" if select.get("disabled") else ""
        if not chosen:
            words = select.get("placeholder") or self._words["choose"]
            return f'<div class="select empty {off}">{escape(words)}</div>'
        labels = ", ".join(f"{(o.get('emoji') or {}).get('name') or ''} {o['label']}".strip() for o in chosen)
        return f'<div class="select {off}">{escape(labels)}</div>'

    # -- modals ---------------------------------------------------------------------

    def dialog(self, modal: dict[str, Any]) -> str:
        """Return an opened form over a darkened page."""
        bot = self._world.bot.payload()
        notice = escape(self._words["notice"].format(_name(bot)))
        fields = "".join(map(self._form_part, modal["components"]))
        buttons = "".join(
            f'<span class="button s{style}">{self._words[word]}</span>'
            for style, word in ((2, "cancel"), (1, "submit"))
        )
        return (
            f'<div class="shade"><form class="dialog"><h2>{_avatar(bot)}{escape(modal["title"])}</h2>'
            f'<div class="notice">{notice}</div>{fields}<div class="row">{buttons}</div></form></div>'
        )

    def _form_part(self, top: dict[str, Any]) -> str:
        if top["type"] == Kind.TEXT_DISPLAY:
            return f'<div class="form-field">{to_html(top["content"], self._reader)}</div>'
        if top["type"] == Kind.LABEL:
            return self._form_field(top["component"], top["label"], top.get("description"))
        return "".join(self._form_field(c, c["label"], None) for c in top["components"])

    def _form_field(self, field: dict[str, Any], label: str, description: str | None) -> str:
        is_required = field["type"] != Kind.CHECKBOX and field.get("required") is not False
        star = "<i> *</i>" if is_required else ""
        small = f"<small>{escape(description)}</small>" if description else ""
        return f'<div class="form-field"><b>{escape(label)}{star}</b>{small}{self._input(field)}</div>'

    def _input(self, field: dict[str, Any]) -> str:
        match field["type"]:
            case Kind.TEXT_INPUT:
                tall = "tall" if field["style"] == PARAGRAPH else ""
                value = field.get("value")
                empty = "" if value else "empty"
                return f'<div class="input {tall} {empty}">{escape(value or field.get("placeholder") or " ")}</div>'
            case Kind.FILE_UPLOAD:
                return f'<div class="drop">{self._words["drop"]}</div>'
            case Kind.RADIO_GROUP | Kind.CHECKBOX_GROUP:
                return "".join(_choice(o, is_round=field["type"] == Kind.RADIO_GROUP) for o in field["options"])
            case Kind.CHECKBOX:
                return _choice({"label": "", "default": field.get("default")}, is_round=False)
        return self._select(field)


def _name(user: dict[str, Any]) -> str:
    name: str = user["global_name"] or user["username"]
    return name


def _avatar(user: dict[str, Any]) -> str:
    color = AVATARS[0 if user["bot"] else sum(user["username"].encode()) % len(AVATARS)]
    return f'<span class="avatar" style="background:{color}">{escape(_name(user)[:1].upper())}</span>'


def _command(name: str, view: MessageView) -> str:
    about = view.payload.get("interaction_metadata", {})
    is_menu = "target_message_id" in about or "target_user" in about
    return name if is_menu else f"/{name}"


def _image(picture: Picture, alt: str | None) -> str:
    words = escape(alt or "")
    if picture.file is None:
        return f'<img alt="{words}">'
    data = base64.b64encode(picture.file.data).decode()
    return f'<img alt="{words}" title="{words}" src="data:{picture.file.content_type};base64,{data}">'


def _file(name: str, size_bytes: int) -> str:
    size = f"{size_bytes / 1024:.2f} KB" if size_bytes < 1024**2 else f"{size_bytes / 1024**2:.2f} MB"
    return f'<div class="file"><span class="link">{escape(name)}</span><small>{size}</small></div>'


def _choice(option: dict[str, Any], *, is_round: bool) -> str:
    looks = ["mark"] + ["round"] * is_round + ["on"] * bool(option.get("default"))
    small = f"<small>{escape(option['description'])}</small>" if option.get("description") else ""
    words = f"<span>{escape(option['label'])}{small}</span>"
    return f'<div class="choice"><span class="{" ".join(looks)}"></span>{words}</div>'
