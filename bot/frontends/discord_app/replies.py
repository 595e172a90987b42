"""Edits by words: somebody replies to an image, mentions the bot, and says what to change.

Discord hands over the content of messages that mention the bot without the privileged intent, and with it the message
that is replied to, of which others than the bot's show no files unless they mention the bot, too. Whatever holds for a
command holds here; as nobody else can be spoken to in private, answers are short, few, and quote nothing.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import discord
from cachetools import LRUCache, TTLCache

from bot.errors import (
    Banned,
    BannedUntil,
    BlockedWord,
    NotAccepting,
    NotYourJob,
    RestrictedWord,
    StoreUnavailable,
)
from bot.frontends.discord_app.actions import with_picture
from bot.frontends.discord_app.attached import AttachedImage, NoImageHere, numbers_on, remember, seeming_images
from bot.frontends.discord_app.downloads import is_too_large, too_large
from bot.frontends.discord_app.embeds import NOBODY, voice_of
from bot.frontends.discord_app.frontend import DiscordFrontend
from bot.frontends.discord_app.http_errors import TROUBLES
from bot.frontends.discord_app.interactions import InteractionContext, roles_of, sentence_of
from bot.frontends.discord_app.message_ref import FRONTEND, Address, is_of_server, key_of
from bot.frontends.discord_app.permissions import (
    check_granted,
    granted_near,
    is_age_restricted,
    may_write,
    reference_to,
)
from bot.jobs import Allowance, Delivery, Job, JobStatus, ReplyTo
from bot.presentation.phrases import Phrase
from bot.presentation.wording import Wording, wording_for
from bot.requests.allowances import led_by_permitted, may_use
from bot.requests.batch import Accepted, Asker, Batch, InitImage
from bot.requests.channel_defaults import MODEL, PRIVATE
from bot.requests.edits import Change, notes_on, read_change
from bot.requests.inputs import check_count
from bot.requests.models import Models
from bot.requests.preferences import Personal

log = logging.getLogger(__name__)

REMEMBERED_MESSAGES: Final = 2000
REMEMBERED_S: Final = 900.0  # Discord repeats an event a moment later, if at all
CHANNEL_LIMIT: Final = 5  # refusals in a channel in `CHANNEL_PER_S`, so that nobody can make the bot flood it
CHANNEL_PER_S: Final = 60.0
_MENTIONS: Final = re.compile(r"<(?:@[!&]?|#)[0-9]{1,20}>")  # of people, roles and channels: nothing to draw


class EditRefused(Exception):
    """There is nothing to edit, or nothing is said; `key` is the sentence that says so."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a reply wants to have changed.

    job: whose image it is, if it is one of ours.
    images: those of the messages, in their order.
    """

    words: str
    job: Job | None
    images: tuple[InitImage, ...]


class Replies:
    """Draws what people ask for in replies to images.

    clock: seconds that never go back.
    """

    def __init__(
        self, context: InteractionContext, frontend: DiscordFrontend, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._context = context
        self._frontend = frontend
        self._clock = clock
        self._seen: TTLCache[int, None] = TTLCache(REMEMBERED_MESSAGES, REMEMBERED_S, timer=clock)
        self._deleted: TTLCache[int, None] = TTLCache(REMEMBERED_MESSAGES, REMEMBERED_S, timer=clock)
        self._refused_in: LRUCache[int, deque[float]] = LRUCache(REMEMBERED_MESSAGES)

    def note_deleted(self, message_id: int) -> None:
        """Remember that a message is gone: what it asks for, and is not queued yet, is not drawn."""
        self._deleted[message_id] = None

    async def answer(self, message: discord.Message, me: discord.ClientUser) -> bool:
        """Do what a reply asks for.

        Returns:
            False if the message is no reply to an image that mentions the bot.
        """
        if not _is_reply_to_us(message, me) or not self._is_served(message):
            return False
        if message.id in self._seen:
            return True
        self._seen[message.id] = None
        self._context.promise_answer()
        wording = self._wording(message)
        try:
            await self._edit(message, me, wording)
        except NoImageHere:
            return False
        except Exception as error:  # noqa: BLE001 - the library would log it and leave the person without an answer
            await self._refuse(message, error, wording)
        return True

    def _is_served(self, message: discord.Message) -> bool:
        """Whether commands could be used there: by the operator's lists, and by the permissions of the person."""
        member, channel = message.author, message.channel
        if not self._context.access.serves_message(message) or not may_write(message):
            return False
        if not isinstance(member, discord.Member) or isinstance(channel, discord.PartialMessageable):
            return False
        with contextlib.suppress(discord.ClientException, AttributeError):  # the thread's channel is not known yet
            return channel.permissions_for(member).use_application_commands
        return True

    def _wording(self, message: discord.Message) -> Wording:
        """Everybody reads the answer: it is in the language that its person chose, else in that of the server."""
        chosen = self._context.service.preferences.language(key_of(message.author))
        return wording_for(chosen or _locale(message))

    # ── what is asked for ───────────────────────────────────────────────────────────────────────────

    async def _edit(self, message: discord.Message, me: discord.ClientUser, wording: Wording) -> None:
        service = self._context.service
        wanted = await self._wanted(message, me)
        if not wanted.words:
            raise EditRefused("edit-say-what")
        if (granted := granted_near(message)) is not None:
            check_granted(granted, message.channel, message.channel.id)
        if not service.is_accepting:
            raise NotAccepting
        check_count(wanted.images if wanted.job is None else (wanted.job, *wanted.images))
        personal = await service.preferences.of(key_of(message.author))
        channel = await self._channel_defaults(message)
        roles = roles_of(message.author, None if message.guild is None else message.guild.id)
        allowance = await service.allowances.of(key_of(message.author), roles)
        models = _led_by_chosen(led_by_permitted(service.models, allowance), personal, channel, allowance)
        change = read_change(wanted.words, models, allowance)
        batch = change.batch(service.models, wanted.images, job=wanted.job)
        wants_private = channel.get(PRIVATE) is True if personal.is_private is None else personal.is_private
        batch = replace(
            batch,
            is_private=batch.is_private or wants_private,
            is_spoiler=batch.is_spoiler or personal.is_spoiler is True,
        )
        await self._draw(message, batch, allowance, wording, _notes(change, wanted))

    async def _wanted(self, message: discord.Message, me: discord.ClientUser) -> Wanted:
        """Find the images: that of the message replied to first, then those of the reply.

        Raises:
            NoImageHere: neither has any.
            EditRefused, NotYourJob, PictureErased, PictureRemoved, PictureNotReady, InvalidSpec, StoreUnavailable
        """
        words = " ".join(_MENTIONS.sub(" ", message.content).split())
        shown = message.reference and message.reference.resolved
        if not isinstance(shown, discord.Message):
            raise EditRefused("edit-original-gone")
        job, images = None, [*seeming_images(message)]
        if shown.author.id == me.id:
            job = await self._job_on(shown, message)
        else:
            theirs = seeming_images(shown)
            if not theirs and not images and not _is_readable(shown, me):
                raise EditRefused("edit-images-hidden")
            images = [*theirs, *images]
        if job is None and not images:
            raise NoImageHere
        for each in (shown, message):
            remember(self._frontend.client, each)
        if any(map(is_too_large, images)):
            raise too_large()
        of_shown = {file.id for file in shown.attachments}
        found = [
            AttachedImage(
                client=self._frontend.client,
                channel_id=message.channel.id,
                message_id=shown.id if file.id in of_shown else message.id,
                file_id=file.id,
            )
            for file in images
        ]
        return Wanted(words=words, job=job, images=tuple(found))

    async def _job_on(self, shown: discord.Message, message: discord.Message) -> Job | None:
        """Return the job whose image our message shows; None if it shows none.

        Raises:
            EditRefused: it shows several.
            NotYourJob: it is private, or of another server.
            JobNotFound, PictureErased, PictureRemoved, PictureNotReady, StoreUnavailable
        """
        service = self._context.service
        numbers = await numbers_on(shown, service.archive)
        jobs = [await service.job(number) for number in numbers]
        if not jobs:
            return None
        mine = key_of(message.author)
        for job in jobs:
            is_here = message.guild is not None and is_of_server(job, message.guild.id)
            if job.user != mine and (job.is_private or not is_here):
                raise NotYourJob(job.id)
        ready = [job for job in jobs if job.status is JobStatus.DONE and not job.is_erased]
        if len(ready) > 1:
            raise EditRefused("edit-which")
        return with_picture([*ready, *jobs][0])

    async def _channel_defaults(self, message: discord.Message) -> dict[str, object]:
        """Return what moderators chose for the channel.

        Raises:
            StoreUnavailable
        """
        channel = message.channel
        parent_id = channel.parent_id if isinstance(channel, discord.Thread) else None
        parent = None if parent_id is None else str(parent_id)
        return dict(await self._context.service.channels.of(FRONTEND, str(channel.id), parent_id=parent))

    # ── asking for it ───────────────────────────────────────────────────────────────────────────────

    async def _draw(
        self,
        message: discord.Message,
        batch: Batch,
        allowance: Allowance,
        wording: Wording,
        notes: Sequence[Phrase],
    ) -> None:
        """Queue a request and show it in a reply. Until that is there, its key is the message that asks."""
        reply_to = _address(message, wording if batch.is_private else None)
        asker = Asker(
            user=key_of(message.author),
            reply_to=reply_to,
            key=f"{FRONTEND}:{message.id}",
            allowance=allowance,
            is_age_restricted=is_age_restricted(message.channel),
        )
        service = self._context.service
        # The job may be claimed, even be done, before its message is there: progress and result wait here.
        async with self._frontend.opening(reply_to):
            accepted = await service.submit_batch(batch, asker)
            if message.id in self._deleted:
                await service.message_deleted(FRONTEND, reply_to.key)
                return
            if batch.is_private:
                await self._say(message, wording.say("edit-from-private"))
            else:
                await self._show(message, accepted)
        if accepted.refusal is not None:
            fewer = wording.say("fewer-queued", count=len(accepted.jobs), wanted=len(batch.images))
            await self._refuse(message, accepted.refusal, wording, before=fewer)
        if notes:
            await self._say(message, "\n".join(map(voice_of(wording).say, notes)))

    async def _show(self, message: discord.Message, accepted: Accepted) -> None:
        service, job = self._context.service, accepted.jobs[0]
        try:
            placed = await self._frontend.open_below(message, job, accepted.standing)
        except TROUBLES as error:  # the result is posted anew
            log.warning("the message of job %s could not be shown: %s", job.id, error)
            return
        async with self._frontend.opening(placed):
            await service.message_placed(job, placed)
            with contextlib.suppress(StoreUnavailable):
                if (await service.job(job.id)).delivery is Delivery.DROPPED:  # the reply was deleted meanwhile
                    await self._frontend.delete(Address.read(placed))

    async def _refuse(self, message: discord.Message, error: Exception, wording: Wording, *, before: str = "") -> None:
        """Say why nothing is drawn, unless too much of that was said in the channel just now.

        Of a ban, nobody else is to hear.
        """
        if isinstance(error, Banned | BannedUntil):
            return
        now, channel_id = self._clock(), message.channel.id
        recent = self._refused_in.setdefault(channel_id, deque(maxlen=CHANNEL_LIMIT))
        if len(recent) == CHANNEL_LIMIT and recent[0] > now - CHANNEL_PER_S:
            return
        recent.append(now)
        if isinstance(error, EditRefused):
            text = wording.say(error.key)
        elif isinstance(error, BlockedWord | RestrictedWord):
            text = wording.say("edit-word-refused")  # everybody reads this
        else:
            who = self._context.service.pseudonyms.short(key_of(message.author))
            text = sentence_of(error, wording, who=who, where="a reply")
        await self._say(message, f"{before}\n{text}".strip())

    async def _say(self, message: discord.Message, text: str) -> None:
        try:
            await message.channel.send(
                text,
                reference=reference_to(message),  # type: ignore[arg-type]  # None is the default
                mention_author=False,
                allowed_mentions=NOBODY,
                suppress_embeds=True,
            )
        except TROUBLES as error:
            log.info("a reply in channel %s could not be answered: %s", message.channel.id, type(error).__name__)


