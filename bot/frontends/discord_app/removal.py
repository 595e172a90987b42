"""The form with which moderators remove an image of a message, and what happens when it is sent.

Its state is in its custom id, `im2remove:<job id>`, and in the choice of an image if the message shows several.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

import discord

from bot.errors import NotYourJob
from bot.frontends.discord_app.form_fields import Values, choice_field, form, reason_field
from bot.frontends.discord_app.frontend import frontend_of
from bot.frontends.discord_app.interactions import context_of, reader, say, think
from bot.frontends.discord_app.message_ref import FRONTEND
from bot.frontends.discord_app.permissions import is_moderator
from bot.jobs import Job
from bot.presentation.wording import Wording

FORM: Final = re.compile(r"im2remove:(?P<job_id>[0-9]{1,18})")


async def ask(interaction: discord.Interaction, jobs: Sequence[Job]) -> None:
    """Open the form for one of some images, at least one.

    Raises:
        NotYourJob: the person is no moderator here.
    """
    wording = reader(interaction)
    if not all(is_moderator(interaction, job) for job in jobs):
        raise NotYourJob(jobs[0].id)
    made = form(f"im2remove:{jobs[0].id}", wording.say("form-remove-title", job_id=jobs[0].id))
    if len(jobs) > 1:
        labels = {str(job.id): _label(number, job, wording) for number, job in enumerate(jobs, start=1)}
        made = form(f"im2remove:{jobs[0].id}", wording.say("menu-remove"))
        made.add_item(choice_field(wording, "picture", labels, str(jobs[0].id)))
    made.add_item(reason_field(wording))
    await interaction.response.send_modal(made)


async def take_back(interaction: discord.Interaction, job: Job) -> bool:
    """Take an image that was erased or removed off its message. Returns False if the message still shows it.

    That of a cancelled one says so by itself, and images of the page have none.
    """
    if job.is_cancel_requested or job.reply_to.frontend != FRONTEND:
        return True
    if is_gone := await frontend_of(interaction).retract(job):
        await context_of(interaction).service.archive.taken_back(job)
    return is_gone


def _label(number: int, job: Job, wording: Wording) -> str:
    """Name an image in the choice; of a private one nobody but its person reads more than its number."""
    if job.is_private:
        return f"{number}. #{job.id}"
    return wording.say("pick-option", number=number, job_id=job.id, seed=job.spec.seed)


async def submit(interaction: discord.Interaction, match: re.Match[str], values: Values) -> None:
    """Remove the image, and its message if it shows nothing else.

    Raises:
        See `Moderation.remove`.
    """
    chosen = values.get("picture", "")
    job_id = int(chosen if re.fullmatch(r"[0-9]{1,18}", chosen) else match["job_id"])
    await think(interaction)
    service, wording = context_of(interaction).service, reader(interaction)
    removed = await service.moderation.remove(job_id, values.get("reason", ""), may=partial(is_moderator, interaction))
    is_gone = await take_back(interaction, removed)
    await say(interaction, wording.say("admin-removed" if is_gone else "admin-removed-but-message", job_id=job_id))
