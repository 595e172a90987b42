"""Registers our commands wherever Discord has others, at the start and whenever they are gone. Knows no command.

Discord allows 200 changes a day, so what was sent is noted, and nothing is sent that is there already.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import Iterable
from typing import Any, Final

import discord
from discord import app_commands

from bot.config import DiscordConfig
from bot.deadline import Deadline
from bot.delivery.alerts import Alert, AlertKind, Report
from bot.errors import StoreUnavailable
from bot.frontends.discord_app.command_ids import GLOBAL, CommandIds
from bot.frontends.discord_app.http_errors import TROUBLES
from bot.presentation.phrases import Phrase, Typed
from bot.store.key_value_store import SettingStore
from bot.supervision import supervise

log = logging.getLogger(__name__)

COMMANDS_SETTING: Final = "discord.commands"  # JSON: where → [hash of what we sent, versions by name]
PLACE: Final = re.compile(rf"{GLOBAL}|[0-9]{{1,19}}")
LOOK_EVERY_S: Final = 3600.0


class CommandSync:
    """Our commands, as Discord has them.

    has_news: whether any were registered by this process: clients that are open show them after a reload.
    """

    def __init__(
        self,
        client: discord.Client,
        tree: app_commands.CommandTree,
        config: DiscordConfig,
        *,
        settings: SettingStore,
        ids: CommandIds,
        report: Report,
    ) -> None:
        self.has_news = False
        self._client = client
        self._tree = tree
        self._config = config
        self._settings = settings
        self._ids = ids
        self._report = report

    async def register(self) -> None:
        """Register our commands wherever Discord has others."""
        payload = await self._payload()
        commands_hash = self._hash_of(payload)
        wanted = {str(guild_id): commands_hash for guild_id in self._config.allowed_guilds} or {GLOBAL: commands_hash}
        known = await self._known_commands()
        for place in {**known, **wanted}:
            is_wanted = place in wanted
            noted = known.get(place)
            try:
                if is_wanted and noted == [commands_hash, await self._versions_at(place)]:
                    self._report.end(AlertKind.COMMANDS_REFUSED, place)
                    continue
                await self._register_at(place, payload if is_wanted else [])
                versions = await self._versions_at(place) if is_wanted else {}
            except (discord.Forbidden, discord.NotFound) as error:
                log.warning("commands cannot be registered at %s, is the bot invited there? %s", place, error)
                self._tell(AlertKind.COMMANDS_REFUSED, place)
                continue
            except discord.HTTPException as error:
                if error.status >= 500 or error.status in (401, 429):
                    raise
                log.error("Discord does not take the commands at %s now, those it has stay: %s", place, error)
                continue
            if is_wanted and isinstance(noted, list) and noted[:1] == [commands_hash]:  # not by a new release
                self._tell(AlertKind.COMMANDS_LOST, place)
            self._report.end(AlertKind.COMMANDS_REFUSED, place)
            known = {**known, place: [commands_hash, versions]} if is_wanted else _without(known, place)
            try:
                await self._settings.set(COMMANDS_SETTING, json.dumps(known))
            except StoreUnavailable as error:
                log.warning("that commands are registered at %s cannot be noted now: %s", place, error)
            self.has_news = self.has_news or is_wanted
            log.info("commands %s at %s", "registered" if is_wanted else "removed", place)

    async def look_again(self, deadline: Deadline, *, is_ready: asyncio.Event) -> None:
        """Register commands that are gone meanwhile, for ever; the first look is `register` at the start.

        is_ready: set once the bot was connected: before its login nothing can be asked, nor is anything registered.
        """

        async def turn() -> bool:
            await is_ready.wait()
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.register()
            except TROUBLES as error:
                log.warning("whether the commands are still registered cannot be seen now: %s", error)
            return True

        await supervise("looking after commands", turn, deadline)

    def _tell(self, kind: AlertKind, place: str) -> None:
        guild = None if place == GLOBAL else self._client.get_guild(int(place))
        where: Phrase | Typed = Phrase("alert-everywhere") if place == GLOBAL else Typed(guild.name if guild else place)
        self._report.begin(Alert(kind=kind, subject=place, values={"where": where}))

    async def _known_commands(self) -> dict[str, object]:
        """Return the noted registrations; nothing if they cannot be read, because a repeat is harmless."""
        try:
            known = await self._settings.get_json(COMMANDS_SETTING)
        except StoreUnavailable as error:
            log.warning("which commands Discord has cannot be looked up: %s", error)
            known = None
        return {place: what for place, what in _items(known) if PLACE.fullmatch(place)}

    async def _versions_at(self, place: str) -> dict[str, str]:
        """Return the versions of the commands that Discord has at a place; any change gives a new version."""
        if place == GLOBAL:
            commands = await self._client.http.get_global_commands(self._application_id())
        else:
            commands = await self._client.http.get_guild_commands(self._application_id(), int(place))
        self._ids.note(place, commands)
        return {command["name"]: str(command["version"]) for command in commands}

    async def _register_at(self, place: str, payload: list[dict[str, Any]]) -> None:
        """Send commands, as `CommandTree.sync` does, which would make the payload anew for every place."""
        if place == GLOBAL:
            await self._client.http.bulk_upsert_global_commands(self._application_id(), payload=payload)
        else:
            await self._client.http.bulk_upsert_guild_commands(self._application_id(), int(place), payload=payload)

    async def _payload(self) -> list[dict[str, Any]]:
        """Say our commands in all languages, as Discord takes them."""
        translator = self._tree.translator
        assert translator is not None, "set before commands are registered"
        return [await command.get_translated_payload(self._tree, translator) for command in self._tree.get_commands()]

    def _hash_of(self, payload: list[dict[str, Any]]) -> str:
        """Return a hash of the application id and of everything that is registered."""
        text = json.dumps([self._application_id(), payload], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def _application_id(self) -> int:
        assert self._client.application_id is not None, "known after login"
        return self._client.application_id


def _items(stored: object) -> Iterable[tuple[str, object]]:
    return stored.items() if isinstance(stored, dict) else ()


def _without(known: dict[str, object], place: str) -> dict[str, object]:
    return {name: value for name, value in known.items() if name != place}
