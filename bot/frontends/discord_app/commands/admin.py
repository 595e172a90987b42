"""/admin: pause, resume, queue, cancel, stats, and what is in `moderation.py` and `quotas.py`.

Hidden from members by default, checked again when used.
"""

from __future__ import annotations

import time
from typing import Any

import discord
from discord import app_commands

from bot.errors import JobNotFound
from bot.frontends.discord_app.commands.moderation import ModerationCommands
from bot.frontends.discord_app.commands.personal import JobId, say_queue
from bot.frontends.discord_app.commands.quotas import QuotaCommands
from bot.frontends.discord_app.commands.stats import show_stats
from bot.frontends.discord_app.embeds import clock_time, voice_of
from bot.frontends.discord_app.interactions import InteractionContext, cancel, reader, say, think
from bot.frontends.discord_app.translations import text
from bot.pause import MAX_TEXT
from bot.presentation.job_view import pause_phrase
from bot.requests.moments import MAX_TEXT as MAX_MOMENT
from bot.requests.moments import parse_until


class AdminCommands:
    """The commands of those who manage the server."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def group(self) -> app_commands.Group:
        """Make the group."""
        group = app_commands.Group(
            name=text("command-admin-name"),
            description=text("command-admin-description"),
            default_permissions=discord.Permissions(manage_guild=True),
        )
        pause: app_commands.Command[Any, ..., None] = app_commands.Command(
            name=text("command-admin-pause-name"),
            description=text("command-admin-pause-description"),
            callback=self.pause,
        )
        app_commands.describe(reason=text("option-reason-description"), until=text("option-pause-until-description"))(
            pause
        )
        app_commands.rename(reason=text("option-reason-name"), until=text("option-pause-until-name"))(pause)
        cancel: app_commands.Command[Any, ..., None] = app_commands.Command(
            name=text("command-admin-cancel-name"),
            description=text("command-admin-cancel-description"),
            callback=self.cancel,
        )
        app_commands.describe(job_id=text("option-id-description"))(cancel)
        app_commands.rename(job_id=text("option-id-name"))(cancel)
        group.add_command(pause)
        group.add_command(
            app_commands.Command(
                name=text("command-admin-resume-name"),
                description=text("command-admin-resume-description"),
                callback=self.resume,
            )
        )
        group.add_command(
            app_commands.Command(
                name=text("command-admin-queue-name"),
                description=text("command-admin-queue-description"),
                callback=self.queue,
            )
        )
        group.add_command(cancel)
        group.add_command(
            app_commands.Command(
                name=text("command-admin-stats-name"),
                description=text("command-admin-stats-description"),
                callback=self.stats,
            )
        )
        for command in QuotaCommands(self._context).of_admin():
            group.add_command(command)
        ModerationCommands(self._context).add_to(group)
        return group

    async def pause(
        self,
        interaction: discord.Interaction,
        reason: app_commands.Range[str, 1, MAX_TEXT] | None = None,
        until: app_commands.Range[str, 1, MAX_MOMENT] | None = None,
    ) -> None:
        """Start no new job, on any server; the messages of those who wait say why, and until when."""
        self._context.access.check_operator(interaction)
        await think(interaction)
        pausing, wording = self._context.service.pausing, reader(interaction)
        ends_at = None if until is None else parse_until(until, int(time.time()), zone=pausing.zone)
        pause = await pausing.pause(reason or "", ends_at)
        await say(interaction, wording.say("admin-paused", paused=voice_of(wording).say(pause_phrase(pause))))

    async def resume(self, interaction: discord.Interaction) -> None:
        """Start jobs again."""
        self._context.access.check_operator(interaction)
        await think(interaction)
        pausing, wording = self._context.service.pausing, reader(interaction)
        lines = [wording.say("admin-resumed", waiting=await pausing.resume())]
        if pausing.next_quiet_at is not None:
            lines.append(wording.say("admin-next-quiet", next_at=clock_time(pausing.next_quiet_at)))
        await say(interaction, "\n".join(lines))

    async def queue(self, interaction: discord.Interaction) -> None:
        """Show the queue with the prompts of this server, for moderation."""
        self._context.access.check_manager(interaction)
        await say_queue(interaction, self._context, with_prompts=True)

    async def cancel(self, interaction: discord.Interaction, job_id: JobId) -> None:
        """Cancel anybody's job of this server."""
        self._context.access.check_manager(interaction)
        try:
            await cancel(interaction, job_id)
        except JobNotFound as refusal:
            raise refusal.here() from None

    async def stats(self, interaction: discord.Interaction) -> None:
        """Show load, waits, people, speed and disk."""
        self._context.access.check_manager(interaction)
        await show_stats(interaction, self._context)
