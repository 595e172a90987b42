"""/preset save, list, delete, and the suggestions of `/imagine preset:`. All of it is private.

What a preset is stands in `bot/requests/presets.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import discord
from discord import app_commands

from bot.errors import PictureNotReady, StoreUnavailable
from bot.frontends.discord_app.commands.lora_choices import suggest_loras
from bot.frontends.discord_app.commands.options import (
    FIELDS,
    SUGGESTING_S,
    JobId,
    ModelName,
    PresetName,
    SizeText,
    suggest_models,
)
from bot.frontends.discord_app.commands.signatures import make_command, make_group, with_options
from bot.frontends.discord_app.embeds import MAX_DESCRIPTION, escape, shorten, units
from bot.frontends.discord_app.interactions import InteractionContext, context_of, person, reader, say, think
from bot.frontends.discord_app.translations import text
from bot.frontends.discord_app.visibility import visible_job
from bot.jobs import JobStatus
from bot.presentation.wording import ASPECT_KEYS, Wording
from bot.preset_names import MAX_PRESETS, MAX_WORDS
from bot.requests import derive
from bot.requests.defaults import VALUE_KEYS
from bot.requests.loras import MAX_CHARS as MAX_LORA_CHARS
from bot.requests.loras import read_for_any
from bot.requests.presets import NO_PRESET, Preset, check
from pipeline.spec import (
    MAX_ASKED_SCALE,
    MAX_CLIP_SKIP,
    MAX_PROMPT_CHARS,
    MAX_STEPS,
    MIN_ASKED_CFG,
    Aspect,
    ImageOptions,
    Sampler,
    clean_prompt,
    sampler_title,
)

log = logging.getLogger(__name__)

LINE: Final = 150  # of a list, in characters
SAVED_LINE: Final = 1000
# Options that /imagine has as well, with the same description.
KNOWN: Final = frozenset(
    {"aspect", "size", "steps", "model", "negative", "cfg", "guidance", "sampler", "clip_skip", "lora"}
)

Words = app_commands.Range[str, 1, MAX_WORDS]
# The options of `/preset save` and what each of them takes.
TYPES: Final[Mapping[str, Any]] = {
    "name": PresetName,
    "image": JobId,
    "prefix": Words,
    "suffix": Words,
    "aspect": str,
    "size": SizeText,
    "steps": app_commands.Range[int, 1, MAX_STEPS],
    "model": ModelName,
    "negative": app_commands.Range[str, 1, MAX_PROMPT_CHARS],
    "cfg": app_commands.Range[float, MIN_ASKED_CFG, MAX_ASKED_SCALE],
    "guidance": app_commands.Range[float, 0.0, MAX_ASKED_SCALE],
    "sampler": str,
    "clip_skip": app_commands.Range[int, 1, MAX_CLIP_SKIP],
    "strength": app_commands.Range[float, 0.01, 1.0],
    "lora": app_commands.Range[str, 1, MAX_LORA_CHARS],
}


class PresetCommands:
    """The commands for one's own presets."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def group(self) -> app_commands.Group:
        """Make the group."""
        save = make_command("preset-save", with_options(self.save, TYPES, required="name"))
        keys = {name: f"option-{_key(name)}-description" if name in KNOWN else f"preset-{name}" for name in TYPES}
        app_commands.describe(**{name: text(key) for name, key in keys.items()})(save)
        app_commands.rename(**{name: text(f"option-{_key(name)}-name") for name in TYPES})(save)
        app_commands.choices(
            aspect=[app_commands.Choice(name=text(ASPECT_KEYS[each]), value=each.value) for each in Aspect],
            sampler=[app_commands.Choice(name=sampler_title(each), value=each.value) for each in Sampler],
        )(save)
        app_commands.autocomplete(name=suggest_own_presets, model=suggest_models, lora=suggest_loras)(save)
        delete = make_command("preset-delete", self.delete)
        app_commands.describe(name=text("preset-name"))(delete)
        app_commands.rename(name=text("option-name-name"))(delete)
        app_commands.autocomplete(name=suggest_own_presets)(delete)
        return make_group("preset", save, make_command("preset-list", self.list_all), delete)

    async def save(self, interaction: discord.Interaction, name: str, **options: Any) -> None:
        """Keep settings, those of an image or what is given, under a name."""
        typed = {option: value for option, value in options.items() if value is not None}
        await think(interaction)
        service, wording = self._context.service, reader(interaction)
        before = NO_PRESET if "image" not in typed else await self._of_image(interaction, typed.pop("image"))
        if "model" in typed and (card := service.models.named(typed["model"])) is not None:
            typed["model"] = card.name
        if "lora" in typed:
            model = typed.get("model") or before.options.get("model")
            named = None if model is None else service.models.find(str(model))
            cards = service.models.all if named is None else (named,)
            typed["lora"] = await asyncio.to_thread(read_for_any, typed["lora"], service.models, cards)
        preset = _joined(before, typed)
        check(preset, service.models)
        kept = await service.presets.save(person(interaction), name, preset)
        line = shorten(_described(preset, wording), SAVED_LINE)
        await say(interaction, wording.say("preset-saved", name=escape(kept), settings=line))

    async def _of_image(self, interaction: discord.Interaction, job_id: int) -> Preset:
        job = await visible_job(interaction, job_id)
        options = derive.options_of(job, self._context.service.models)
        if job.status is not JobStatus.DONE:
            raise PictureNotReady(job_id)
        return Preset.of_options(options)

    async def list_all(self, interaction: discord.Interaction) -> None:
        """Show one's own presets and those of everybody."""
        await think(interaction)
        service, wording = self._context.service, reader(interaction)
        own = await service.presets.of(person(interaction))
        lines = [_line(name, preset, wording) for name, preset in own.items()]
        shared = [(name, preset) for name, preset in service.presets.shared.items() if name not in own]
        if shared:
            lines.append(wording.say("preset-shared"))
            lines += [_line(name, preset, wording) for name, preset in shared[:MAX_PRESETS]]
        embed = discord.Embed(
            title=wording.say("preset-title", count=len(own), limit=MAX_PRESETS),
            description=_within(MAX_DESCRIPTION - 2, lines) or wording.say("preset-none"),
        )
        embed.set_footer(text=wording.say("preset-footer"))
        await say(interaction, embed=embed)

    async def delete(self, interaction: discord.Interaction, name: PresetName) -> None:
        """Forget one of one's own presets."""
        await think(interaction)
        await self._context.service.presets.delete(person(interaction), name)
        await say(interaction, reader(interaction).say("preset-deleted"))


