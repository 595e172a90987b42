"""/imagine: typed options → Request → Service.submit → the status message.

The row comes first, then the answer to Discord, so that a process killed in between leaves nobody with a placeholder
that is never replaced: the picture is posted anew. The answer is due in 3 seconds: a slow database is not waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import discord
from discord import app_commands

from bot.errors import NotAccepting
from bot.frontends.discord_app.frontend import Opened, frontend_of
from bot.frontends.discord_app.interactions import InteractionContext, person, placeholder, promise_answer
from bot.frontends.discord_app.message_ref import FRONTEND
from bot.frontends.discord_app.translations import text
from bot.jobs import Request
from bot.presentation.wording import ASPECT_KEYS
from pipeline.catalog.models import ModelCard
from pipeline.spec import MAX_PROMPT_CHARS, MAX_SEED, MAX_STEPS, RANDOM_SEED, ImageOptions

ROW_FIRST_S: Final = 0.5

T = TypeVar("T")


class Imagine:
    """The command that draws."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def command(self, card: ModelCard) -> app_commands.Command[Any, ..., None]:
        """Make the command; the shapes on offer are those of the model.

        Its option names are not translated, so that the command line on a message works for every reader.
        """
        command: app_commands.Command[Any, ..., None] = app_commands.Command(
            name=text("command-imagine-name"),
            description=text("command-imagine-description"),
            callback=self.imagine,
        )
        app_commands.describe(
            prompt=text("option-prompt-english-description" if card.tells_unread else "option-prompt-description"),
            seed=text("option-seed-description"),
            steps=text("option-steps-description"),
            aspect=text("option-aspect-description"),
        )(command)
        app_commands.choices(
            aspect=[app_commands.Choice(name=text(ASPECT_KEYS[aspect]), value=aspect.value) for aspect in card.sizes]
        )(command)
        return command

    async def imagine(
        self,
        interaction: discord.Interaction,
        prompt: app_commands.Range[str, 1, MAX_PROMPT_CHARS],
        seed: app_commands.Range[int, RANDOM_SEED, MAX_SEED] | None = None,
        steps: app_commands.Range[int, 1, MAX_STEPS] | None = None,
        aspect: str | None = None,
    ) -> None:
        """Queue one picture. Discord checks the ranges; `submit` checks them again."""
        context = self._context
        context.access.check_channel(interaction)
        if not context.service.is_accepting:
            raise NotAccepting
        # Discord offers lists and ranges, but a modified client may send anything.
        options = ImageOptions.read(prompt=prompt, seed=seed, steps=steps, aspect=aspect)
        await draw(context, interaction, options)


async def draw(context: InteractionContext, interaction: discord.Interaction, options: ImageOptions) -> None:
    """Queue one picture for the person behind an interaction, and open its public message.

    Raises:
        Refusal, InvalidSpec, StoreUnavailable: nothing was queued, and nothing was answered yet.
    """
    frontend = frontend_of(interaction)
    promise_answer(interaction)
    reply_to = frontend.address(interaction)
    request = Request(user=person(interaction), reply_to=reply_to, options=options, key=f"{FRONTEND}:{interaction.id}")
    # The job may be claimed, even be done, before its message is there: progress and result wait here.
    async with frontend.opening(reply_to), _waited_for(context.service.submit(request)) as submitting:
        await asyncio.wait([submitting], timeout=ROW_FIRST_S)
        if submitting.done():
            submitting.result()  # a refusal is the first answer, and private
        is_answered = False
        try:
            async with placeholder(interaction) as message_id:
                is_answered = True
                job, standing = await submitting
                placed = frontend.placed(reply_to, message_id)
                async with frontend.opening(placed):
                    job = await context.service.message_placed(job, placed)
                    opened = await frontend.open(interaction, job, standing)
        except discord.HTTPException as error:
            if not is_answered and error.status < 500:  # nobody waits for it: too late, or the channel is gone
                with contextlib.suppress(Exception):
                    await submitting
                await context.service.message_deleted(FRONTEND, reply_to.key)
            raise  # any other error, as when this process ends now, leaves the job: its picture is posted anew
    if opened is Opened.GONE:
        await context.service.message_deleted(FRONTEND, placed.key)
    elif opened is Opened.NOT_YET:
        context.service.message_not_shown(job)


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
