"""Options that several commands have: what they take, and what is suggested for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import discord
from discord import app_commands

from bot.frontends.discord_app.interactions import context_of
from pipeline.catalog.model_card import ModelCard

MAX_JOB_ID: Final = 2**53 - 1
MAX_SIZE_CHARS: Final = 20
MAX_MODEL_CHARS: Final = 100
MAX_PRESET_CHARS: Final = 100  # longer than a name may be, so that its refusal is ours
# Discord's limits for suggestions (interactions/application-commands, "Autocomplete")
MAX_CHOICES: Final = 25
MAX_CHOICE: Final = 100
SUGGESTING_S: Final = 1.5  # rather no suggestions than late ones
# Options that have another name in ImageOptions.
FIELDS: Final[Mapping[str, str]] = {"negative": "negative_prompt", "cfg": "cfg_scale", "lora": "loras"}

JobId = app_commands.Range[int, 1, MAX_JOB_ID]
ModelName = app_commands.Range[str, 1, MAX_MODEL_CHARS]
PresetName = app_commands.Range[str, 1, MAX_PRESET_CHARS]
SizeText = app_commands.Range[str, 1, MAX_SIZE_CHARS]


async def suggest_models(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
    """Suggest the models that are here."""
    return model_choices(context_of(interaction).service.models.search(str(current)))


def model_choices(found: Sequence[ModelCard]) -> list[app_commands.Choice[str]]:
    """Return models as suggestions, by their titles; there may be more of them than Discord shows."""
    return [
        app_commands.Choice(name=card.title[:MAX_CHOICE], value=card.name[:MAX_CHOICE]) for card in found[:MAX_CHOICES]
    ]
