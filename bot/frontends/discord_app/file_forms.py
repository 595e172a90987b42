"""The forms that start from a file of somebody's message, and what happens when one is sent.

The state of a form is in its custom id, `im2file:<verb>:<message id>`, and in its choice of a file. The channel is the
one where it is sent, so that nobody starts from a message that they do not see.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

import discord

from bot.frontends.discord_app.attached import AttachedImage, images_of, remember
from bot.frontends.discord_app.drawing import draw_chosen
from bot.frontends.discord_app.form_fields import (
    Values,
    change_field,
    choice_field,
    form,
    prompt_field,
    strength_field,
)
from bot.frontends.discord_app.interactions import OptionsOutdated, context_of, reader, role_ids
from bot.jobs import Allowance
from bot.requests.allowances import led_by_permitted, may_use
from bot.requests.batch import Batch
from bot.requests.edits import Way, notes_on, read_change, way_to_change
from bot.requests.models import Models
from bot.requests.prompt_flags import read_prompt
from pipeline.catalog.architecture import Feature
from pipeline.catalog.model_card import ModelCard
from pipeline.errors import InvalidSpec
from pipeline.spec import ImageOptions, Strength, clean_prompt

FORM: Final = re.compile(r"im2file:(?P<verb>use|vary):(?P<message_id>[0-9]{1,19})")
MAX_ID_CHARS: Final = 19


class FileVerb(StrEnum):
    """What is done with the file: the start of something else, or drawn a little differently."""

    USE = "use"
    VARY = "vary"


USUAL: Final = {FileVerb.USE: Strength.MEDIUM, FileVerb.VARY: Strength.SUBTLE}
TITLES: Final = {FileVerb.USE: "form-file-use-title", FileVerb.VARY: "form-file-vary-title"}


async def ask(interaction: discord.Interaction, verb: FileVerb, message: discord.Message) -> None:
    """Open the form for an image of a message of anybody.

    Raises:
        NoImageHere
        InvalidSpec: no model here starts from images.
    """
    context, wording = context_of(interaction), reader(interaction)
    context.access.check_channel(interaction)
    files = images_of(message)
    is_edit = verb is FileVerb.USE and _way(interaction).is_edit
    card = None if is_edit else _starting_model(interaction)
    remember(interaction.client, message)
    made = form(f"im2file:{verb}:{message.id}", wording.say("form-file-change-title" if is_edit else TITLES[verb]))
    made.add_item(choice_field(wording, "file", labels_of(files), str(files[0].id)))
    made.add_item(prompt_field(wording) if card is not None else change_field(wording))
    if card is not None:
        made.add_item(strength_field(wording, card, USUAL[verb]))
    await interaction.response.send_modal(made)


def labels_of(files: Sequence[discord.Attachment]) -> dict[str, str]:
    """Return what files are called in a choice, by their ids; whoever uploaded them chose the names."""
    return {str(file.id): f"{number}. {clean_prompt(file.filename)}" for number, file in enumerate(files, start=1)}


async def submit(interaction: discord.Interaction, match: re.Match[str], values: Values) -> None:
    """Draw what a form asks for.

    Raises:
        See `draw_chosen`.
    """
    verb, file_id = FileVerb(match["verb"]), values.get("file", "")
    if not re.fullmatch(rf"[0-9]{{1,{MAX_ID_CHARS}}}", file_id) or interaction.channel_id is None:
        raise OptionsOutdated
    image = AttachedImage(
        client=interaction.client,
        channel_id=interaction.channel_id,
        message_id=int(match["message_id"]),
        file_id=int(file_id),
    )
    if verb is FileVerb.USE and not values.get("strength"):  # of a form that asked what to change
        await _change(interaction, image, values.get("prompt", ""))
        return
    card = _starting_model(interaction)
    read = read_prompt(
        values.get("prompt", ""),
        context_of(interaction).service.models.led_by(card),
        given={"strength": values.get("strength") or None},
        untouched={"strength": USUAL[verb].value},
    )
    options = ImageOptions.read(**{"model": card.name, **read.options})
    batch = replace(Batch.of(options, count=read.count, init_image=image), is_fresh=read.is_fresh)
    await draw_chosen(interaction, batch, notes=read.phrases())


async def _change(interaction: discord.Interaction, image: AttachedImage, words: str) -> None:
    models, allowance = permitted_models(interaction)
    change = read_change(words, models, allowance)
    notes = (*change.read.phrases(), *notes_on(change.way, [image]))
    await draw_chosen(interaction, change.batch(models, [image]), notes=notes)


def permitted_models(interaction: discord.Interaction) -> tuple[Models, Allowance]:
    """Return the models, led by the one that the person draws with if they name none, and what they may."""
    service = context_of(interaction).service
    allowance = service.allowances.of_roles(role_ids(interaction))
    return led_by_permitted(service.models, allowance), allowance


def _way(interaction: discord.Interaction) -> Way:
    """Return how an image would be changed by words.

    Raises:
        InvalidSpec
    """
    return way_to_change(*permitted_models(interaction))


def _starting_model(interaction: discord.Interaction) -> ModelCard:
    """Return the model that starts from images: of those that the person may draw with the usual one, if it does.

    Raises:
        InvalidSpec
    """
    service = context_of(interaction).service
    allowance, models = service.allowances.of_roles(role_ids(interaction)), service.models
    starting = [card for card in models.all if Feature.INIT_IMAGE in card.supports]
    if not starting:
        raise InvalidSpec("image", "cannot be used here", detail="not-offered", model=models.usual.title)
    return next((card for card in starting if may_use(allowance, card)), starting[0])
