"""/imagine: typed options → `drawing.py`."""

from __future__ import annotations

from typing import Any, Final

import discord
from discord import app_commands

from bot.frontends.discord_app.drawing import draw_typed
from bot.frontends.discord_app.interactions import InteractionContext, reader
from bot.frontends.discord_app.translations import text
from bot.presentation.wording import ASPECT_KEYS, SIZE_KEYS
from bot.requests.batch import MAX_BATCH
from pipeline.catalog.models import ModelCard
from pipeline.spec import MAX_PROMPT_CHARS, MAX_SEED, MAX_STEPS, RANDOM_SEED

MAX_SIZE_CHARS: Final = 20


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
            size=text("option-size-description"),
            count=text("option-count-description"),
        )(command)
        app_commands.choices(
            aspect=[app_commands.Choice(name=text(ASPECT_KEYS[aspect]), value=aspect.value) for aspect in card.sizes]
        )(command)
        command.autocomplete("size")(self.suggest_sizes)
        return command

    async def imagine(  # noqa: PLR0913 - a slash command names its options here
        self,
        interaction: discord.Interaction,
        prompt: app_commands.Range[str, 1, MAX_PROMPT_CHARS],
        seed: app_commands.Range[int, RANDOM_SEED, MAX_SEED] | None = None,
        steps: app_commands.Range[int, 1, MAX_STEPS] | None = None,
        aspect: str | None = None,
        size: app_commands.Range[str, 1, MAX_SIZE_CHARS] | None = None,
        count: app_commands.Range[int, 1, MAX_BATCH] | None = None,
    ) -> None:
        """Queue up to four pictures in one message. Discord checks the ranges; the service checks them again."""
        given = {"prompt": prompt, "seed": seed, "steps": steps, "aspect": aspect, "size": size}
        await draw_typed(interaction, given, count=count)

    async def suggest_sizes(self, interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        """Suggest the named sizes of the model; a width and a height can be typed as well."""
        wording, model = reader(interaction), self._context.service.models.usual
        named = [(wording.say(SIZE_KEYS[size]), size.value) for size in model.scales]
        wanted = str(current).casefold()
        found = [(name, value) for name, value in named if wanted in name.casefold() or wanted in value]
        return [app_commands.Choice(name=name, value=value) for name, value in found]
