"""From a command, a button or a form to the message of its request: one way for all that draw.

The row comes first, then the answer to Discord, so that a process killed in between leaves nobody with a placeholder
that is never replaced: the picture is posted anew. The answer is due in 3 seconds: a slow database, or a file that is
fetched slowly, is not waited for, and `placeholders.py` notes who waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

import discord

from bot.errors import NotAccepting, StoreUnavailable
from bot.frontends.discord_app.downloads import Download
from bot.frontends.discord_app.embeds import voice_of
from bot.frontends.discord_app.frontend import Opened, frontend_of
from bot.frontends.discord_app.http_errors import TROUBLES
from bot.frontends.discord_app.interactions import (
    allowance_of,
    context_of,
    explain,
    person,
    placeholder,
    promise_answer,
    reader,
    role_ids,
    say,
    think,
)
from bot.frontends.discord_app.message_ref import FRONTEND, channel_ids
from bot.frontends.discord_app.permissions import is_age_restricted
from bot.frontends.discord_app.visibility import LOOK_S, in_time
from bot.jobs import RemoteImage, ReplyTo
from bot.presentation.phrases import Phrase
from bot.requests.allowances import led_by_permitted, may_use
from bot.requests.batch import Accepted, Asker, Batch
from bot.requests.channel_defaults import MODEL, PRIVATE
from bot.requests.defaults import Levels, Wish
from bot.requests.edits import typed
from bot.requests.preferences import Personal
from bot.requests.presets import NO_PRESET, Preset

ROW_FIRST_S: Final = 0.5
FILE_FIRST_S: Final = 1.5  # with a file that has yet to be fetched, which mostly takes less

T = TypeVar("T")


async def draw_typed(interaction: discord.Interaction, wish: Wish, *, images: Sequence[Download] = ()) -> None:
    """Queue what a person typed into a command, with what they, a preset or the channel chose where they left it open.

    Raises:
        NoSuchPreset
        See `_draw`.
    """
    service, begun = context_of(interaction).service, time.monotonic()
    # Whether the answer is private has to be known first; mostly it is in memory.
    (personal, preset), found = await asyncio.gather(
        _chosen_by_person(interaction, wish.preset), _channel_defaults(interaction)
    )
    allowance, channel = service.allowances.of_roles(role_ids(interaction)), dict(found)
    name = channel.get(MODEL)
    card = service.models.find(name) if isinstance(name, str) else None
    if card is None or not may_use(allowance, card):
        channel.pop(MODEL, None)  # of two that a person did not choose, the one that they may use
    if personal.steps is not None and allowance.max_steps is not None:  # chosen once, and not for this image
        personal = replace(personal, steps=min(personal.steps, allowance.max_steps))
    levels = Levels(preset=preset, personal=personal, channel=channel)
    batch, notes = typed(wish, levels, led_by_permitted(service.models, allowance), allowance, images)
    await _draw(interaction, batch, notes=notes, spent_s=time.monotonic() - begun)


async def draw_chosen(interaction: discord.Interaction, batch: Batch, *, notes: Sequence[Phrase] = ()) -> None:
    """Queue what a button or a form asks for.

    It is private if the image is that it is made from, or if its person, else the channel, wants that; and a spoiler
    if that image is one, or if its person wants that.

    Raises:
        See `_draw`.
    """
    begun = time.monotonic()
    (personal, _), channel = await asyncio.gather(
        _chosen_by_person(interaction, None, look_s=ROW_FIRST_S), _channel_defaults(interaction)
    )
    is_private = channel.get(PRIVATE) is True if personal.is_private is None else personal.is_private
    batch = replace(
        batch,
        is_private=batch.is_private or is_private,
        is_spoiler=batch.is_spoiler or personal.is_spoiler is True,
    )
    await _draw(interaction, batch, notes=notes, spent_s=time.monotonic() - begun)


async def _chosen_by_person(
    interaction: discord.Interaction, preset: str | None, *, look_s: float = LOOK_S
) -> tuple[Personal, Preset]:
    """Return what the person who acts chose for themselves, and a preset of theirs.

    Raises:
        NoSuchPreset
        StoreUnavailable: also if the database takes too long.
    """
    service, me = context_of(interaction).service, person(interaction)
    async with in_time(look_s):
        personal = await service.preferences.of(me)
        return personal, NO_PRESET if preset is None else await service.presets.find(me, preset)


async def _channel_defaults(interaction: discord.Interaction) -> Mapping[str, object]:
    """Return what moderators chose for the channel.

    A slow database is not waited for: then what was last known holds, and where nothing is known, images are private.
    """
    context = context_of(interaction)
    channel, parent = channel_ids(interaction)
    try:
        async with asyncio.timeout(ROW_FIRST_S):
            found = await context.service.channels.of(FRONTEND, channel, parent_id=parent)
    except (TimeoutError, StoreUnavailable):
        return context.channel_defaults.get(channel, {PRIVATE: True})
    context.channel_defaults[channel] = found
    return found


async def _draw(
    interaction: discord.Interaction, batch: Batch, *, notes: Sequence[Phrase] = (), spent_s: float = 0.0
) -> None:
    """Queue a request of the person who acts, and show it in a new message: to everybody, unless it is private.

    If not all of its images could be queued, the person is told so; `notes` are told as well.

    Args:
        spent_s: how much of the time for the first answer is gone.

    Raises:
        Refusal, InvalidSpec, StoreUnavailable: not even the first image could be queued.
        discord.HTTPException: the message could not be opened; the job stays, unless nobody waits for it.
    """
    context, frontend = context_of(interaction), frontend_of(interaction)
    service = context.service
    context.access.check_server(interaction)
    context.access.check_channel(interaction)
    if not service.is_accepting:
        raise NotAccepting
    promise_answer(interaction)
    reply_to = frontend.address(interaction, reader(interaction).language if batch.is_private else None)
    asker = Asker(
        user=person(interaction),
        reply_to=reply_to,
        key=f"{FRONTEND}:{interaction.id}",
        is_age_restricted=is_age_restricted(interaction.channel),
    )
    show = _show_privately if batch.is_private else _show
    # The job may be claimed, even be done, before its message is there: progress and result wait here.
    async with frontend.opening(reply_to), _waited_for(_submit(interaction, batch, asker)) as submitting:
        file_first_s = max(ROW_FIRST_S, FILE_FIRST_S - spent_s)
        is_remote = any(isinstance(each, RemoteImage) for each in (batch.init_image, *batch.references))
        first_s = file_first_s if is_remote else ROW_FIRST_S
        await asyncio.wait([submitting], timeout=first_s)
        if submitting.done():
            submitting.result()  # a refusal is the first answer, and private
        accepted = await show(interaction, submitting, reply_to)
    if accepted.refusal is not None:
        fewer = reader(interaction).say("fewer-queued", count=len(accepted.jobs), wanted=len(batch.images))
        await explain(interaction, accepted.refusal, before=fewer)
    if notes:
        voice = voice_of(reader(interaction))
        with contextlib.suppress(*TROUBLES):  # the request stands without them
            await say(interaction, "\n".join(map(voice.say, notes)))


async def _show(interaction: discord.Interaction, submitting: asyncio.Task[Accepted], reply_to: ReplyTo) -> Accepted:
    """Show a request that is being stored to everybody."""
    frontend, service = frontend_of(interaction), context_of(interaction).service
    async with _answered(interaction, placeholder(interaction), submitting, reply_to) as message_id:
        accepted = await context_of(interaction).placeholders.until(submitting, interaction, message_id)
        placed = frontend.placed(reply_to, message_id)
        async with frontend.opening(placed):
            job = await service.message_placed(accepted.jobs[0], placed)
            opened = await frontend.open(interaction, job, accepted.standing)
    if opened is Opened.GONE:
        await service.message_deleted(FRONTEND, placed.key)
    elif opened is Opened.NOT_YET:
        service.message_not_shown(job)
    return accepted


async def _show_privately(
    interaction: discord.Interaction, submitting: asyncio.Task[Accepted], reply_to: ReplyTo
) -> Accepted:
    """Show a request that is being stored to its person only."""
    async with _answered(interaction, _private_placeholder(interaction), submitting, reply_to):
        accepted = await submitting
        await frontend_of(interaction).private.open(interaction, accepted.jobs[0], accepted.standing)
    return accepted


@asynccontextmanager
async def _private_placeholder(interaction: discord.Interaction) -> AsyncIterator[None]:
    await think(interaction)
    yield


@asynccontextmanager
async def _answered(
    interaction: discord.Interaction,
    answer: AbstractAsyncContextManager[T],
    submitting: asyncio.Task[Accepted],
    reply_to: ReplyTo,
) -> AsyncIterator[T]:
    """Answer an interaction; if that comes too late, or nobody is there any more, the request is taken back."""
    is_answered = False
    try:
        async with answer as shown:
            is_answered = True
            yield shown
    except discord.HTTPException as error:
        if not is_answered and error.status < 500:
            with contextlib.suppress(Exception):
                await submitting
            await context_of(interaction).service.message_deleted(FRONTEND, reply_to.key)
        raise  # any other error, as when this process ends now, leaves the job: its picture is posted anew


async def _submit(interaction: discord.Interaction, batch: Batch, asker: Asker) -> Accepted:
    """Queue a request within what its person may, whatever it came from."""
    allowance = await allowance_of(interaction)
    return await context_of(interaction).service.submit_batch(batch, replace(asker, allowance=allowance))


@asynccontextmanager
async def _waited_for(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run `work` beside what is done here; it has ended on the way out, whatever became of the rest."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it as never retrieved
