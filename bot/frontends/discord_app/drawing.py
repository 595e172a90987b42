"""From a command, a button or a form to the message of its request: one way for all that draw.

The row comes first, then the answer to Discord, so that a process killed in between leaves nobody with a placeholder
that is never replaced: the picture is posted anew. The answer is due in 3 seconds: a slow database is not waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

import discord

from bot.errors import NotAccepting
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
    say,
)
from bot.frontends.discord_app.message_ref import FRONTEND
from bot.presentation.job_view import Phrase
from bot.requests.batch import Accepted, Asker, Batch
from bot.requests.prompt_flags import read_prompt
from pipeline.spec import ImageOptions

ROW_FIRST_S: Final = 0.5

T = TypeVar("T")


async def draw_typed(
    interaction: discord.Interaction, values: Mapping[str, object], *, count: int | None = None
) -> None:
    """Queue what a person typed into a command, after flags and pasted settings were taken out of the prompt.

    Args:
        values: by field of ImageOptions, of any type: Discord offers lists and ranges, but a modified client may send
            anything. What is left out, a flag may set.

    Raises:
        See `draw`.
    """
    read = read_prompt(values["prompt"], context_of(interaction).service.models, given=values, count=count)
    await draw(interaction, Batch.of(ImageOptions.read(**read.options), count=read.count), notes=read.phrases())


async def draw(interaction: discord.Interaction, batch: Batch, *, notes: Sequence[Phrase] = ()) -> None:
    """Queue a request of the person who acts, and show it to everybody in a new message.

    If not all of its images could be queued, the person is told so; `notes` are told as well.

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
    reply_to = frontend.address(interaction)
    asker = Asker(user=person(interaction), reply_to=reply_to, key=f"{FRONTEND}:{interaction.id}")
    # The job may be claimed, even be done, before its message is there: progress and result wait here.
    async with frontend.opening(reply_to), _waited_for(_submit(interaction, batch, asker)) as submitting:
        await asyncio.wait([submitting], timeout=ROW_FIRST_S)
        if submitting.done():
            submitting.result()  # a refusal is the first answer, and private
        is_answered = False
        try:
            async with placeholder(interaction) as message_id:
                is_answered = True
                accepted = await submitting
                job = accepted.jobs[0]
                placed = frontend.placed(reply_to, message_id)
                async with frontend.opening(placed):
                    job = await service.message_placed(job, placed)
                    opened = await frontend.open(interaction, job, accepted.standing)
        except discord.HTTPException as error:
            if not is_answered and error.status < 500:  # nobody waits for it: too late, or the channel is gone
                with contextlib.suppress(Exception):
                    await submitting
                await service.message_deleted(FRONTEND, reply_to.key)
            raise  # any other error, as when this process ends now, leaves the job: its picture is posted anew
    if opened is Opened.GONE:
        await service.message_deleted(FRONTEND, placed.key)
    elif opened is Opened.NOT_YET:
        service.message_not_shown(job)
    if accepted.refusal is not None:
        fewer = reader(interaction).say("fewer-queued", count=len(accepted.jobs), wanted=len(batch.images))
        await explain(interaction, accepted.refusal, before=fewer)
    if notes:
        voice = voice_of(reader(interaction))
        with contextlib.suppress(*TROUBLES):  # the request stands without them
            await say(interaction, "\n".join(map(voice.say, notes)))


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
