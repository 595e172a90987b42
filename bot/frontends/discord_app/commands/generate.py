"""/imagine: typed options → Batch → `drawing.py`."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands

from bot.frontends.discord_app.drawing import draw
from bot.frontends.discord_app.interactions import InteractionContext
from bot.frontends.discord_app.translations import text
from bot.presentation.wording import ASPECT_KEYS
from bot.requests.batch import MAX_BATCH, Batch
from pipeline.catalog.models import ModelCard
from pipeline.spec import MAX_PROMPT_CHARS, MAX_SEED, MAX_STEPS, RANDOM_SEED, ImageOptions


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
            count=text("option-count-description"),
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
        count: app_commands.Range[int, 1, MAX_BATCH] = 1,
    ) -> None:
        """Queue up to four pictures in one message. Discord checks the ranges; the service checks them again."""
        # Discord offers lists and ranges, but a modified client may send anything.
        options = ImageOptions.read(prompt=prompt, seed=seed, steps=steps, aspect=aspect)
        await draw(interaction, Batch.of(options, count=count))
