"""Creating, editing and deleting messages: limits, files, mentions, events.

Owns every change of a message, whoever asked for it. Must not know permissions or tokens; rest.py and
interactions.py decide whether a change is allowed.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.discord_server import components, limits
from tests.discord_server.errors import ApiError, Problem
from tests.discord_server.gateway import MESSAGE_CONTENT
from tests.discord_server.permissions import Permission
from tests.discord_server.render import (
    emoji_payload,
    media_urls,
    message_payload,
    redacted,
    referenced_names,
    without_nulls,
)
from tests.discord_server.view import MessageView
from tests.discord_server.world import (
    COMPONENTS_V2,
    EPHEMERAL,
    LOADING,
    SUPPRESS_EMBEDS,
    SUPPRESS_NOTIFICATIONS,
    Attachment,
    Channel,
    Message,
    User,
)

if TYPE_CHECKING:
    from tests.discord_server.interactions import Interaction
    from tests.discord_server.server import Emulator

LEGACY = ("content", "embeds", "poll", "sticker_ids")  # what a message with the Components V2 flag cannot have
EDITABLE = ("content", "embeds", "components")
MAX_FILES = 10
MAX_REACTIONS = 20  # kinds on one message
REPLY = 19  # a message's type
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)


@dataclass(frozen=True)
class Upload:
    """A file sent to Discord, by the bot or by a user.

    content_type and size are what Discord then says of it; None: the truth, as far as the name tells the type.
    """

    filename: str
    data: bytes
    content_type: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Event:
    """Something users saw happen; `t` is seconds since the emulator (or interaction) began."""

    t: float
    kind: str
    message: MessageView | None = None
    detail: Any = None


class Messages:
    """The one place where messages change."""

    def __init__(self, emu: Emulator) -> None:
        self.emu = emu
        self.world = emu.world

    def create(
        self,
        channel: Channel,
        author: User,
        fields: dict[str, Any],
        files: dict[int, Upload],
        *,
        flags: int = 0,
        kind: int = 0,
        interaction: Interaction | None = None,
        reference: Message | None = None,
        at: limits.Path = (),
    ) -> Message:
        """Post a message. LOADING in `flags` makes the placeholder of a deferred answer.

        `at` is where in the request's body the fields are.
        """
        self._check(fields, at, is_layout=bool(flags & COMPONENTS_V2))
        message = Message(
            self.world.snowflake(), channel, author, kind, flags=flags, tts=bool(fields.get("tts")),
            nonce=fields.get("nonce"), interaction=interaction, reference=reference,
        )  # fmt: skip
        if interaction is not None:
            message.watchers.append(interaction)
            if message.ephemeral:
                message.only_for = interaction.user
        if reference is not None and interaction is None and _may_mention_author(fields):
            message.replied_to = reference.author
        self._apply(message, fields)
        message.attachments = self._attachments(message, fields, files)
        self._check_references(fields, {a.filename for a in message.attachments}, at)
        if not message.loading:
            _check_not_empty(message)
        message.notified = self._notified(message)
        self._note_dangling(message)
        channel.messages[message.id] = message
        self._announce("MESSAGE_CREATE", message)
        self._record("message", message)
        return message

    def edit(self, message: Message, fields: dict[str, Any], files: dict[int, Upload], at: limits.Path = ()) -> None:
        """Change the fields that are given; a refused edit leaves the message as it was."""
        merged = {name: fields[name] if name in fields else getattr(message, name) for name in EDITABLE}
        unmerged = {name: fields.get(name) for name in ("attachments", "allowed_mentions")}
        flags = message.flags if fields.get("flags") is None else fields["flags"]
        if message.is_layout and not flags & COMPONENTS_V2:
            text = "The Components V2 flag cannot be removed from a message"
            problem = Problem((*at, "flags"), "MESSAGE_CANNOT_REMOVE_COMPONENTS_V2_FLAG", text)
            self.emu.reject_if("limit", [problem])
        self._check({**merged, **unmerged}, at, is_layout=bool(flags & COMPONENTS_V2))
        attachments = self._attachments(message, fields, files)
        self._check_references(fields, _known_names(message, fields, attachments), at)
        before = {name: getattr(message, name) for name in (*EDITABLE, "flags", "attachments")}
        if fields.get("flags") is not None:
            message.flags = message.flags & ~SUPPRESS_EMBEDS | flags & (SUPPRESS_EMBEDS | COMPONENTS_V2)
        message.flags &= ~LOADING
        self._apply(message, fields)
        message.attachments = attachments
        try:
            _check_not_empty(message)
        except ApiError:
            for name, value in before.items():
                setattr(message, name, value)
            raise
        kept = {a.id for a in attachments}
        for attachment in before["attachments"]:
            if attachment.id not in kept:
                self.world.cdn.remove(attachment)
        for attachment in attachments:
            self.world.cdn.add(attachment)  # with its new description
        if not before["flags"] & LOADING:
            message.edited = time.time()
            self.emu.stats.edits += 1
            if all(value == getattr(message, name) for name, value in before.items()):
                self.emu.stats.vain_edits.append(message.content)
        self._note_dangling(message)
        self._announce("MESSAGE_UPDATE", message)
        self._record("edit", message)

    def delete(self, message: Message) -> None:
        """Remove a message and its files, and tell everybody."""
        message.deleted = True
        message.channel.messages.pop(message.id, None)
        self._record("delete", message)
        for attachment in message.attachments:
            self.world.cdn.remove(attachment)
        guild = None if message.ephemeral else message.channel.guild
        gone = {"id": message.id, "channel_id": message.channel.id}
        if guild:
            gone["guild_id"] = guild.id
        self.emu.gateway.dispatch("MESSAGE_DELETE", gone, gone.get("guild_id"))

    def announce_again(self, message: Message) -> None:
        """Tell the bot of a new message that it was told of before."""
        self._announce("MESSAGE_CREATE", message)

    # -- reactions ------------------------------------------------------------------

    def react(self, message: Message, user: User, emoji: str) -> None:
        """Add a user's reaction; a second one of the same kind changes nothing."""
        check_emoji(emoji)
        users = message.reactions.get(emoji, [])
        if user in users:
            return
        if not users and len(message.reactions) >= MAX_REACTIONS:
            raise ApiError("TOO_MANY_REACTIONS")
        message.reactions[emoji] = [*users, user]
        self._announce_reaction("MESSAGE_REACTION_ADD", message, user, emoji)

    def unreact(self, message: Message, user: User, emoji: str) -> None:
        """Take a user's reaction away, if there is one."""
        check_emoji(emoji)
        users = message.reactions.get(emoji, [])
        if user not in users:
            return
        left = [u for u in users if u is not user]
        if left:
            message.reactions[emoji] = left
        else:
            del message.reactions[emoji]
        self._announce_reaction("MESSAGE_REACTION_REMOVE", message, user, emoji)

    def _announce_reaction(self, event: str, message: Message, user: User, emoji: str) -> None:
        about: dict[str, Any] = {
            "user_id": user.id, "channel_id": message.channel.id, "message_id": message.id,
            "emoji": emoji_payload(emoji), "burst": False, "type": 0,
        }  # fmt: skip
        guild, is_new = message.channel.guild, event == "MESSAGE_REACTION_ADD"
        if guild:
            about["guild_id"] = guild.id
            if is_new:
                about["member"] = guild.members[user.id].full()
        if is_new:
            about["message_author_id"] = message.author.id
        self.emu.gateway.dispatch(event, about, about.get("guild_id"))
        self.world.changed.notify()

    def payload(self, message: Message) -> dict[str, Any]:
        """Return the message as the API shows it; of one it replies to, what the bot may read."""
        payload = message_payload(self.world.cdn, message, self.world.bot.id)
        reads_all = message.channel.guild is None or self.emu.config.privileged_intents & MESSAGE_CONTENT
        if payload.get("referenced_message") and not reads_all:
            payload["referenced_message"] = redacted(payload["referenced_message"], self.world.bot.id)
        return payload

    # -- checks ---------------------------------------------------------------------

    def _check(self, fields: dict[str, Any], at: limits.Path, *, is_layout: bool) -> None:
        """Check a message as it would be after the request."""
        shown = fields.get("components") or []
        problems = [*limits.message_problems(fields), *components.message_problems(shown, is_layout=is_layout)]
        for name in LEGACY if is_layout else ():
            if fields.get(name):
                text = f"{name} cannot be used with the Components V2 flag"
                problems.append(Problem((name,), "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", text))
        self.emu.reject_if("limit", (replace(p, path=at + p.path) for p in problems))

    def _check_references(self, fields: dict[str, Any], names: set[str], at: limits.Path) -> None:
        """Refuse components that show a file the request does not know by name."""
        shown = fields.get("components") or []
        self.emu.reject_if("limit", components.reference_problems(shown, names, (*at, "components")))

    def _note_dangling(self, message: Message) -> None:
        """Report an attachment:// URL without its file: a picture the bot meant to show is missing."""
        names = {a.filename for a in message.attachments}
        for name in referenced_names(message):
            if name not in names:
                text = f"attachment://{name} names no file of message {message.id} ({sorted(names)})"
                self.emu.violation("dangling", text)
        for url in media_urls(message):
            if url.startswith(self.world.cdn.base) and self.world.cdn.lookup(url) is None:
                text = f"{url.split('?')[0]} is gone, shown by message {message.id}"
                self.emu.violation("dangling", text)

    # -- content --------------------------------------------------------------------

    def _apply(self, message: Message, fields: dict[str, Any]) -> None:
        if "content" in fields:
            message.content = (fields["content"] or "").strip()
        if "embeds" in fields:
            message.embeds = [without_nulls(e) for e in fields["embeds"] or []]
        if "components" in fields:
            message.components = without_nulls(fields["components"] or [])
            components.complete(message.components)
        if "content" in fields or (message.is_layout and "components" in fields):
            self._set_mentions(message, fields.get("allowed_mentions"))

    def _set_mentions(self, message: Message, allowed: dict[str, Any] | None) -> None:
        def may(kind: str, target: str = "") -> bool:
            if allowed is None:
                return True
            return kind in (allowed.get("parse") or []) or target in map(str, allowed.get(kind) or [])

        texts = [c["content"] for c in components.walk(message.components) if c["type"] == components.Kind.TEXT_DISPLAY]
        text = CODE.sub(" ", "\n".join([message.content, *texts]))  # which mentions nobody
        ids = dict.fromkeys(re.findall(r"<@!?(\d+)>", text))
        mentioned = [self.world.users[i] for i in ids if i in self.world.users and may("users", i)]
        replied_to = [message.replied_to] if message.replied_to else []
        message.mentions = list(dict.fromkeys(mentioned + replied_to))
        guild = message.channel.guild
        roles = dict.fromkeys(re.findall(r"<@&(\d+)>", text))
        message.mention_roles = [r for r in roles if guild and r in guild.roles and may("roles", r)]
        permitted = Permission.MENTION_EVERYONE in self.world.permissions(message.channel, message.author)
        shouted = re.search(r"@(everyone|here)", text) is not None
        message.mention_everyone = shouted and permitted and may("everyone")

    def _notified(self, message: Message) -> list[str]:
        """Return whom a new message pings: its mentions, as far as they see it, but not its author."""
        if message.flags & (EPHEMERAL | SUPPRESS_NOTIFICATIONS):
            return []
        users = [u.id for u in message.mentions if u is not message.author and self.world.visible_to(message, u)]
        return users + message.mention_roles + (["everyone"] if message.mention_everyone else [])

    def _attachments(self, message: Message, fields: dict[str, Any], files: dict[int, Upload]) -> list[Attachment]:
        """Return the message's files after the request: those kept, then those uploaded."""
        described = fields.get("attachments")
        by_id = {a.id: a for a in message.attachments}
        if described is None:
            kept = list(message.attachments)
            new: list[dict[str, Any]] = [{"id": n} for n in files]
        else:
            listed = {str(d["id"]): d for d in described}
            kept = [_described(by_id[i], d) for i, d in listed.items() if i in by_id]
            new = [d for i, d in listed.items() if i not in by_id]
            for n in files:
                if str(n) not in listed:
                    text = f"files[{n}] is not listed in attachments, so Discord drops it"
                    self.emu.violation("limit", text)
        if len(kept) + len(new) > MAX_FILES:
            self.emu.reject_if("limit", [limits.too_long(("attachments",), MAX_FILES)])
        for i, d in enumerate(new):
            if int(d["id"]) not in files:
                text = f"No such file: {d['id']}"
                problem = Problem(("attachments", i, "id"), "ATTACHMENT_NOT_FOUND", text)
                self.emu.reject_if("limit", [problem])
        for d in new:
            upload = files[int(d["id"])]
            name = d.get("filename") or upload.filename
            described_as = d.get("description")
            made = self.world.new_attachment(
                message.channel, name, upload.data, described_as, ephemeral=message.ephemeral
            )
            made.claim(upload.content_type, upload.size)
            kept.append(made)
        return kept

    # -- telling --------------------------------------------------------------------

    def _announce(self, event: str, message: Message) -> None:
        """Tell the bot; ephemeral messages are announced like direct ones, without their guild."""
        payload = self.payload(message) | {"channel_type": message.channel.type}
        guild = None if message.flags & EPHEMERAL else message.channel.guild
        if guild is not None:
            payload["guild_id"] = guild.id
            if message.author.id in guild.members:
                payload["member"] = guild.members[message.author.id].payload()
        self.emu.gateway.dispatch(event, payload, guild.id if guild else None)

    def _record(self, kind: str, message: Message) -> None:
        view = MessageView.of(self.world, message)
        self.emu.log.append(Event(self.emu.elapsed(), kind, view))
        for watcher in message.watchers:
            watcher.record(kind, view)
        self.world.changed.notify()


