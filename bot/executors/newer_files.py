"""What `check --updates` reports of models: whether the hub has newer files of those that are here. Changes nothing.

The one part of `check` that asks the hub of the models, and only when it is told to.
"""

from __future__ import annotations

from bot.findings import Finding, note, ok
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import MODELS
from pipeline.catalog.newer import NewerFile, compare_with_hub, is_here
from pipeline.config import PipelineConfig
from pipeline.errors import FetchFailed, HubSilent

TOPIC = "newer"


def look_for_newer_files(config: PipelineConfig) -> list[Finding]:
    """Ask about each model of this program of which files are here. Blocks for seconds, longer on a slow line.

    A hub that does not answer is no problem: what is here draws as before.
    """
    here = [card for card in MODELS.values() if is_here(card, config.models_dir)]
    if not here:
        return [note(TOPIC, "the hub was not asked: no model that comes from there is here")]
    return [finding for card in here for finding in _about(card, config)]


def _about(card: ModelCard, config: PipelineConfig) -> list[Finding]:
    try:
        found = compare_with_hub(card, config.models_dir, endpoint=config.endpoint)
    except HubSilent as error:
        return [note(TOPIC, f"{card.name}: not known, {reason}") for reason in dict.fromkeys(error.reasons.values())]
    except FetchFailed as error:
        return [note(TOPIC, f"{card.name}: {path} {reason} any more") for path, reason in error.reasons.items()]
    findings = [note(TOPIC, _told(card, each), f"imagine-bot fetch {card.name} --update") for each in found.newer]
    if found.unknown:
        text = f"{card.name}: {len(found.unknown)} files were never compared with the hub"
        findings.append(note(TOPIC, text, f"imagine-bot fetch {card.name}"))
    if not findings:
        findings.append(ok(TOPIC, f"{card.name}: the hub has nothing newer (revision {', '.join(found.revisions)})"))
    return findings


def _told(card: ModelCard, file: NewerFile) -> str:
    changed = "" if file.changed_at is None else f" of {file.changed_at:%Y-%m-%d}"
    return f"{card.name}: the hub has a newer one{changed}, yours was fetched on {file.fetched_on}: {file.path}"
