"""/admin: pause, resume, release, queue, cancel, stats, and what is in `moderation.py` and `quotas.py`.

Hidden from members by default, checked again when used.
"""

from __future__ import annotations

import time

import discord
from discord import app_commands

from bot.errors import JobNotFound
from bot.frontends.discord_app.commands.moderation import ModerationCommands
from bot.frontends.discord_app.commands.options import JobId
from bot.frontends.discord_app.commands.personal import say_queue
from bot.frontends.discord_app.commands.quotas import QuotaCommands
from bot.frontends.discord_app.commands.signatures import make_command, make_group
from bot.frontends.discord_app.commands.stats import show_stats
from bot.frontends.discord_app.embeds import clock_time, voice_of
from bot.frontends.discord_app.interactions import InteractionContext, cancel, reader, say, think
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
        moderation, quotas = ModerationCommands(self._context), QuotaCommands(self._context)
        group = make_group(
            "admin",
            make_command("admin-pause", self.pause, reason="reason", until="pause-until"),
            make_command("admin-resume", self.resume),
            make_command("admin-release", self.release),
            make_command("admin-queue", self.queue),
            make_command("admin-cancel", self.cancel, job_id="id"),
            make_command("admin-stats", self.stats),
            *quotas.of_admin(),
            *moderation.of_admin(),
        )
        group.default_permissions = discord.Permissions(manage_guild=True)
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

    async def release(self, interaction: discord.Interaction) -> None:
        """Give the memory of the model back to other programs, after the image that is being drawn."""
        self._context.access.check_operator(interaction)
        await think(interaction)
        released = await self._context.service.memory.release()
        await say(interaction, reader(interaction).say(f"admin-release-{released.value.replace('_', '-')}"))

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
