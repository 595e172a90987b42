"""`imagine-bot alive`: whether a bot runs on the configured data folder, for supervisors and containers.

Reads the time of one file: cheap enough to be asked every half minute, with Discord, the page or both.
"""

from __future__ import annotations

import time
from typing import Final

import typer

from bot.cli.output import ConfigPath, say
from bot.errors import ExitCode

SILENT_AFTER_S: Final = 60.0  # six signs of life; one that is late by a slow disk is not an alarm


def alive(config_path: ConfigPath = None) -> None:
    """Say whether a bot runs here and keeps up: exit code 0 if so, 1 if not. Takes a second and asks nobody."""
    from bot.config import load_config
    from bot.store.database import DATABASE_NAME
    from bot.store.lock import last_beat

    config, _ = load_config(config_path)
    beat = last_beat(config.storage.data_dir / DATABASE_NAME)
    if beat is None:
        say("✘", f"no bot runs on {config.storage.data_dir}", style="bold red", on_stderr=False)
        raise typer.Exit(ExitCode.FAILED)
    age_s = time.time() - beat
    if abs(age_s) > SILENT_AFTER_S:  # of a clock that was set back, too
        say("✘", f"the bot has given no sign of life for {age_s:.0f} s", style="bold red", on_stderr=False)
        raise typer.Exit(ExitCode.FAILED)
    say("✔", f"alive: the last sign of life is {max(age_s, 0):.0f} s old", style="green", on_stderr=False)
