"""Commands about the queue and one's own pictures: /queue, /cancel, /history, /show.

Everything is private except /show. Sentences are in `bot/presentation/wording`.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import time
from collections.abc import Awaitable
from typing import Any, Final

import discord
from discord import app_commands

from bot.errors import NotYourJob, PictureErased, PictureNotReady, StoreUnavailable
from bot.frontends.discord_app import attachments
from bot.frontends.discord_app.components import buttons
from bot.frontends.discord_app.composer import fit
from bot.frontends.discord_app.embeds import NOBODY, alt_text, escape, mention, relative, shorten, voice_of
from bot.frontends.discord_app.frontend import frontend_of
from bot.frontends.discord_app.interactions import (
    InteractionContext,
    PicturePruned,
    attempt,
    cancel,
    context_of,
    person,
    placeholder,
    reader,
    replace,
    say,
    think,
)
from bot.frontends.discord_app.message_ref import is_of_server
from bot.frontends.discord_app.translations import text
from bot.jobs import Job, JobStatus, QueueStatus
from bot.presentation.job_view import Phrase, eta, pause_phrase, settings_phrase
from bot.presentation.wording import Wording, wording_for

log = logging.getLogger(__name__)

PAGE: Final = 5  # as many as a row has buttons
QUEUE_LINES: Final = 25
LINE_PROMPT: Final = 120
MAX_JOB_ID: Final = 2**53 - 1
MAX_SEARCH: Final = 50  # it travels in custom ids of at most 100 characters
# Discord's limits for autocomplete and select menus (interactions/application-commands, components/reference)
MAX_CHOICES: Final = 25
MAX_CHOICE: Final = 100
AUTOCOMPLETE_BUDGET_S: Final = 1.5

JobId = app_commands.Range[int, 1, MAX_JOB_ID]


class PersonalCommands:
    """The commands for everybody, apart from /imagine."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def commands(self) -> list[app_commands.Command[Any, ..., None]]:
        """Make the commands."""
        queue: app_commands.Command[Any, ..., None] = app_commands.Command(
            name=text("command-queue-name"), description=text("command-queue-description"), callback=self.queue
        )
        cancel: app_commands.Command[Any, ..., None] = app_commands.Command(
            name=text("command-cancel-name"),
            description=text("command-cancel-description"),
            callback=self.cancel,
        )
        app_commands.describe(picture=text("option-cancel-job-description"))(cancel)
        app_commands.rename(picture=text("option-cancel-job-name"))(cancel)
        app_commands.autocomplete(picture=self.suggest_active)(cancel)
        history: app_commands.Command[Any, ..., None] = app_commands.Command(
            name=text("command-history-name"),
            description=text("command-history-description"),
            callback=self.history,
        )
        app_commands.describe(search=text("option-search-description"))(history)
        app_commands.rename(search=text("option-search-name"))(history)
        show: app_commands.Command[Any, ..., None] = app_commands.Command(
            name=text("command-show-name"), description=text("command-show-description"), callback=self.show
        )
        app_commands.describe(job_id=text("option-id-description"))(show)
        app_commands.rename(job_id=text("option-id-name"))(show)
        app_commands.autocomplete(job_id=self.suggest_done)(show)
        return [queue, cancel, history, show]

    async def queue(self, interaction: discord.Interaction) -> None:
        """Show who is waiting, without prompts."""
        await say_queue(interaction, self._context)

    async def cancel(self, interaction: discord.Interaction, picture: JobId) -> None:
        """Cancel one job; moderators may cancel anybody's job of the place that they moderate."""
        await cancel(interaction, picture)

    async def history(
        self, interaction: discord.Interaction, search: app_commands.Range[str, 1, MAX_SEARCH] | None = None
    ) -> None:
        """Show the newest of one's own pictures."""
        await think(interaction)
        await _say_page(interaction, self._context, before_id=None, search=search or "")

    async def show(self, interaction: discord.Interaction, job_id: JobId) -> None:
        """Post one of one's own pictures again, for everybody here."""
        context = self._context
        context.access.check_channel(interaction)
        async with placeholder(interaction):
            job = await context.service.job(job_id)
            if job.user != person(interaction):
                raise NotYourJob(job_id)
            if job.is_erased:
                raise PictureErased(job_id)
            if job.status is not JobStatus.DONE:
                raise PictureNotReady(job_id)
            wording = wording_for((interaction.guild_locale or interaction.locale).value)
            composed = await frontend_of(interaction).compose([job], wording, guild_id=interaction.guild_id)
            if not composed.uploads:
                raise PicturePruned(job_id)
            message = composed.message
            await interaction.edit_original_response(
                content=message.content,
                embed=message.embed,
                attachments=composed.files(),
                view=buttons(message.actions, job.id, wording),
                allowed_mentions=NOBODY,
            )

    async def suggest_active(self, interaction: discord.Interaction, current: str) -> list[app_commands.Choice[int]]:
        """Suggest one's own jobs that can be cancelled, by number or words of the prompt."""
        wording = reader(interaction)
        jobs = await _in_time(self._context.service.active(person(interaction)))
        return choices(jobs, str(current), wording)

    async def suggest_done(self, interaction: discord.Interaction, current: str) -> list[app_commands.Choice[int]]:
        """Suggest one's own pictures, newest first, by number or words of the prompt."""
        wanted = str(current)
        words = wanted if wanted and not wanted.isdecimal() else None
        jobs = await _in_time(self._context.service.history(person(interaction), limit=MAX_CHOICES, search=words))
        return choices(jobs, wanted, reader(interaction))


class HistoryButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=re.compile(r"im1:page:(?P<before>\d{0,16}):(?P<picked>\d{0,16}):(?P<search>.*)", re.DOTALL),
):
    """Turns to the page older than a job (or the newest), or shows another picture of the page large."""

    def __init__(
        self,
        *,
        before_id: int | None,
        picked: int | None,
        search: str,
        label: str = "…",
        is_current: bool = False,
        row: int = 0,
    ) -> None:
        super().__init__(
            discord.ui.Button(
                label=label,
                custom_id=f"im1:page:{before_id or ''}:{picked or ''}:{search}",
                style=discord.ButtonStyle.primary if is_current else discord.ButtonStyle.secondary,
                row=row,
            )
        )
        self.before_id, self.picked, self.search = before_id, picked, search

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[discord.ui.View], match: re.Match[str], /
    ) -> HistoryButton:
        """Rebuild the button that was pressed."""
        before, picked, search = match.group("before", "picked", "search")
        return cls(before_id=int(before) if before else None, picked=int(picked) if picked else None, search=search)

    async def callback(self, interaction: discord.Interaction) -> None:
        """Replace the page by the one asked for. People see only their own pictures."""
        await attempt(interaction, self._turn(interaction))

    async def _turn(self, interaction: discord.Interaction) -> None:
        await replace(interaction)
        context = context_of(interaction)
        await _say_page(interaction, context, before_id=self.before_id, search=self.search, picked=self.picked)


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
    """Return one line per job, at most 25; places count the jobs of every server."""
    lines, voice = [], voice_of(wording)
    for job, standing in unfinished[:QUEUE_LINES]:
        when = voice.say(eta(standing, now=now) or Phrase("queue-unknown-finish"))
        if job.status is JobStatus.RUNNING:
            line = wording.say("queue-running", job_id=job.id, who=mention(job), finish=when)
        else:
            position = standing.position or 1
            line = wording.say("queue-waiting", position=position, job_id=job.id, who=mention(job), finish=when)
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
        async with asyncio.timeout(AUTOCOMPLETE_BUDGET_S):
            return await jobs
    except (TimeoutError, StoreUnavailable) as error:
        log.warning("no suggestions: %s", error or type(error).__name__)
        return []


async def _say_page(
    interaction: discord.Interaction,
    context: InteractionContext,
    *,
    before_id: int | None,
    search: str,
    picked: int | None = None,
) -> None:
    wording = reader(interaction)
    jobs = await context.service.history(
        person(interaction), limit=PAGE + 1, before_id=before_id, search=search or None
    )
    if not jobs:
        key = "history-nothing-found" if search else "history-empty"
        await say(interaction, wording.say(key, search=escape(search)), embed=None, view=None)
        return
    page = jobs[:PAGE]
    shown = next((job for job in page if job.id == picked), page[0])
    upload = await _upload(interaction, shown)
    title = wording.say("history-search-title", search=search) if search else wording.say("history-title")
    embed = discord.Embed(title=title, description="\n".join(_lines(page, wording)))
    parts: dict[str, Any] = {"embed": embed}
    if upload is None:
        embed.set_footer(text=wording.say("history-file-gone", job_id=shown.id))
    else:
        name = f"imagine-{shown.id}.{upload.extension}"
        embed.set_image(url=f"attachment://{name}").set_footer(text=voice_of(wording).say(settings_phrase(shown)))
        parts["file"] = discord.File(io.BytesIO(upload.body), filename=name, description=alt_text(shown, wording))
    parts["view"] = _page_view(page, shown, wording, before_id=before_id, search=search, has_more=len(jobs) > PAGE)
    await say(interaction, None, **parts)


def _page_view(
    page: list[Job], shown: Job, wording: Wording, *, before_id: int | None, search: str, has_more: bool
) -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    for job in page:
        view.add_item(
            HistoryButton(
                before_id=before_id,
                picked=job.id,
                search=search,
                label=f"#{job.id}",
                is_current=job.id == shown.id,
            )
        )
    if before_id is not None:
        label = wording.say("history-newest")
        view.add_item(HistoryButton(before_id=None, picked=None, search=search, label=label, row=1))
    if has_more:
        label = wording.say("history-older")
        view.add_item(HistoryButton(before_id=page[-1].id, picked=None, search=search, label=label, row=1))
    return view


def _lines(page: list[Job], wording: Wording) -> list[str]:
    return [
        wording.say(
            "history-line",
            job_id=job.id,
            when=relative(job.finished_at or job.queued_at),
            seed=job.spec.seed,
        )
        + f" — {shorten(escape(wording.prompt(job)), LINE_PROMPT)}"
        for job in page
    ]


async def _upload(interaction: discord.Interaction, job: Job) -> attachments.Upload | None:
    path = await context_of(interaction).service.image_file(job)
    try:
        return None if path is None else await fit(path, frontend_of(interaction).limit_bytes(interaction.guild_id))
    except OSError as error:
        log.warning("the picture of job %s cannot be read: %s", job.id, error)
        return None


def _label(job: Job, wording: Wording) -> str:
    return shorten(f"#{job.id} · {wording.prompt(job)}", MAX_CHOICE)
