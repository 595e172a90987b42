"""`imagine-bot invite`: prints the link that puts the bot on a server. The Discord front end builds it."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli.output import ConfigPath, fail
from bot.errors import ConfigError, ExitCode


def invite(
    application_id: Annotated[
        int | None,
        typer.Option(min=1, help="Application id from the developer page; default: read from the token."),
    ] = None,
    config_path: ConfigPath = None,
) -> None:
    """Print the link with which an administrator puts the bot on a server."""
    from bot.config import load_config, load_token
    from bot.frontends.discord_app import preflight

    if application_id is None:
        config, _ = load_config(config_path)
        what = "there is no token"
        try:
            if (token := load_token(config.discord)) is not None:
                application_id, what = preflight.application_id(token), "the token does not hold one"
        except ConfigError as error:
            what = "; ".join(error.problems)
        if application_id is None:
            fail(
                f"The application id is needed and {what}. Copy it from the General Information page of your "
                "application and run\n  imagine-bot invite --application-id 123456789012345678",
                ExitCode.USAGE,
            )
    typer.echo(preflight.invite_url(application_id))
