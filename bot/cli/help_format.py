"""How commands show themselves in `--help`: as manuals do. Knows no command."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class Command(TyperCommand):
    """A command whose usage line has no braces around arguments, and whose switches name no type."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words after the command's name: `PROMPT`, `[MODEL]`."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def get_params(self, ctx: Any) -> Any:  # click's own types, which typer carries under changing names
        """What it takes; `--force <bool>` would read as if a word had to follow."""
        params = super().get_params(ctx)
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params
