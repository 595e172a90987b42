"""Permission bits and how they add up in a channel.

Owns the arithmetic of roles and overwrites (Discord's documentation, "permissions"). Must not know
which request needs which bit; rest.py does.
"""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.discord_server.world import Channel, Guild, Member


class Permission(IntFlag):
    """The bits that matter to this bot."""

    ADMINISTRATOR = 1 << 3
    MANAGE_GUILD = 1 << 5
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    USE_APPLICATION_COMMANDS = 1 << 31
    MANAGE_THREADS = 1 << 34
    SEND_MESSAGES_IN_THREADS = 1 << 38


P = Permission
NONE = P(0)
ALL = P((1 << 53) - 1)
DM = (
    P.ADD_REACTIONS | P.VIEW_CHANNEL | P.SEND_MESSAGES | P.EMBED_LINKS | P.ATTACH_FILES
    | P.READ_MESSAGE_HISTORY | P.MENTION_EVERYONE | P.USE_APPLICATION_COMMANDS
)  # fmt: skip
EVERYONE = DM | P.SEND_MESSAGES_IN_THREADS  # a new guild's @everyone


def in_guild(guild: Guild, member: Member) -> Permission:
    """Add up the member's roles; owners and administrators may do everything."""
    if member.user.id == guild.owner_id:
        return ALL
    total = guild.roles[guild.id].permissions
    for role_id in member.roles:
        total |= guild.roles[role_id].permissions
    return ALL if P.ADMINISTRATOR in total else total


def in_channel(channel: Channel, user_id: str) -> Permission:
    """Return what the user may do in the channel; nothing for somebody who is not there."""
    if channel.guild is None:
        return DM if any(u.id == user_id for u in channel.recipients) else NONE
    guild = channel.guild
    member = guild.members.get(user_id)
    if member is None:
        return NONE
    total = in_guild(guild, member)
    if total == ALL:
        return ALL
    overwrites = (channel.parent or channel).overwrites  # a thread has its parent's
    everyone = overwrites.get(guild.id)
    if everyone:
        total = total & ~everyone.deny | everyone.allow
    by_role = [overwrites[r] for r in member.roles if r in overwrites]
    for overwrite in by_role:
        total &= ~overwrite.deny
    for overwrite in by_role:
        total |= overwrite.allow
    own = overwrites.get(user_id)
    if own:
        total = total & ~own.deny | own.allow
    return total if P.VIEW_CHANNEL in total else NONE
