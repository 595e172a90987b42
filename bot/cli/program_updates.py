"""What `check --updates` reports about the program itself: whether newer versions are there where it came from.

Asks only the place that this copy was installed from, through the program that fetched it: git for a clone, pip for a
package. Another place could offer somebody else's program under the same name. Changes nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bot.findings import Finding, note, ok

TOPIC: Final = "program"
NAME: Final = "imagine-bot"
ANSWER_S: Final = 30
MAX_OUTPUT: Final = 2**20
UPGRADE: Final = "docs/operating.md, “Upgrade”, says how to take it"
Version = tuple[int, int, int]
Ask = Callable[[Sequence[str]], str]
# A release: v1.2.3. What is being tried out before one is none.
_TAG: Final = re.compile(r"refs/tags/v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})$", re.ASCII | re.MULTILINE)
_VERSION: Final = re.compile(r"(?<![\w.])(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?![\w.])", re.ASCII)


class Unanswered(Exception):
    """Nobody said which versions there are; `str()` says why."""


def look_for_newer_program(ask: Ask | None = None) -> list[Finding]:
    """Ask where this copy came from. Blocks for seconds. Whoever does not answer is no problem."""
    try:
        installed = distribution(NAME)
        found = _versions(installed, ask or _ask)
    except PackageNotFoundError:
        return [note(TOPIC, "not known: this copy was not installed")]
    except Unanswered as error:
        return [note(TOPIC, f"not known: {error}")]
    match = _VERSION.search(installed.version)
    mine = _version(match) if match is not None else (0, 0, 0)
    newest = max(found, default=mine)
    if newest > mine:
        return [note(TOPIC, f"version {'.'.join(map(str, newest))} is there, yours is {installed.version}", UPGRADE)]
    return [ok(TOPIC, f"{installed.version}: nothing newer is there")]


def _versions(installed: Distribution, ask: Ask) -> list[Version]:
    """Raises Unanswered."""
    try:
        origin = json.loads(installed.read_text("direct_url.json") or "{}")
        url = str(origin["url"]) if isinstance(origin, dict) and "url" in origin else ""
    except (ValueError, RecursionError, OSError):
        url = ""
    if not url:  # from an index, which the same client knows
        return [_version(match) for match in _VERSION.finditer(ask([*_pip(), "index", "versions", NAME]))]
    parts = urlsplit(url)
    if parts.scheme == "file":
        folder = Path(url2pathname(parts.path))
        if not (folder / ".git").exists():
            raise Unanswered(f"{folder} is no clone, so nobody can be asked")
        tags = ask(["git", "-C", str(folder), "ls-remote", "--tags", "--refs"])
    elif parts.scheme in ("https", "ssh") and "vcs_info" in origin:
        tags = ask(["git", "ls-remote", "--tags", "--refs", "--", url])
    else:
        raise Unanswered("this copy came from a single file, so nobody can be asked")
    return [_version(match) for match in _TAG.finditer(tags)]


def _version(match: re.Match[str]) -> Version:
    return int(match[1]), int(match[2]), int(match[3])


def _pip() -> list[str]:
    import importlib.util

    if importlib.util.find_spec("pip") is None:
        raise Unanswered("there is no pip here to ask the index with")
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]


def _ask(command: Sequence[str]) -> str:
    """Run a command that answers on its own, or not at all.

    Raises:
        Unanswered
    """
    if shutil.which(command[0]) is None:
        raise Unanswered(f"{command[0]} is not installed")
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=ANSWER_S,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unanswered("there was no answer") from error
    if done.returncode:
        last = done.stderr[-MAX_OUTPUT:].decode("utf-8", "replace").strip().splitlines()[-1:]
        raise Unanswered(f"the place where this copy came from does not answer ({''.join(last)[:200]})")
    return done.stdout[:MAX_OUTPUT].decode("utf-8", "replace")