async def suggest_presets(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
    """Suggest presets whose name holds what was typed: one's own, then those of everybody."""
    return await _suggested(interaction, current, with_shared=True)


async def suggest_own_presets(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
    """Suggest one's own presets."""
    return await _suggested(interaction, current, with_shared=False)


async def _suggested(
    interaction: discord.Interaction, current: str, *, with_shared: bool
) -> list[app_commands.Choice[str]]:
    presets = context_of(interaction).service.presets
    try:
        async with asyncio.timeout(SUGGESTING_S):
            names = await presets.suggest(person(interaction), str(current), with_shared=with_shared)
    except (TimeoutError, StoreUnavailable) as error:
        log.warning("no presets are suggested: %s", error or type(error).__name__)
        return []
    return [app_commands.Choice(name=name, value=name) for name in names]


def _joined(before: Preset, typed: Mapping[str, Any]) -> Preset:
    """Return the settings of an image with those that were typed in their place.

    Raises:
        InvalidSpec: a value cannot be.
    """
    given = {
        FIELDS.get(name, name): value for name, value in typed.items() if name not in ("image", "prefix", "suffix")
    }
    new = Preset.of_options(ImageOptions.read(prompt="x", **given))
    kept = dict(before.options)
    if "aspect" in given or "size" in given:  # a shape replaces an exact size, and the other way round
        kept.pop("size", None)
    if "size" in given:
        kept.pop("aspect", None)
    return Preset(
        prefix=clean_prompt(str(typed.get("prefix", ""))),
        suffix=clean_prompt(str(typed.get("suffix", ""))),
        options={**kept, **new.options},
    )


def _within(room: int, lines: Sequence[str]) -> str:
    """Return as many whole lines as there is room for."""
    kept = ""
    for line in lines:
        longer = f"{kept}\n{line}".strip("\n")
        if units(longer) > room:
            return f"{kept}\n…"
        kept = longer
    return kept


def _line(name: str, preset: Preset, wording: Wording) -> str:
    return f"**{escape(name)}**: {shorten(_described(preset, wording), LINE)}"


def _described(preset: Preset, wording: Wording) -> str:
    """Return what a preset holds, in one line, safe to be shown."""
    parts = []
    if preset.prefix or preset.suffix:
        parts.append(f"{escape(preset.prefix)} … {escape(preset.suffix)}".strip())
    for name, value in preset.options.items():
        label = wording.say(VALUE_KEYS[name]) if name in VALUE_KEYS else ""
        shown = wording.say(ASPECT_KEYS[Aspect(str(value))]) if name == "aspect" else escape(str(value))
        parts.append(f"{label} {shown}".strip())
    return wording.say("list-separator").join(parts)


def _key(name: str) -> str:
    return name.replace("_", "-")
