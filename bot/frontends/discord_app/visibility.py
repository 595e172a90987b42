"""Which jobs somebody may see and draw from: their own, and those of this server in channels that they can see.

A private image is seen by its person only: not by moderators either, who may remove it by its number. What was drawn
in an age-restricted channel is shown to everybody in such channels only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import discord

from bot.delivery.frontend import DeliveryImpossible
from bot.errors import NotOfThisServer, NotYourJob, StoreUnavailable
from bot.frontends.discord_app.interactions import context_of, person
from bot.frontends.discord_app.message_ref import Address, is_of_server
from bot.frontends.discord_app.permissions import AgeRestricted, is_age_restricted
from bot.jobs import Job, ReplyTo

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
        NotYourJob: it is private, or stands in a channel that the person cannot see, of somebody else.
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
    if not sees_channel_of(interaction, job):
        async with in_time():
            copies = await context_of(interaction).service.moderation.copies_of(job)
        if not any(_channel_id(copy) == interaction.channel_id for copy in copies):  # somebody showed it here
            raise NotYourJob(job_id)
    return job


def sees_channel_of(interaction: discord.Interaction, job: Job) -> bool:
    """Whether the person who acts can see the channel of a job of this server; answered from memory.

    A channel that is not known any more hides nothing: it was deleted, or is a thread that was archived.
    """
    channel_id, member = _channel_id(job.reply_to), interaction.user
    if channel_id is None or channel_id == interaction.channel_id or interaction.guild is None:
        return True
    channel = interaction.guild.get_channel_or_thread(channel_id)
    if channel is None or not isinstance(member, discord.Member):
        return True
    granted = channel.permissions_for(member)
    if isinstance(channel, discord.Thread) and channel.is_private():
        is_in = any(each.id == member.id for each in channel.members)
        return granted.view_channel and (granted.manage_threads or is_in)
    return granted.view_channel


def check_shown_here(interaction: discord.Interaction, job: Job) -> None:
    """Check that everybody here may see an image, or what starts from it; answered from memory.

    Raises:
        AgeRestricted
    """
    if not may_be_shown_here(interaction, job):
        raise AgeRestricted(job.id)


def may_be_shown_here(interaction: discord.Interaction, job: Job) -> bool:
    """Whether everybody here may see an image: in a channel for adults always, else unless it was drawn in one.

    A channel that was marked since counts; earlier releases noted no mark, so that of today counts for their images.
    """
    if is_age_restricted(interaction.channel):
        return True
    try:
        address = Address.read(job.reply_to)
    except DeliveryImpossible:
        return True
    channel = None if interaction.guild is None else interaction.guild.get_channel_or_thread(address.channel_id)
    return not address.is_age_restricted and not is_age_restricted(channel)


def _channel_id(reply_to: ReplyTo) -> int | None:
    try:
        return Address.read(reply_to).channel_id
    except DeliveryImpossible:
        return None
