"""Which jobs somebody may see and draw from: their own, and those whose message everybody on the server can see.

A private image is seen by its person only: not by moderators either, who may remove it by its number.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import discord

from bot.errors import NotOfThisServer, NotYourJob, StoreUnavailable
from bot.frontends.discord_app.interactions import context_of, person
from bot.frontends.discord_app.message_ref import is_of_server
from bot.jobs import Job

LOOK_S: Final = 1.5  # a form has to be the first answer, which is due in 3 seconds


@asynccontextmanager
async def in_time(limit_s: float = LOOK_S) -> AsyncIterator[None]:
    """Look something up before the first answer.

    Raises:
        StoreUnavailable: the database takes too long.
    """
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        raise StoreUnavailable("slow", is_full=False) from error


async def visible_job(interaction: discord.Interaction, job_id: int) -> Job:
    """Return the job of that number.

    Raises:
        JobNotFound
        NotYourJob: it is private, of somebody else.
        NotOfThisServer: it is somebody else's, of another server or of the page.
        StoreUnavailable: the database takes too long.
    """
    async with in_time():
        job = await context_of(interaction).service.job(job_id)
    if job.user == person(interaction):
        return job
    if job.is_private:
        raise NotYourJob(job_id)
    if not is_of_server(job, interaction.guild_id):
        raise NotOfThisServer(job_id)
    return job
