"""Placeholders that were shown before their request was stored, because its file has yet to be fetched.

Their ids are noted, so that the next start of the bot finds those that a killed process left behind: it says on them
that the request is lost, and takes away those whose request was stored in the last moment, since that is shown anew.
Whoever asked is not noted.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from typing import Final, TypeVar

import discord

from bot.errors import StoreUnavailable
from bot.frontends.discord_app.http_errors import TROUBLES, Remedy, remedy
from bot.frontends.discord_app.message_ref import FRONTEND, MAX_ID
from bot.presentation.wording import wording_for
from bot.requests.archive import Archive
from bot.store.key_value_store import SettingStore

log = logging.getLogger(__name__)

SETTING: Final = "discord.placeholders"  # JSON: message id → [channel id, interaction id, locale]
MAX_NOTED: Final = 100

T = TypeVar("T")
Note = tuple[int, int, str]


class Placeholders:
    """The placeholders that wait for a file."""

    def __init__(self, settings: SettingStore) -> None:
        self._settings = settings
        self._noted: dict[int, Note] = {}
        self._writing = asyncio.Lock()

    async def until(self, work: asyncio.Task[T], interaction: discord.Interaction, message_id: int) -> T:
        """Wait for the row of a request whose placeholder is shown; if it takes longer, the placeholder is noted."""
        if work.done():
            return work.result()
        locale = interaction.guild_locale or interaction.locale
        await self._note(message_id, (interaction.channel_id or 0, interaction.id, locale.value))
        try:
            result = await work
        except Exception:  # not if this process ends: then the note is for the next one
            await self._forget(message_id)
            raise
        await self._forget(message_id)
        return result

    async def clear(self, client: discord.Client, archive: Archive) -> None:
        """Leave nobody with a placeholder of an earlier process; those that cannot be reached now stay noted."""
        try:
            self._noted = _read(await self._settings.get_json(SETTING))
            for message_id, note in list(self._noted.items()):
                if await _settle(client, archive, message_id, note):
                    await self._forget(message_id)
        except StoreUnavailable as error:
            log.warning("placeholders of an earlier run cannot be looked up: %s", error)

    async def _note(self, message_id: int, note: Note) -> None:
        if len(self._noted) < MAX_NOTED:
            self._noted[message_id] = note
            await self._write()

    async def _forget(self, message_id: int) -> None:
        if self._noted.pop(message_id, None) is not None:
            await self._write()

    async def _write(self) -> None:
        async with self._writing:
            try:
                await self._settings.set(SETTING, _json(self._noted))
            except StoreUnavailable as error:
                log.warning("a placeholder cannot be noted: %s", error)


async def _settle(client: discord.Client, archive: Archive, message_id: int, note: Note) -> bool:
    """Say on a placeholder that its request is lost, or take it away; whether nothing is left to be done."""
    channel_id, interaction_id, locale = note
    job = await archive.of_request(f"{FRONTEND}:{interaction_id}")
    if job is not None and job.reply_to.key == str(message_id):
        return True
    message = client.get_partial_messageable(channel_id).get_partial_message(message_id)
    try:
        if job is None:
            await message.edit(content=wording_for(locale).say("request-lost"))
        else:
            await message.delete()
    except TROUBLES as error:
        log.warning("a placeholder of an earlier run stays as it is: %s", error)
        return remedy(error) is not Remedy.LATER
    return True


def _json(noted: Mapping[int, Note]) -> str | None:
    return json.dumps({str(message_id): note for message_id, note in noted.items()}) if noted else None


def _read(stored: object) -> dict[int, Note]:
    """Read what `_json` wrote, in this release or another one; what makes no sense is left out."""
    found: dict[int, Note] = {}
    for message_id, note in (stored if isinstance(stored, dict) else {}).items():
        match note:
            case [int(channel_id), int(interaction_id), str(locale)] if re.fullmatch(r"[0-9]{1,19}", message_id):
                if 0 < channel_id < MAX_ID and 0 < interaction_id < MAX_ID and int(message_id) < MAX_ID:
                    found[int(message_id)] = (channel_id, interaction_id, locale)
    return found
