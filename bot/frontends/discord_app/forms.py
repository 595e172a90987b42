"""The forms behind Edit and behind “use as starting image”, and what happens when one is sent.

The state of a form is in its custom id, `im2form:<action>:<job id>`, so that one which was opened before a restart can
be sent after it; the library need not remember any. A form has to be the first answer to a press.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import discord

from bot.errors import InvalidFlag
from bot.frontends.discord_app.drawing import draw
from bot.frontends.discord_app.embeds import units
from bot.frontends.discord_app.interactions import OptionsOutdated, attempt, context_of, explain, reader
from bot.frontends.discord_app.visibility import visible_job
from bot.jobs import Job
from bot.presentation.job_view import Action, Phrase
from bot.presentation.prompt_notes import lost_phrase
from bot.presentation.wording import ASPECT_KEYS, Wording
from bot.requests import derive
from bot.requests.batch import Batch
from bot.requests.erasure import check_not_erased
from bot.requests.models import Models
from bot.requests.prompt_flags import ReadPrompt, read_prompt
from pipeline.errors import InvalidSpec
from pipeline.spec import MAX_PROMPT_CHARS, RANDOM_SEED, Aspect, ImageOptions, Size

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
    "size": "form-size",
    "strength": "form-strength",
}
DEFAULT: Final = "medium"
MAX_SHORT: Final = 20  # a seed has eleven characters, a size nine

Values = Mapping[str, str]


async def ask_for_edit(interaction: discord.Interaction, job: Job) -> None:
    """Open the form that draws a picture again with other words or settings, filled with those that it has."""
    models, wording = context_of(interaction).service.models, reader(interaction)
    options = derive.options_of(job, models)
    form = _form(Action.EDIT, job, wording.say("form-edit-title", job_id=job.id))
    form.add_item(_prompt_field(wording, _shown_prompt(job, models)))
    form.add_item(_short_field(wording, "seed", str(job.spec.seed), hint=wording.say("form-seed-hint")))
    form.add_item(_short_field(wording, "steps", str(job.spec.steps)))
    filled = _filled(job, models)
    model = models.nearest(options.model)
    if len(model.sizes) > 1:
        choices = {aspect.value: wording.say(ASPECT_KEYS[aspect]) for aspect in model.sizes}
        form.add_item(_choice_field(wording, "aspect", choices, str(filled["aspect"])))
    width, height = model.size(Aspect.SQUARE)
    hint = wording.say("form-size-hint", names=", ".join(model.scales), example=f"{width}x{height}")
    form.add_item(_short_field(wording, "size", str(filled["size"]), hint=hint))
    await interaction.response.send_modal(form)


async def ask_for_start_from(interaction: discord.Interaction, job: Job) -> None:
    """Open the form that draws something else, starting from a picture."""
    models, wording = context_of(interaction).service.models, reader(interaction)
    shown = _shown_prompt(job, models)  # refused now rather than after the typing
    form = _form(Action.START_FROM, job, wording.say("form-start-from-title", job_id=job.id))
    form.add_item(_prompt_field(wording, shown))
    strengths = {name: wording.say(key) for name, key in STRENGTH_KEYS.items()}
    form.add_item(_choice_field(wording, "strength", strengths, DEFAULT))
    await interaction.response.send_modal(form)


async def submitted(interaction: discord.Interaction) -> None:
    """Do what a form that was sent is for; what was typed is said again if it cannot be done."""
    await attempt(interaction, _submit(interaction))


async def _submit(interaction: discord.Interaction) -> None:
    data: Any = interaction.data or {}
    values = _values(data.get("components"))
    try:
        match = FORM.fullmatch(str(data.get("custom_id", "")))
        if match is None or (read := READ.get(match["action"])) is None:
            raise OptionsOutdated
        context = context_of(interaction)
        context.access.check_server(interaction)
        job = await visible_job(interaction, int(match["job_id"]))
        check_not_erased(job)
        drawing = read(job, context.service.models, values)
        await draw(interaction, drawing.batch, notes=drawing.notes)
    except discord.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - like any error of a press, but the form is closed: nothing may be lost
        await explain(interaction, error, keep=_typed(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What a form asks for; `notes` say what became of flags in its prompt."""

    batch: Batch
    notes: Sequence[Phrase] = ()


