"""The fields of the form for settings that not every model has; left empty, they are as the model draws.

Which of them are shown for the chosen model is said by `form.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bot.frontends.web.form import FIELD_IDS, offers
from bot.presentation.wording import MODEL_KEYS
from bot.requests.flag_values import NO_NEGATIVE
from bot.requests.loras import FAST, fitting
from bot.requests.models import Models
from bot.requests.pasted_settings import fold
from pipeline.catalog.model_card import ModelCard
from pipeline.errors import InvalidSpec
from pipeline.spec import (
    MAX_PROMPT_CHARS,
    ImageOptions,
    Sampler,
    sampler_title,
)

MAX_NUMBER_CHARS: Final = 20
NUMBERS: Final = ("cfg_scale", "guidance", "clip_skip")
OWN: Final = ""  # the sampler of the model, whichever that is
FIELD_KEYS: Final = (
    "setting-own",
    "console-negative",
    "console-cfg",
    "console-guidance",
    "console-sampler",
    "console-clip-skip",
    "console-loras",
    "console-loras-hint",
    "console-speed",
    "speed-fast",
)


def settings_fields(models: Models, say: Callable[[str], Any]) -> dict[str, Any]:
    """Make the fields, by their names in ImageOptions; those that no model has are there, and never shown."""
    import gradio as gr

    cards = models.all

    def shown(name: str) -> dict[str, Any]:
        return {"visible": any(offers(card, name, models) for card in cards), "elem_id": FIELD_IDS[name]}

    def text_field(name: str, key: str, **options: Any) -> Any:
        # For numbers as well: an emptied field for numbers says 0 in the browser, which is a number.
        return gr.Textbox(label=say(key), placeholder=say("setting-own"), **options, **shown(name))

    samplers = [each for each in Sampler if any(each in card.samplers for card in cards)]
    choices = [(say("setting-own"), OWN), *((sampler_title(each), each.value) for each in samplers)]
    return {
        "negative_prompt": text_field("negative_prompt", "console-negative", lines=2, max_length=MAX_PROMPT_CHARS),
        "cfg_scale": text_field("cfg_scale", "console-cfg", max_length=MAX_NUMBER_CHARS),
        "guidance": text_field("guidance", "console-guidance", max_length=MAX_NUMBER_CHARS),
        "sampler": gr.Dropdown(choices, value=OWN, label=say("console-sampler"), **shown("sampler")),
        "clip_skip": text_field("clip_skip", "console-clip-skip", max_length=MAX_NUMBER_CHARS),
        "loras": gr.Dropdown(
            _lora_choices(models), value="", label=say("console-loras"), info=say("console-loras-hint"),
            allow_custom_value=True, **shown("loras"),
        ),
        "speed": gr.Dropdown(
            [(say("setting-own"), OWN), (say("speed-fast"), FAST)], value=OWN, label=say("console-speed"),
            **shown("speed"),
        ),
    }  # fmt: skip


def model_choices(cards: Sequence[ModelCard], say: Callable[[str], Any]) -> list[tuple[Any, str]]:
    """Return the titles and names of models, for the field that chooses one."""
    return [(say(MODEL_KEYS[card.name]) if card.name in MODEL_KEYS else card.title, card.name) for card in cards]


def _lora_choices(models: Models) -> list[tuple[str, str]]:
    """Return the LoRAs that some model here draws with, with their trigger words; several can be typed."""
    found = {lora.name: lora for card in models.all for lora in fitting(models, card)}
    labels = {name: " · ".join([lora.title, *lora.triggers]) for name, lora in found.items()}
    return [("", ""), *((label, name) for name, label in labels.items())]


def asked(values: Mapping[str, str | None], card: ModelCard, models: Models) -> dict[str, object]:
    """Return what was typed into the fields that are shown for a model; what others still hold does not count.

    Raises:
        InvalidSpec: something else stands where a number should.
    """
    typed = {name: value for name, value in values.items() if value and value.strip() and offers(card, name, models)}
    return {name: _number(name, value) if name in NUMBERS else value for name, value in typed.items()}


def refilled(options: ImageOptions, own_negative: str = "") -> list[str]:
    """Return what the fields hold to draw with these options again, in their order.

    Args:
        own_negative: the negative prompt that the model has of its own, which an empty field stands for.
    """
    numbers = [None if value is None else f"{value:g}" for value in (options.cfg_scale, options.guidance)]
    skip = None if options.clip_skip is None else str(options.clip_skip)
    negative = NO_NEGATIVE if options.negative_prompt == "" and own_negative else options.negative_prompt
    return [value or "" for value in (negative, *numbers, options.sampler or OWN, skip, options.loras, OWN)]


def _number(name: str, typed: str) -> float:
    try:
        return float(fold(typed).replace(",", "."))
    except ValueError:
        raise InvalidSpec(name, "must be a number") from None
