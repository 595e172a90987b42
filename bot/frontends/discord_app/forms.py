"""The forms behind Edit and behind “use as starting image”, and what happens when one is sent.

The state of a form is in its custom id, `im2form:<action>:<job id>`, so that one which was opened before a restart can
be sent after it; the library need not remember any. A form has to be the first answer to a press.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import discord

from bot.errors import InvalidFlag
from bot.frontends.discord_app import file_forms, removal
from bot.frontends.discord_app.drawing import draw_chosen
from bot.frontends.discord_app.file_forms import permitted_models, uploaded
from bot.frontends.discord_app.form_fields import (
    Values,
    change_field,
    choice_field,
    form,
    kept_prompt,
    prompt_field,
    short_field,
    strength_field,
    typed_values,
    upload_field,
)
from bot.frontends.discord_app.interactions import OptionsOutdated, attempt, context_of, explain, reader
from bot.frontends.discord_app.visibility import check_shown_here, visible_job
from bot.jobs import Allowance, Job
from bot.presentation.job_view import Action
from bot.presentation.phrases import Phrase
from bot.presentation.prompt_notes import lost_phrase
from bot.presentation.wording import ASPECT_KEYS
from bot.requests import derive
from bot.requests.allowances import may_use
from bot.requests.batch import Batch
from bot.requests.edits import Way, notes_on, read_change, way_to_change
from bot.requests.erased import check_not_erased
from bot.requests.loras import tags
from bot.requests.models import Models
from bot.requests.prompt_flags import ReadPrompt, read_prompt
from pipeline.errors import InvalidSpec
from pipeline.spec import MAX_PROMPT_CHARS, MAX_REFERENCES, RANDOM_SEED, Aspect, ImageOptions, Size, Strength

# The forms that are not about one job, by their custom ids.
OTHERS: Final[Mapping[re.Pattern[str], Callable[[discord.Interaction, re.Match[str], Values], Awaitable[None]]]] = {
    file_forms.FORM: file_forms.submit,
    removal.FORM: removal.submit,
}
IN_PROMPT: Final = ("negative_prompt", "loras")  # options that the field for the prompt shows as well
FORM: Final = re.compile(r"im2form:(?P<action>[a-z_]+):(?P<job_id>[0-9]{1,18})")


async def ask_for_edit(interaction: discord.Interaction, job: Job) -> None:
    """Open the form that draws a picture again with other words or settings, filled with those that it has."""
    models, wording = context_of(interaction).service.models, reader(interaction)
    options = derive.options_of(job, models)
    made = form(_state(Action.EDIT, job), wording.say("form-edit-title", job_id=job.id))
    made.add_item(prompt_field(wording, _shown_prompt(job, models)))
    made.add_item(short_field(wording, "seed", str(job.spec.seed), hint=wording.say("form-seed-hint")))
    made.add_item(short_field(wording, "steps", str(job.spec.steps)))
    filled = _filled(job, models)
    model = models.nearest(options.model)
    if len(model.sizes) > 1:
        choices = {aspect.value: wording.say(ASPECT_KEYS[aspect]) for aspect in model.sizes}
        made.add_item(choice_field(wording, "aspect", choices, str(filled["aspect"])))
    width, height = model.size(Aspect.SQUARE)
    hint = wording.say("form-size-hint", names=", ".join(model.scales), example=f"{width}x{height}")
    made.add_item(short_field(wording, "size", str(filled["size"]), hint=hint))
    await interaction.response.send_modal(made)


async def ask_for_start_from(interaction: discord.Interaction, job: Job) -> None:
    """Open the form that changes a picture by words, or draws something else that starts from it."""
    models, wording = context_of(interaction).service.models, reader(interaction)
    derive.check_usable(job)
    if _way(interaction, job).is_edit:
        made = form(_state(Action.START_FROM, job), wording.say("form-change-title", job_id=job.id))
        made.add_item(change_field(wording))
        made.add_item(upload_field(wording, most=MAX_REFERENCES - 1))
        await interaction.response.send_modal(made)
        return
    shown = _shown_prompt(job, models)  # refused now rather than after the typing
    made = form(_state(Action.START_FROM, job), wording.say("form-start-from-title", job_id=job.id))
    made.add_item(prompt_field(wording, shown))
    made.add_item(strength_field(wording, models.nearest(job.spec.model), Strength.MEDIUM))
    await interaction.response.send_modal(made)


async def submitted(interaction: discord.Interaction) -> None:
    """Do what a form that was sent is for; what was typed is said again if it cannot be done."""
    await attempt(interaction, _submit(interaction))


async def _submit(interaction: discord.Interaction) -> None:
    data: Any = interaction.data or {}
    values = typed_values(data.get("components"))
    try:
        context, custom_id = context_of(interaction), str(data.get("custom_id", ""))
        context.access.check_server(interaction)
        for form_of, submit in OTHERS.items():
            if (of_other := form_of.fullmatch(custom_id)) is not None:
                await submit(interaction, of_other, values)
                return
        match = FORM.fullmatch(custom_id)
        if match is None or (read := READ.get(match["action"])) is None:
            raise OptionsOutdated
        job = await visible_job(interaction, int(match["job_id"]))
        check_not_erased(job)
        if match["action"] == Action.START_FROM:
            check_shown_here(interaction, job)
        if match["action"] == Action.START_FROM and not values.get("strength"):  # it asked what to change
            drawing = _read_change(interaction, job, values.get("prompt", ""))
        else:
            drawing = read(job, context.service.models, values)
        await draw_chosen(interaction, drawing.batch, notes=drawing.notes)
    except discord.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - like any error of a press, but the form is closed: nothing may be lost
        await explain(interaction, error, keep=kept_prompt(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What a form asks for; `notes` say what became of flags in its prompt."""

    batch: Batch
    notes: Sequence[Phrase] = ()


