"""“Show me”: the images behind a private message, for the person they belong to, as often as they like.

The answer is private and fresh each time, because one dies after 15 minutes. The state is in the custom id.
"""

from __future__ import annotations

import discord

from bot.errors import NotYourJob, PictureErased, PictureNotReady
from bot.frontends.discord_app.components import buttons
from bot.frontends.discord_app.frontend import frontend_of
from bot.frontends.discord_app.interactions import PicturePruned, context_of, person, reader, say, think
from bot.frontends.discord_app.visibility import visible_job
from bot.jobs import JobStatus


async def reveal(interaction: discord.Interaction, job_id: int) -> None:
    """Show the images of a request, or why there are none, to their person.

    Raises:
        JobNotFound, NotYourJob, PictureErased, PictureNotReady, PicturePruned, StoreUnavailable
    """
    context, wording = context_of(interaction), reader(interaction)
    context.access.check_server(interaction)
    await think(interaction)
    job = await visible_job(interaction, job_id)
    if job.user != person(interaction):
        raise NotYourJob(job_id)
    jobs = [each for each in await context.service.archive.siblings(job) if not each.is_erased]
    if not jobs:
        raise PictureErased(job_id)
    if not all(each.status.is_final for each in jobs):
        raise PictureNotReady(job_id)
    composed = await frontend_of(interaction).compose(jobs, wording, guild_id=interaction.guild_id)
    if any(each.status is JobStatus.DONE for each in jobs) and not composed.uploads:
        raise PicturePruned(job_id)
    message = composed.message
    view = buttons(message.actions, jobs[0].id, wording)
    await say(interaction, message.content, embed=message.embed, view=view, files=composed.files())
