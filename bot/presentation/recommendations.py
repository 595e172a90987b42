"""What `check` and `models` say about which model suits a machine: two sentences at most, and what to do."""

from __future__ import annotations

from typing import NamedTuple

import psutil

from bot.presentation.wording import MODEL_KEYS, Wording, wording_for
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import DEMO
from pipeline.catalog.recommendation import Choice, Machine, Recommendation, recommend
from pipeline.config import PipelineConfig
from pipeline.device.gpu import MIB, GpuState


class Advice(NamedTuple):
    """Sentences for the operator.

    way_out: a command or a line of the config; "" if nothing is to be done.
    is_fine: what draws now suits.
    """

    text: str
    way_out: str
    is_fine: bool


def advice_for(used: ModelCard, config: PipelineConfig, state: GpuState, locale: str) -> Advice:
    """Say which model suits this computer, the config and the operator's language. Looks at heads of files."""
    wording = wording_for(locale)
    gpu = state.gpu if state.is_usable and config.device != "cpu" else None
    machine = Machine(gpu=gpu, memory_mib=psutil.virtual_memory().total // MIB)
    return told(recommend(config, used, machine, wording.language[:2]), machine, wording)


def told(found: Recommendation, machine: Machine, wording: Wording) -> Advice:
    """Say what was found, in one language."""
    best = found.best
    is_fine = best.card.name == found.used.name
    if best.card.name == DEMO.name:
        first = wording.say("recommended-only-demo", model=_title(best.card, wording))
    elif is_fine:
        first = wording.say("recommended-used", **_facts(best.card, wording))
    else:
        key = "recommended-here" if best.is_here else "recommended-fetch"
        if machine.gpu is None:
            key = "recommended-on-cpu-here" if best.is_here else "recommended-on-cpu-fetch"
        first = wording.say(key, used=_title(found.used, wording), **_facts(best.card, wording))
    second = ""
    if not found.is_read:
        second = wording.say("recommended-unread")
    elif (other := found.commercial) is not None:
        key = "recommended-commercial-here" if other.is_here else "recommended-commercial-fetch"
        second = wording.say(key, **_facts(other.card, wording))
    text = wording.say("recommended-both", first=first, second=second) if second else first
    return Advice(text, "" if is_fine else _way_to(best), is_fine)


def _title(card: ModelCard, wording: Wording) -> str:
    return wording.say(MODEL_KEYS[card.name]) if card.name in MODEL_KEYS else card.title


def _facts(card: ModelCard, wording: Wording) -> dict[str, str | float]:
    return {
        "model": f"{_title(card, wording)} ({card.name})",
        "reads": "zh" if "zh" in card.reads else "en" if card.reads else "any",
        "steps": card.default_steps,
        "commercial": "yes" if card.is_commercial else "no",
        "size": card.fetch_gb,
    }


def _way_to(best: Choice) -> str:
    return f'[pipeline] model = "{best.card.name}"' if best.is_here else f"imagine-bot fetch {best.card.name}"
