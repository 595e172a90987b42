"""Private images: what their person sees while they wait, and how the result reaches them. Nobody else sees any of it.

While it waits, an image has an answer that only its person sees; it is edited through the interaction's token, which is
kept in memory only and dies after 15 minutes, so that nothing depends on it. The result goes by direct message, or
behind a button in the channel which only its person may press (`reveal.py`): whichever they chose, and the other way if
that one is refused. No text of this file that others can read holds a prompt, a setting or a reason.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import discord
from cachetools import LRUCache

from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible
from bot.errors import StoreUnavailable
from bot.frontends.discord_app.components import buttons
from bot.frontends.discord_app.composer import Composed, Composer, wording_of
from bot.frontends.discord_app.embeds import NOBODY, StatusMessage, mention
from bot.frontends.discord_app.http_errors import TROUBLES, Remedy, remedy, wait_s
from bot.frontends.discord_app.interactions import say
from bot.frontends.discord_app.message_ref import Address
from bot.frontends.discord_app.sending import Ended, Refused, Sender, only
from bot.jobs import Delivery, Job, JobStatus, QueueStatus, ReplyTo, UserKey
from bot.presentation.job_view import Action
from bot.requests.preferences import NOTHING_CHOSEN, Personal, PrivateTo
from bot.requests.service import Service

log = logging.getLogger(__name__)

REMEMBERED_ANSWERS: Final = 1000


class PrivateDelivery:
    """Shows and delivers images that only their person is to see."""

    def __init__(self, sender: Sender, composer: Composer, service: Service) -> None:
        self._sender = sender
        self._composer = composer
        self._service = service
        # By the key of a request: where its person sees how it stands, and what is said there.
        self._answers: LRUCache[str, discord.Interaction] = LRUCache(REMEMBERED_ANSWERS)
        self._shown: LRUCache[str, StatusMessage] = LRUCache(REMEMBERED_ANSWERS)

    # ── while it waits ──────────────────────────────────────────────────────────────────────────────

    async def open(self, interaction: discord.Interaction, job: Job, standing: QueueStatus) -> None:
        """Say how the request stands in the answer that its person was shown; best effort."""
        key, jobs = job.reply_to.key, await self._composer.request_of(job)
        message = self._status(jobs, standing)
        self._answers[key] = interaction
        try:
            view = buttons(message.actions, jobs[0].id, wording_of(job))
            await say(interaction, message.content, embed=message.embed, view=view)
        except TROUBLES as error:
            log.warning("the answer about job %s could not be shown: %s", job.id, error)
            return
        self._shown[key] = message

    async def show(self, job: Job, standing: QueueStatus) -> None:
        """Bring the answer up to date, as long as its token lives and this process remembers it.

        Raises:
            DeliveryDelayed
        """
        key = job.reply_to.key
        if (interaction := self._answer_of(key)) is None:
            return
        jobs = await self._composer.request_of(job)
        message = self._status(jobs, standing)
        if all(each.status.is_final for each in jobs) or self._shown.get(key) == message:
            return
        try:
            await _edit(interaction, message, jobs[0])
        except TROUBLES as error:
            if remedy(error) is Remedy.LATER:
                raise DeliveryDelayed(wait_s(error)) from error
            log.info("the answer about job %s is gone: %s", job.id, error)  # its person dismissed it, say
            self._answers.pop(key, None)
        else:
            self._shown[key] = message

    def _status(self, jobs: Sequence[Job], standing: QueueStatus) -> StatusMessage:
        message, wording = self._composer.unfinished(jobs, standing), wording_of(jobs[0])
        personal = self._service.preferences.known(jobs[0].user) or NOTHING_CHOSEN
        way = wording.say(f"private-waits-{_way(personal)}")
        return dataclasses.replace(message, content=f"{message.content}\n{way}")

    def _answer_of(self, key: str) -> discord.Interaction | None:
        interaction = self._answers.get(key)
        if interaction is not None and interaction.is_expired():
            del self._answers[key]
            return None
        return interaction

    def forget(self, user: UserKey) -> None:
        """Drop the answers to somebody who had everything erased: they hold prompts and tokens."""
        for key in [key for key, answer in self._answers.items() if str(answer.user.id) == user.id]:
            del self._answers[key]
            self._shown.pop(key, None)

    # ── the result ──────────────────────────────────────────────────────────────────────────────────

    async def deliver(self, jobs: Sequence[Job], job: Job, image: Path | None) -> ReplyTo:
        """Say how a request ended, once all of its images have; until then there is nothing to say.

        Returns:
            Where the answer now stands.

        Raises:
            MessageGone, DeliveryDelayed, DeliveryImpossible
        """
        if job.is_erased and not job.is_cancel_requested and not _is_awaited(jobs):
            return job.reply_to
        if not all(each.status.is_final for each in jobs) or Address.read(job.reply_to).message_id is not None:
            return job.reply_to
        is_cancelled = all(each.status is JobStatus.CANCELLED for each in jobs)
        if is_cancelled and all(each.moderated_reason is None for each in jobs):  # whoever cancelled knows
            await self._close(job, wording_of(job).say("private-cancelled"), is_there=False)
            return job.reply_to
        reply_to = await self._reach(jobs, job, image)
        if len(jobs) > 1:
            await self._service.message_placed(job, reply_to)
        key = "private-sent-dm" if Address.read(reply_to).is_direct else "private-sent-button"
        await self._close(job, wording_of(job).say(key), is_there=True)
        return reply_to

    async def take_back(self, jobs: Sequence[Job], job: Job) -> None:
        """Take an erased image off the direct message that shows it; the last one takes any message with it.

        Raises:
            Refused, MessageGone, DeliveryDelayed
        """
        address = Address.read(job.reply_to)
        if address.message_id is None:
            return
        is_empty = all(each.status.is_final and each.image_path is None for each in jobs)
        if not is_empty and not address.is_direct:
            return  # behind the button, the others are left

        async def send(composed: Composed) -> ReplyTo:
            if not is_empty:
                await self._sender.edit_result(jobs, address, _with_hint(composed, job))
                return job.reply_to
            await self._sender.delete(address)
            return job.reply_to

        await self._sender.put(_ended(jobs, job, None), send)

    async def _reach(self, jobs: Sequence[Job], job: Job, image: Path | None) -> ReplyTo:
        address = Address.read(job.reply_to)
        ways = {
            "direct message": functools.partial(self._directly, jobs, job, image, address),
            "button": functools.partial(self._behind_button, jobs, job, address),
        }
        for name in ways if await self._chosen(job) is PrivateTo.DM else reversed(ways):
            try:
                return await ways[name]()
            except Refused as refused:
                log.warning("job %s cannot be delivered by %s: %s", job.id, name, refused)
        raise DeliveryImpossible(f"job {job.id}: direct message and channel refused")

    async def _chosen(self, job: Job) -> PrivateTo:
        try:
            return _way(await self._service.preferences.of(job.user))
        except StoreUnavailable:  # both ways are private
            return PrivateTo.DM

    async def _directly(self, jobs: Sequence[Job], job: Job, image: Path | None, address: Address) -> ReplyTo:
        async def send(address: Address, composed: Composed) -> ReplyTo:
            channel = await self._sender.direct_channel(address.user_id)
            sent = await self._sender.post(channel, jobs, address, _with_hint(composed, job), actions=())
            return dataclasses.replace(sent, is_direct=True).reply_to()

        return await self._sender.put(_ended(jobs, job, image), functools.partial(send, address))

    async def _behind_button(self, jobs: Sequence[Job], job: Job, address: Address) -> ReplyTo:
        """Say in the channel that there is something for one person; what it is, only they can see."""
        wording = wording_of(job)
        numbers = " ".join(f"#{each.id}" for each in jobs if not each.is_erased)
        is_drawn = any(each.status is JobStatus.DONE for each in jobs)
        text = wording.say("private-ready" if is_drawn else "private-ended", who=mention(job), numbers=numbers)
        try:
            sent = await self._sender.channel(address).send(
                text,
                view=buttons([Action.REVEAL], jobs[0].id, wording) or discord.utils.MISSING,
                nonce=f"private-{jobs[0].id}",
                allowed_mentions=only(address.user_id),
            )
        except TROUBLES as error:
            if remedy(error) is Remedy.LATER:
                raise DeliveryDelayed(wait_s(error)) from error
            raise Refused(str(error)) from error
        return dataclasses.replace(address, channel_id=sent.channel.id, message_id=sent.id).reply_to()

    async def _close(self, job: Job, text: str, *, is_there: bool) -> None:
        """Say in the answer what became of the request; best effort."""
        key = job.reply_to.key
        interaction = self._answer_of(key)
        self._answers.pop(key, None)
        self._shown.pop(key, None)
        if interaction is None:
            return
        view = buttons([Action.REVEAL] if is_there else [], job.id, wording_of(job))
        try:
            await interaction.edit_original_response(content=text, embed=None, view=view, allowed_mentions=NOBODY)
        except TROUBLES as error:
            log.info("the answer about job %s stays as it is: %s", job.id, error)


async def _edit(interaction: discord.Interaction, message: StatusMessage, job: Job) -> None:
    await interaction.edit_original_response(
        content=message.content,
        embed=message.embed,
        view=buttons(message.actions, job.id, wording_of(job)),
        allowed_mentions=NOBODY,
    )


def _ended(jobs: Sequence[Job], job: Job, image: Path | None) -> Ended:
    limit_bytes = discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES  # a boost of the server does not reach direct messages
    return Ended(jobs=jobs, image=(job.id, image), limit_bytes=limit_bytes)


def _with_hint(composed: Composed, job: Job) -> Composed:
    """Say on a direct message where there is more to do: the bot takes no commands there, and so offers no buttons."""
    if not composed.uploads:
        return composed
    hint = wording_of(job).say("private-direct-hint")
    message = dataclasses.replace(composed.message, content=f"{composed.message.content}\n{hint}")
    return dataclasses.replace(composed, message=message)


def _is_awaited(jobs: Sequence[Job]) -> bool:
    """Whether images are left that are still to be announced, although the one that was to do so is erased."""
    left = [job for job in jobs if not job.is_erased]
    return bool(left) and all(job.delivery in (Delivery.PENDING, Delivery.DELIVERED) for job in left)


def _way(personal: Personal) -> PrivateTo:
    return personal.private_to or PrivateTo.DM
