"""The one line for whoever started the bot: it is online, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence

import discord

from bot import logs
from bot.config import DiscordConfig
from bot.frontends.discord_app.command_sync import CommandSync


class OnlineLine:
    """Says it once; once more when the bot, on no server until then, came to the first."""

    def __init__(self, config: DiscordConfig, sync: CommandSync) -> None:
        self._allowed = frozenset(config.allowed_guilds)
        self._sync = sync
        self._said_servers: int | None = None

    def say(self, me: discord.ClientUser | None, guilds: Sequence[discord.Guild]) -> None:
        """Say it, unless it was said."""
        servers = sum(not self._allowed or guild.id in self._allowed for guild in guilds)
        if me is None or self._said_servers or servers == self._said_servers:
            return
        self._said_servers = servers
        logs.announce(online_line(me.name, servers, is_listed=bool(self._allowed), has_news=self._sync.has_news))


def online_line(name: str, servers: int, *, is_listed: bool, has_news: bool) -> str:
    """Write the line."""
    name = "".join(character for character in name if character.isprintable())
    if servers == 0:
        which = "none of the servers in [discord] allowed_guilds" if is_listed else "no server yet"
        return f"● online as {name}, but on {which}: `imagine-bot invite` prints the link that adds it to one"
    line = f"● online as {name} on {servers} server{'s' * (servers != 1)}: type /imagine"
    return f"{line} (commands are new: reload Discord with Ctrl+R if they are not offered)" if has_news else line
