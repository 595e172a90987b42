"""The forms behind Edit and behind “use as starting image”, and what happens when one is sent.

The state of a form is in its custom id, `im2form:<action>:<job id>`, so that one which was opened before a restart can
be sent after it; the library need not remember any. A form has to be the first answer to a press.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import discord

from bot.errors import PictureErased
from bot.frontends.discord_app.drawing import draw
from bot.frontends.discord_app.embeds import units
from bot.frontends.discord_app.interactions import OptionsOutdated, attempt, context_of, explain, reader
from bot.frontends.discord_app.visibility import visible_job
from bot.jobs import Job
from bot.presentation.job_view import Action
from bot.presentation.wording import ASPECT_KEYS, Wording
from bot.requests import derive
from bot.requests.batch import Batch
from bot.requests.models import Models
from pipeline.errors import InvalidSpec
from pipeline.spec import MAX_PROMPT_CHARS, MAX_SEED, RANDOM_SEED, Aspect, ImageOptions

FORM: Final = re.compile(r"im2form:(?P<action>[a-z_]+):(?P<job_id>[0-9]{1,18})")
MAX_TITLE: Final = 45  # of a form and of a label (components/reference)
MAX_KEPT: Final = 1500  # of a prompt, said again with the reason why it was refused
STRENGTHS: Final = {"subtle": 0.4, "medium": 0.6, "strong": 0.8}
STRENGTH_KEYS: Final = {"subtle": "strength-subtle", "medium": "strength-medium", "strong": "strength-strong"}
FIELD_KEYS: Final = {
    "prompt": "form-prompt",
    "seed": "form-seed",
    "steps": "form-steps",
    "aspect": "form-aspect",
    "strength": "form-strength",
}
DEFAULT: Final = "medium"

Values = Mapping[str, str]


async def ask_for_edit(interaction: discord.Interaction, job: Job) -> None:
    """Open the form that draws a picture again with other words or settings, filled with those that it has."""
    models, wording = context_of(interaction).service.models, reader(interaction)
    options = derive.options_of(job, models)
    form = _form(Action.EDIT, job, wording.say("form-edit-title", job_id=job.id))
    form.add_item(_prompt_field(wording, job.spec.prompt))
    form.add_item(_short_field(wording, "seed", str(job.spec.seed), hint=wording.say("form-seed-hint")))
    form.add_item(_short_field(wording, "steps", str(job.spec.steps)))
    sizes = (models.find(options.model) or models.usual).sizes
    if len(sizes) > 1:
        choices = {aspect.value: wording.say(ASPECT_KEYS[aspect]) for aspect in sizes}
        form.add_item(_choice_field(wording, "aspect", choices, options.aspect or Aspect.SQUARE))
    await interaction.response.send_modal(form)


async def ask_for_start_from(interaction: discord.Interaction, job: Job) -> None:
    """Open the form that draws something else, starting from a picture."""
    derive.options_of(job, context_of(interaction).service.models)  # refused now rather than after the typing
    wording = reader(interaction)
    form = _form(Action.START_FROM, job, wording.say("form-start-from-title", job_id=job.id))
    form.add_item(_prompt_field(wording, job.spec.prompt))
    strengths = {name: wording.say(key) for name, key in STRENGTH_KEYS.items()}
    form.add_item(_choice_field(wording, "strength", strengths, DEFAULT))
    await interaction.response.send_modal(form)


async def submitted(interaction: discord.Interaction) -> None:
    """Do what a form that was sent is for; what was typed is said again if it cannot be done."""
    data: Any = interaction.data or {}
    match = FORM.fullmatch(str(data.get("custom_id", "")))
    values = dict(_values(data.get("components", ())))
    await attempt(interaction, _submit(interaction, match, values))


async def _submit(interaction: discord.Interaction, match: re.Match[str] | None, values: Values) -> None:
    read = READ.get(match["action"]) if match is not None else None
    try:
        if match is None or read is None:
            raise OptionsOutdated
        context = context_of(interaction)
        context.access.check_server(interaction)
        job = await visible_job(interaction, int(match["job_id"]))
        if job.is_erased:
            raise PictureErased(job.id)
        await draw(interaction, read(job, context.service.models, values))
    except discord.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - like any error of a press, but the form is closed: nothing may be lost
        await explain(interaction, error, keep=_typed(values))


def _read_edit(job: Job, models: Models, values: Values) -> Batch:
    typed = ImageOptions.read(
        prompt=values.get("prompt", ""),
        seed=_whole(values, "seed"),
        steps=_whole(values, "steps"),
        aspect=values.get("aspect") or None,
    )
    seed = RANDOM_SEED if typed.seed is None else typed.seed
    return derive.edit(job, models, prompt=typed.prompt, seed=seed, steps=typed.steps, aspect=typed.aspect)


def _read_start_from(job: Job, models: Models, values: Values) -> Batch:
    strength = STRENGTHS.get(values.get("strength", ""), STRENGTHS[DEFAULT])
    return derive.start_from(job, models, prompt=values.get("prompt", ""), strength=strength)


READ: Final[Mapping[str, Callable[[Job, Models, Values], Batch]]] = {
    Action.EDIT: _read_edit,
    Action.START_FROM: _read_start_from,
}
Submit = Callable[[discord.Interaction], Awaitable[None]]


def _whole(values: Values, name: str) -> int | None:
    """Read a number that was typed; None if the field was left empty.

    Raises:
        InvalidSpec
    """
    text = values.get(name, "").strip()
    if not text:
        return None
    if not re.fullmatch(r"[-−+]?\d{1,18}", text):
        raise InvalidSpec(name, "must be a whole number")
    return int(text.replace("−", "-"))


def _values(components: Any) -> list[tuple[str, str]]:
    """What was typed and chosen, by the custom ids of the fields; a modified client may send anything."""
    found: list[tuple[str, str]] = []
    for component in components if isinstance(components, list) else ():
        if not isinstance(component, dict):
            continue
        inside = component.get("component")
        found += _values(component.get("components", [inside] if inside is not None else []))
        name, value, chosen = (component.get(key) for key in ("custom_id", "value", "values"))
        if isinstance(name, str) and isinstance(value, str):
            found.append((name, value))
        elif isinstance(name, str) and isinstance(chosen, list) and chosen and isinstance(chosen[0], str):
            found.append((name, chosen[0]))
    return found


def _typed(values: Values) -> str:
    prompt = values.get("prompt", "").replace("```", "'''")
    while units(prompt) > MAX_KEPT:
        prompt = prompt[: len(prompt) * 9 // 10]
    return f"```\n{prompt}\n```" if prompt.strip() else ""


def _form(action: Action, job: Job, title: str) -> discord.ui.Modal:
    form = discord.ui.Modal(title=title[:MAX_TITLE], custom_id=f"im2form:{action}:{job.id}")
    form.stop()  # the library forgets it at once: `submitted` finds it by its custom id
    return form


def _prompt_field(wording: Wording, prompt: str) -> discord.ui.Label[Any]:
    field: discord.ui.TextInput[Any] = discord.ui.TextInput(
        custom_id="prompt",
        style=discord.TextStyle.paragraph,
        default=prompt[:MAX_PROMPT_CHARS],
        min_length=1,
        max_length=MAX_PROMPT_CHARS,
    )
    return discord.ui.Label(text=wording.say(FIELD_KEYS["prompt"]), component=field)


def _short_field(wording: Wording, name: str, value: str, *, hint: str | None = None) -> discord.ui.Label[Any]:
    field: discord.ui.TextInput[Any] = discord.ui.TextInput(
        custom_id=name, default=value, required=False, max_length=len(str(MAX_SEED)) + 1
    )
    return discord.ui.Label(text=wording.say(FIELD_KEYS[name]), description=hint, component=field)


def _choice_field(wording: Wording, name: str, choices: Mapping[str, str], chosen: str) -> discord.ui.Label[Any]:
    options = [
        discord.SelectOption(label=label, value=value, default=value == chosen) for value, label in choices.items()
    ]
    field: discord.ui.Select[Any] = discord.ui.Select(custom_id=name, options=options)
    return discord.ui.Label(text=wording.say(FIELD_KEYS[name]), component=field)
