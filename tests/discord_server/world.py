"""What exists on this Discord: users, guilds, channels, messages and files.

Owns the state and how each thing looks in the API. Must not know requests, bots or events: messages.py,
interactions.py and driver.py change the world and tell the gateway.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import mimetypes
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

from PIL import Image

from tests.discord_server import permissions
from tests.discord_server.config import Config
from tests.discord_server.permissions import NONE, Permission
from tests.discord_server.signals import Signal

if TYPE_CHECKING:
    from tests.discord_server.interactions import Interaction

EPOCH_MS = 1420070400000

MIME = mimetypes.MimeTypes()  # the built-in table: the same on every machine
MIME.add_type("image/webp", ".webp")

TEXT_CHANNEL, DM_CHANNEL, PUBLIC_THREAD = 0, 1, 11

# message flags
SUPPRESS_EMBEDS, EPHEMERAL, LOADING, SUPPRESS_NOTIFICATIONS = 1 << 2, 1 << 6, 1 << 7, 1 << 12
COMPONENTS_V2 = 1 << 15


def isoformat(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="microseconds")


@dataclass(eq=False)
class User:
    """A person, or the bot."""

    id: str
    username: str
    global_name: str | None = None
    bot: bool = False
    locale: str = "en-US"
    dms_open: bool = True

    def payload(self) -> dict[str, Any]:
        return {
            "id": self.id, "username": self.username, "global_name": self.global_name,
            "discriminator": "0000" if self.bot else "0", "avatar": None, "bot": self.bot,
            "banner": None, "accent_color": None, "public_flags": 0, "flags": 0, "primary_guild": None,
        }  # fmt: skip


@dataclass(eq=False)
class Role:
    """A guild's role."""

    id: str
    name: str
    permissions: Permission
    position: int
    bot_id: str | None = None

    def payload(self) -> dict[str, Any]:
        role = {
            "id": self.id, "name": self.name, "permissions": str(int(self.permissions)),
            "position": self.position, "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False, "managed": self.bot_id is not None, "mentionable": False, "icon": None,
            "unicode_emoji": None, "flags": 0, "description": None,
        }  # fmt: skip
        if self.bot_id:
            role["tags"] = {"bot_id": self.bot_id}
        return role


@dataclass(eq=False)
class Member:
    """A user inside a guild."""

    user: User
    roles: list[str] = field(default_factory=list)
    nick: str | None = None
    joined: float = field(default_factory=time.time)

    def payload(self) -> dict[str, Any]:
        """Return a partial member, as inside messages; `full` adds the user."""
        return {
            "avatar": None, "banner": None, "communication_disabled_until": None, "flags": 0,
            "joined_at": isoformat(self.joined), "nick": self.nick, "pending": False,
            "premium_since": None, "roles": list(self.roles), "mute": False, "deaf": False,
        }  # fmt: skip

    def full(self) -> dict[str, Any]:
        return {**self.payload(), "user": self.user.payload()}


@dataclass
class Overwrite:
    """What a role or member may do in one channel, unlike elsewhere."""

    id: str
    is_member: bool
    allow: Permission = NONE
    deny: Permission = NONE

    def payload(self) -> dict[str, Any]:
        allow, deny = str(int(self.allow)), str(int(self.deny))
        return {"id": self.id, "type": int(self.is_member), "allow": allow, "deny": deny}


@dataclass(eq=False)
class Channel:
    """A text channel, a thread or a DM."""

    id: str
    type: int
    name: str
    guild: Guild | None = None
    nsfw: bool = False
    topic: str | None = None
    position: int = 0
    overwrites: dict[str, Overwrite] = field(default_factory=dict)
    recipients: list[User] = field(default_factory=list)  # of a DM, the bot included
    parent: Channel | None = None  # of a thread
    owner_id: str | None = None  # of a thread
    archived: bool = False
    locked: bool = False
    messages: dict[str, Message] = field(default_factory=dict)
    deleted: bool = False

    @property
    def is_thread(self) -> bool:
        return self.type == PUBLIC_THREAD

    @property
    def last_message_id(self) -> str | None:
        return next(reversed(self.messages), None)

    def payload(self) -> dict[str, Any]:
        base: dict[str, Any] = {
            "id": self.id, "type": self.type, "last_message_id": self.last_message_id, "flags": 0,
        }  # fmt: skip
        if self.guild is None:
            base["recipients"] = [u.payload() for u in self.recipients if not u.bot]
            return base
        base |= {"guild_id": self.guild.id, "name": self.name, "rate_limit_per_user": 0}
        if self.is_thread:
            now = isoformat(time.time())
            return base | {
                "parent_id": self.parent.id if self.parent else None, "owner_id": self.owner_id,
                "message_count": len(self.messages), "member_count": 1,
                "total_message_sent": len(self.messages),
                "thread_metadata": {
                    "archived": self.archived, "archive_timestamp": now, "locked": self.locked,
                    "auto_archive_duration": 1440,
                },
            }  # fmt: skip
        return base | {
            "position": self.position, "parent_id": None, "topic": self.topic, "nsfw": self.nsfw,
            "permission_overwrites": [o.payload() for o in self.overwrites.values()],
        }  # fmt: skip


