"""Notices channels that take no images any more, by where results arrive. Knows nothing of how they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import discord

from bot.delivery.alerts import Alert, AlertKind, Report
from bot.delivery.frontend import DeliveryImpossible, Frontend
from bot.frontends.discord_app.message_ref import Address
from bot.jobs import Job, JobStatus, QueueStatus, ReplyTo
from bot.presentation.phrases import Typed, Value

UNKNOWN: Final = "?"


class ChannelWatch:
    """A front end that reports which of its channels refuse images, and when they take them again."""

    is_live = False

    def __init__(self, frontend: Frontend, client: discord.Client, report: Report) -> None:
        self.name = frontend.name
        self._frontend = frontend
        self._client = client
        self._report = report

    async def show(self, job: Job, standing: QueueStatus) -> None:
        """Pass it on."""
        await self._frontend.show(job, standing)

    async def deliver(self, job: Job, image: Path | None) -> ReplyTo:
        """Pass it on, and look where the image arrived."""
        try:
            reply_to = await self._frontend.deliver(job, image)
        except DeliveryImpossible:
            self._look(job, None)
            raise
        self._look(job, reply_to)
        return reply_to

    def _look(self, job: Job, arrived: ReplyTo | None) -> None:
        try:
            asked = Address.read(job.reply_to)
            is_here = arrived is not None and Address.read(arrived).channel_id == asked.channel_id
        except DeliveryImpossible:  # its address is damaged: that says nothing about a channel
            return
        if job.status is not JobStatus.DONE or job.is_erased or asked.guild_id is None:
            return
        if job.is_private:  # how it reaches its person is their choice, and nobody else's business
            return
        guild, subject = self._client.get_guild(asked.guild_id), str(asked.channel_id)
        values: Mapping[str, Value] = {"channel": f"<#{subject}>", "server": Typed(guild.name if guild else UNKNOWN)}
        if is_here:
            self._report.end(AlertKind.PERMISSION_LOST, subject, values)
        elif guild is not None and guild.get_channel_or_thread(asked.channel_id) is not None:  # it was not deleted
            self._report.begin(Alert(kind=AlertKind.PERMISSION_LOST, subject=subject, values=values))