def _read_edit(job: Job, models: Models, values: Values) -> Drawing:
    filled = _filled(job, models)
    given: dict[str, object] = {"seed": _whole(values, "seed"), "steps": _whole(values, "steps")}
    given |= {name: values[name].strip() for name in ("aspect", "size") if values.get(name)}
    read = _read_typed(job, models, values, given=given, untouched=filled)
    typed = ImageOptions.read(**read.options)
    options = replace(
        typed,
        seed=RANDOM_SEED if typed.seed is None else typed.seed,
        steps=None if typed.steps == filled["steps"] else typed.steps,
        aspect=None if typed.aspect == filled["aspect"] else typed.aspect,
        size=None if str(typed.size) == filled["size"] else typed.size or Size.NORMAL,
    )
    batch = derive.edit(job, models, options=options)
    return Drawing(batch=batch, notes=(*read.phrases(), *_lost(job, models, options)))


def _filled(job: Job, models: Models) -> dict[str, object]:
    """What stands in the fields of the form before anybody touches it."""
    options = derive.options_of(job, models)
    model = models.nearest(options.model)
    return {
        "seed": job.spec.seed,
        "steps": job.spec.steps,
        "aspect": (options.aspect or model.nearest_aspect(job.spec.width, job.spec.height)).value,
        "size": str(options.size or Size.NORMAL),
    }


def _read_start_from(job: Job, models: Models, values: Values) -> Drawing:
    read = _read_typed(job, models, values)
    strength = STRENGTHS.get(values.get("strength", ""), STRENGTHS[DEFAULT])
    options = replace(ImageOptions.read(**read.options), strength=strength)
    batch = derive.start_from(job, models, options=options)
    return Drawing(batch=batch, notes=(*read.phrases(), *_lost(job, models, options)))


def _shown_prompt(job: Job, models: Models) -> str:
    """Return what the field for the prompt is filled with: the prompt, and the negative prompt as its flag.

    A form has five fields and no room for another. What could not be told apart again is left out, and kept as it is.
    """
    prompt, negative = job.spec.prompt, derive.options_of(job, models).negative_prompt
    text = f"{prompt}\n--no {negative}"
    if not negative or len(text) > MAX_PROMPT_CHARS:
        return prompt
    with suppress(InvalidFlag):
        read = read_prompt(text, models.led_by(models.nearest(job.spec.model)))
        if read.options == {"prompt": prompt, "negative_prompt": negative}:
            return text
    return prompt


def _read_typed(
    job: Job,
    models: Models,
    values: Values,
    *,
    given: Mapping[str, object] | None = None,
    untouched: Mapping[str, object] | None = None,
) -> ReadPrompt:
    """Read the field for the prompt: flags are those of the job's model, and a negative prompt taken out is gone."""
    led = models.led_by(models.nearest(job.spec.model))
    read = read_prompt(values.get("prompt", ""), led, given=given, untouched=untouched, most=1)
    if _shown_prompt(job, models) == job.spec.prompt or "negative_prompt" in read.options:
        return read
    return replace(read, options={**read.options, "negative_prompt": ""})


def _lost(job: Job, models: Models, options: ImageOptions) -> tuple[Phrase, ...]:
    names = derive.lost(job, models, options)
    return (lost_phrase(models.nearest(options.model).title, names),) if names else ()


READ: Final[Mapping[str, Callable[[Job, Models, Values], Drawing]]] = {
    Action.EDIT: _read_edit,
    Action.START_FROM: _read_start_from,
}


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


def _values(components: Any) -> dict[str, str]:
    """What was typed and chosen, by the custom ids of the fields; a modified client may send anything."""
    found: dict[str, str] = {}
    unread = [components]
    while unread:
        part = unread.pop()
        if isinstance(part, list):
            unread += part
        elif isinstance(part, dict):
            unread += [part.get("components"), part.get("component")]  # of a row, of a label
            name, value, chosen = (part.get(key) for key in ("custom_id", "value", "values"))
            value = chosen[0] if isinstance(chosen, list) and chosen else value
            if isinstance(name, str) and isinstance(value, str):
                found[name] = value
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
        custom_id=name, default=value, required=False, max_length=MAX_SHORT
    )
    return discord.ui.Label(text=wording.say(FIELD_KEYS[name]), description=hint, component=field)


def _choice_field(wording: Wording, name: str, choices: Mapping[str, str], chosen: str) -> discord.ui.Label[Any]:
    options = [
        discord.SelectOption(label=label, value=value, default=value == chosen) for value, label in choices.items()
    ]
    field: discord.ui.Select[Any] = discord.ui.Select(custom_id=name, options=options)
    return discord.ui.Label(text=wording.say(FIELD_KEYS[name]), component=field)
