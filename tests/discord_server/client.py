"""What a Discord client lets a user do with commands, and the interaction data it then sends.

Owns the rules of the client: everything here raises ClientRefused where it would not let the user go on.
Must not know deadlines or tokens; interactions.py starts those. Buttons and forms are in forms.py.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from tests.discord_server import limits
from tests.discord_server.messages import Upload
from tests.discord_server.permissions import NONE, Permission
from tests.discord_server.render import attachment_payload
from tests.discord_server.world import Attachment, Channel, Message, Role, User

if TYPE_CHECKING:
    from tests.discord_server.server import Emulator


class Option(IntEnum):
    """The types of a command's options."""

    SUB_COMMAND = 1
    SUB_COMMAND_GROUP = 2
    STRING = 3
    INTEGER = 4
    BOOLEAN = 5
    USER = 6
    CHANNEL = 7
    ROLE = 8
    MENTIONABLE = 9
    NUMBER = 10
    ATTACHMENT = 11


NESTING = (Option.SUB_COMMAND, Option.SUB_COMMAND_GROUP)
TAKES: dict[int, tuple[type, ...]] = {
    Option.USER: (User,), Option.CHANNEL: (Channel,), Option.ROLE: (Role,), Option.MENTIONABLE: (User, Role),
}  # fmt: skip
GUILD_CONTEXT, BOT_DM_CONTEXT = 0, 1
MAX_STRING = 6000


class ClientRefused(Exception):
    """The user's client would not have sent this."""


def refuse_if(condition: Any, why: str) -> None:
    """Raise ClientRefused if the condition is true."""
    if condition:
        raise ClientRefused(why)


class Resolved:
    """The `resolved` part of interaction data: the things the values name."""

    def __init__(self, emu: Emulator, user: User, channel: Channel) -> None:
        self._emu, self._user, self.channel = emu, user, channel
        self._found: dict[str, dict[str, Any]] = {}

    def add(self, thing: User | Role | Channel | Attachment | Message) -> str:
        """Add a thing; return the id that stands for it."""
        world = self._emu.world
        match thing:
            case User():
                self._put("users", thing.id, thing.payload())
                guild = self.channel.guild
                if guild and thing.id in guild.members:
                    member = guild.members[thing.id].payload()
                    del member["mute"], member["deaf"]
                    member["permissions"] = str(int(world.permissions(self.channel, thing)))
                    self._put("members", thing.id, member)
            case Role():
                self._put("roles", thing.id, thing.payload())
            case Channel():
                permissions = str(int(world.permissions(thing, self._user)))
                self._put("channels", thing.id, {**thing.payload(), "permissions": permissions})
            case Message():  # whole, even without the message-content intent
                self._put("messages", thing.id, self._emu.messages.payload(thing))
            case Attachment():
                self._put("attachments", thing.id, attachment_payload(world.cdn, thing))
        return thing.id

    def upload(self, upload: Upload) -> str:
        """Store a file the user gives; return the id that stands for it."""
        limit = self._emu.config.attachment_size_limit
        refuse_if(len(upload.data) > limit, f"{upload.filename} is larger than {limit} bytes")
        stored = self._emu.world.new_attachment(self.channel, upload.filename, upload.data, ephemeral=True)
        stored.claim(upload.content_type, upload.size)
        return self.add(stored)

    def by_id(self, kind: str, thing_id: str) -> str:
        """Add the user, role or channel with this id, if there is one; return the id."""
        world, guild = self._emu.world, self.channel.guild
        things: dict[str, Any] = {
            "user": world.users, "channel": world.channels, "role": guild.roles if guild else {},
        }  # fmt: skip
        thing = things[kind].get(thing_id)
        return self.add(thing) if thing else thing_id

    def _put(self, kind: str, thing_id: str, payload: dict[str, Any]) -> None:
        self._found.setdefault(kind, {})[thing_id] = payload

    def into(self, details: dict[str, Any]) -> dict[str, Any]:
        return {**details, "resolved": self._found} if self._found else details


# -- slash commands -----------------------------------------------------------------


def check_may_use(emu: Emulator, command: dict[str, Any], user: User, channel: Channel) -> None:
    """Refuse a command that is not offered to this user in this channel."""
    guild = channel.guild
    refuse_if(channel.deleted, "the channel is gone")
    contexts = command.get("contexts")
    context = GUILD_CONTEXT if guild else BOT_DM_CONTEXT
    refuse_if(contexts is not None and context not in contexts, "not offered in this kind of channel")
    refuse_if(guild is None and command.get("dm_permission") is False, "not offered in DMs")
    installs = command.get("integration_types") or [0]
    refuse_if(0 not in installs, "only for user installs, and the app is installed in a guild")
    has = emu.world.permissions(channel, user)
    refuse_if(Permission.VIEW_CHANNEL not in has, f"{user.username} does not see the channel")
    if guild is None:
        return
    may_use_any = Permission.USE_APPLICATION_COMMANDS in has
    refuse_if(not may_use_any, f"{user.username} may not use commands here")
    refuse_if(command.get("nsfw") and not channel.nsfw, "age-restricted, and the channel is not")
    default = command["default_member_permissions"]
    needed = Permission(int(default)) if default is not None else NONE
    allowed = Permission.ADMINISTRATOR in has or (default != "0" and needed & has == needed)
    refuse_if(not allowed, f"{user.username} lacks the permission for /{command['name']}")


