"""What a user sees of a message at one moment.

Owns the snapshots tests look at. Must not know how messages are made or changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.discord_server.components import SELECTS, Kind, walk
from tests.discord_server.render import message_payload
from tests.discord_server.world import COMPONENTS_V2, EPHEMERAL, LOADING, Attachment, Cdn, Message, World


@dataclass(frozen=True)
class Picture:
    """An image shown by a message."""

    place: str  # "attachment", "embed", "gallery" or "thumbnail"
    url: str
    file: Attachment | None  # None: the URL leads elsewhere, or to nothing
    description: str | None = None  # its alt text, which screen readers read aloud

    @property
    def is_spoiler(self) -> bool:
        """Whether it is blurred until it is clicked: an attachment of such a name is, what an embed shows never is."""
        return self.place == "attachment" and self.file is not None and self.file.filename.startswith("SPOILER_")

    @property
    def data(self) -> bytes:
        if self.file is None:
            raise LookupError(f"nothing is stored behind {self.url}")
        return self.file.data


@dataclass(frozen=True)
class MessageView:
    """A snapshot of a message; later edits do not change it."""

    payload: dict[str, Any]  # as the API shows it
    images: tuple[Picture, ...]
    files: dict[str, Attachment]
    deleted: bool
    notified: tuple[str, ...]
    reactions: dict[str, list[str]]  # the ids of those who reacted, by emoji

    @classmethod
    def of(cls, world: World, message: Message) -> MessageView:
        payload = message_payload(world.cdn, message, world.bot.id)
        files = {a.id: a for a in message.attachments}
        reactions = {emoji: [u.id for u in users] for emoji, users in message.reactions.items()}
        pictures = tuple(_pictures(world.cdn, payload))
        return cls(payload, pictures, files, message.deleted, tuple(message.notified), reactions)

    @property
    def id(self) -> str:
        return self.payload["id"]

    @property
    def channel_id(self) -> str:
        return self.payload["channel_id"]

    @property
    def author_id(self) -> str:
        return self.payload["author"]["id"]

    @property
    def content(self) -> str:
        return self.payload["content"]

    @property
    def embeds(self) -> list[dict[str, Any]]:
        return self.payload["embeds"]

    @property
    def components(self) -> list[dict[str, Any]]:
        return self.payload["components"]

    @property
    def attachments(self) -> list[dict[str, Any]]:
        """As the API lists them: files shown by an embed or component are not among them."""
        return self.payload["attachments"]

    @property
    def flags(self) -> int:
        return self.payload["flags"]

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def loading(self) -> bool:
        """The "... is thinking" state of a deferred answer."""
        return bool(self.flags & LOADING)

    @property
    def pings(self) -> list[str]:
        """Ids of the users and roles it notified when it was new, and "everyone". Edits notify nobody."""
        return list(self.notified)

    @property
    def mentions(self) -> list[str]:
        """Ids of the users and roles it names as mentions now, and "everyone"; whether they noticed is `pings`."""
        everyone = ["everyone"] if self.payload["mention_everyone"] else []
        return [u["id"] for u in self.payload["mentions"]] + self.payload["mention_roles"] + everyone

    @property
    def reference(self) -> str | None:
        """The id of the message it replies to."""
        reference: dict[str, str] = self.payload.get("message_reference", {})
        return reference.get("message_id")

    @property
    def texts(self) -> list[str]:
        """The text displays of a message made of components (Components V2)."""
        return [c["content"] for c in walk(self.components) if c["type"] == Kind.TEXT_DISPLAY]

    @property
    def galleries(self) -> list[list[dict[str, Any]]]:
        """The items of each media gallery: `media` with its `url`, and the alt text, `description`."""
        return [c["items"] for c in walk(self.components) if c["type"] == Kind.MEDIA_GALLERY]

    @property
    def text(self) -> str:
        """All readable text: content, embeds and text displays."""
        parts: list[str | None] = [self.content, *self.texts]
        for embed in self.embeds:
            parts += [embed.get("author", {}).get("name"), embed.get("title"), embed.get("description")]
            for item in embed.get("fields", ()):
                parts += [item["name"], item["value"]]
            parts.append(embed.get("footer", {}).get("text"))
        return "\n".join(p for p in parts if p)

    @property
    def buttons(self) -> list[dict[str, Any]]:
        return [c for c in walk(self.components) if c["type"] == Kind.BUTTON]

    @property
    def selects(self) -> list[dict[str, Any]]:
        """Its select menus; every option has `label`, `value`, `description` and `default`."""
        plain: dict[str, Any] = {"description": None, "default": False}
        found = [c for c in walk(self.components) if c["type"] in SELECTS]
        return [{**c, "options": [{**plain, **o} for o in c.get("options", ())]} for c in found]

    def attachment_bytes(self, index: int) -> bytes:
        return self.files[self.attachments[index]["id"]].data

    def image_bytes(self, index: int) -> bytes:
        return self.images[index].data

    def __repr__(self) -> str:
        marks = [name for name in ("loading", "ephemeral", "deleted") if getattr(self, name)]
        labels = [b.get("label") or b.get("emoji", {}).get("name") for b in self.buttons]
        seen = f"{self.text[:120]!r} images={len(self.images)} buttons={labels}"
        return f"<message {self.id} {' '.join(marks)} {seen}>"


def _pictures(cdn: Cdn, payload: dict[str, Any]) -> list[Picture]:
    def picture(place: str, url: str, description: str | None = None) -> Picture:
        file = cdn.lookup(url)
        return Picture(place, url, file, description or (file.description if file else None))

    found = []
    if not payload["flags"] & COMPONENTS_V2:  # else attachments are seen only where a component shows them
        attached = [a for a in payload["attachments"] if a["content_type"].startswith("image/")]
        found += [picture("attachment", a["url"]) for a in attached]
    for embed in payload["embeds"]:
        found += [picture("embed", embed[key]["url"]) for key in ("image", "thumbnail") if key in embed]
    for component in walk(payload["components"]):
        if component["type"] == Kind.MEDIA_GALLERY:
            found += [picture("gallery", i["media"]["url"], i["description"]) for i in component["items"]]
        if component["type"] == Kind.THUMBNAIL:
            found.append(picture("thumbnail", component["media"]["url"], component["description"]))
    return found
