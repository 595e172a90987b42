"""The entries in the menu of a message, under Apps: Use as input, Vary, Image info, Remove.

Of our own messages they act on the images that the database knows of; of anybody else's, on what is attached.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import discord
from discord import app_commands

from bot.errors import JobNotFound, Refusal
from bot.frontends.discord_app import actions, file_forms, removal
from bot.frontends.discord_app.attached import AttachedImage, NoImageHere, images_of, numbers_on, remember
from bot.frontends.discord_app.embeds import MAX_DESCRIPTION, escape, shorten, units
from bot.frontends.discord_app.file_forms import FileVerb, labels_of
from bot.frontends.discord_app.form_fields import MAX_LABEL
from bot.frontends.discord_app.interactions import (
    InteractionContext,
    OptionsOutdated,
    attempt,
    chosen_number,
    context_of,
    reader,
    replace,
    say,
    think,
)
from bot.frontends.discord_app.translations import text
from bot.frontends.discord_app.visibility import in_time, visible_job
from bot.jobs import Job
from bot.presentation.job_view import Action
from bot.presentation.wording import Wording
from bot.requests.file_info import FileInfo, info_of

MAX_PROMPT: Final = 2000  # with the next one, of a description; settings have the rest
MAX_NEGATIVE: Final = 800
MAX_SETTINGS: Final = 16
MAX_SETTING: Final = 60

Look = Callable[[discord.Interaction, int], Awaitable[Job]]
Callback = Callable[[discord.Interaction, discord.Message], Awaitable[None]]


class NotOurMessage(Refusal):
    """Only images that the bot drew can be removed here."""


class NothingInFile(Refusal):
    """The file does not say how it was drawn."""


class MessageMenu:
    """The entries of the menu."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def commands(self) -> list[app_commands.ContextMenu]:
        """Make the entries."""
        entries = {
            "menu-use": self.use_as_input,
            "menu-vary": self.vary,
            "menu-info": self.info,
            "menu-remove": self.remove,
        }
        commands = [app_commands.ContextMenu(name=text(key), callback=callback) for key, callback in entries.items()]
        commands[-1].default_permissions = discord.Permissions(manage_messages=True)
        return commands

    async def use_as_input(self, interaction: discord.Interaction, message: discord.Message) -> None:
        """Ask what to draw, starting from an image of the message."""
        await self._start(interaction, message, Action.START_FROM, FileVerb.USE)

    async def vary(self, interaction: discord.Interaction, message: discord.Message) -> None:
        """Draw variations of our image; of another one, ask for its prompt, which nobody else knows."""
        await self._start(interaction, message, Action.VARY, FileVerb.VARY)

    async def info(self, interaction: discord.Interaction, message: discord.Message) -> None:
        """Say how an image was drawn: by the database, else by what its file says."""
        if _is_ours(interaction, message):
            await actions.act(interaction, Action.INFO, await _jobs_of(interaction, message))
            return
        files = images_of(message)
        remember(interaction.client, message)
        if len(files) == 1:
            await _say_info(interaction, message.id, files[0].id)
        else:
            view = discord.ui.View(timeout=None)
            view.add_item(FileSelect(message.id, labels_of(files)))
            view.stop()  # found by its custom id
            await say(interaction, reader(interaction).say("pick-title"), view=view)

    async def remove(self, interaction: discord.Interaction, message: discord.Message) -> None:
        """Ask a moderator why an image of ours is to go."""
        if not _is_ours(interaction, message):
            raise NotOurMessage
        # A private one too, which they may not see: its number is all that they are told.
        await removal.ask(interaction, await _jobs_of(interaction, message, look=_any_job))

    async def _start(
        self, interaction: discord.Interaction, message: discord.Message, action: Action, verb: FileVerb
    ) -> None:
        if _is_ours(interaction, message):
            await actions.act(interaction, action, await _jobs_of(interaction, message))
        else:
            await file_forms.ask(interaction, verb, message)


class FileSelect(
    discord.ui.DynamicItem[discord.ui.Select[discord.ui.View]], template=r"im2info:(?P<message_id>[0-9]{1,19})"
):
    """Asks which file of a message somebody wants to know about."""

    def __init__(self, message_id: int, labels: dict[str, str] | None = None) -> None:
        options = [
            discord.SelectOption(label=label[:MAX_LABEL], value=value) for value, label in (labels or {}).items()
        ]
        super().__init__(discord.ui.Select(custom_id=f"im2info:{message_id}", options=options))
        self.message_id = message_id

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[discord.ui.View], match: re.Match[str], /
    ) -> FileSelect:
        """Rebuild the menu that was used."""
        return cls(int(match["message_id"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        """Say what the chosen file says."""
        await attempt(interaction, self._chosen(interaction))

    async def _chosen(self, interaction: discord.Interaction) -> None:
        if (file_id := chosen_number(interaction)) is None:
            raise OptionsOutdated
        context_of(interaction).access.check_server(interaction)
        await _say_info(interaction, self.message_id, file_id, is_menu=True)


def _is_ours(interaction: discord.Interaction, message: discord.Message) -> bool:
    return message.author.id == interaction.application_id or message.author == interaction.client.user


async def _any_job(interaction: discord.Interaction, job_id: int) -> Job:
    return await context_of(interaction).service.job(job_id)


async def _jobs_of(
    interaction: discord.Interaction, message: discord.Message, *, look: Look = visible_job
) -> Sequence[Job]:
    """Return the jobs whose images our message shows: those whose answer it is, else by the names of its files.

    Raises:
        NoImageHere: it shows none.
        NotYourJob: the person may not see them.
    """
    async with in_time():
        numbers = await numbers_on(message, context_of(interaction).service.archive)
        found = []
        for number in numbers:
            try:
                found.append(await look(interaction, number))
            except JobNotFound:
                continue
    if not found:
        raise NoImageHere
    return found


async def _say_info(interaction: discord.Interaction, message_id: int, file_id: int, *, is_menu: bool = False) -> None:
    await (replace(interaction) if is_menu else think(interaction))
    image = AttachedImage(
        client=interaction.client,
        channel_id=interaction.channel_id or 0,
        message_id=message_id,
        file_id=file_id,
    )
    info = await asyncio.to_thread(info_of, await image.fetch())
    if info is None:
        raise NothingInFile
    wording = reader(interaction)
    embed = discord.Embed(title=wording.say("menu-info"), description=_described(info, wording))
    await say(interaction, embed=embed, **({"view": None} if is_menu else {}))


def _described(info: FileInfo, wording: Wording) -> str:
    """Lay out what a file says; all of it is a stranger's text."""
    lines = [shorten(escape(info.prompt.strip()), MAX_PROMPT)]
    if info.translated:
        lines.append(wording.say("prompt-translated", text=shorten(escape(info.translated.strip()), MAX_NEGATIVE)))
    if info.negative_prompt:
        negative = shorten(escape(info.negative_prompt.strip()), MAX_NEGATIVE)
        lines.append(wording.say("settings-negative", negative=negative))
    if info.translated_negative:
        text = shorten(escape(info.translated_negative.strip()), MAX_NEGATIVE)
        lines.append(wording.say("negative-translated", text=text))
    shown = list(info.settings.items())[:MAX_SETTINGS]
    pairs = (f"{shorten(escape(key), MAX_SETTING)}: {shorten(escape(value), MAX_SETTING)}" for key, value in shown)
    said = wording.say("file-says", writer=info.writer.value)
    room = MAX_DESCRIPTION - units("\n".join([*lines, "", said]))
    lines += [shorten(" · ".join(pairs), room), said]
    return "\n".join(line for line in lines if line)
