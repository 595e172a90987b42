"""The fields of forms, and what was typed into them. Pure: which form has which fields is `forms.py`, `file_forms.py`.

The library forgets a form as soon as it is made: when one is sent, its custom id says everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import discord

from bot.frontends.discord_app.embeds import units
from bot.presentation.wording import STRENGTH_KEYS, Wording
from bot.requests.moderation import MAX_REASON
from pipeline.catalog.model_card import ModelCard
from pipeline.spec import MAX_PROMPT_CHARS, Strength

MAX_TITLE: Final = 45  # of a form and of a label (components/reference)
MAX_LABEL: Final = 100  # of an option of a select menu (components/reference)
MAX_KEPT: Final = 1500  # of a prompt, said again with the reason why it was refused
FIELD_KEYS: Final = {
    "prompt": "form-prompt",
    "seed": "form-seed",
    "steps": "form-steps",
    "aspect": "form-aspect",
    "size": "form-size",
    "strength": "form-strength",
    "file": "form-file",
    "files": "form-files",
    "more": "form-more",
    "picture": "form-picture",
    "reason": "form-reason",
}
MAX_SHORT: Final = 20  # a seed has eleven characters, a size nine

Values = Mapping[str, str]


def form(custom_id: str, title: str) -> discord.ui.Modal:
    """Make a form without fields."""
    made = discord.ui.Modal(title=title[:MAX_TITLE], custom_id=custom_id)
    made.stop()  # the library forgets it at once: it is found by its custom id
    return made


def prompt_field(wording: Wording, prompt: str = "") -> discord.ui.Label[Any]:
    """Make the field for the prompt."""
    field: discord.ui.TextInput[Any] = discord.ui.TextInput(
        custom_id="prompt",
        style=discord.TextStyle.paragraph,
        default=prompt[:MAX_PROMPT_CHARS] or None,
        min_length=1,
        max_length=MAX_PROMPT_CHARS,
    )
    return discord.ui.Label(text=wording.say(FIELD_KEYS["prompt"]), component=field)


def change_field(wording: Wording) -> discord.ui.Label[Any]:
    """Make the field for the words that say what to change in an image."""
    field: discord.ui.TextInput[Any] = discord.ui.TextInput(
        custom_id="prompt", style=discord.TextStyle.paragraph, min_length=1, max_length=MAX_PROMPT_CHARS
    )
    return discord.ui.Label(
        text=wording.say("form-change"), description=wording.say("form-change-hint"), component=field
    )


def short_field(wording: Wording, name: str, value: str, *, hint: str | None = None) -> discord.ui.Label[Any]:
    """Make a field for a few characters, which may be left empty."""
    field: discord.ui.TextInput[Any] = discord.ui.TextInput(
        custom_id=name, default=value, required=False, max_length=MAX_SHORT
    )
    return discord.ui.Label(text=wording.say(FIELD_KEYS[name]), description=hint, component=field)


def reason_field(wording: Wording) -> discord.ui.Label[Any]:
    """Make the field for why a moderator does something."""
    field: discord.ui.TextInput[Any] = discord.ui.TextInput(custom_id="reason", min_length=1, max_length=MAX_REASON)
    return discord.ui.Label(text=wording.say(FIELD_KEYS["reason"]), component=field)


def choice_field(
    wording: Wording, name: str, choices: Mapping[str, str], chosen: str, *, most: int = 1
) -> discord.ui.Label[Any]:
    """Make a field with one of several values, each with its label; or with several of them, at most so many."""
    options = [
        discord.SelectOption(label=label[:MAX_LABEL], value=value, default=value == chosen)
        for value, label in choices.items()
    ]
    field: discord.ui.Select[Any] = discord.ui.Select(
        custom_id=name, options=options, max_values=min(most, len(options))
    )
    return discord.ui.Label(text=wording.say(FIELD_KEYS[name]), component=field)


def upload_field(wording: Wording, *, most: int) -> discord.ui.Label[Any]:
    """Make the field for more images to look at, which may be left empty."""
    field: discord.ui.FileUpload[Any] = discord.ui.FileUpload(
        custom_id="more", required=False, min_values=0, max_values=most
    )
    return discord.ui.Label(
        text=wording.say(FIELD_KEYS["more"]), description=wording.say("form-more-hint", count=most), component=field
    )


def strength_field(wording: Wording, card: ModelCard, chosen: Strength) -> discord.ui.Label[Any]:
    """Make the field for how much of an init image is redrawn, with the numbers of a model."""
    choices = {name.value: f"{wording.say(STRENGTH_KEYS[name])} · {card.strengths[name]:g}" for name in Strength}
    return choice_field(wording, "strength", choices, chosen.value)


def typed_values(components: Any) -> dict[str, str]:
    """Return what was typed and chosen, by the custom ids of the fields; a modified client may send anything."""
    found: dict[str, str] = {}
    for part in _fields_in(components):
        name, value, chosen = (part.get(key) for key in ("custom_id", "value", "values"))
        value = chosen[0] if isinstance(chosen, list) and chosen else value
        if isinstance(name, str) and isinstance(value, str):
            found[name] = value
    return found


def chosen_values(components: Any, name: str) -> list[str]:
    """Return everything that was chosen in a field, each once; likewise."""
    chosen = (part.get("values") for part in _fields_in(components) if part.get("custom_id") == name)
    values = [value for each in chosen if isinstance(each, list) for value in each]
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))


def _fields_in(components: Any) -> Iterator[Mapping[str, Any]]:
    unread = [components]
    while unread:
        part = unread.pop()
        if isinstance(part, list):
            unread += part
        elif isinstance(part, dict):
            unread += [part.get("components"), part.get("component")]  # of a row, of a label
            yield part


def kept_prompt(values: Values) -> str:
    """Return the prompt that was typed, to be copied from a refusal; "" if there is none."""
    prompt = values.get("prompt", "").replace("```", "'''")
    while units(prompt) > MAX_KEPT:
        prompt = prompt[: len(prompt) * 9 // 10]
    return f"```\n{prompt}\n```" if prompt.strip() else ""
