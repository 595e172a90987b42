"""/privacy show, export, delete: what is stored about the person who asks. All of it is private.

Deletion asks first; its button survives a restart, and whoever presses it deletes what is their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import ceil
from typing import Any, Final

import discord
from discord import app_commands

from bot.frontends.discord_app.commands.signatures import make_command, make_group
from bot.frontends.discord_app.embeds import escape, relative, shorten
from bot.frontends.discord_app.frontend import frontend_of
from bot.frontends.discord_app.http_errors import Remedy, remedy
from bot.frontends.discord_app.interactions import (
    InteractionContext,
    attempt,
    context_of,
    person,
    reader,
    replace,
    say,
    think,
)
from bot.presentation.wording import Wording
from bot.requests.erasure import Progress
from bot.requests.export import Export
from bot.requests.preferences import Setting
from bot.requests.privacy import About

MIB: Final = 2**20
MAX_PARTS: Final = 9999
MAX_NAMES: Final = 600  # characters of a list of settings or presets
MAX_IDS: Final = 20
KNOWN: Final = frozenset(Setting)
FACTS: Final = (
    ("privacy-where-title", "privacy-where"),
    ("privacy-how-long-title", "privacy-how-long"),
    ("privacy-delete-title", "privacy-delete"),
    ("privacy-stays-title", "privacy-stays"),
)
ANSWERS: Final = {
    Progress.SWEPT: "privacy-erased",
    Progress.ERASED: "privacy-erased-soon",
    Progress.UNDER_WAY: "privacy-erasing",
}

Part = app_commands.Range[int, 1, MAX_PARTS]


class PrivacyCommands:
    """The commands about one's own data."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def group(self) -> app_commands.Group:
        """Make the group."""
        return make_group(
            "privacy",
            make_command("privacy-show", self.show),
            make_command("privacy-export", self.export, part="part"),
            make_command("privacy-delete", self.delete),
        )

    async def show(self, interaction: discord.Interaction) -> None:
        """Say what is stored, where, for how long, and what a deletion does."""
        await think(interaction)
        service, wording = self._context.service, reader(interaction)
        about = await service.privacy.about(person(interaction))
        embed = discord.Embed(title=wording.say("privacy-title"), description="\n".join(_facts(about, wording)))
        for title, fact in FACTS:
            value = wording.say(fact, days=service.history_days)
            embed.add_field(name=wording.say(title), value=value, inline=False)
        await say(interaction, embed=embed)

    async def export(self, interaction: discord.Interaction, part: Part = 1) -> None:
        """Hand out one part of a copy of everything."""
        await think(interaction)
        limit_bytes = frontend_of(interaction).limit_bytes(interaction.guild_id)
        exported = await self._context.service.privacy.export(person(interaction), part=part, limit_bytes=limit_bytes)
        wording = reader(interaction)
        with exported.file:
            name = f"imagine-bot-{exported.part}-{exported.parts}.zip"
            file = discord.File(exported.file, filename=name)  # type: ignore[arg-type]  # any binary file will do
            try:
                await say(interaction, "\n".join(_exported(exported, wording)), file=file)
            except discord.HTTPException as error:
                if remedy(error) is not Remedy.SMALLER:
                    raise
                await say(interaction, wording.say("privacy-export-refused"))

    async def delete(self, interaction: discord.Interaction) -> None:
        """Ask whether everything is to be deleted."""
        await think(interaction)
        wording = reader(interaction)
        counts = (await self._context.service.privacy.about(person(interaction))).counts
        view = discord.ui.View(timeout=None)
        view.add_item(EraseButton(label=wording.say("privacy-button")))
        view.stop()  # found by its custom id
        question = wording.say("privacy-question", images=counts.images, kept=counts.kept)
        await say(interaction, question, view=view)


class EraseButton(discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]], template=re.compile(r"im2privacy:erase")):
    """Deletes everything that is stored about whoever presses it."""

    def __init__(self, *, label: str = "…") -> None:
        super().__init__(discord.ui.Button(label=label, custom_id="im2privacy:erase", style=discord.ButtonStyle.danger))

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[discord.ui.View], match: re.Match[str], /
    ) -> EraseButton:
        """Rebuild the button that was pressed."""
        return cls()

    async def callback(self, interaction: discord.Interaction) -> None:
        """Delete; a second press joins the first."""
        await attempt(interaction, _erase(interaction))


async def _erase(interaction: discord.Interaction) -> None:
    context = context_of(interaction)
    context.access.check_server(interaction)
    await replace(interaction)
    progress = await context.service.privacy.erase(person(interaction))
    await say(interaction, reader(interaction).say(ANSWERS[progress]), view=None)


def _facts(about: About, wording: Wording) -> Iterator[str]:
    counts = about.counts
    if counts.jobs:
        yield wording.say(
            "privacy-counts",
            jobs=counts.jobs,
            images=counts.images,
            mib=f"{ceil(counts.bytes * 10 / MIB) / 10:.1f}",
            kept=counts.kept,
            hidden=counts.private,
            unfinished=counts.unfinished,
        )
        if counts.oldest_at is not None:
            yield wording.say("privacy-oldest", when=relative(counts.oldest_at))
    else:
        yield wording.say("privacy-no-requests")
    if about.choices:
        chosen = (f"{_label(name, wording)} = {value}" for name, value in about.choices.items())
        yield wording.say("privacy-settings", names=_listed(chosen, wording))
    if about.presets:
        yield wording.say("privacy-presets", names=_listed(about.presets, wording))
    if about.own_limit is not None:
        yield wording.say("privacy-own-limit", count=about.own_limit)
    if about.ban is not None and about.ban.until_at is not None:
        yield wording.say("privacy-ban-until", when=relative(about.ban.until_at))
    elif about.ban is not None:
        yield wording.say("privacy-ban")


def _label(name: str, wording: Wording) -> str:
    """Name a setting as `/settings` does; one that only a later release knows, as it is stored."""
    return wording.say(f"mine-{name.replace('_', '-')}") if name in KNOWN else name


def _listed(names: Any, wording: Wording) -> str:
    return shorten(wording.say("list-separator").join(map(escape, names)), MAX_NAMES)


def _exported(exported: Export, wording: Wording) -> Iterator[str]:
    yield wording.say("privacy-export", part=exported.part, parts=exported.parts, images=exported.images)
    if exported.part < exported.parts:
        yield wording.say("privacy-export-next", next=exported.part + 1)
    if exported.too_large:
        ids = [f"#{job_id}" for job_id in exported.too_large[:MAX_IDS]]
        names = wording.say("list-separator").join([*ids, *(["…"] if len(exported.too_large) > MAX_IDS else [])])
        yield wording.say("privacy-export-too-large", count=len(exported.too_large), names=names)
    if exported.missing:
        yield wording.say("privacy-export-missing", count=exported.missing)
