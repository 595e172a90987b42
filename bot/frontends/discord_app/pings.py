"""Tells somebody who waited long that it is done: edits of a message never notify anybody.

A ping is a new message that mentions its person only, and is sent once: it carries a nonce, and a delivery that is
repeated, as after a kill −9, repeats both.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Final

import discord

from bot.errors import StoreUnavailable
from bot.frontends.discord_app.embeds import NOBODY, mention
from bot.frontends.discord_app.http_errors import TROUBLES
from bot.frontends.discord_app.message_ref import Address
from bot.jobs import Job, JobStatus
from bot.presentation.wording import wording_for
from bot.requests.preferences import Ping
from bot.requests.service import Service

log = logging.getLogger(__name__)

LONG_WAIT_S: Final = 60  # whoever waited no longer is probably still looking
PINGED: Final = frozenset({JobStatus.DONE, JobStatus.FAILED})


class Pings:
    """Sends pings as each person chose with `/settings ping`."""

    def __init__(self, client: discord.Client, service: Service) -> None:
        self._client = client
        self._service = service

    async def tell(self, jobs: Sequence[Job], address: Address) -> None:
        """Tell that the images of a request have ended, if their person waited long; best effort.

        Args:
            address: of the message that shows them.
        """
        waited_s = int(time.time()) - min(job.queued_at for job in jobs)
        if waited_s < LONG_WAIT_S or not any(job.status in PINGED for job in jobs) or address.message_id is None:
            return
        try:
            match await self._service.preferences.ping(jobs[0].user):
                case Ping.HERE:
                    await self._tell_here(jobs, address)
                case Ping.DM:
                    await self._tell_directly(jobs, address)
        except (*TROUBLES, StoreUnavailable) as error:
            log.info("nobody could be told that job %s is done: %s", jobs[0].id, error)

    async def _tell_here(self, jobs: Sequence[Job], address: Address) -> None:
        assert address.message_id is not None, "looked at above"
        channel = self._client.get_partial_messageable(address.channel_id, guild_id=address.guild_id)
        await channel.send(
            _text(jobs, address, who=mention(jobs[0])),
            # The message may have been deleted just now: then nothing is pointed at.
            reference=discord.MessageReference(
                message_id=address.message_id,
                channel_id=address.channel_id,
                guild_id=address.guild_id,
                fail_if_not_exists=False,
            ),
            nonce=f"ping-{jobs[0].id}",
            allowed_mentions=discord.AllowedMentions(
                everyone=False, roles=False, users=[discord.Object(address.user_id)], replied_user=False
            ),
        )

    async def _tell_directly(self, jobs: Sequence[Job], address: Address) -> None:
        channel = await self._client.create_dm(discord.Object(address.user_id))
        link = f"https://discord.com/channels/{address.guild_id or '@me'}/{address.channel_id}/{address.message_id}"
        await channel.send(
            f"{_text(jobs, address, who='')} {link}", nonce=f"ping-{jobs[0].id}", allowed_mentions=NOBODY
        )


def _text(jobs: Sequence[Job], address: Address, *, who: str) -> str:
    done = sum(job.status is JobStatus.DONE for job in jobs)
    return wording_for(address.locale).say("ping-done" if done else "ping-failed", who=who, count=max(done, 1)).strip()