def descend(command: dict[str, Any], words: list[str]) -> list[dict[str, Any]]:
    """Return the (sub)commands the words after the command's name lead through."""
    path, node = [], command
    for word in words:
        options = [o for o in node.get("options", ()) if o["type"] in NESTING]
        found = next((o for o in options if o["name"] == word), None)
        if found is None:
            raise ClientRefused(f"/{command['name']} has no subcommand {word!r}")
        path.append(node := found)
    nested = any(o["type"] in NESTING for o in node.get("options", ()))
    refuse_if(nested, f"/{command['name']} needs a subcommand")
    return path


def command_details(
    emu: Emulator,
    command: dict[str, Any],
    words: list[str],
    values: dict[str, Any],
    user: User,
    channel: Channel,
    focused: str | None = None,
) -> dict[str, Any]:
    """Return the data of a command (or, with `focused`, of an autocomplete) interaction."""
    path = descend(command, words)
    known = {o["name"]: o for o in (path[-1] if path else command).get("options", ())}
    for name in values:
        refuse_if(name not in known, f"/{command['name']} has no option {name!r} (it has {sorted(known)})")
    resolved = Resolved(emu, user, channel)
    options: list[dict[str, Any]] = []
    for name, option in known.items():
        given: dict[str, Any] = {"name": name, "type": option["type"]}
        if name == focused:
            options.append({**given, "value": str(values.get(name, "")), "focused": True})
        elif values.get(name) is not None:
            options.append({**given, "value": _option_value(option, values[name], resolved)})
        else:
            refuse_if(option.get("required") and focused is None, f"option {name!r} is required")
    for sub in reversed(path):
        options = [{"name": sub["name"], "type": sub["type"], "options": options}]
    details = {"id": command["id"], "name": command["name"], "type": command["type"], "options": options}
    if command.get("guild_id"):
        details["guild_id"] = command["guild_id"]
    return resolved.into(details)


def menu_details(command: dict[str, Any], target: User | Message, resolved: Resolved) -> dict[str, Any]:
    """Return the data of an entry chosen in the menu of a message or user."""
    if isinstance(target, Message):
        refuse_if(target.ephemeral, "an ephemeral message has no menu of apps")
    else:
        channel = resolved.channel
        here = channel.recipients if channel.guild is None else [m.user for m in channel.guild.members.values()]
        refuse_if(target not in here, f"{target.username} is not here")
    details = {"id": command["id"], "name": command["name"], "type": command["type"]}
    if command.get("guild_id"):
        details["guild_id"] = command["guild_id"]
    return resolved.into({**details, "target_id": resolved.add(target)})


def _option_value(option: dict[str, Any], value: Any, resolved: Resolved) -> Any:
    name, kind = option["name"], option["type"]
    choices = option.get("choices")
    if choices:
        labels = [c["name"] for c in choices]
        chosen = [c for c in choices if value in (c["value"], c["name"], *_translations(c))]
        refuse_if(not chosen, f"{value!r} is not a choice of {name!r}: {labels}")
        return chosen[0]["value"]
    match kind:
        case Option.STRING:
            refuse_if(value == "" and option.get("required"), f"option {name!r} is required")
            check_text(name, value, option.get("min_length") or 0, option.get("max_length") or MAX_STRING)
        case Option.INTEGER | Option.NUMBER:
            wanted: Any = int if kind == Option.INTEGER else (int, float)
            is_number = isinstance(value, wanted) and not isinstance(value, bool)
            refuse_if(not is_number, f"{name!r} takes another kind of value than {value!r}")
            refuse_if(abs(value) > limits.INT53, f"{name!r} is out of range")
            low, high = option.get("min_value"), option.get("max_value")
            refuse_if(low is not None and value < low, f"{name!r} must be at least {low}")
            refuse_if(high is not None and value > high, f"{name!r} must be at most {high}")
        case Option.BOOLEAN:
            refuse_if(not isinstance(value, bool), f"{name!r} takes True or False, not {value!r}")
        case Option.ATTACHMENT:
            refuse_if(not isinstance(value, Upload), f"{name!r} takes a file")
            return resolved.upload(value)
        case _:
            refuse_if(not isinstance(value, TAKES[kind]), f"{name!r} does not take a {type(value).__name__}")
            types = option.get("channel_types")
            refuse_if(types and value.type not in types, f"{name!r} does not take this type of channel")
            return resolved.add(value)
    return value


def _translations(choice: dict[str, Any]) -> list[str]:
    return list((choice.get("name_localizations") or {}).values())


def check_text(name: str, value: Any, low: int, high: int) -> None:
    """Refuse what is not text of this length."""
    refuse_if(not isinstance(value, str), f"{name!r} takes text, not {value!r}")
    refuse_if(len(value) < low, f"{name!r} must be at least {low} characters")
    refuse_if(len(value) > high, f"{name!r} must be at most {high} characters")


# -- messages -----------------------------------------------------------------------


def check_sees(emu: Emulator, message: Message, user: User) -> None:
    """Refuse anything a user would do to a message they do not see."""
    refuse_if(not emu.world.visible_to(message, user), f"{user.username} does not see the message")