def _is_reply_to_us(message: discord.Message, me: discord.ClientUser) -> bool:
    """Whether a person on a server replied to a message and mentions the bot.

    Discord lists whom a message mentions: the author of what is replied to, unless that is switched off, and nobody in
    code blocks, by roles or by @everyone.
    """
    if message.author.bot or message.webhook_id is not None or message.guild is None:
        return False
    if message.type is not discord.MessageType.reply or message.reference is None:
        return False
    return any(user.id == me.id for user in message.mentions)


def _is_readable(message: discord.Message, me: discord.ClientUser) -> bool:
    """Whether Discord shows the bot what is in a message of somebody else."""
    return bool(message.content) or any(user.id == me.id for user in message.mentions)


def _led_by_chosen(models: Models, personal: Personal, channel: dict[str, object], allowance: Allowance) -> Models:
    """Let the model lead that the person, else the channel, draws with."""
    for name in (personal.model, channel.get(MODEL)):
        card = models.find(name) if isinstance(name, str) else None
        if card is not None and may_use(allowance, card):
            return models.led_by(card)
    return models


def _notes(change: Change, wanted: Wanted) -> tuple[Phrase, ...]:
    images = wanted.images if wanted.job is None else (wanted.job, *wanted.images)
    read = replace(change.read.notes, taken={})  # what was followed can be seen
    return (*read.phrases(), *notes_on(change.way, images, is_told=True))


def _address(message: discord.Message, wording: Wording | None) -> ReplyTo:
    return Address(
        channel_id=message.channel.id,
        message_id=None,
        guild_id=None if message.guild is None else message.guild.id,
        user_id=message.author.id,
        locale=_locale(message) if wording is None else wording.language,
        is_age_restricted=is_age_restricted(message.channel),
    ).reply_to(message.id)


def _locale(message: discord.Message) -> str:
    return "en" if message.guild is None else message.guild.preferred_locale.value
