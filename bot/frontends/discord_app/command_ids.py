"""The ids that Discord gave to our commands, so that a message can offer them to be clicked. Pure.

They differ from place to place (a server's own commands, or those for all servers) and change with every registration,
so they are noted at each start and not stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bot.presentation.wording import Wording

GLOBAL: Final = "global"


class CommandIds:
    """Ids by place and name."""

    def __init__(self) -> None:
        self._ids: dict[str, dict[str, int]] = {}

    def note(self, place: str, commands: Iterable[Mapping[str, Any]]) -> None:
        """Note the commands that Discord has at a place: a server's id, or `GLOBAL`. Earlier ones are forgotten."""
        self._ids[place] = {command["name"]: int(command["id"]) for command in commands}

    def mention(self, name: str, guild_id: int | None, wording: Wording) -> str:
        """Return a command of a server to be clicked, `</imagine:123>`; its name in quotes where its id is not known.

        `name` is the English one; of a subcommand both, `admin pause`. In direct messages (None) nothing can be
        clicked, since commands are for servers only.
        """
        root = name.partition(" ")[0]
        known = self._ids.get(str(guild_id)) or self._ids.get(GLOBAL, {})
        if guild_id is None or root not in known:
            return f"`/{spoken(name, wording)}`"
        return f"</{name}:{known[root]}>"


def spoken(name: str, wording: Wording) -> str:
    """Return the name of a command in the reader's language; the English one if it has no other."""
    words = name.split(" ")
    try:
        return " ".join(wording.say(f"command-{'-'.join(words[: end + 1])}-name") for end in range(len(words)))
    except KeyError:
        return name
