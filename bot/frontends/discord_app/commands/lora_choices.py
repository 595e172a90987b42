"""Suggestions for `lora:`, of which a person may type several: what stands there, and one more behind it."""

from __future__ import annotations

import asyncio
from typing import Final

import discord
from discord import app_commands

from bot.frontends.discord_app.commands.options import MAX_CHOICE, MAX_CHOICES
from bot.frontends.discord_app.interactions import context_of
from bot.requests.loras import find, search
from bot.requests.models import Models
from bot.requests.pasted_settings import fold
from pipeline.catalog.lora_card import LoraCard
from pipeline.catalog.model_card import ModelCard
from pipeline.lora_uses import MAX_LORAS

_SEPARATORS: Final = ",;、"


async def suggest_loras(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
    """Suggest the LoRAs that the model draws with, by name, title and trigger words."""
    models, model = context_of(interaction).service.models, chosen_model(interaction)
    return await asyncio.to_thread(lora_choices, str(current), models, model)  # it looks at files


def chosen_model(interaction: discord.Interaction) -> ModelCard:
    """Return the model that stands in the command that is being typed, else the usual one."""
    chosen, models = getattr(interaction.namespace, "model", None), context_of(interaction).service.models
    return (models.named(chosen) if isinstance(chosen, str) else None) or models.usual


def lora_choices(typed: str, models: Models, card: ModelCard) -> list[app_commands.Choice[str]]:
    """Return what is suggested for a model while somebody types `ink:0.8, fi`; what is chosen keeps what was typed."""
    folded = fold(typed)
    begin = 1 + max(folded.rfind(separator) for separator in _SEPARATORS)
    before, last = folded[:begin].rstrip(f" {_SEPARATORS}"), folded[begin:].strip()
    chosen = [part.partition(":")[0].strip() for part in before.replace(";", ",").replace("、", ",").split(",") if part]
    name, colon, _ = last.partition(":")
    is_whole = bool(colon) and find(name.strip(), models.loras()) is not None
    whole = ", ".join(filter(None, (before, last)))
    if is_whole or len(chosen) >= MAX_LORAS:  # a strength is being typed, or there is room for no other
        return [_choice(whole, whole)] if 0 < len(whole) <= MAX_CHOICE else []
    known = models.loras()
    taken = {lora.name for each in chosen if (lora := find(each, known)) is not None}
    found = [lora for lora in search(models, card, last) if lora.name not in taken]
    lead = f"{before}, " if before else ""
    return [
        _choice(f"{lead}{_label(lora)}", value) for lora in found if len(value := f"{lead}{lora.name}") <= MAX_CHOICE
    ][:MAX_CHOICES]


def _label(lora: LoraCard) -> str:
    """Title and trigger words, so that people see what to write into the prompt."""
    return f"{lora.title} · {', '.join(lora.triggers)}" if lora.triggers else lora.title


def _choice(label: str, value: str) -> app_commands.Choice[str]:
    label = label if len(label) <= MAX_CHOICE else f"{label[: MAX_CHOICE - 1]}…"
    return app_commands.Choice(name=label, value=value)
