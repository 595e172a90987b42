"""The registry of application commands (slash commands, message and user menus), global and per guild.

Owns what the bot registered. Must not know who may use a command; client.py does.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from tests.discord_server import limits
from tests.discord_server.errors import ApiError
from tests.discord_server.signals import Signal

if TYPE_CHECKING:
    from tests.discord_server.server import Emulator

Scope = str | None  # a guild's id, or None for the global commands
DEFAULTS = {"name_localizations": None, "description_localizations": None, "nsfw": False}
GLOBAL_DEFAULTS = {"dm_permission": True, "contexts": None, "integration_types": [0]}
Key = tuple[int, str]  # type and name: a menu may have the name of a slash command


class CommandType(IntEnum):
    """The kinds of commands."""

    CHAT_INPUT = 1
    USER = 2
    MESSAGE = 3


def _key(command: dict[str, Any]) -> Key:
    return command.get("type") or CommandType.CHAT_INPUT, command["name"]


class Commands:
    """All commands of the one application."""

    def __init__(self, emu: Emulator) -> None:
        self.emu = emu
        self.changed = Signal()
        self._scopes: dict[Scope, dict[Key, dict[str, Any]]] = {}

    def all(self, scope: Scope) -> list[dict[str, Any]]:
        """Return a scope's commands as the API shows them."""
        return list(self._scopes.get(scope, {}).values())

    def find(
        self, name: str, guild_id: str | None, kind: CommandType = CommandType.CHAT_INPUT
    ) -> dict[str, Any] | None:
        """Return what a user gets for a name: a guild's own command hides the global one."""
        scopes: list[Scope] = [guild_id, None] if guild_id else [None]
        return next((found for s in scopes if (found := self._scopes.get(s, {}).get((kind, name)))), None)

    def overwrite(self, scope: Scope, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Replace a scope's commands; those that keep their name keep their id."""
        unknown = [i for i, c in enumerate(wanted) if _key(c)[0] not in list(CommandType)]
        if unknown:
            self.emu.violation("not_emulated", "entry-point commands are not emulated")
            raise ApiError("NOT_EMULATED")
        self.emu.reject_if("limit", limits.command_set_problems(wanted))
        for kind, most in limits.COMMANDS.items():
            count = sum(_key(c)[0] == kind for c in wanted)
            if count > most:
                self.emu.violation("limit", f"{count} commands of type {kind}")
                raise ApiError("TOO_MANY_COMMANDS")
        old = self._scopes.get(scope, {})
        self._scopes[scope] = {_key(w): self._made(scope, w, old.get(_key(w))) for w in wanted}
        self.changed.notify()
        return self.all(scope)

    def _made(self, scope: Scope, wanted: dict[str, Any], old: dict[str, Any] | None) -> dict[str, Any]:
        given = {name: value for name, value in wanted.items() if value is not None}
        permissions = wanted.get("default_member_permissions")
        snowflake = self.emu.world.snowflake()
        command = {**DEFAULTS, **(GLOBAL_DEFAULTS if scope is None else {"guild_id": scope}), **given}
        return command | {
            "id": old["id"] if old else snowflake,
            "application_id": self.emu.world.application_id,
            "version": snowflake,
            "type": int(_key(wanted)[0]),
            "description": wanted.get("description") or "",
            "options": [_clean(o) for o in wanted.get("options") or []],
            "default_member_permissions": None if permissions is None else str(permissions),
        }


def _clean(option: dict[str, Any]) -> dict[str, Any]:
    """Return an option as the API shows it: empty members left out."""
    clean = {name: value for name, value in option.items() if value is not None and value != []}
    if "options" in clean:
        clean["options"] = [_clean(o) for o in clean["options"]]
    return clean
