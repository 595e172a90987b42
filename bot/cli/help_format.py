"""The layout of `--help`: boxes, columns and colours. Knows no command.

Typer's own help looks the same, but imports rich with Markdown and tracebacks, which takes longer than everything else
that `--help` does. This module produces plain text; `typer.echo` removes the colours if the output is no terminal.
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

BOX: Final = ("╭", "─", "╮", "│", "╰", "╯")
ASCII_BOX: Final = ("+", "-", "+", "|", "+", "+")
LEAST_WIDTH: Final = 50
LEAST_HELP: Final = 24  # characters for the last column, even if that makes the box wider than the terminal
GAP: Final = "  "
# Styles of columns: names and `--long`, `-s`, `--no-long`, types, the mark of what is required, explanations.
NAME: Final = {"fg": "cyan", "bold": True}
SHORT: Final = {"fg": "green", "bold": True}
NEGATIVE: Final = {"fg": "magenta", "bold": True}
TYPE: Final = {"fg": "yellow", "bold": True}
REQUIRED: Final = {"fg": "red"}
PLAIN: Final[dict[str, Any]] = {}

Row = tuple[str, ...]
Style = dict[str, Any]


class Command(TyperCommand):
    """A command with this help, and a usage line without braces around arguments."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # click's own types, under changing names
        """Return the words after the command's name: `PROMPT`, `[MODEL]`."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help into click's formatter."""
        formatter.write(help_text(self, ctx))


class Group(TyperGroup):
    """A group of commands with this help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help into click's formatter."""
        formatter.write(help_text(self, ctx))

    def get_help_option(self, ctx: Any) -> Any:
        """Return `--help`, switched off by default: to convert None instead, typer would import pydantic."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, or show the help if there are no arguments. Typer itself would import rich to show nothing else."""
        if not args and self.no_args_is_help:
            typer.echo(ctx.get_help())
            ctx.exit(2)
        return super().parse_args(ctx, args)


def help_text(command: TyperCommand | TyperGroup, ctx: Any) -> str:
    """Return usage, description, and a box each for arguments, options and commands."""
    width = max(LEAST_WIDTH, shutil.get_terminal_size().columns)
    usage, _, pieces = command.get_usage(ctx).partition(" ")
    parts = ["", f" {_styled(usage, TYPE)} {_styled(pieces, {'bold': True})}", ""]
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        parts += [*(f" {line}" for line in textwrap.wrap(paragraph, width - 2)), ""]
    params = [param for param in command.get_params(ctx) if not getattr(param, "hidden", False)]
    arguments = [_argument_row(param, ctx) for param in params if param.param_type_name == "argument"]
    options = [_option_row(param, ctx) for param in params if param.param_type_name == "option"]
    parts += _box("Arguments", arguments, (REQUIRED, NAME, TYPE, PLAIN), width)
    parts += _box("Options", options, (NAME, SHORT, NEGATIVE, TYPE, PLAIN), width)
    if isinstance(command, TyperGroup):
        commands = [command.get_command(ctx, name) for name in command.list_commands(ctx)]
        rows = [(each.name or "", each.help or "") for each in commands if each is not None and not each.hidden]
        parts += _box("Commands", rows, (NAME, PLAIN), width)
    return "\n".join(parts)


def _argument_row(param: Any, ctx: Any) -> Row:
    names, text = param.get_help_record(ctx)
    name, _, kind = names.partition(" ")
    return "*" if param.required else "", name, kind, text


def _option_row(param: Any, ctx: Any) -> Row:
    names, text = param.get_help_record(ctx)
    kind = " ".join(word for word in names.split() if not word.startswith(("-", "/")))
    long = [name for name in param.opts if name.startswith("--")]
    short = [name for name in param.opts if not name.startswith("--")]
    return ",".join(long), ",".join(short), ",".join(param.secondary_opts), kind, text


def _box(title: str, rows: Sequence[Row], styles: Sequence[Style], width: int) -> list[str]:
    """Return the lines of a box; none if there are no rows. Columns without text are left out."""
    used = [number for number in range(len(styles)) if any(row[number] for row in rows)]
    if not used:
        return []
    left, line, right, wall, low_left, low_right = _corners()
    border = partial(_styled, style={"dim": True})
    widths = [max(len(row[number]) for row in rows) for number in used[:-1]]
    others = sum(widths) + len(GAP) * len(widths) + 4
    width = max(width, others + LEAST_HELP)
    widths.append(width - others)
    lines = [border(f"{left}{line} {title} ".ljust(width - 1, line) + right)]
    for row in rows:
        cells = [
            textwrap.wrap(row[number], wide, break_on_hyphens=False) for number, wide in zip(used, widths, strict=True)
        ]
        for texts in zip_longest(*cells, fillvalue=""):
            shown = [
                _styled(text.ljust(wide), styles[number])
                for text, wide, number in zip(texts, widths, used, strict=True)
            ]
            lines.append(f"{border(wall)} {GAP.join(shown)} {border(wall)}")
    lines.append(border(low_left + line * (width - 2) + low_right))
    return lines


def _corners() -> tuple[str, str, str, str, str, str]:
    """Return the characters of boxes that standard output can show."""
    try:
        "".join(BOX).encode(sys.stdout.encoding or "ascii")
    except UnicodeError:
        return ASCII_BOX
    return BOX


def _styled(text: str, style: Style) -> str:
    """Style a text; in explanations, only the options it names."""
    if "NO_COLOR" in os.environ or os.environ.get("TERM") in {"dumb", "unknown"}:
        return text
    if style is PLAIN:
        return re.sub(r"(?<!\S)--[\w-]+", lambda found: _styled(found[0], NAME), text)
    bare = text.rstrip()
    return typer.style(bare, **style) + text[len(bare) :] if bare else text
