"""Makes commands: their texts by key, and their options from a table, as the library reads them from signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import discord
from discord import app_commands

from bot.frontends.discord_app.translations import text

Callback = Callable[..., Coroutine[Any, Any, None]]
Command = app_commands.Command[Any, ..., None]


def make_command(key: str, callback: Callback, **options: str) -> Command:
    """Make a command whose texts are `command-<key>-name` and `-description`.

    options: by parameter, the key of its texts, which are `option-<key>-name` and `-description`.
    """
    command: Command = app_commands.Command(
        name=text(f"command-{key}-name"), description=text(f"command-{key}-description"), callback=callback
    )
    app_commands.describe(**{name: text(f"option-{each}-description") for name, each in options.items()})(command)
    app_commands.rename(**{name: text(f"option-{each}-name") for name, each in options.items()})(command)
    return command


def make_group(key: str, *commands: Command | app_commands.Group) -> app_commands.Group:
    """Make a group of commands, with texts like those of a command."""
    group = app_commands.Group(name=text(f"command-{key}-name"), description=text(f"command-{key}-description"))
    for command in commands:
        group.add_command(command)
    return group


def with_options(callback: Callback, types: Mapping[str, Any], *, required: str = "") -> Callback:
    """Give a function that takes any options those of `types`, in their order; all but one may be left out."""

    async def command(interaction: discord.Interaction, **options: Any) -> None:
        await callback(interaction, **options)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("interaction", kind, annotation=discord.Interaction)]
    for name, annotation in types.items():
        if name == required:
            parameters.append(inspect.Parameter(name, kind, annotation=annotation))
        else:
            parameters.append(inspect.Parameter(name, kind, annotation=annotation | None, default=None))
    # Python reads it of any function, which the type of functions does not say.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command
