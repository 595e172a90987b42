"""The permissions that the bot needs, the link that grants them, and what `check` reports about token and servers.

Used by `imagine-bot invite` and `imagine-bot check`: a few REST calls with the bot's token, no gateway, so
it may run beside a running bot. Knows no jobs.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import discord
from pydantic import SecretStr

from bot.config import (
    TOKEN_ENV,
    DiscordConfig,
    load_token,
    looks_like_token,
    proxy_of,
    token_refused,
    without_credentials,
)
from bot.errors import ConfigError, FrontendUnavailable, FrontendUnreachable
from bot.findings import Finding, note, ok, problem
from bot.frontends.discord_app.message_ref import FRONTEND
from bot.logs import redact

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
NEEDED_FOR_ALERTS: Final = frozenset({"View Channel", "Send Messages"})
COMMANDS: Final = (
    "imagine", "queue", "cancel", "history", "show", "quota", "settings", "preset", "help", "privacy", "admin",
)  # fmt: skip
MENU: Final = ("Use as input", "Vary", "Image info", "Remove")  # of a message, under Apps
SLASH, OF_MESSAGE = 1, 3  # https://docs.discord.com/developers/interactions/application-commands: types
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

    missing_commands: those of ours, as people see them, that Discord offers nobody there.
    """

    id: int
    name: str | None
    missing_commands: tuple[str, ...] = ()
    channels: tuple[ChannelRights, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What Discord answered."""

    bot_name: str
    application_id: int
    interactions_url: str | None  # if set, Discord sends commands there and the bot never sees them
    guilds: tuple[GuildRights, ...]


def application_id(token: SecretStr) -> int | None:
    """Return the application id from the first part of a bot token (base64); None if there is none."""
    first = token.get_secret_value().partition(".")[0]
    try:
        text = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode("ascii")
    except ValueError:  # raised by base64 and by ASCII alike
        return None
    return int(text) if text.isdecimal() else None


def invite_url(application: int) -> str:
    """Return the link with which a server's administrator adds the bot, with exactly these scopes and permissions."""
    return discord.utils.oauth_url(application, permissions=NEEDED, scopes=SCOPES)


def check_token(config: DiscordConfig, *, is_asked: bool = False) -> tuple[SecretStr | None, list[Finding]]:
    """Check that there is a token, that it looks like one, and that only its owner can read it.

    Args:
        is_asked: Discord will be asked about it, and its answer counts for more than the look of a token.
    """
    way_out = (
        "create an application and a bot on https://discord.com/developers/applications, then set "
        f"{TOKEN_ENV}, or write the token into a file and name it in [discord] token_file"
    )
    try:
        token = load_token(config)
    except ConfigError as error:
        return None, [problem("token", "; ".join(error.problems), error.way_out)]
    if token is None:
        return None, [note("token", "none: the local page runs alone; to add Discord", way_out)]
    redact(token)
    if not looks_like_token(token):
        text = f"has {len(token.get_secret_value())} characters and does not look like a bot token"
        if is_asked:
            return token, [note("token", f"{text}: Discord's answer decides")]
        return token, [problem("token", text, "copy the token of the Bot page again, not the secret or the id")]
    file = None if os.environ.get(TOKEN_ENV, "").strip() else config.token_file
    if file is not None and os.name == "posix" and file.expanduser().stat().st_mode & 0o077:
        return token, [note("token", f"others may read {file}", f"chmod 600 {file}")]
    return token, [ok("token", f"from {file or TOKEN_ENV}")]


async def preflight(config: DiscordConfig, token: SecretStr) -> list[Finding]:
    """Check that Discord accepts the token and that the bot can work in every allowed channel. Takes seconds."""
    try:
        seen = await probe(config, token)
    except FrontendUnreachable as error:
        way_out = "look at this machine's network; https://discordstatus.com tells of outages of Discord itself"
        return [problem("discord", error.reason, way_out)]
    except FrontendUnavailable as error:
        return [problem("discord", error.reason, token_refused(config))]
    proxy = proxy_of(config)
    through = f", through {without_credentials(proxy)}" if proxy else ""
    findings = [ok("discord", f"logged in as {seen.bot_name}{through}")]
    if seen.interactions_url:
        way_out = "empty Interactions Endpoint URL on the application's General Information page"
        findings.append(problem("discord", f"commands are sent to {seen.interactions_url}, not to the bot", way_out))
    link = invite_url(seen.application_id)
    if not seen.guilds:
        findings.append(problem("server", "the bot is on no server", f"open {link}"))
    allowed = set(config.allowed_channels)
    for guild in seen.guilds:
        if guild.name is None:
            findings.append(problem("server", f"{guild.id}: the bot is not on it", f"open {link}"))
        else:
            findings += _check_channels(guild, allowed)
            if guild.missing_commands:
                text = f"Discord does not offer {', '.join(guild.missing_commands)} on {guild.name}"
                findings.append(note("commands", text, "they are registered when the bot starts: start it again"))
    known = {channel.id for guild in seen.guilds for channel in guild.channels}
    for channel_id in sorted(allowed - known):
        way_out = "correct [discord] allowed_channels (a thread counts as its channel), or let the bot see it"
        findings.append(problem("channel", f"{channel_id} is on none of the bot's servers", way_out))
    if config.alert_channel is not None:
        findings.append(_check_alert_channel(config.alert_channel, seen.guilds))
    return findings


def _check_alert_channel(channel_id: int, guilds: Sequence[GuildRights]) -> Finding:
    """Check that the bot may write where it is to tell of troubles: for that, seeing and sending is enough."""
    found = [(guild, channel) for guild in guilds for channel in guild.channels if channel.id == channel_id]
    if not found:
        way_out = "correct [discord] alert_channel (the id of a text channel), or let the bot see it"
        return problem("alerts", f"{channel_id} is on none of the bot's servers", way_out)
    guild, channel = found[0]
    missing = [name for name in channel.missing if name in NEEDED_FOR_ALERTS]
    if missing:
        text = f"#{channel.name} on {guild.name} lacks {', '.join(missing)}"
        return problem("alerts", text, "channel settings → Permissions: allow these for the bot")
    return ok("alerts", f"in #{channel.name} on {guild.name}")


def _check_channels(guild: GuildRights, allowed: set[int]) -> list[Finding]:
    """Check the channels of a server: all on the allow list must work; without a list, one is enough."""
    listed = [channel for channel in guild.channels if not allowed or channel.id in allowed]
    findings = []
    for channel in listed:
        if channel.missing:
            text = f"#{channel.name} on {guild.name} lacks {', '.join(channel.missing)}"
            way_out = "channel settings → Permissions: allow these for the bot"
            make = problem if allowed else note
            findings.append(make("channel", text, way_out))
    usable = [channel for channel in listed if not channel.missing]
    if usable:
        names = ", ".join(f"#{channel.name}" for channel in usable)
        findings.insert(0, ok("server", f"{guild.name}: {names}"))
    elif not allowed:
        way_out = "invite the bot again with the link of `imagine-bot invite`"
        findings.insert(0, problem("server", f"{guild.name}: the bot can work in no channel", way_out))
    return findings


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
    except aiohttp.ClientHttpProxyError as error:  # whose text is the proxy's address, with name and password
        proxy = without_credentials(proxy_of(config) or "")
        raise FrontendUnreachable(FRONTEND, f"the proxy {proxy} answers {error.status} {error.message}") from error
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
    offered = {(command.get("type", SLASH), command["name"]) for command in (*everywhere, *here)}
    missing = (
        *(f"/{name}" for name in COMMANDS if (SLASH, name) not in offered),
        *(f"Apps → {name}" for name in MENU if (OF_MESSAGE, name) not in offered),
    )
    return GuildRights(id=guild.id, name=guild.name, missing_commands=missing, channels=tuple(rights))


def _missing(permissions: discord.Permissions) -> tuple[str, ...]:
    lacking = NEEDED & ~permissions
    return tuple(PERMISSION_NAMES[name] for name, is_lacking in lacking if is_lacking)