@dataclass(eq=False)
class Guild:
    """A server, as people say."""

    id: str
    name: str
    owner_id: str
    locale: str
    created: float = field(default_factory=time.time)
    roles: dict[str, Role] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)  # threads included
    members: dict[str, Member] = field(default_factory=dict)

    def payload(self) -> dict[str, Any]:
        return {
            "id": self.id, "name": self.name, "icon": None, "description": None, "home_header": None,
            "splash": None, "discovery_splash": None, "features": [], "banner": None,
            "owner_id": self.owner_id, "application_id": None, "region": "deprecated",
            "afk_channel_id": None, "afk_timeout": 300, "system_channel_id": None,
            "system_channel_flags": 0, "widget_enabled": False, "widget_channel_id": None,
            "verification_level": 0, "roles": [r.payload() for r in self.roles.values()],
            "default_message_notifications": 0, "mfa_level": 0, "explicit_content_filter": 0,
            "max_presences": None, "max_members": 500000, "max_stage_video_channel_users": 50,
            "max_video_channel_users": 25, "vanity_url_code": None, "premium_tier": 0,
            "premium_subscription_count": 0, "preferred_locale": self.locale,
            "rules_channel_id": None, "safety_alerts_channel_id": None,
            "public_updates_channel_id": None, "premium_progress_bar_enabled": False, "nsfw": False,
            "nsfw_level": 0, "emojis": [], "stickers": [], "incidents_data": None,
        }  # fmt: skip

    def create_payload(self, bot: User) -> dict[str, Any]:
        """Return GUILD_CREATE. Without the members intent a bot is told of itself only."""
        channels = [c for c in self.channels.values() if not c.is_thread]
        return self.payload() | {
            "joined_at": isoformat(self.members[bot.id].joined), "large": False, "unavailable": False,
            "member_count": len(self.members), "members": [self.members[bot.id].full()],
            "channels": [c.payload() for c in channels],
            "threads": [c.payload() for c in self.channels.values() if c.is_thread and not c.archived],
            "presences": [], "voice_states": [], "stage_instances": [], "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }  # fmt: skip


@dataclass(eq=False)
class Attachment:
    """A stored file."""

    id: str
    channel_id: str
    filename: str
    data: bytes
    content_type: str
    description: str | None = None
    ephemeral: bool = False
    size: tuple[int, int] | None = None  # of a picture
    claimed_bytes: int | None = None  # its size as the API tells it, if that is not the truth

    def claim(self, content_type: str | None, size_bytes: int | None) -> None:
        """Say something else of it than what it is, unless None."""
        self.content_type = content_type or self.content_type
        self.claimed_bytes = size_bytes

    @property
    def path(self) -> str:
        folder = "ephemeral-attachments" if self.ephemeral else "attachments"
        return f"{folder}/{self.channel_id}/{self.id}/{self.filename}"


@dataclass(eq=False)
class Message:
    """A message as sent; render.py makes what the API shows."""

    id: str
    channel: Channel
    author: User
    type: int = 0
    content: str = ""
    embeds: list[dict[str, Any]] = field(default_factory=list)
    components: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    flags: int = 0
    created: float = field(default_factory=time.time)
    edited: float | None = None
    tts: bool = False
    nonce: str | int | None = None
    mentions: list[User] = field(default_factory=list)
    mention_roles: list[str] = field(default_factory=list)
    mention_everyone: bool = False
    reference: Message | None = None
    replied_to: User | None = None  # the author of the message replied to, if the reply mentions them
    notified: list[str] = field(default_factory=list)  # whom it pinged when it was new; edits ping nobody
    interaction: Interaction | None = None  # the one it answers
    only_for: User | None = None  # an ephemeral message's reader
    watchers: list[Interaction] = field(default_factory=list)
    reactions: dict[str, list[User]] = field(default_factory=dict)  # by emoji, in the order they were added
    deleted: bool = False

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def is_layout(self) -> bool:
        """Whether it consists of components alone (Components V2)."""
        return bool(self.flags & COMPONENTS_V2)

    @property
    def loading(self) -> bool:
        return bool(self.flags & LOADING)


CDN_KEY = b"discord-server-cdn"


class Cdn:
    """Stored files and the signed, expiring URLs that lead to them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.base = ""  # set when the server knows its port
        self._files: dict[str, Attachment] = {}
        self._generation = 0  # part of every signature

    def add(self, attachment: Attachment) -> Attachment:
        self._files[attachment.path] = attachment
        return attachment

    def remove(self, attachment: Attachment) -> None:
        self._files.pop(attachment.path, None)

    def url(self, attachment: Attachment) -> str:
        """Return a freshly signed link to a file."""
        issued = time.time()
        expires = issued + self._config.scaled(self._config.cdn_url_lifetime)
        query = f"ex={int(expires * 1000):x}&is={int(issued * 1000):x}"
        return f"{self.base}/{attachment.path}?{query}&hm={self._sign(attachment.path, query)}&"

    def expire_urls(self) -> None:
        """Make every URL handed out so far stop working."""
        self._generation += 1

    def fetch(self, path: str, query: dict[str, str]) -> Attachment | None:
        """Return the file at a path, if the query's signature is good and not expired."""
        attachment = self._files.get(path)
        signed = f"ex={query.get('ex', '')}&is={query.get('is', '')}"
        if attachment is None or not hmac.compare_digest(self._sign(path, signed), query.get("hm", "")):
            return None
        return attachment if int(query["ex"], 16) / 1000 > time.time() else None

    def lookup(self, url: str) -> Attachment | None:
        """Return the file behind one of our URLs, expired or not."""
        if not url.startswith(self.base + "/"):
            return None
        return self._files.get(url[len(self.base) + 1 :].split("?")[0])

    def _sign(self, path: str, query: str) -> str:
        return hmac.new(CDN_KEY, f"{self._generation}:{path}?{query}".encode(), hashlib.sha256).hexdigest()


class World:
    """Everything that exists, by id."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.cdn = Cdn(config)
        self.changed = Signal()
        self._counter = itertools.count(1)
        self.users: dict[str, User] = {}
        self.guilds: dict[str, Guild] = {}
        self.channels: dict[str, Channel] = {}
        self.bot = self.add_user("imagebot", bot=True)
        self.application_id = self.bot.id
        self.owner = self.add_user("owner")

    # -- making things --------------------------------------------------------------

    def snowflake(self, age: float = 0.0) -> str:
        """Return a new id, with the moment `age` seconds ago in it."""
        ms = int((time.time() - age) * 1000) - EPOCH_MS
        return str(ms << 22 | next(self._counter) & 0x3FFFFF)

    def add_user(self, name: str, bot: bool = False, locale: str = "en-US", dms_open: bool = True) -> User:
        user = User(self.snowflake(), name, name.title(), bot, locale, dms_open)
        self.users[user.id] = user
        return user

    def add_guild(self, name: str) -> Guild:
        guild = Guild(self.snowflake(), name, self.owner.id, self.config.guild_locale)
        guild.roles[guild.id] = Role(guild.id, "@everyone", permissions.EVERYONE, 0)
        self.guilds[guild.id] = guild
        bot_role = self.add_role(guild, self.bot.username, permissions.EVERYONE, bot_id=self.bot.id)
        guild.members[self.owner.id] = Member(self.owner)
        guild.members[self.bot.id] = Member(self.bot, [bot_role.id])
        return guild

    def add_role(self, guild: Guild, name: str, allow: Permission, bot_id: str | None = None) -> Role:
        role = Role(self.snowflake(), name, allow, len(guild.roles), bot_id)
        guild.roles[role.id] = role
        return role

    def add_channel(self, guild: Guild | None, name: str, **fields: Any) -> Channel:
        assert guild is not None, "only guilds have channels with names"
        channel = Channel(self.snowflake(), fields.pop("type", TEXT_CHANNEL), name, guild, **fields)
        channel.position = len(guild.channels)
        guild.channels[channel.id] = self.channels[channel.id] = channel
        return channel

    def add_thread(self, parent: Channel, name: str, owner: User) -> Channel:
        thread = self.add_channel(parent.guild, name, type=PUBLIC_THREAD)
        thread.parent, thread.owner_id = parent, owner.id
        return thread

    def dm(self, user: User) -> Channel:
        """Return the DM channel between the user and the bot, made on first use."""
        for channel in self.channels.values():
            if channel.type == DM_CHANNEL and user in channel.recipients:
                return channel
        channel = Channel(self.snowflake(), DM_CHANNEL, "", recipients=[self.bot, user])
        self.channels[channel.id] = channel
        return channel

    def remove_channel(self, channel: Channel) -> None:
        """Delete a channel with its messages."""
        channel.deleted = True
        del self.channels[channel.id]
        if channel.guild:
            del channel.guild.channels[channel.id]
        for message in channel.messages.values():
            message.deleted = True
        channel.messages.clear()
        self.changed.notify()

    def new_attachment(
        self,
        channel: Channel,
        filename: str,
        data: bytes,
        description: str | None = None,
        ephemeral: bool = False,
    ) -> Attachment:
        kind = MIME.guess_type(filename)[0] or "application/octet-stream"
        size = _image_size(data) if kind.startswith("image/") else None
        # A file loses its spaces and special characters on upload.
        name = re.sub(r"[^\w.\-]", "", filename.replace(" ", "_")) or "unknown"
        attachment = Attachment(self.snowflake(), channel.id, name, data, kind, description, ephemeral, size)
        return self.cdn.add(attachment)

    # -- looking things up ----------------------------------------------------------

    def permissions(self, channel: Channel, user: User) -> Permission:
        return permissions.in_channel(channel, user.id)

    def visible_to(self, message: Message, user: User) -> bool:
        if message.only_for is not None:
            return message.only_for is user
        return Permission.VIEW_CHANNEL in self.permissions(message.channel, user)


def _image_size(data: bytes) -> tuple[int, int] | None:
    try:
        with Image.open(BytesIO(data)) as image:
            return image.size
    except (OSError, Image.DecompressionBombError):
        return None
