"""The Discord `Frontend`: finds the right message, edits it, and falls back to a new one if that fails.

A message is edited as the bot, by channel and message id, never through the interaction's token, which dies
after 15 minutes and is not stored. One lock and one closed flag per message keep late progress from
overwriting a result; the images of one request share a message. What a message says is `composer.py`, how it is sent
`sending.py`, what an error means `http_errors.py`. Whatever is private goes to `private_delivery.py` at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import weakref
from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Final, Protocol, cast

import discord
from cachetools import LRUCache

from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible, MessageGone
from bot.frontends.discord_app import embeds
from bot.frontends.discord_app.components import buttons
from bot.frontends.discord_app.composer import Composed, Composer, wording_of
from bot.frontends.discord_app.copies import take_back_copies
from bot.frontends.discord_app.embeds import NOBODY, StatusMessage
from bot.frontends.discord_app.http_errors import TROUBLES, Remedy, remedy, wait_s
from bot.frontends.discord_app.message_ref import FRONTEND, Address, DiscordTime, request_key
from bot.frontends.discord_app.permissions import is_age_restricted
from bot.frontends.discord_app.pings import Pings
from bot.frontends.discord_app.private_delivery import PrivateDelivery
from bot.frontends.discord_app.sending import Ended, Refused, Send, Sender
from bot.jobs import Delivery, Job, JobStatus, QueueStatus, ReplyTo
from bot.presentation.wording import Wording
from bot.requests.service import Service

log = logging.getLogger(__name__)

SHOW_TIMEOUT_S: Final = 10.0  # an edit that waits longer for its turn is dropped
DELIVERY_TIMEOUT_S: Final = 180.0  # 10 MiB over a slow line
REMEMBERED_MESSAGES: Final = 2000


class Opened(Enum):
    """What became of the first edit of a message."""

    SHOWN = auto()
    NOT_YET = auto()
    GONE = auto()


class DiscordFrontend:
    """Shows and delivers jobs that came through Discord."""

    name = FRONTEND
    is_live = False

    def __init__(self, client: discord.Client, service: Service) -> None:
        self.client = client
        self._service = service
        self._composer = Composer(service)
        self._pings = Pings(client, service)
        self.time = DiscordTime()
        self._sender = Sender(client, self._composer, self.time)
        self.private = PrivateDelivery(self._sender, self._composer, service)
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        # By the key of a message: those that progress may not touch any more, those whose prompt AutoMod dislikes,
        # where they went from the key that they had before, and what they say of unfinished jobs.
        self._closed: LRUCache[str, None] = LRUCache(REMEMBERED_MESSAGES)
        self._without_prompt: LRUCache[str, None] = LRUCache(REMEMBERED_MESSAGES)
        self._opened: LRUCache[str, ReplyTo] = LRUCache(REMEMBERED_MESSAGES)
        self._shown: LRUCache[str, StatusMessage] = LRUCache(REMEMBERED_MESSAGES)

    # ── opening a message, through the interaction ──────────────────────────────────────────────────

    def address(self, interaction: discord.Interaction, language: str | None = None) -> ReplyTo:
        """Return where the answer to an interaction will stand. Without a language, it is that of the server."""
        assert interaction.channel_id is not None, "commands are for servers only"
        locale = (interaction.guild_locale or interaction.locale).value
        return Address(
            channel_id=interaction.channel_id,
            message_id=None,
            guild_id=interaction.guild_id,
            user_id=interaction.user.id,
            locale=language or locale,
            is_age_restricted=is_age_restricted(interaction.channel),
        ).reply_to(interaction.id)

    def placed(self, reply_to: ReplyTo, message_id: int) -> ReplyTo:
        """Return where the answer stands, now that Discord has named its message."""
        placed = dataclasses.replace(Address.read(reply_to), message_id=message_id).reply_to()
        self._opened[reply_to.key] = placed
        return placed

    def opening(self, reply_to: ReplyTo) -> asyncio.Lock:
        """Hold this while a job is submitted and its placeholder replaced; `show` and `deliver` wait for it."""
        return self._lock(reply_to.key)

    async def open(self, interaction: discord.Interaction, job: Job, standing: QueueStatus) -> Opened:
        """Replace the placeholder by the status message, through the token: later edits go by message id.

        Returns:
            GONE if the placeholder was deleted meanwhile; NOT_YET if the message could not be shown now.
        """
        wording, key = wording_of(job), job.reply_to.key
        jobs = await self._composer.request_of(job)
        while True:
            message = self._composer.unfinished(jobs, standing, with_prompt=key not in self._without_prompt)
            try:
                await interaction.edit_original_response(
                    content=message.content,
                    embed=message.embed,
                    view=buttons(message.actions, jobs[0].id, wording),
                    allowed_mentions=NOBODY,
                )
            except TROUBLES as error:
                if remedy(error) is Remedy.WITHOUT_PROMPT and key not in self._without_prompt:
                    self._without_prompt[key] = None
                    continue
                log.warning("the message of job %s could not be shown yet: %s", job.id, error)
                return Opened.GONE if remedy(error) is Remedy.MESSAGE_GONE else Opened.NOT_YET
            self._shown[key] = message
            return Opened.SHOWN

    async def open_below(self, asked: discord.Message, job: Job, standing: QueueStatus) -> ReplyTo:
        """Post the status message of a request that somebody made in a message, as a reply; returns where it stands.

        Raises:
            One of TROUBLES
        """
        jobs = await self._composer.request_of(job)
        message, with_prompt = self._composer.unfinished(jobs, standing), True
        while True:
            try:
                sent = await self._sender.reply(asked, message, jobs)
                break
            except discord.HTTPException as error:
                if remedy(error) is not Remedy.WITHOUT_PROMPT or not with_prompt:
                    raise
                message, with_prompt = self._composer.unfinished(jobs, standing, with_prompt=False), False
        placed = self.placed(job.reply_to, sent.id)
        if not with_prompt:
            self._without_prompt[placed.key] = None
        self._shown[placed.key] = message
        return placed

    async def compose(self, jobs: Sequence[Job], wording: Wording, *, guild_id: int | None) -> Composed:
        """Compose the message of jobs that have ended, to be sent by the caller."""
        return await self._composer.ended(jobs, wording, limit_bytes=self.limit_bytes(guild_id))

    async def picture(self, job: Job, wording: Wording, *, guild_id: int | None) -> discord.File | None:
        """Make the file of one image for this server or, with None, for a direct message; None if it is gone.

        Raises:
            OSError: it cannot be read right now.
        """
        return await self._composer.picture(job, wording, limit_bytes=self.limit_bytes(guild_id))

    def limit_bytes(self, guild_id: int | None) -> int:
        """Return how large a file may be on this server; it is the server's limit that counts, not the person's."""
        guild = self.client.get_guild(guild_id) if guild_id is not None else None
        return guild.filesize_limit if guild is not None else discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES

    async def retract(self, job: Job) -> bool:
        """Take an erased picture off its message now; `deliver` tries again if that fails.

        Returns:
            False if Discord does not let us, now or for good.
        """
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_S), self._lock(request_key(job)):
                await self._take_back(await self._composer.request_of(job), job)
        except MessageGone:
            return True
        except (DeliveryImpossible, DeliveryDelayed, Refused, TimeoutError) as error:
            log.info("the message of job %s could not be taken back: %s", job.id, error)
            return False
        return True

    async def _take_back(self, jobs: Sequence[Job], job: Job) -> None:
        """Delete the message of an erased picture, unless it shows other images of the request, and every copy."""
        await take_back_copies(self._service, job, self._delete)  # of a private one too: its person may have posted it
        if is_private(jobs):
            await self.private.take_back(jobs, job)
            return
        if (address := Address.read(job.reply_to)).message_id is None:
            return
        send = functools.partial(self._edit_result, jobs, job, address)
        if all(each.status.is_final and each.image_path is None for each in jobs):
            send = functools.partial(self._delete, job.reply_to)
        await self._put(jobs, job, (job.id, None), send)

    async def delete(self, address: Address) -> None:
        """Delete a message that is there, and forget all about it.

        Raises:
            One of TROUBLES.
        """
        key = str(address.message_id)
        for memory in (self._closed, self._without_prompt, self._shown):
            memory.pop(key, None)
        for before in [before for before, placed in self._opened.items() if placed.key == key]:
            del self._opened[before]
        await self._sender.delete(address)

    async def _delete(self, reply_to: ReplyTo, _composed: Composed | None = None) -> ReplyTo:
        await self._sender.delete(Address.read(reply_to))
        return reply_to

    # ── the Frontend protocol ───────────────────────────────────────────────────────────────────────

    async def show(self, job: Job, standing: QueueStatus) -> None:
        """Edit the message of an unfinished job; dropped when it has its result or is too old to edit.

        Raises:
            MessageGone, DeliveryDelayed
        """
        key = job.reply_to.key
        try:
            async with asyncio.timeout(SHOW_TIMEOUT_S):
                job = await self._settled(job)
                key, address = job.reply_to.key, Address.read(job.reply_to)
                if job.is_private:
                    await self.private.show(job, standing)
                    return
                if self.time.is_old(address) or address.message_id is None:
                    return
                async with self._lock(key):
                    if key not in self._closed:
                        await self._show(job, standing, address)
        except DeliveryImpossible:  # `deliver` says so, once
            return
        except TROUBLES as error:
            match remedy(error):
                case Remedy.MESSAGE_GONE:
                    raise MessageGone from error
                case Remedy.LATER:
                    raise DeliveryDelayed(wait_s(error)) from error
                case Remedy.WITHOUT_PROMPT if key not in self._without_prompt:
                    self._without_prompt[key] = None
                    raise DeliveryDelayed from error
                case _:
                    log.warning("the message of job %s cannot be edited any more: %s", job.id, error)
                    self._closed[key] = None

    async def deliver(self, job: Job, image: Path | None) -> ReplyTo:
        """Say how a job ended: on its message, else in a new message in the channel, else in a direct message.

        Safe to repeat: editing twice is harmless, and new messages carry a nonce.

        Returns:
            Where the answer now stands.

        Raises:
            MessageGone, DeliveryDelayed, DeliveryImpossible
        """
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_S):
                job = await self._settled(job)
                async with self._lock(request_key(job)):
                    jobs = await self._composer.request_of(job)
                    # Read again: the message may have moved with another image of the request.
                    job = next((each for each in jobs if each.id == job.id), job)
                    if all(each.status.is_final for each in jobs):
                        self._closed[job.reply_to.key] = None
                    if await self._is_unwanted(job):
                        raise MessageGone
                    if job.is_erased and not job.is_cancel_requested:
                        with contextlib.suppress(Refused):  # whoever erased it was told
                            await self._take_back(jobs, job)
                    if is_private(jobs):
                        return await self.private.deliver(jobs, job, image)
                    if job.is_erased and not job.is_cancel_requested:
                        return job.reply_to
                    async with self._lock(job.reply_to.key):
                        reply_to = await self._deliver(jobs, job, image, Address.read(job.reply_to))
                    if reply_to != job.reply_to and len(jobs) > 1:  # the others are to be shown there as well
                        await self._service.message_placed(job, reply_to)
        except OSError as error:  # out of time, or the picture cannot be read right now
            raise DeliveryDelayed(wait_s(error)) from error
        if reply_to == job.reply_to and all(each.status.is_final for each in jobs):  # a new message notifies by itself
            await self._pings.tell(jobs, Address.read(reply_to))
        return reply_to

    async def _is_unwanted(self, job: Job) -> bool:
        """Whether nobody waits for a request that has no message: its placeholder came too late, or was deleted.

        An erased image says nothing of that: there was no message to take it from.
        """
        if Address.read(job.reply_to).message_id is not None:
            return False
        siblings = await self._service.archive.siblings(job)
        return any(each.delivery is Delivery.DROPPED and not each.is_erased for each in siblings)

    async def _show(self, job: Job, standing: QueueStatus, address: Address) -> None:
        """Edit the message, unless it would say what it says already."""
        key = job.reply_to.key
        jobs = await self._composer.request_of(job)
        if len(jobs) > 1 and all(each.status.is_final for each in jobs):
            return  # the last one ended just now: `deliver` says so, together with its image
        message = self._composer.unfinished(jobs, standing, with_prompt=key not in self._without_prompt)
        if self._shown.get(key) != message:
            await self._edit(address, message, jobs[0], wording_of(job))
            self._shown[key] = message

    async def _settled(self, job: Job) -> Job:
        """Wait while the message of a job is being opened; returns the job with its new place."""
        if Address.read(job.reply_to).message_id is not None:
            return job
        async with self._lock(job.reply_to.key):
            return dataclasses.replace(job, reply_to=self._opened.get(job.reply_to.key, job.reply_to))

    async def _deliver(self, jobs: Sequence[Job], job: Job, image: Path | None, address: Address) -> ReplyTo:
        files = (job.id, image)
        try:
            return await self._put(jobs, job, files, functools.partial(self._edit_result, jobs, job, address))
        except Refused as refused:
            if all(each.status is JobStatus.CANCELLED and each.moderated_reason is None for each in jobs):
                return job.reply_to  # whoever cancelled knows
            log.warning("job %s cannot be delivered on its message: %s", job.id, refused)
        for post in (self._post, self._post_directly):
            try:
                moved_to = await self._put(jobs, job, files, functools.partial(post, jobs, address))
            except Refused as refused:
                log.warning("job %s cannot be delivered by %s: %s", job.id, post.__name__, refused)
                continue
            await self._mark_as_moved(job, address, to_dm=post == self._post_directly)
            return moved_to
        raise DeliveryImpossible(f"job {job.id}: message, channel and direct message refused")

    # ── sending ─────────────────────────────────────────────────────────────────────────────────────

    async def _put(self, jobs: Sequence[Job], job: Job, image: tuple[int, Path | None], send: Send) -> ReplyTo:
        limit_bytes = self.limit_bytes(Address.read(job.reply_to).guild_id)
        with_prompt = job.reply_to.key not in self._without_prompt
        return await self._sender.put(
            Ended(jobs=jobs, image=image, limit_bytes=limit_bytes, with_prompt=with_prompt), send
        )

    async def _edit(self, address: Address, message: StatusMessage, job: Job, wording: Wording) -> None:
        async with self._sender.turn(address.channel_id):
            await self._sender.message(address).edit(
                content=message.content,
                embed=message.embed,
                view=buttons(message.actions, job.id, wording),
                allowed_mentions=NOBODY,
            )

    async def _edit_result(self, jobs: Sequence[Job], job: Job, address: Address, composed: Composed) -> ReplyTo:
        await self._sender.edit_result(jobs, address, composed)
        self._shown.pop(job.reply_to.key, None)
        return job.reply_to

    async def _post(self, jobs: Sequence[Job], address: Address, composed: Composed) -> ReplyTo:
        """Post a new message in the channel; it notifies its person, and nobody else."""
        channel, actions = self._sender.channel(address), composed.message.actions
        return (await self._sender.post(channel, jobs, address, composed, actions=actions)).reply_to()

    async def _post_directly(self, jobs: Sequence[Job], address: Address, composed: Composed) -> ReplyTo:
        channel = await self._sender.direct_channel(address.user_id)
        # In direct messages the bot takes no commands, and so offers no buttons.
        moved_to = await self._sender.post(channel, jobs, address, composed, actions=())
        return dataclasses.replace(moved_to, guild_id=None).reply_to()

    async def _mark_as_moved(self, job: Job, address: Address, *, to_dm: bool) -> None:
        """Say on the old message where the result went; best effort."""
        if address.message_id is None:
            return
        wording = wording_of(job)
        try:
            message = embeds.moved_message(self._composer.ended_view(job), wording, to_dm=to_dm)
            await self._edit(address, message, job, wording)
        except TROUBLES as error:
            log.info("the old message of job %s stays as it is: %s", job.id, error)

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())


class _HasFrontend(Protocol):
    frontend: DiscordFrontend


def frontend_of(interaction: discord.Interaction) -> DiscordFrontend:
    """Return the front end of the client that received the interaction."""
    return cast("_HasFrontend", interaction.client).frontend


def is_private(jobs: Sequence[Job]) -> bool:
    """Whether a message that shows these images is for their person only."""
    return any(job.is_private for job in jobs)
