"""/settings: what a person chooses for themselves."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands

from bot.frontends.discord_app.interactions import InteractionContext, OptionsOutdated, person, reader, say, think
from bot.frontends.discord_app.translations import text
from bot.requests.preferences import Ping


class Settings:
    """The command for one's own choices."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def command(self) -> app_commands.Command[Any, ..., None]:
        """Make the command."""
        command: app_commands.Command[Any, ..., None] = app_commands.Command(
            name=text("command-settings-name"),
            description=text("command-settings-description"),
            callback=self.settings,
        )
        app_commands.describe(ping=text("option-ping-description"))(command)
        app_commands.rename(ping=text("option-ping-name"))(command)
        app_commands.choices(
            ping=[app_commands.Choice(name=text(f"ping-choice-{ping}"), value=ping.value) for ping in Ping]
        )(command)
        return command

    async def settings(self, interaction: discord.Interaction, ping: str | None = None) -> None:
        """Change what is given, and show what holds."""
        await think(interaction)
        preferences, me = self._context.service.preferences, person(interaction)
        if ping is not None:
            if ping not in set(Ping):
                raise OptionsOutdated
            await preferences.set_ping(me, Ping(ping))
        chosen = await preferences.ping(me)
        await say(interaction, reader(interaction).say(f"settings-ping-{chosen}"))
