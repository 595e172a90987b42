"""Messages as the API shows them: attachment references resolved, fields filled in.

Owns the JSON of messages and files. Must not know how a message came to be, nor change it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.discord_server.components import Kind, media, walk
from tests.discord_server.limits import ATTACHMENT
from tests.discord_server.world import EPHEMERAL, Attachment, Cdn, Message, User, isoformat


def message_payload(cdn: Cdn, message: Message, viewer_id: str, with_reference: bool = True) -> dict[str, Any]:
    """Return a message as a bot gets it; files that an embed or component shows are not in its `attachments`."""
    by_name = {a.filename: a for a in message.attachments}
    hidden = {by_name[n].id for n in referenced_names(message) if n in by_name}
    payload: dict[str, Any] = {
        "id": message.id, "channel_id": message.channel.id, "type": message.type,
        "content": message.content, "author": message.author.payload(), "flags": message.flags,
        "attachments": [attachment_payload(cdn, a) for a in message.attachments if a.id not in hidden],
        "embeds": [_embed(cdn, e, by_name) for e in message.embeds],
        "components": [_component(cdn, c, by_name) for c in message.components],
        "timestamp": isoformat(message.created),
        "edited_timestamp": isoformat(message.edited) if message.edited else None,
        "mentions": [u.payload() for u in message.mentions], "mention_roles": list(message.mention_roles),
        "mention_everyone": message.mention_everyone, "pinned": False, "tts": message.tts,
    }  # fmt: skip
    if message.reactions:
        payload["reactions"] = [_reaction(e, users, viewer_id) for e, users in message.reactions.items()]
    if message.nonce is not None:
        payload["nonce"] = message.nonce
    if message.reference is not None:
        target = {"channel_id": message.reference.channel.id, "message_id": message.reference.id}
        payload["message_reference"] = {"type": 0, **target}
        if message.channel.guild:
            payload["message_reference"]["guild_id"] = message.channel.guild.id
        if with_reference:
            gone = message.reference.deleted
            payload["referenced_message"] = None if gone else message_payload(cdn, message.reference, viewer_id, False)
    if message.interaction is not None:
        payload["webhook_id"] = payload["application_id"] = message.interaction.application_id
        payload |= message.interaction.message_metadata(message)
    return payload


def redacted(payload: dict[str, Any], bot_id: str) -> dict[str, Any]:
    """Return a guild's message as a bot without the message-content intent gets it.

    It reads its own messages, those that mention it and those only it is answering; of others just that they are there.
    """
    reference = payload.get("referenced_message")
    if reference:
        payload = {**payload, "referenced_message": redacted(reference, bot_id)}
    is_mentioned = any(u["id"] == bot_id for u in payload["mentions"])
    if payload["author"]["id"] == bot_id or is_mentioned or payload["flags"] & EPHEMERAL:
        return payload
    return {**payload, "content": "", "embeds": [], "attachments": [], "components": []}


def attachment_payload(cdn: Cdn, attachment: Attachment) -> dict[str, Any]:
    """Return a file as a bot gets it, with a freshly signed URL."""
    url = cdn.url(attachment)
    payload: dict[str, Any] = {
        "id": attachment.id, "filename": attachment.filename, "size": _size(attachment),
        "url": url, "proxy_url": url, "content_type": attachment.content_type, "content_scan_version": 0,
    }  # fmt: skip
    if attachment.size:
        payload["width"], payload["height"] = attachment.size
    if attachment.description is not None:
        payload["description"] = attachment.description
    if attachment.ephemeral:
        payload["ephemeral"] = True
    return payload


def _size(attachment: Attachment) -> int:
    return len(attachment.data) if attachment.claimed_bytes is None else attachment.claimed_bytes


def media_urls(message: Message) -> Iterator[str]:
    """Yield every URL an embed or component of the message (as sent) shows."""
    for component in walk(message.components):
        yield from (item["url"] for item in media(component))
    for embed in message.embeds:
        for key in ("image", "thumbnail"):
            yield embed.get(key, {}).get("url") or ""
        for key in ("author", "footer"):
            yield embed.get(key, {}).get("icon_url") or ""


def referenced_names(message: Message) -> list[str]:
    """Return the names of the files the message shows through attachment:// URLs."""
    return [url.removeprefix(ATTACHMENT) for url in media_urls(message) if url.startswith(ATTACHMENT)]


