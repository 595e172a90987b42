"""The translator as the operator set it up: which files it is read from, what `check` says of them. No torch.

Without it, people are told what a model cannot read; nothing else depends on it.
"""

from __future__ import annotations

import logging
from typing import Final

from bot.config import TranslatorConfig
from bot.findings import Finding, note, ok
from pipeline.config import PipelineConfig
from pipeline.translation.translator import Translator, translator_of
from pipeline.translation.translator_card import QWEN3, TranslatorCard, flaws_of, is_there

log = logging.getLogger(__name__)

FETCH: Final = f"imagine-bot fetch {QWEN3.name}"
FOR: Final = "prompts in Chinese and other languages are translated for models that read English only"
NOT_FOR: Final = "prompts in Chinese and other languages are not translated for models that read English only"


def card_of(config: TranslatorConfig) -> TranslatorCard:
    """Return the language model of the config: the operator's own, else the one that is fetched."""
    return QWEN3 if config.path is None else QWEN3.in_folder(config.path)


def open_translator(config: TranslatorConfig, pipeline: PipelineConfig) -> Translator | None:
    """Return the translator, with nothing loaded yet; None if it is off, or if its files are not whole. Blocks."""
    if not config.enabled:
        return None
    card = card_of(config)
    if (translator := translator_of(card, pipeline.models_dir)) is None:
        reason = "; ".join(f"{path} {flaw}" for path, flaw in flaws_of(card, pipeline.models_dir).items())
        if config.path is not None or is_there(card, pipeline.models_dir):
            log.warning("%s: %s", NOT_FOR, reason)
        else:
            log.info("%s: %s does", NOT_FOR, FETCH)
    return translator


def look_at_translator(config: TranslatorConfig, pipeline: PipelineConfig) -> list[Finding]:
    """Report whether there is a translator, and what is wrong with its files. Blocks."""
    if not config.enabled:
        return [note("translator", f"off, as [translator] enabled says: {NOT_FOR}")]
    card = card_of(config)
    flaws = flaws_of(card, pipeline.models_dir)
    if not flaws:
        return [ok("translator", f"its files are there and whole: {FOR}")]
    if config.path is not None:
        way_out = f"correct [translator] path, or leave it out: {FETCH}"
        return [note("translator", f"{path} {flaw}", way_out) for path, flaw in flaws.items()]
    if not is_there(card, pipeline.models_dir):
        return [note("translator", f"not here: {NOT_FOR}", f"{FETCH}, {card.fetch_gb:g} GB")]
    return [note("translator", f"{path} {flaw}", FETCH) for path, flaw in flaws.items()]
