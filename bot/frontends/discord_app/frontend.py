"""The Discord `Frontend`: finds the right message, edits it, and falls back to a new one if that fails.

A message is edited as the bot, by channel and message id, never through the interaction's token, which dies
after 15 minutes and is not stored. One lock and one closed flag per message keep late progress from
overwriting a result. What a message says is `embeds.py`, what an error means `http_errors.py`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import io
import logging
import time
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from pathlib import Path
from typing import Final, Protocol, TypeVar, cast

import discord

from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible, MessageGone
from bot.frontends.discord_app import attachments, embeds
from bot.frontends.discord_app.components import buttons
from bot.frontends.discord_app.embeds import StatusMessage
from bot.frontends.discord_app.http_errors import TROUBLES, Remedy, remedy, wait_s
from bot.frontends.discord_app.message_ref import FRONTEND, Address
from bot.jobs import Job, JobStatus, QueueStatus, ReplyTo
from bot.presentation import job_view
from bot.presentation.wording import Wording, wording_for
from bot.requests.service import Service

log = logging.getLogger(__name__)

SHOW_TIMEOUT_S: Final = 10.0  # an edit that waits longer for its turn is dropped
DELIVERY_TIMEOUT_S: Final = 180.0  # 10 MiB over a slow line
UPLOAD_MARGIN_BYTES: Final = 64 * 1024  # for the rest of the request
REQUEST_LIMIT_BYTES: Final = 25 * 1024 * 1024  # of a whole message
REMEMBERED_MESSAGES: Final = 2000
NOBODY: Final = discord.AllowedMentions.none()


T = TypeVar("T")
_Send = Callable[[StatusMessage, discord.File | None], Awaitable[ReplyTo]]


class Opened(Enum):
    """What became of the first edit of a message."""

    SHOWN = auto()
    NOT_YET = auto()
    GONE = auto()


class _Refused(Exception):
    """Discord refuses the message this way, whatever is changed about it."""


class DiscordFrontend:
    """Shows and delivers jobs that came through Discord."""

    name = FRONTEND

    def __init__(self, client: discord.Client, service: Service) -> None:
        self._client = client
        self._service = service
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._closed: OrderedDict[str, None] = OrderedDict()  # messages that progress may not touch any more
        self._without_prompt: OrderedDict[str, None] = OrderedDict()  # messages whose prompt AutoMod dislikes
        self._opened: OrderedDict[str, ReplyTo] = OrderedDict()  # where messages went, by the key that they had before

    # ── opening a message, through the interaction ──────────────────────────────────────────────────

    def address(self, interaction: discord.Interaction) -> ReplyTo:
        """Return where the answer to an interaction will stand. Public messages use the server's language."""
        assert interaction.channel_id is not None, "commands are for servers only"
        locale = interaction.guild_locale or interaction.locale
        return Address(
            channel_id=interaction.channel_id,
            message_id=None,
            guild_id=interaction.guild_id,
            user_id=interaction.user.id,
            locale=locale.value,
        ).reply_to(interaction.id)

    def placed(self, reply_to: ReplyTo, message_id: int) -> ReplyTo:
        """Return where the answer stands, now that Discord has named its message."""
        placed = dataclasses.replace(Address.read(reply_to), message_id=message_id).reply_to()
        _remember(self._opened, reply_to.key, placed)
        return placed

    def opening(self, reply_to: ReplyTo) -> asyncio.Lock:
        """Hold this while a job is submitted and its placeholder replaced; `show` and `deliver` wait for it."""
        return self._lock(reply_to.key)

    async def open(self, interaction: discord.Interaction, job: Job, standing: QueueStatus) -> Opened:
        """Replace the placeholder by the status message, through the token: later edits go by message id.

        Returns:
            GONE if the placeholder was deleted meanwhile; NOT_YET if the message could not be shown now.
        """
        wording, key = _wording(job), job.reply_to.key
        while True:
            message = self._status_message(job, standing, wording)
            try:
                await interaction.edit_original_response(
                    content=message.content,
                    embed=message.embed,
                    view=buttons(message.actions, job, wording),
                    allowed_mentions=NOBODY,
                )
            except TROUBLES as error:
                if remedy(error) is Remedy.WITHOUT_PROMPT and key not in self._without_prompt:
                    _remember(self._without_prompt, key, None)
                    continue
                log.warning("the message of job %s could not be shown yet: %s", job.id, error)
                return Opened.GONE if remedy(error) is Remedy.MESSAGE_GONE else Opened.NOT_YET
            return Opened.SHOWN

    async def fit(self, image: Path, guild_id: int | None) -> attachments.Upload | None:
        """Read a picture, made smaller if this server's upload limit wants that; None if it is gone or broken."""
        return await _fit(image, self._limit_bytes(guild_id), 0)

    def result_message(
        self, job: Job, wording: Wording, upload: attachments.Upload | None, *, with_prompt: bool = True
    ) -> StatusMessage:
        """Return the message of a finished picture; `upload` is the file to send, None if it is gone."""
        return embeds.result_message(
            job_view.ended_view(job, unread=self._service.unread(job.spec)),
            wording,
            picture=f"imagine-{job.id}.{upload.extension}" if upload is not None else None,
            shrunk_to=upload.format if upload is not None else None,
            usual_model=self._service.models.usual.name,
            with_prompt=with_prompt,
        )

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
                key, address, wording = job.reply_to.key, Address.read(job.reply_to), _wording(job)
                if address.is_old or address.message_id is None:
                    return
                async with self._lock(key):
                    if key not in self._closed:
                        await self._edit(address, self._status_message(job, standing, wording), job, wording)
        except DeliveryImpossible:  # `deliver` says so, once
            return
        except TROUBLES as error:
            match remedy(error):
                case Remedy.MESSAGE_GONE:
                    raise MessageGone from error
                case Remedy.LATER:
                    raise DeliveryDelayed(wait_s(error)) from error
                case Remedy.WITHOUT_PROMPT if key not in self._without_prompt:
                    _remember(self._without_prompt, key, None)
                    raise DeliveryDelayed from error
                case _:
                    log.warning("the message of job %s cannot be edited any more: %s", job.id, error)
                    _remember(self._closed, key, None)

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
                _remember(self._closed, job.reply_to.key, None)
                async with self._lock(job.reply_to.key):
                    return await self._deliver(job, image, Address.read(job.reply_to))
        except OSError as error:  # out of time, or the picture cannot be read right now
            raise DeliveryDelayed(wait_s(error)) from error

    async def _settled(self, job: Job) -> Job:
        """Wait while the message of a job is being opened; returns the job with its new place."""
        if Address.read(job.reply_to).message_id is not None:
            return job
        async with self._lock(job.reply_to.key):
            return dataclasses.replace(job, reply_to=self._opened.get(job.reply_to.key, job.reply_to))

    async def _deliver(self, job: Job, image: Path | None, address: Address) -> ReplyTo:
        try:
            return await self._put(job, image, functools.partial(self._edit_result, job, address))
        except _Refused as refused:
            if job.status is JobStatus.CANCELLED:
                return job.reply_to  # whoever cancelled knows
            log.warning("job %s cannot be delivered on its message: %s", job.id, refused)
        for post in (self._post, self._post_directly):
            try:
                moved_to = await self._put(job, image, functools.partial(post, job, address))
            except _Refused as refused:
                log.warning("job %s cannot be delivered by %s: %s", job.id, post.__name__, refused)
                continue
            await self._mark_as_moved(job, address, to_dm=post == self._post_directly)
            return moved_to
        raise DeliveryImpossible(f"job {job.id}: message, channel and direct message refused")

    # ── sending ─────────────────────────────────────────────────────────────────────────────────────

    async def _put(self, job: Job, image: Path | None, send: _Send) -> ReplyTo:
        """Send the final message one way, smaller or without its prompt if Discord asks for that."""
        limit_bytes, wording = self._limit_bytes(Address.read(job.reply_to).guild_id), _wording(job)
        rung, with_prompt = 0, job.reply_to.key not in self._without_prompt
        while True:
            upload = await _fit(image, limit_bytes, rung) if image is not None else None
            message = self._final_message(job, wording, upload, with_prompt=with_prompt)
            try:
                return await send(message, _file(message, upload))
            except TROUBLES as error:
                match remedy(error):
                    case Remedy.MESSAGE_GONE:
                        raise MessageGone from error
                    case Remedy.LATER:
                        raise DeliveryDelayed(wait_s(error)) from error
                    case Remedy.SMALLER if upload is not None and upload.rung < attachments.LAST_RUNG:
                        rung = upload.rung + 1
                    case Remedy.WITHOUT_PROMPT if with_prompt:
                        with_prompt = False
                    case _:
                        raise _Refused(str(error)) from error

    async def _edit(self, address: Address, message: StatusMessage, job: Job, wording: Wording) -> None:
        async with self._turn(address.channel_id):
            await self._message(address).edit(
                content=message.content,
                embed=message.embed,
                view=buttons(message.actions, job, wording),
                allowed_mentions=NOBODY,
            )

    async def _edit_result(
        self, job: Job, address: Address, message: StatusMessage, file: discord.File | None
    ) -> ReplyTo:
        if address.message_id is None:
            raise _Refused("there is no message: the process was killed before it could be shown")
        try:
            async with self._turn(address.channel_id):
                await self._message(address).edit(
                    content=message.content,
                    embed=message.embed,
                    attachments=[file] if file is not None else [],
                    view=buttons(message.actions, job, _wording(job)),
                    allowed_mentions=NOBODY,
                )
        except discord.RateLimited as error:
            if address.is_old:  # the rate limit on edits of old messages can last very long
                raise _Refused(str(error)) from error
            raise
        return job.reply_to

    async def _post(self, job: Job, address: Address, message: StatusMessage, file: discord.File | None) -> ReplyTo:
        """Post a new message in the channel; the only one that notifies, and only its person."""
        channel = self._client.get_partial_messageable(address.channel_id, guild_id=address.guild_id)
        return (await self._send(channel, job, address, message, file)).reply_to()

    async def _post_directly(
        self, job: Job, address: Address, message: StatusMessage, file: discord.File | None
    ) -> ReplyTo:
        try:
            channel = await self._client.create_dm(discord.Object(address.user_id))
        except discord.HTTPException as error:
            if remedy(error) is Remedy.LATER:
                raise
            raise _Refused(str(error)) from error
        moved_to = await self._send(channel, job, address, message, file)
        return dataclasses.replace(moved_to, guild_id=None).reply_to()

    async def _send(
        self,
        channel: discord.abc.Messageable,
        job: Job,
        address: Address,
        message: StatusMessage,
        file: discord.File | None,
    ) -> Address:
        sent = await channel.send(
            content=message.content,
            embed=message.embed,
            files=[file] if file is not None else [],
            view=buttons(message.actions, job, _wording(job)) or discord.utils.MISSING,
            nonce=f"imagine-{job.id}",  # discord.py adds enforce_nonce: a repeat returns the first message
            allowed_mentions=discord.AllowedMentions(
                everyone=False, roles=False, users=[discord.Object(address.user_id)]
            ),
        )
        return dataclasses.replace(address, channel_id=sent.channel.id, message_id=sent.id)

    async def _mark_as_moved(self, job: Job, address: Address, *, to_dm: bool) -> None:
        """Say on the old message where the result went; best effort."""
        if address.message_id is None:
            return
        wording = _wording(job)
        try:
            message = embeds.moved_message(job_view.ended_view(job), wording, to_dm=to_dm)
            await self._edit(address, message, job, wording)
        except TROUBLES as error:
            log.info("the old message of job %s stays as it is: %s", job.id, error)

    def _status_message(self, job: Job, standing: QueueStatus, wording: Wording) -> StatusMessage:
        view = job_view.unfinished_view(job, standing, now=time.time(), unread=self._service.unread(job.spec))
        return embeds.status_message(view, wording, with_prompt=job.reply_to.key not in self._without_prompt)

    def _final_message(
        self, job: Job, wording: Wording, upload: attachments.Upload | None, *, with_prompt: bool
    ) -> StatusMessage:
        if job.status is not JobStatus.DONE:
            return embeds.ended_message(job_view.ended_view(job), wording, with_prompt=with_prompt)
        return self.result_message(job, wording, upload, with_prompt=with_prompt)

    def _message(self, address: Address) -> discord.PartialMessage:
        assert address.message_id is not None, "looked at by those who edit"
        channel = self._client.get_partial_messageable(address.channel_id, guild_id=address.guild_id)
        return channel.get_partial_message(address.message_id)

    def _limit_bytes(self, guild_id: int | None) -> int:
        guild = self._client.get_guild(guild_id) if guild_id is not None else None
        limit = guild.filesize_limit if guild is not None else discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES
        return min(limit, REQUEST_LIMIT_BYTES) - UPLOAD_MARGIN_BYTES

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    def _turn(self, channel_id: int) -> asyncio.Lock:
        """Return the lock for edits of one channel: the library's rate limit count is exact only one edit at a time."""
        return self._lock(f"channel {channel_id}")


class _HasFrontend(Protocol):
    frontend: DiscordFrontend


def frontend_of(interaction: discord.Interaction) -> DiscordFrontend:
    """Return the front end of the client that received the interaction."""
    return cast("_HasFrontend", interaction.client).frontend


async def _fit(image: Path, limit_bytes: int, rung: int) -> attachments.Upload | None:
    try:
        return await asyncio.to_thread(attachments.fit, image, limit_bytes=limit_bytes, rung=rung)
    except FileNotFoundError:
        return None  # pruned meanwhile
    except attachments.BrokenPicture:
        log.exception("%s cannot be sent and counts as removed", image)
        return None


def _file(message: StatusMessage, upload: attachments.Upload | None) -> discord.File | None:
    if upload is None or message.picture is None:
        return None
    return discord.File(io.BytesIO(upload.body), filename=message.picture)


def _wording(job: Job) -> Wording:
    return wording_for(Address.read(job.reply_to).locale)


def _remember(messages: OrderedDict[str, T], key: str, value: T) -> None:
    messages[key] = value
    while len(messages) > REMEMBERED_MESSAGES:
        messages.popitem(last=False)
