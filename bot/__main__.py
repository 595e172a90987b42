"""The entry of the `imagine-bot` script and of `python -m bot`: the list of commands in `bot/cli/`."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli import bench, bench_models, models
from bot.cli.backup import backup, restore
from bot.cli.check import check
from bot.cli.draw import draw
from bot.cli.fetch import fetch
from bot.cli.help_format import Command
from bot.cli.invite import invite
from bot.cli.output import PROGRAM, Commands, release, run_to_exit
from bot.cli.run import run

app = typer.Typer(
    name=PROGRAM,
    cls=Commands,
    help="A Discord bot that draws FLUX pictures on your own graphics card.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(cls=Command)(run)
app.command(cls=Command, context_settings={"allow_extra_args": True})(draw)
app.command(cls=Command)(check)
app.command(cls=Command)(fetch)
app.command(cls=Command)(invite)
app.command(cls=Command)(backup)
app.command(cls=Command)(restore)
app.add_typer(models.app, name="models")
bench.app.command(cls=Command)(bench_models.models)
app.add_typer(bench.app, name="bench")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(release())
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command that the arguments name, and end the process."""
    run_to_exit(app)


if __name__ == "__main__":
    main()