def check_emoji(emoji: str) -> None:
    """Refuse what is no emoji of Unicode; servers here have none of their own."""
    marks = ("\ufe0f", "\u20e3")  # what makes an emoji of a digit, # or *
    if not emoji or len(emoji) > 16 or (any(c.isascii() for c in emoji) and not emoji.endswith(marks)):
        raise ApiError("UNKNOWN_EMOJI")


def _known_names(message: Message, fields: dict[str, Any], attachments: list[Attachment]) -> set[str]:
    """Return the names of files an edit may refer to: of a file listed to be kept, only if its name is sent too."""
    nameless = {str(d["id"]) for d in fields.get("attachments") or [] if not d.get("filename")}
    nameless &= {a.id for a in message.attachments}
    return {a.filename for a in attachments if a.id not in nameless}


def _check_not_empty(message: Message) -> None:
    if message.is_layout and not message.components:
        raise ApiError("EMPTY_MESSAGE")
    if not (message.content.strip() or message.embeds or message.attachments or message.components):
        raise ApiError("EMPTY_MESSAGE")


def _may_mention_author(fields: dict[str, Any]) -> bool:
    """Return whether a reply mentions whom it replies to: yes, unless told otherwise or told nothing of it."""
    allowed = fields.get("allowed_mentions")
    return allowed is None or bool(allowed.get("replied_user"))


def _described(attachment: Attachment, listed: dict[str, Any]) -> Attachment:
    """Return a kept file with the alt text the request gives it; without one it keeps its own."""
    return replace(attachment, description=listed["description"]) if "description" in listed else attachment
