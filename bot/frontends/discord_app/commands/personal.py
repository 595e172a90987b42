"""Commands about the queue: /queue, /cancel. Everything is private.

Sentences are in `bot/presentation/wording`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from typing import Final

import discord
from discord import app_commands

from bot.errors import StoreUnavailable
from bot.frontends.discord_app.commands.options import MAX_CHOICE, MAX_CHOICES, SUGGESTING_S, JobId
from bot.frontends.discord_app.commands.signatures import Command, make_command
from bot.frontends.discord_app.embeds import escape, mention, shorten, voice_of
from bot.frontends.discord_app.interactions import (
    InteractionContext,
    cancel,
    person,
    reader,
    say,
    think,
)
from bot.frontends.discord_app.message_ref import is_of_server
from bot.jobs import Job, JobStatus, QueueStatus
from bot.presentation.job_view import eta, pause_phrase
from bot.presentation.phrases import Phrase
from bot.presentation.wording import Wording

log = logging.getLogger(__name__)

QUEUE_LINES: Final = 25
LINE_PROMPT: Final = 120


class PersonalCommands:
    """The commands for everybody, apart from /imagine."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def commands(self) -> list[Command]:
        """Make the commands."""
        cancel = make_command("cancel", self.cancel, picture="cancel-job")
        app_commands.autocomplete(picture=self.suggest_active)(cancel)
        return [make_command("queue", self.queue), cancel]

    async def queue(self, interaction: discord.Interaction) -> None:
        """Show who is waiting, without prompts."""
        await say_queue(interaction, self._context)

    async def cancel(self, interaction: discord.Interaction, picture: JobId) -> None:
        """Cancel one job; moderators may cancel anybody's job of the place that they moderate."""
        await cancel(interaction, picture)

    async def suggest_active(self, interaction: discord.Interaction, current: str) -> list[app_commands.Choice[int]]:
        """Suggest one's own jobs that can be cancelled, by number or words of the prompt."""
        wording = reader(interaction)
        jobs = await _in_time(self._context.service.active(person(interaction)))
        return choices(jobs, str(current), wording)


async def say_queue(
    interaction: discord.Interaction, context: InteractionContext, *, with_prompts: bool = False
) -> None:
    """Show the queue to one person: jobs of this server, with prompts for moderators, and the number of all others."""
    await think(interaction)
    unfinished, wording = await context.service.unfinished(), reader(interaction)
    here = [(job, standing) for job, standing in unfinished if is_of_server(job, interaction.guild_id)]
    lines = queue_lines(here, wording, now=int(time.time()), with_prompts=with_prompts)
    if elsewhere := len(unfinished) - len(here):
        lines.append(wording.say("queue-elsewhere", count=elsewhere))
    if (pause := context.service.paused) is not None:
        lines.append(voice_of(wording).say(pause_phrase(pause)))
    running = sum(job.status is JobStatus.RUNNING for job, _ in unfinished)
    title = wording.say("queue-title", running=running, waiting=len(unfinished) - running)
    await say(interaction, embed=discord.Embed(title=title, description="\n".join(lines)))


def queue_lines(
    unfinished: list[tuple[Job, QueueStatus]], wording: Wording, *, now: int, with_prompts: bool
) -> list[str]:
    """Return one line per job, at most 25; places count the jobs of every server. Private prompts are in none."""
    lines, voice = [], voice_of(wording)
    for job, standing in unfinished[:QUEUE_LINES]:
        when = voice.say(eta(standing, now=now) or Phrase("queue-unknown-finish"))
        if job.status is JobStatus.RUNNING:
            line = wording.say("queue-running", job_id=job.id, who=mention(job), finish=when)
        else:
            position = standing.position or 1
            line = wording.say("queue-waiting", position=position, job_id=job.id, who=mention(job), finish=when)
        if job.is_private:
            prompt = wording.say("queue-private")
        else:
            prompt = shorten(escape(wording.prompt(job)), LINE_PROMPT // 2) if with_prompts else ""
        lines.append(f"{line} — {prompt}" if prompt else line)
    if len(unfinished) > QUEUE_LINES:
        lines.append(wording.say("queue-more", count=len(unfinished) - QUEUE_LINES))
    return lines


def choices(jobs: list[Job], current: str, wording: Wording) -> list[app_commands.Choice[int]]:
    """Return at most 25 jobs whose number or prompt contains what was typed, as suggestions."""
    found = [
        app_commands.Choice(name=_label(job, wording), value=job.id)
        for job in jobs
        if current.lower() in f"{job.id} {job.spec.prompt}".lower()
    ]
    return found[:MAX_CHOICES]


async def _in_time(jobs: Awaitable[list[Job]]) -> list[Job]:
    """Return no suggestions rather than late ones; the number can still be typed."""
    try:
        async with asyncio.timeout(SUGGESTING_S):
            return await jobs
    except (TimeoutError, StoreUnavailable) as error:
        log.warning("no suggestions: %s", error or type(error).__name__)
        return []


def _label(job: Job, wording: Wording) -> str:
    return shorten(f"#{job.id} · {wording.prompt(job)}", MAX_CHOICE)
