"""How a message is sent or edited as the bot: one edit per channel at a time, smaller if Discord asks for it.

Shared by what everybody sees (`frontend.py`) and what one person sees (`private_delivery.py`). Must not know which way
a result goes.
"""

from __future__ import annotations

import asyncio
import dataclasses
import weakref
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import discord

from bot.delivery.frontend import DeliveryDelayed, MessageGone
from bot.frontends.discord_app import own_deletions
from bot.frontends.discord_app.components import buttons
from bot.frontends.discord_app.composer import Composed, Composer, wording_of
from bot.frontends.discord_app.embeds import NOBODY, StatusMessage
from bot.frontends.discord_app.http_errors import TROUBLES, Remedy, remedy, wait_s
from bot.frontends.discord_app.message_ref import Address, DiscordTime
from bot.frontends.discord_app.permissions import reference_to
from bot.jobs import Job, ReplyTo
from bot.presentation.job_view import Action

Send = Callable[[Composed], Awaitable[ReplyTo]]


class Refused(Exception):
    """Discord refuses the message this way, whatever is changed about it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What is to be sent: the images of a request, and what is known of the message already.

    image: the file of one job.
    limit_bytes: of one file.
    with_prompt: False if AutoMod dislikes the prompt.
    """

    jobs: Sequence[Job]
    image: tuple[int, Path | None]
    limit_bytes: int
    with_prompt: bool = True


class Sender:
    """Sends and edits messages as the bot."""

    def __init__(self, client: discord.Client, composer: Composer, time: DiscordTime) -> None:
        self._client = client
        self._composer = composer
        self._time = time
        self._turns: weakref.WeakValueDictionary[int, asyncio.Lock] = weakref.WeakValueDictionary()

    def turn(self, channel_id: int) -> asyncio.Lock:
        """Return the lock for edits of one channel: the library's rate limit count is exact only one edit at a time."""
        return self._turns.setdefault(channel_id, asyncio.Lock())

    def channel(self, address: Address) -> discord.PartialMessageable:
        """Return the channel of a message."""
        return self._client.get_partial_messageable(address.channel_id, guild_id=address.guild_id)

    def message(self, address: Address) -> discord.PartialMessage:
        """Return a message that is there."""
        assert address.message_id is not None, "looked at by those who edit"
        return self.channel(address).get_partial_message(address.message_id)

    async def delete(self, address: Address) -> None:
        """Delete a message that is there; that it goes is not a moderator's doing."""
        message = self.message(address)
        own_deletions.note(self._client, message.id)
        async with self.turn(address.channel_id):
            await message.delete()

    async def direct_channel(self, user_id: int) -> discord.DMChannel:
        """Return the channel of direct messages with a person.

        Raises:
            Refused, or one of TROUBLES that may be over later
        """
        try:
            return await self._client.create_dm(discord.Object(user_id))
        except discord.HTTPException as error:
            if remedy(error) is Remedy.LATER:
                raise
            raise Refused(str(error)) from error

    async def put(self, ended: Ended, send: Send) -> ReplyTo:
        """Send the final message one way, smaller or without its prompt if Discord asks for that.

        Raises:
            Refused, MessageGone, DeliveryDelayed
        """
        rung, with_prompt = 0, ended.with_prompt
        while True:
            composed = await self._composer.ended(
                ended.jobs,
                wording_of(ended.jobs[0]),
                limit_bytes=ended.limit_bytes,
                rung=rung,
                with_prompt=with_prompt,
                image=ended.image,
            )
            try:
                return await send(composed)
            except TROUBLES as error:
                match remedy(error):
                    case Remedy.MESSAGE_GONE:
                        raise MessageGone from error
                    case Remedy.LATER:
                        raise DeliveryDelayed(wait_s(error)) from error
                    case Remedy.SMALLER if composed.can_shrink:
                        rung = composed.next_rung
                    case Remedy.WITHOUT_PROMPT if with_prompt:
                        with_prompt = False
                    case _:
                        raise Refused(str(error)) from error

    async def edit_result(self, jobs: Sequence[Job], address: Address, composed: Composed) -> None:
        """Let a message show what ended.

        Raises:
            Refused: there is no message, or it is too old to be edited soon.
        """
        if address.message_id is None:
            raise Refused("there is no message: the process was killed before it could be shown")
        message = composed.message
        is_direct = address.is_direct or address.guild_id is None
        actions = () if is_direct else message.actions  # the bot takes no commands there
        try:
            async with self.turn(address.channel_id):
                await self.message(address).edit(
                    content=message.content,
                    embed=message.embed,
                    attachments=composed.files(),
                    view=buttons(actions, jobs[0].id, wording_of(jobs[0])),
                    allowed_mentions=NOBODY,
                )
        except discord.RateLimited as error:
            if self._time.is_old(address):  # the rate limit on edits of old messages can last very long
                raise Refused(str(error)) from error
            raise

    async def reply(self, asked: discord.Message, message: StatusMessage, jobs: Sequence[Job]) -> discord.Message:
        """Post the message of jobs as a reply, which notifies nobody. Raises one of TROUBLES."""
        return await asked.channel.send(
            content=message.content,
            embed=message.embed,
            view=buttons(message.actions, jobs[0].id, wording_of(jobs[0])) or discord.utils.MISSING,
            reference=reference_to(asked),  # type: ignore[arg-type]  # None is the default
            nonce=f"reply-{asked.id}",  # discord.py adds enforce_nonce: a repeat returns the first message
            mention_author=False,
            allowed_mentions=NOBODY,
        )

    async def post(
        self,
        channel: discord.abc.Messageable,
        jobs: Sequence[Job],
        address: Address,
        composed: Composed,
        *,
        actions: Sequence[Action],
    ) -> Address:
        """Post a new message, which notifies its person and nobody else. Returns where it stands."""
        message = composed.message
        sent = await channel.send(
            content=message.content,
            embed=message.embed,
            files=composed.files(),
            view=buttons(actions, jobs[0].id, wording_of(jobs[0])) or discord.utils.MISSING,
            nonce=f"imagine-{jobs[0].id}",  # discord.py adds enforce_nonce: a repeat returns the first message
            allowed_mentions=only(address.user_id),
        )
        return dataclasses.replace(address, channel_id=sent.channel.id, message_id=sent.id)


def only(user_id: int) -> discord.AllowedMentions:
    """Let a message notify one person."""
    return discord.AllowedMentions(everyone=False, roles=False, users=[discord.Object(user_id)])
