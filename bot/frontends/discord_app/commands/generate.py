"""/imagine: typed options → `drawing.py`. It offers what at least one of the models that are here can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import discord
from discord import app_commands

from bot.frontends.discord_app.commands.lora_choices import chosen_model, suggest_loras
from bot.frontends.discord_app.commands.options import FIELDS, ModelName, PresetName, SizeText, model_choices
from bot.frontends.discord_app.commands.presets import suggest_presets
from bot.frontends.discord_app.commands.signatures import Command, make_command, with_options
from bot.frontends.discord_app.downloads import Download, is_too_large, too_large
from bot.frontends.discord_app.drawing import draw_typed
from bot.frontends.discord_app.interactions import InteractionContext, reader, role_ids
from bot.frontends.discord_app.translations import text
from bot.presentation.wording import ASPECT_KEYS, SIZE_KEYS
from bot.requests.allowances import may_use
from bot.requests.batch import MAX_BATCH
from bot.requests.defaults import Wish
from bot.requests.edits import edits
from bot.requests.loras import FAST, fast_of, fitting
from bot.requests.loras import MAX_CHARS as MAX_LORA_CHARS
from bot.requests.models import Models
from pipeline.catalog.model_card import ModelCard
from pipeline.errors import InvalidSpec
from pipeline.spec import (
    MAX_ASKED_SCALE,
    MAX_CLIP_SKIP,
    MAX_PROMPT_CHARS,
    MAX_SEED,
    MAX_STEPS,
    MIN_ASKED_CFG,
    RANDOM_SEED,
    Aspect,
    Strength,
    read_strength,
    sampler_title,
)

MAX_STRENGTH_CHARS: Final = 20
# The command's options, in the order in which Discord lists them, and what each of them takes.
TYPES: Final[Mapping[str, Any]] = {
    "prompt": app_commands.Range[str, 1, MAX_PROMPT_CHARS],
    "seed": app_commands.Range[int, RANDOM_SEED, MAX_SEED],
    "steps": app_commands.Range[int, 1, MAX_STEPS],
    "aspect": str,
    "size": SizeText,
    "count": app_commands.Range[int, 1, MAX_BATCH],
    "image": discord.Attachment,
    "image2": discord.Attachment,
    "image3": discord.Attachment,
    "strength": app_commands.Range[str, 1, MAX_STRENGTH_CHARS],
    "model": ModelName,
    "negative": app_commands.Range[str, 1, MAX_PROMPT_CHARS],
    "cfg": app_commands.Range[float, MIN_ASKED_CFG, MAX_ASKED_SCALE],
    "guidance": app_commands.Range[float, 0.0, MAX_ASKED_SCALE],
    "sampler": str,
    "clip_skip": app_commands.Range[int, 1, MAX_CLIP_SKIP],
    "lora": app_commands.Range[str, 1, MAX_LORA_CHARS],
    "speed": str,
    "preset": PresetName,
    "private": bool,
    "spoiler": bool,
}
DESCRIPTIONS: Final[Mapping[str, str]] = {
    "prompt": "option-prompt-description",
    "seed": "option-seed-description",
    "steps": "option-steps-description",
    "aspect": "option-aspect-description",
    "size": "option-size-description",
    "count": "option-count-description",
    "image": "option-image-description",
    "image2": "option-image2-description",
    "image3": "option-image3-description",
    "strength": "option-strength-description",
    "model": "option-model-description",
    "negative": "option-negative-description",
    "cfg": "option-cfg-description",
    "guidance": "option-guidance-description",
    "sampler": "option-sampler-description",
    "clip_skip": "option-clip-skip-description",
    "lora": "option-lora-description",
    "speed": "option-speed-description",
    "preset": "option-preset-description",
    "private": "option-private-description",
    "spoiler": "option-spoiler-description",
}


class Imagine:
    """The command that draws."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def command(self, models: Models) -> Command:
        """Make the command.

        Its option names are not translated, so that the command line on a message works for every reader.
        """
        cards, names = models.all, [name for name in TYPES if _is_offered(name, models)]
        options = {name: TYPES[name] for name in names}
        command = make_command("imagine", with_options(self.imagine, options, required="prompt"))
        keys = {name: DESCRIPTIONS[name] for name in names}
        if all(card.tells_unread for card in cards) and not models.is_translated:
            keys["prompt"] = "option-prompt-english-description"
        if any(map(edits, cards)):
            keys["image"] = "option-image-edit-description"
        app_commands.describe(**{name: text(key) for name, key in keys.items()})(command)
        aspects = [aspect for aspect in Aspect if any(aspect in card.sizes for card in cards)]
        app_commands.choices(
            aspect=[app_commands.Choice(name=text(ASPECT_KEYS[aspect]), value=aspect.value) for aspect in aspects]
        )(command)
        command.autocomplete("size")(self.suggest_sizes)
        command.autocomplete("preset")(suggest_presets)
        if "strength" in names:
            command.autocomplete("strength")(self.suggest_strengths)
        if "model" in names:
            command.autocomplete("model")(self.suggest_models)
        if "lora" in names:
            command.autocomplete("lora")(suggest_loras)
        if "speed" in names:
            app_commands.choices(speed=[app_commands.Choice(name=text("speed-fast"), value=FAST)])(command)
        if "sampler" in names:
            samplers = dict.fromkeys(sampler for card in cards for sampler in card.samplers)
            app_commands.choices(
                sampler=[app_commands.Choice(name=sampler_title(each), value=each.value) for each in samplers]
            )(command)
        return command

    async def imagine(self, interaction: discord.Interaction, **options: Any) -> None:
        """Queue up to four pictures in one message. Discord checks the ranges; the service checks them again."""
        count, preset = options.pop("count", None), options.pop("preset", None)
        attached = [options.pop(name, None) for name in ("image", "image2", "image3")]
        images = [each for each in attached if each is not None]
        is_private, is_spoiler = options.pop("private", None), options.pop("spoiler", None)
        given = {FIELDS.get(name, name): value for name, value in options.items()}
        if isinstance(model := given.get("model"), str) and (card := self._context.service.models.named(model)):
            given["model"] = card.name  # typed rather than taken from the list
        if any(map(is_too_large, images)):
            raise too_large()
        files = [Download(client=interaction.client, url=each.url) for each in images]
        wish = Wish(
            values=given,
            count=count,
            preset=preset,
            is_private=is_private,
            is_spoiler=is_spoiler,
            has_image=bool(images),
        )
        await draw_typed(interaction, wish, images=files)

    async def suggest_models(self, interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        """Suggest the models that one may draw with."""
        service = self._context.service
        allowance = service.allowances.of_roles(role_ids(interaction))
        return model_choices([card for card in service.models.search(str(current)) if may_use(allowance, card)])

    async def suggest_sizes(self, interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        """Suggest the named sizes of the model; a width and a height can be typed as well."""
        wording, model = reader(interaction), chosen_model(interaction)
        named = [(wording.say(SIZE_KEYS[size]), size.value) for size in model.scales]
        wanted = str(current).casefold()
        found = [(name, value) for name, value in named if wanted in name.casefold() or wanted in value]
        return [app_commands.Choice(name=name, value=value) for name, value in found]

    async def suggest_strengths(self, interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        """Suggest the named strengths with their numbers, and the number that was typed."""
        wording, model = reader(interaction), chosen_model(interaction)
        wanted = str(current).casefold().strip()
        named = [
            (wording.say("strength-choice", name=name.value, value=f"{model.strengths[name]:g}"), name.value)
            for name in Strength
        ]
        found = [(label, value) for label, value in named if wanted in label.casefold() or wanted in value]
        with suppress(InvalidSpec):
            if isinstance(typed := read_strength(wanted), float) and 0 < typed <= 1:
                found = [(wording.say("strength-choice", name="", value=f"{typed:g}"), f"{typed:g}"), *named]
        return [app_commands.Choice(name=label, value=value) for label, value in found]


def _is_offered(name: str, models: Models) -> bool:
    cards: Sequence[ModelCard] = models.all
    if name == "model":
        return len(cards) > 1
    if name in ("image2", "image3"):
        return any(map(edits, cards))
    if name == "lora":
        return any(fitting(models, card) for card in cards)
    if name == "speed":
        return any(fast_of(models, card) for card in cards)
    if name == "image":
        return any(edits(card) or card.offers("strength") for card in cards)
    return any(card.offers(FIELDS.get(name, name)) for card in cards)
