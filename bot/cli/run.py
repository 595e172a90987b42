"""`imagine-bot run`: reads config and secrets, starts the logs, and runs the service of `bot/app.py` until it ends."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from functools import partial
from typing import Final, TextIO

import typer

from bot.cli.output import ConfigPath, release, say
from bot.cli.over_ssh import tunnel_command
from bot.errors import ExitCode, OperatorError
from pipeline.errors import PipelineError

NO_TOKEN: Final = """\
There is no Discord token yet, so this is the local page alone. To put the bot on Discord as well:

  1. https://discord.com/developers/applications: New Application, then Bot, then Reset Token; copy the token.
  2. Set it as DISCORD_TOKEN in the environment, or write it into a file and name that file in config.toml:
         [discord]
         token_file = "token.txt"
  3. imagine-bot invite   prints the link that puts the bot on your server.
     imagine-bot check    says whether everything is in place.
     imagine-bot run      starts it, and with [console] enabled = true the page too."""
log = logging.getLogger(__name__)


def run(config_path: ConfigPath = None) -> None:
    """Run the bot, the local page, or both, until stopped (Ctrl-C or SIGTERM)."""
    from bot import logs
    from bot.config import load_config, load_passwords, load_token, near_misses

    config, path = load_config(config_path)
    token, passwords = load_token(config.discord), load_passwords(config.console)
    for secret in (token, passwords.page, passwords.operator):
        if secret is not None:
            logs.redact(secret)
    if token is None:
        say("•", NO_TOKEN, style="yellow")
    import asyncio

    from bot import app as service

    logs.setup(config.log)
    for line in near_misses(os.environ):
        log.warning(line)
    log.info("starting", extra={"release": release(), "config": str(path or "defaults")})
    say_page = partial(_say_page, sys.stderr) if token is None or config.console.enabled else None
    try:
        with logs.captured_prints():
            code = asyncio.run(service.run(config, token, passwords=passwords, release=release(), say_page=say_page))
    except (OperatorError, PipelineError):
        raise
    except Exception:
        log.exception("stopped by an error that nobody expected")
        code = ExitCode.FAILED
    raise typer.Exit(code)


def _say_page(terminal: TextIO, address: str) -> None:
    """Say where the page is, once its port is taken: then config, folders and model were found to be good."""
    with contextlib.redirect_stderr(terminal):  # by now, prints go to the log
        say("•", f"The page is at {address}; it is built in ten seconds or more.", style="yellow")
        if (command := tunnel_command(os.environ, address)) is not None:
            say(
                "•",
                f"This is an SSH session. To see the page on your own computer, run there:\n\n    {command}\n\n"
                f"and open {address} while it runs.",
                style="yellow",
            )
