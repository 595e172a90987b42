"""Suggestions for `lora:`, of which a person may type several: what stands there, and one more behind it. Pure."""

from __future__ import annotations

from typing import Final

from discord import app_commands

from bot.frontends.discord_app.commands.options import MAX_CHOICE, MAX_CHOICES
from bot.requests.loras import find, search
from bot.requests.models import Models
from bot.requests.pasted_settings import fold
from pipeline.catalog.lora_card import LoraCard
from pipeline.catalog.model_card import ModelCard
from pipeline.lora_uses import MAX_LORAS

_SEPARATORS: Final = ",;、"


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