def without_nulls(value: Any) -> Any:
    """Return JSON with its null members left out, at every depth."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


def emoji_payload(emoji: str) -> dict[str, Any]:
    return {"id": None, "name": emoji}


def _reaction(emoji: str, users: list[User], viewer_id: str) -> dict[str, Any]:
    return {
        "emoji": emoji_payload(emoji), "count": len(users), "count_details": {"burst": 0, "normal": len(users)},
        "burst_colors": [], "me_burst": False, "me": any(u.id == viewer_id for u in users),
    }  # fmt: skip


def _embed(cdn: Cdn, embed: dict[str, Any], by_name: dict[str, Attachment]) -> dict[str, Any]:
    shown = {**embed, "type": "rich"}
    if "fields" in shown:
        shown["fields"] = [{"inline": False, **f} for f in shown["fields"]]
    for key in ("image", "thumbnail"):
        if key in shown:
            url, attachment = _resolve(cdn, shown[key].get("url") or "", by_name)
            if url is None:
                del shown[key]
                continue
            shown[key] = {"url": url, "proxy_url": url}
            if attachment and attachment.size:
                shown[key]["width"], shown[key]["height"] = attachment.size
    for key in ("author", "footer"):
        if shown.get(key, {}).get("icon_url"):
            url, _ = _resolve(cdn, shown[key]["icon_url"], by_name)
            rest = {k: v for k, v in shown[key].items() if k != "icon_url"}
            shown[key] = {**rest, "icon_url": url, "proxy_icon_url": url} if url else rest
    return shown


SHOWN_ANYWAY: dict[int, dict[str, Any]] = {  # members the API shows of a component although nobody sent them
    Kind.THUMBNAIL: {"description": None, "spoiler": False}, Kind.CONTAINER: {"accent_color": None, "spoiler": False},
    Kind.FILE: {"spoiler": False, "name": None, "size": None}, Kind.SEPARATOR: {"divider": True, "spacing": 1},
}  # fmt: skip


def _component(cdn: Cdn, component: dict[str, Any], by_name: dict[str, Attachment]) -> dict[str, Any]:
    """Return a component with its files resolved."""
    shown = {**SHOWN_ANYWAY.get(component["type"], {}), **component}
    if "components" in shown:
        shown["components"] = [_component(cdn, c, by_name) for c in shown["components"]]
    if "accessory" in shown:
        shown["accessory"] = _component(cdn, shown["accessory"], by_name)
    match component["type"]:
        case Kind.THUMBNAIL:
            shown["media"] = _media(cdn, shown["media"], by_name)
        case Kind.MEDIA_GALLERY:
            plain = {"description": None, "spoiler": False}
            shown["items"] = [{**plain, **i, "media": _media(cdn, i["media"], by_name)} for i in shown["items"]]
        case Kind.FILE:
            _, attachment = _resolve(cdn, shown["file"]["url"], by_name)
            shown["file"] = _media(cdn, shown["file"], by_name)
            if attachment:
                shown |= {"name": attachment.filename, "size": len(attachment.data)}
    return shown


def _media(cdn: Cdn, item: dict[str, Any], by_name: dict[str, Attachment]) -> dict[str, Any]:
    url, attachment = _resolve(cdn, item["url"], by_name)
    url = url or item["url"]
    shown: dict[str, Any] = {"id": "0", "url": url, "proxy_url": url}
    if attachment:
        width, height = attachment.size or (None, None)
        shown |= {"id": attachment.id, "attachment_id": attachment.id, "content_type": attachment.content_type}
        shown |= {"width": width, "height": height}
    return shown


def _resolve(cdn: Cdn, url: str, by_name: dict[str, Attachment]) -> tuple[str | None, Attachment | None]:
    if not url.startswith(ATTACHMENT):
        return url or None, cdn.lookup(url)
    attachment = by_name.get(url.removeprefix(ATTACHMENT))
    return (cdn.url(attachment), attachment) if attachment else (None, None)
