"""Options of a command from a table: the library reads them from a function's signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import discord

Callback = Callable[..., Coroutine[Any, Any, None]]


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
