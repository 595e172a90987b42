"""What the bot needs on a server, the link that grants it, and whether it has it.

Used by `imagine-bot invite` and `imagine-bot check`: a few REST calls with the bot's token, no gateway, so
it may run beside a running bot. Knows no jobs.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import discord
from pydantic import SecretStr

from bot.config import DiscordConfig, proxy_of
from bot.errors import FrontendUnavailable, FrontendUnreachable
from bot.frontends.discord_app.message_ref import FRONTEND

SCOPES: Final = ("bot", "applications.commands")
NEEDED: Final = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    embed_links=True,
    attach_files=True,
    read_message_history=True,
)
# Flag names of discord.py → what Discord's settings pages call them.
PERMISSION_NAMES: Final = {
    "read_messages": "View Channel",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
    "embed_links": "Embed Links",
    "attach_files": "Attach Files",
    "read_message_history": "Read Message History",
}
COMMANDS: Final = ("imagine", "queue", "cancel", "history", "show", "quota", "admin")
PROBE_TIMEOUT_S: Final = 30
MAX_GUILDS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRights:
    """One channel and the names of the permissions that the bot lacks there."""

    id: int
    name: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuildRights:
    """One server and its channels that hold messages; `name` is None if the bot is not on it.

    missing_commands: those of ours that Discord offers nobody there.
    """

    id: int
    name: str | None
    missing_commands: tuple[str, ...] = ()
    channels: tuple[ChannelRights, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What Discord said."""

    bot_name: str
    application_id: int
    interactions_url: str | None  # if set, Discord sends commands there and the bot never sees them
    guilds: tuple[GuildRights, ...]


def application_id(token: SecretStr) -> int | None:
    """The id that the first part of a bot token holds in base64; None if it holds none."""
    first = token.get_secret_value().partition(".")[0]
    try:
        text = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode("ascii")
    except ValueError:  # of base64 and of ASCII alike
        return None
    return int(text) if text.isdecimal() else None


def invite_url(application: int) -> str:
    """The link with which a server's administrator adds the bot: these scopes and permissions, no others."""
    return discord.utils.oauth_url(application, permissions=NEEDED, scopes=SCOPES)


async def probe(config: DiscordConfig, token: SecretStr) -> Probe:
    """Log in over REST and read the bot's permissions on every allowed server. Takes seconds.

    Raises:
        FrontendUnavailable: Discord refuses the token.
        FrontendUnreachable: Discord cannot be reached or does not answer as it should.
    """
    discord.http.Route.BASE = config.api_url
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S), _client(config) as client:
            await client.login(token.get_secret_value())
            user, application = client.user, client.application
            assert user is not None, "set by login"
            assert application is not None, "set by login"
            guild_ids: Sequence[int] = config.allowed_guilds or [
                guild.id async for guild in client.fetch_guilds(limit=MAX_GUILDS)
            ]
            everywhere = await client.http.get_global_commands(application.id)
            return Probe(
                bot_name=str(user),
                application_id=application.id,
                interactions_url=application.interactions_endpoint_url,
                guilds=tuple([await _guild_rights(client, guild_id, user.id, everywhere) for guild_id in guild_ids]),
            )
    except discord.LoginFailure as error:
        raise FrontendUnavailable(FRONTEND, "the token is refused") from error
    except discord.HTTPException as error:
        raise FrontendUnreachable(FRONTEND, f"{config.api_url} answered {error}") from error
    except TimeoutError as error:
        reason = f"no answer from Discord in {PROBE_TIMEOUT_S} s ({config.api_url})"
        raise FrontendUnreachable(FRONTEND, reason) from error
    except (aiohttp.ClientError, OSError) as error:
        raise FrontendUnreachable(FRONTEND, f"no connection to Discord ({config.api_url}): {error}") from error


def _client(config: DiscordConfig) -> discord.Client:
    return discord.Client(intents=discord.Intents.none(), proxy=proxy_of(config))


async def _guild_rights(
    client: discord.Client, guild_id: int, user_id: int, everywhere: Sequence[Mapping[str, Any]]
) -> GuildRights:
    assert client.application is not None, "set by login"
    try:
        guild = await client.fetch_guild(guild_id, with_counts=False)
        member = await guild.fetch_member(user_id)
        channels = await guild.fetch_channels()
        here = await client.http.get_guild_commands(client.application.id, guild_id)
    except (discord.Forbidden, discord.NotFound):
        return GuildRights(id=guild_id, name=None)
    rights = [
        ChannelRights(id=channel.id, name=channel.name, missing=_missing(channel.permissions_for(member)))
        for channel in channels
        if isinstance(channel, discord.TextChannel | discord.VoiceChannel | discord.StageChannel)
    ]
    offered = {command["name"] for command in (*everywhere, *here)}
    missing = tuple(name for name in COMMANDS if name not in offered)
    return GuildRights(id=guild.id, name=guild.name, missing_commands=missing, channels=tuple(rights))


def _missing(permissions: discord.Permissions) -> tuple[str, ...]:
    lacking = NEEDED & ~permissions
    return tuple(PERMISSION_NAMES[name] for name, is_lacking in lacking if is_lacking)
