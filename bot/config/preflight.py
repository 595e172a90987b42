"""What `check` reports about the config: its problems, and variables that look like ours but set nothing."""

from __future__ import annotations

import os
from pathlib import Path

from bot.config.loading import load_config, near_misses
from bot.config.messages import ENV_PREFIX, KEYS_EXPLAINED
from bot.config.sections import Config
from bot.errors import ConfigError
from bot.findings import Finding, note, ok, problem


def preflight(path: Path | None) -> tuple[Config | None, list[Finding]]:
    """Read the config as a start would. Returns None for it if there are problems."""
    try:
        config, found = load_config(path)
    except ConfigError as error:
        return None, [problem("config", text, _way_out(text, error)) for text in error.problems]
    read = ok("config", str(found.resolve()) if found else "no file, defaults for everything")
    return config, [read, *(note("config", line) for line in near_misses(os.environ))]


def _way_out(text: str, error: ConfigError) -> str:
    source = text.partition(":")[0]
    if source.upper().startswith(ENV_PREFIX):
        return f"correct the environment variable {source}, or unset it"
    return error.way_out or f"mend this line; {KEYS_EXPLAINED}"
