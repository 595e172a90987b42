"""/help: what the bot does, three examples as buttons that draw, limits, what is stored, languages, commands.

Private. The buttons survive a restart: a custom id holds a hash of the prompt, `im2x:example:<hash>`, so that a button
draws what its label says or nothing. Sentences are in `bot/presentation/wording`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol, cast

import discord
from discord import app_commands

from bot.errors import Refusal, StoreUnavailable
from bot.frontends.discord_app.command_ids import CommandIds
from bot.frontends.discord_app.commands.signatures import Command, make_command
from bot.frontends.discord_app.drawing import draw_chosen
from bot.frontends.discord_app.embeds import escape, shorten
from bot.frontends.discord_app.interactions import (
    InteractionContext,
    allowance_of,
    attempt,
    context_of,
    is_double_click,
    person,
    reader,
    say,
    think,
)
from bot.frontends.discord_app.presses import forget
from bot.frontends.discord_app.visibility import in_time
from bot.presentation.wording import Wording
from bot.requests.batch import Batch
from bot.requests.models import Models
from bot.requests.quotas import Quota
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.unknown_words import names_of
from pipeline.errors import InvalidSpec
from pipeline.spec import ImageOptions
from pipeline.translation.foreign_text import is_translated_for

LANGUAGE_KEYS: Final = {"en": "language-en", "zh": "language-zh"}
KNOWN_NAMES: Final = 36  # of the things that a small model draws
HASH_CHARS: Final = 12
# Discord's limits: a button's label, an embed's description and field
MAX_LABEL: Final = 80
MAX_DESCRIPTION: Final = 4096
MAX_FIELD: Final = 1024
MAX_TITLE: Final = 60  # of a model, in the list of licences
MAX_LICENCE: Final = 60
MORE_ROOM: Final = 40


class ExampleGone(Refusal):
    """The button is of a release or of a model with other examples."""


class HelpCommand:
    """The command that explains all others."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def command(self) -> Command:
        """Make the command."""
        return make_command("help", self.help)

    async def help(self, interaction: discord.Interaction) -> None:
        """Explain the bot to one person."""
        await think(interaction)
        service, wording = self._context.service, reader(interaction)
        card = service.models.usual
        quota = await service.quota(person(interaction), await allowance_of(interaction))
        embed = discord.Embed(
            title=wording.say("help-title"),
            description=_within(MAX_DESCRIPTION, [wording.say("help-about"), "", *_commands(interaction, wording)]),
        )
        if names := names_of(card, "zh" if wording.language.startswith("zh") else "en"):
            step = max(1, len(names) // KNOWN_NAMES)
            some = wording.say("list-separator").join(names[step // 2 :: step])  # evenly from all kinds of things
            knows = wording.say("help-knows", count=len(names), names=some)
            embed.add_field(name=wording.say("help-knows-title"), value=shorten(knows, MAX_FIELD), inline=False)
        for title, value in (
            ("help-models-title", _models(service.models, wording)),
            ("help-languages-title", _languages(card, service.models, wording)),
            ("help-limits-title", _limits(quota, wording)),
            ("help-stored-title", wording.say("help-stored", days=service.history_days)),
            ("help-examples-title", wording.say("help-examples")),
        ):
            embed.add_field(name=wording.say(title), value=value, inline=False)
        await say(interaction, embed=embed, view=example_buttons(card, wording))


class ExampleButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=re.compile(r"im2x:example:(?P<key>.{0,80})", re.DOTALL),
):
    """Draws one of the active model's examples, for the person who presses it."""

    def __init__(self, key: str, *, label: str = "…", row: int | None = None) -> None:
        super().__init__(
            discord.ui.Button(label=label, custom_id=f"im2x:example:{key}", style=discord.ButtonStyle.primary, row=row)
        )
        self.key = key

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[discord.ui.View], match: re.Match[str], /
    ) -> ExampleButton:
        """Rebuild the button that was pressed."""
        return cls(match["key"])

    async def callback(self, interaction: discord.Interaction) -> None:
        """Queue the example like a command of the presser; the second half of a double click draws nothing."""
        await attempt(interaction, self._draw(interaction))

    async def _draw(self, interaction: discord.Interaction) -> None:
        context = context_of(interaction)
        async with in_time():
            is_repeated = await is_double_click(interaction)
        if is_repeated:
            await say(interaction, reader(interaction).say("press-repeated"))
            return
        try:
            prompt = _find(context.service.models.usual, self.key)
            await draw_chosen(interaction, Batch.of(ImageOptions.read(prompt=prompt)))
        except (Refusal, InvalidSpec, StoreUnavailable):
            forget(interaction)  # whoever was refused may press again at once
            raise


def example_buttons(card: ModelCard, wording: Wording) -> discord.ui.View:
    """Make the buttons for a model's examples, below each other: prompts are long for a phone."""
    view = discord.ui.View(timeout=None)
    for row, prompt in enumerate(card.examples_for(wording.language)[:5]):
        view.add_item(ExampleButton(example_key(prompt), label=shorten(prompt, MAX_LABEL), row=row))
    return view


def example_key(prompt: str) -> str:
    """Return what a custom id says of an example."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:HASH_CHARS]


class _HasCommands(Protocol):
    tree: app_commands.CommandTree[Any]
    command_ids: CommandIds


def _find(card: ModelCard, key: str) -> str:
    """Return the example of a button, in whichever language it was shown.

    Raises:
        ExampleGone
    """
    for prompts in card.examples.values():
        for prompt in prompts:
            if example_key(prompt) == key:
                return prompt
    raise ExampleGone


def _languages(card: ModelCard, models: Models, wording: Wording) -> str:
    if not card.reads:
        return wording.say("help-languages-any", model=card.title)
    names = wording.say("list-separator").join(wording.say(LANGUAGE_KEYS[language]) for language in card.reads)
    said = wording.say("help-languages", model=card.title, languages=names)
    if models.is_translated and is_translated_for(card):
        said += " " + wording.say("help-translated")
    return said


def _models(models: Models, wording: Wording) -> str:
    """Say of each model under which licence it is, the usual one first; as many as there is room for."""
    lines = [
        wording.say(
            "help-model-commercial" if card.is_commercial else "help-model-private",
            title=shorten(escape(card.title), MAX_TITLE),
            licence=_licence(card),
        )
        for card in models.all
    ]
    more = len(lines) - len(shown := _within(MAX_FIELD - MORE_ROOM, lines).split("\n"))
    return "\n".join([*shown, wording.say("help-models-more", count=more)] if more else shown)


def _licence(card: ModelCard) -> str:
    """Return the licence's name, that is the first words of what the card says of it, as a link to its text."""
    words = re.split(r"[:;,.](?=\s|$)", card.licence.strip(), maxsplit=1)[0]
    name = shorten(re.sub(r"[\[\]]", "", words), MAX_LICENCE)
    is_address = re.fullmatch(r"https?://[^\s()<>]{1,300}", card.licence_url) is not None
    return f"[{escape(name)}]({card.licence_url})" if is_address else escape(name)


def _limits(quota: Quota, wording: Wording) -> str:
    return " · ".join(
        [
            wording.say("quota-used", used=quota.used, limit=quota.limit),
            wording.say("quota-active", active=quota.active, active_limit=quota.active_limit),
        ]
    )


def _commands(interaction: discord.Interaction, wording: Wording) -> Iterator[str]:
    """A line per command that this person may use, to be clicked."""
    client = cast("_HasCommands", interaction.client)
    is_manager = interaction.permissions.manage_guild or interaction.permissions.administrator
    for command in client.tree.get_commands():
        if isinstance(command, app_commands.ContextMenu):
            continue
        needs = command.default_permissions
        if needs is not None and needs.value and not is_manager:
            continue
        leaves = [command] if isinstance(command, app_commands.Command) else [*command.walk_commands()]
        names = [leaf.qualified_name for leaf in leaves]
        mentions = " ".join(client.command_ids.mention(name, interaction.guild_id, wording) for name in names)
        yield f"{mentions} {_describe(command, wording)}"


def _describe(command: app_commands.Command[Any, ..., Any] | app_commands.Group, wording: Wording) -> str:
    try:
        return wording.say(f"command-{command.name}-description")
    except KeyError:
        return command.description


def _within(room: int, lines: Iterable[str]) -> str:
    """As many whole lines as there is room for."""
    kept: list[str] = []
    for line in lines:
        if len("\n".join([*kept, line])) > room:
            break
        kept.append(line)
    return "\n".join(kept)
