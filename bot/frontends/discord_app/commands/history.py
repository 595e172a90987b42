"""Commands about pictures that are there: /history, which is private, and /show, which posts one.

What a page looks like is `history_pages.py`, what a search may say `bot/requests/history_search.py`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import Final

import discord
from discord import app_commands

from bot.errors import Refusal, StoreUnavailable
from bot.frontends.discord_app.actions import pressed
from bot.frontends.discord_app.commands.options import MAX_CHOICES, SUGGESTING_S, JobId
from bot.frontends.discord_app.commands.signatures import Command, make_command
from bot.frontends.discord_app.history_pages import MAX_SEARCH, label, say_page
from bot.frontends.discord_app.interactions import InteractionContext, person, reader, think
from bot.frontends.discord_app.message_ref import FRONTEND, is_of_server
from bot.frontends.discord_app.visibility import may_be_shown_here, sees_channel_of, visible_job
from bot.jobs import Job, JobStatus
from bot.presentation.job_view import Action

log = logging.getLogger(__name__)

_NUMBER: Final = re.compile(r"#?([0-9]{1,16})")


class HistoryCommands:
    """/history and /show."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def commands(self) -> list[Command]:
        """Make the commands."""
        history = make_command("history", self.history, search="search")
        show = make_command("show", self.show, job_id="id")
        app_commands.autocomplete(job_id=self.suggest)(show)
        return [history, show]

    async def history(
        self, interaction: discord.Interaction, search: app_commands.Range[str, 1, MAX_SEARCH] | None = None
    ) -> None:
        """Show the newest of one's own pictures."""
        await think(interaction)
        await say_page(interaction, search=search or "")

    async def show(self, interaction: discord.Interaction, job_id: JobId) -> None:
        """Post a picture of one's own, or one of this server, for everybody here."""
        self._context.access.check_channel(interaction)
        await pressed(interaction, Action.POST, job_id, is_choice=True)

    async def suggest(self, interaction: discord.Interaction, current: str) -> list[app_commands.Choice[int]]:
        """Suggest one's own pictures and then others of this server, newest first, by number or as in a search."""
        typed, found = str(current).strip()[:MAX_SEARCH], dict[int, Job]()
        try:
            async with asyncio.timeout(SUGGESTING_S):
                await self._collect(interaction, typed, found)
        except (TimeoutError, StoreUnavailable) as error:  # the number can still be typed
            log.warning("not all suggestions: %s", error or type(error).__name__)
        wording, now = reader(interaction), time.time()
        return [
            app_commands.Choice(name=label(job, wording, now=now), value=job.id)
            for job in list(found.values())[:MAX_CHOICES]
        ]

    async def _collect(self, interaction: discord.Interaction, typed: str, found: dict[int, Job]) -> None:
        """Put what can be suggested into `found`, the best first."""
        me, histories = person(interaction), self._context.service.histories
        if match := _NUMBER.fullmatch(typed):
            try:
                job = await visible_job(interaction, int(match[1]))
            except Refusal:
                pass
            else:
                if job.status is JobStatus.DONE and may_be_shown_here(interaction, job):
                    found[job.id] = job
        own = await histories.newest(me, limit=MAX_CHOICES, search=typed)
        found |= {job.id: job for job in own if may_be_shown_here(interaction, job)}
        if len(found) < MAX_CHOICES and interaction.guild_id is not None:
            others = await histories.shared(
                FRONTEND, interaction.guild_id, apart_from=me, limit=MAX_CHOICES - len(found), search=typed
            )
            seen = (job for job in others if is_of_server(job, interaction.guild_id))
            found |= {
                job.id: job for job in seen if sees_channel_of(interaction, job) and may_be_shown_here(interaction, job)
            }