def _read_edit(job: Job, models: Models, values: Values) -> Drawing:
    filled = _filled(job, models)
    given: dict[str, object] = {"seed": _whole(values, "seed"), "steps": _whole(values, "steps")}
    given |= {name: values[name].strip() for name in ("aspect", "size") if values.get(name)}
    has_image = bool(job.spec.source) and not job.spec.upscale  # it is drawn anew from words, unless it started so
    read = _read_typed(job, models, values, given=given, untouched=filled).with_image(is_given=has_image)
    typed = ImageOptions.read(**read.options)
    options = replace(
        typed,
        seed=RANDOM_SEED if typed.seed is None else typed.seed,
        steps=None if typed.steps == filled["steps"] else typed.steps,
        aspect=None if typed.aspect == filled["aspect"] else typed.aspect,
        size=None if str(typed.size) == filled["size"] else typed.size or Size.NORMAL,
    )
    batch = replace(derive.edit(job, models, options=options), is_fresh=read.is_fresh)
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
    given = {"strength": values.get("strength") or None}
    read = _read_typed(job, models, values, given=given, untouched={"strength": Strength.MEDIUM.value})
    options = ImageOptions.read(**read.options)
    batch = replace(derive.start_from(job, models, options=options), is_fresh=read.is_fresh)
    return Drawing(batch=batch, notes=(*read.phrases(), *_lost(job, models, options)))


def _read_change(interaction: discord.Interaction, job: Job, words: str) -> Drawing:
    models, allowance = permitted_models(interaction)
    change = read_change(words, _led_by_own(models, job, allowance), allowance)
    more = uploaded(interaction)
    batch = change.batch(models, more, job=job)
    return Drawing(batch=batch, notes=(*change.read.phrases(), *notes_on(change.way, [job, *more])))


def _way(interaction: discord.Interaction, job: Job) -> Way:
    models, allowance = permitted_models(interaction)
    return way_to_change(_led_by_own(models, job, allowance), allowance)


def _led_by_own(models: Models, job: Job, allowance: Allowance) -> Models:
    """Let the model lead that drew the image, if the person may draw with it."""
    card = models.nearest(job.spec.model)
    return models.led_by(card) if may_use(allowance, card) else models


def _shown_prompt(job: Job, models: Models) -> str:
    """Return what the field for the prompt is filled with: the prompt, LoRAs as tags, the negative prompt as its flag.

    A form has five fields and no room for others. What could not be told apart again is left out, and kept as it is.
    """
    options, prompt = derive.options_of(job, models), job.spec.prompt
    kept = {name: value for name in IN_PROMPT if (value := getattr(options, name))}
    text = prompt + (f" {tags(options.loras)}" if options.loras else "")
    text += f"\n--no {options.negative_prompt}" if options.negative_prompt else ""
    if not kept or len(text) > MAX_PROMPT_CHARS:
        return prompt
    with suppress(InvalidFlag, InvalidSpec):
        read = read_prompt(text, models.led_by(models.nearest(job.spec.model)))
        if {name: value for name, value in read.options.items() if name != "steps"} == {"prompt": prompt, **kept}:
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
    """Read the field for the prompt: flags are those of the job's model, and what was taken out of it is gone."""
    led = models.led_by(models.nearest(job.spec.model))
    read = read_prompt(values.get("prompt", ""), led, given=given, untouched=untouched, most=1)
    if _shown_prompt(job, models) == job.spec.prompt:
        return read
    before = derive.options_of(job, models)
    changes: dict[str, object] = {name: "" for name in IN_PROMPT if getattr(before, name) and name not in read.options}
    if read.options.get("loras") == before.loras and "steps" not in read.notes.taken:
        changes["steps"] = (given or {}).get("steps")  # those of the image, not the usual ones of its LoRA
    return replace(read, options={**read.options, **changes})


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


def _state(action: Action, job: Job) -> str:
    return f"im2form:{action}:{job.id}"
