"""/settings: what a person chooses for themselves. Private; what the choices mean is `bot/requests/preferences.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import discord
from discord import app_commands

from bot.errors import SettingInvalid
from bot.frontends.discord_app.commands.options import ModelName, suggest_models
from bot.frontends.discord_app.commands.signatures import Command, make_command, with_options
from bot.frontends.discord_app.embeds import escape
from bot.frontends.discord_app.interactions import InteractionContext, OptionsOutdated, person, reader, say, think
from bot.frontends.discord_app.translations import text
from bot.presentation.wording import ASPECT_KEYS, LANGUAGES, Wording
from bot.requests.models import Models
from bot.requests.preferences import MAX_SUFFIX, Personal, Ping, PrivateTo, Setting
from bot.requests.presets import check_words
from pipeline.spec import MAX_STEPS, Aspect, clean_prompt

OF_DISCORD: Final = "discord"  # the choice that takes a language back
EVERYTHING: Final = "all"
# The options and what each of them takes.
TYPES: Final[Mapping[str, Any]] = {
    Setting.ASPECT.value: str,
    Setting.STEPS.value: app_commands.Range[int, 1, MAX_STEPS],
    Setting.SUFFIX.value: app_commands.Range[str, 1, MAX_SUFFIX],
    Setting.MODEL.value: ModelName,
    Setting.PING.value: str,
    Setting.LANGUAGE.value: str,
    Setting.PRIVATE.value: bool,
    Setting.PRIVATE_TO.value: str,
    Setting.SPOILER.value: bool,
    "reset": str,
}
# The name of each language in itself, the same for every reader.
LANGUAGE_NAMES: Final = {"en": "English", "zh-CN": "简体中文", "zh-TW": "繁體中文"}


class Settings:
    """The command for one's own choices."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def command(self) -> Command:
        """Make the command."""
        options = {name: _key(name) for name in TYPES}
        command = make_command("settings", with_options(self.settings, TYPES), **options)
        models = self._context.service.models
        aspects = [aspect for aspect in Aspect if any(aspect in card.sizes for card in models.all)]
        app_commands.choices(
            aspect=[app_commands.Choice(name=text(ASPECT_KEYS[each]), value=each.value) for each in aspects],
            ping=[app_commands.Choice(name=text(f"ping-choice-{each}"), value=each.value) for each in Ping],
            private_to=[app_commands.Choice(name=text(f"private-to-{each}"), value=each.value) for each in PrivateTo],
            language=[
                *(app_commands.Choice(name=LANGUAGE_NAMES[each], value=each) for each in LANGUAGES),
                app_commands.Choice(name=text("language-of-discord"), value=OF_DISCORD),
            ],
            reset=[
                *(app_commands.Choice(name=text(f"mine-{_key(each)}"), value=each.value) for each in Setting),
                app_commands.Choice(name=text("reset-all"), value=EVERYTHING),
            ],
        )(command)
        app_commands.autocomplete(model=suggest_models)(command)
        return command

    async def settings(self, interaction: discord.Interaction, **options: Any) -> None:
        """Take back what is to be taken back, change what is given, and show what holds then."""
        await think(interaction)
        preferences, me, models = self._context.service.preferences, person(interaction), self._context.service.models
        if (reset := options.pop("reset", None)) is not None:
            if reset not in (EVERYTHING, *Setting):
                raise OptionsOutdated
            await preferences.reset(me, None if reset == EVERYTHING else Setting(reset))
        given = {Setting(name): value for name, value in options.items() if value is not None}
        if Setting.SUFFIX in given:
            given[Setting.SUFFIX] = _words(given[Setting.SUFFIX], models)
        if Setting.MODEL in given:
            given[Setting.MODEL] = models.demand_typed(given[Setting.MODEL]).name
        if given.get(Setting.LANGUAGE) == OF_DISCORD:
            del given[Setting.LANGUAGE]
            await preferences.reset(me, Setting.LANGUAGE)
        for setting, value in given.items():
            await preferences.set(me, setting, value)
        wording = reader(interaction)  # which may be another now
        lines = _lines(await preferences.of(me), wording, models)
        embed = discord.Embed(title=wording.say("settings-title"), description="\n".join(lines))
        embed.set_footer(text=wording.say("settings-footer"))
        await say(interaction, embed=embed)


def _words(typed: str, models: Models) -> str:
    """Return words as they are added to prompts.

    Raises:
        WordsOnly, SettingInvalid
    """
    words = clean_prompt(typed)
    check_words(words, models, most=MAX_SUFFIX)
    if not words:
        raise SettingInvalid(setting=Setting.SUFFIX.value)
    return words


def _lines(personal: Personal, wording: Wording, models: Models) -> list[str]:
    """Return one line per setting: what holds, and what the person chose that cannot hold."""
    lines = []
    for setting in Setting:
        value = _shown(setting, personal, wording, models)
        if setting in personal.unread:
            value += " " + wording.say("settings-unreadable")
        lines.append(f"**{wording.say(f'mine-{_key(setting)}')}**: {value}")
    return lines


def _shown(setting: Setting, personal: Personal, wording: Wording, models: Models) -> str:
    match setting:
        case Setting.ASPECT if personal.aspect is not None:
            return wording.say(ASPECT_KEYS[personal.aspect])
        case Setting.STEPS if personal.steps is not None:
            return str(personal.steps)
        case Setting.SUFFIX:
            return escape(personal.suffix) or wording.say("settings-no-words")
        case Setting.MODEL:
            return _shown_model(personal.model, wording, models)
        case Setting.PING:
            return wording.say(f"ping-choice-{personal.ping or Ping.HERE}")
        case Setting.LANGUAGE:
            return LANGUAGE_NAMES.get(personal.language or "") or wording.say("language-of-discord")
        case Setting.PRIVATE:
            if personal.is_private is None:
                return wording.say("settings-not-chosen")
            return wording.say("settings-on" if personal.is_private else "settings-off")
        case Setting.PRIVATE_TO:
            return wording.say(f"private-to-{personal.private_to or PrivateTo.DM}")
        case Setting.SPOILER:
            return wording.say("settings-on" if personal.is_spoiler else "settings-off")
        case _:
            return wording.say("settings-as-model")


def _shown_model(name: str | None, wording: Wording, models: Models) -> str:
    if name is None:
        return wording.say("settings-usual-model", model=models.usual.title)
    card = models.find(name)
    return wording.say("settings-model-gone", model=escape(name)) if card is None else escape(card.title)


def _key(name: str) -> str:
    return name.replace("_", "-")
