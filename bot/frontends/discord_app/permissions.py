"""Who may use the bot where, answered from memory, so that it can be asked before the first await.

What depends on counts and history (queue, quota) is up to `Service.submit`.
"""

from __future__ import annotations

from typing import Final

import discord

from bot.config import DiscordConfig
from bot.errors import Refusal
from bot.frontends.discord_app.message_ref import Address, is_of_server
from bot.jobs import Job

# Flag of discord.py → key of its name in `bot/presentation/wording`.
PERMISSION_KEYS: Final = {
    "view_channel": "permission-view-channel",
    "send_messages": "permission-send-messages",
    "send_messages_in_threads": "permission-send-messages-in-threads",
    "embed_links": "permission-embed-links",
    "attach_files": "permission-attach-files",
}


class ServerNotAllowed(Refusal):
    """This server is not on the operator's list."""


class ChannelNotAllowed(Refusal):
    """This channel is not on the operator's list."""

    def __init__(self, channels: str) -> None:
        super().__init__(f"allowed: {channels}")
        self.channels = channels


class PermissionsMissing(Refusal):
    """The bot cannot answer here; `permissions` are keys of their names."""

    def __init__(self, channel: str, permissions: tuple[str, ...]) -> None:
        super().__init__(f"{', '.join(permissions)} in {channel}")
        self.channel, self.permissions = channel, permissions


class AgeRestricted(Refusal):
    """The image was drawn in a channel for adults, and this is none."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id


class ManagersOnly(Refusal):
    """Only members who manage the server may do this."""


class ServerNotListed(Refusal):
    """Only servers that the operator listed may do what concerns every server."""

    def __init__(self, guild_id: int | None) -> None:
        super().__init__(f"server {guild_id}")
        self.guild_id = str(guild_id)


class AccessPolicy:
    """The operator's lists, and what members and the bot itself may do in a channel."""

    def __init__(self, config: DiscordConfig) -> None:
        self._guilds = frozenset(config.allowed_guilds)
        self._channels = config.allowed_channels

    def check_server(self, interaction: discord.Interaction) -> None:
        """Raises ServerNotAllowed. Direct messages count as no server at all."""
        if interaction.guild_id is None or (self._guilds and interaction.guild_id not in self._guilds):
            raise ServerNotAllowed

    def serves(self, guild_id: int, channel_id: int, parent_id: int | None = None) -> bool:
        """Whether the operator's lists allow a channel of a server; a thread is allowed if its channel is."""
        is_listed = not self._channels or not {channel_id, parent_id}.isdisjoint(self._channels)
        return is_listed and (not self._guilds or guild_id in self._guilds)

    def serves_message(self, message: discord.Message) -> bool:
        """Whether the operator's lists allow the channel where a message stands."""
        channel = message.channel
        parent_id = channel.parent_id if isinstance(channel, discord.Thread) else None
        return message.guild is not None and self.serves(message.guild.id, channel.id, parent_id)

    def check_channel(self, interaction: discord.Interaction) -> None:
        """Check that the bot may post a picture here; a thread is allowed if its channel is.

        Raises:
            ChannelNotAllowed, PermissionsMissing
        """
        channel = interaction.channel
        ids = {interaction.channel_id, channel.parent_id if isinstance(channel, discord.Thread) else None}
        if self._channels and ids.isdisjoint(self._channels):
            raise ChannelNotAllowed(" ".join(f"<#{channel_id}>" for channel_id in self._channels[:10]))
        check_granted(interaction.app_permissions, channel, interaction.channel_id)

    def check_manager(self, interaction: discord.Interaction) -> None:
        """Raises ManagersOnly; the command is hidden from others, but a server's settings may show it."""
        if not (interaction.permissions.manage_guild or interaction.permissions.administrator):
            raise ManagersOnly

    def check_operator(self, interaction: discord.Interaction) -> None:
        """Check that the person may pause the queue, which concerns every server.

        Raises:
            ManagersOnly
            ServerNotListed: the operator did not list this server, and it is not the only one.
        """
        self.check_manager(interaction)
        if interaction.guild_id not in self._guilds and len(interaction.client.guilds) != 1:
            raise ServerNotListed(interaction.guild_id)


def check_granted(granted: discord.Permissions, channel: object, channel_id: int | None) -> None:
    """Check that the bot may post an image in a channel.

    Raises:
        PermissionsMissing
    """
    is_thread = isinstance(channel, discord.Thread)
    needed = set(PERMISSION_KEYS) - {"send_messages" if is_thread else "send_messages_in_threads"}
    missing = [key for flag, key in PERMISSION_KEYS.items() if flag in needed and not getattr(granted, flag)]
    if missing and not granted.administrator:
        raise PermissionsMissing(f"<#{channel_id}>", tuple(missing))


def granted_near(message: discord.Message) -> discord.Permissions | None:
    """Return what the bot may do in the channel of a message; None in direct messages, or if that is not known."""
    channel = message.channel
    if message.guild is None or isinstance(channel, discord.PartialMessageable | discord.DMChannel):
        return None
    try:
        return channel.permissions_for(message.guild.me)
    except (discord.ClientException, AttributeError):  # the thread's channel or the bot itself is not known yet
        return None


def may_write(message: discord.Message) -> bool:
    """Whether the bot may answer a message, as far as is known: asking in vain counts against it at Discord."""
    granted = granted_near(message)
    if granted is None:
        return True
    is_thread = isinstance(message.channel, discord.Thread)
    may_send = granted.send_messages_in_threads if is_thread else granted.send_messages
    return granted.view_channel and may_send


def reference_to(message: discord.Message) -> discord.MessageReference | None:
    """Return the message to reply to, which somebody may have deleted meanwhile; None where the bot may not reply."""
    granted = granted_near(message)
    if granted is not None and not granted.read_message_history:
        return None
    return message.to_reference(fail_if_not_exists=False)


def is_age_restricted(channel: object) -> bool:
    """Whether a channel is for adults; a thread is if its channel is, and one that is not known is not."""
    kinds = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.ForumChannel | discord.Thread
    return isinstance(channel, kinds) and channel.is_nsfw()


def is_moderator(interaction: discord.Interaction, job: Job) -> bool:
    """Whether the person may cancel this job of anybody.

    That needs “Manage Server” on the job's own server, or “Manage Messages” in the channel where the message stands:
    Discord tells the permissions of the channel where the person acts, so it has to be the same one.
    """
    if not is_of_server(job, interaction.guild_id):
        return False
    granted = interaction.permissions
    is_here = Address.read(job.reply_to).channel_id == interaction.channel_id
    return granted.administrator or granted.manage_guild or (granted.manage_messages and is_here)
