"""The fields of the form for settings that not every model has; left empty, they are as the model draws.

Importing this imports Gradio. Which of them are shown for the chosen model is said by `form.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import gradio as gr

from pipeline.catalog.model_card import ModelCard
from pipeline.spec import (
    MAX_ASKED_SCALE,
    MAX_CLIP_SKIP,
    MAX_PROMPT_CHARS,
    MIN_ASKED_CFG,
    Sampler,
    sampler_title,
)

OWN: Final = ""  # the sampler of the model, whichever that is
FIELD_KEYS: Final = (
    "setting-own",
    "console-negative",
    "console-cfg",
    "console-guidance",
    "console-sampler",
    "console-clip-skip",
)


def settings_fields(cards: Sequence[ModelCard], say: Callable[[str], Any]) -> dict[str, Any]:
    """Make the fields, by their names in ImageOptions; those that no model has are there, and never shown."""

    def shown(name: str) -> dict[str, Any]:
        return {"visible": any(card.offers(name) for card in cards), "elem_id": element_id(name)}

    samplers = [each for each in Sampler if any(each in card.samplers for card in cards)]
    choices = [(say("setting-own"), OWN), *((sampler_title(each), each.value) for each in samplers)]
    scale = {"step": 0.5, "maximum": MAX_ASKED_SCALE, "placeholder": say("setting-own")}
    return {
        "negative_prompt": gr.Textbox(
            label=say("console-negative"), lines=2, max_length=MAX_PROMPT_CHARS, **shown("negative_prompt")
        ),
        "cfg_scale": gr.Number(None, label=say("console-cfg"), minimum=MIN_ASKED_CFG, **scale, **shown("cfg_scale")),
        "guidance": gr.Number(None, label=say("console-guidance"), minimum=0, **scale, **shown("guidance")),
        "sampler": gr.Dropdown(choices, value=OWN, label=say("console-sampler"), **shown("sampler")),
        "clip_skip": gr.Number(
            None,
            label=say("console-clip-skip"),
            minimum=1,
            maximum=MAX_CLIP_SKIP,
            precision=0,
            placeholder=say("setting-own"),
            **shown("clip_skip"),
        ),
    }


def element_id(name: str) -> str:
    """Return the id of a field on the page."""
    return name.replace("_", "-")


def asked(values: Mapping[str, object], card: ModelCard) -> dict[str, object]:
    """Return what was typed into the fields that are shown for a model; what others still hold does not count."""
    return {name: None if value == OWN else value for name, value in values.items() if card.offers(name)}
