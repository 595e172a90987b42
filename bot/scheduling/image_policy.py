"""Whether a finished image may be shown, as a program of the operator's says. Knows no queue and no front end.

A protocol, so that another check can take the place of the program. It is asked after the file was written and before
the job is done: until then no message and no page shows the image.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from bot.config import ENV_PREFIX, PASSWORD_ENV, TOKEN_ENV, ModerationConfig
from bot.errors import ConfigError

log = logging.getLogger(__name__)


class Verdict(StrEnum):
    """What becomes of an image."""

    ALLOW = "allow"
    SPOILER = "spoiler"  # shown after a click
    BLOCK = "block"  # its job fails, and the file is deleted


EXIT_CODES: Final = {0: Verdict.ALLOW, 1: Verdict.SPOILER, 2: Verdict.BLOCK}
SCRIPT: Final = ".py"


class ImagePolicy(Protocol):
    """Judges images."""

    async def judge(self, image: Path) -> Verdict:
        """Return what becomes of a PNG file. Never fails; may be cancelled."""


class ProgramPolicy:
    """Runs a program with the path of the image; its exit code is the verdict."""

    def __init__(self, config: ModerationConfig) -> None:
        self._words = config.image_check
        self._timeout_s = config.image_check_timeout_s
        self._on_error = Verdict(config.on_check_error)

    async def judge(self, image: Path) -> Verdict:
        """Return what the program says; what `on_check_error` says if it fails or takes too long.

        Nothing that it writes is read: it may quote the prompt, which stands in the file.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words,
                str(image),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=DEVNULL,
                env=_harmless_environment(),
                start_new_session=True,  # what it starts ends with it
            )
        except (OSError, ValueError) as error:
            log.error("the image check cannot be started: %s", error)
            return self._on_error
        try:
            async with asyncio.timeout(self._timeout_s):
                code = await process.wait()
        except TimeoutError:
            log.error("the image check took longer than %.0f s", self._timeout_s)
            return self._on_error
        finally:
            await _end(process)
        if (verdict := EXIT_CODES.get(code)) is None:
            log.error("the image check ended with code %s", code)
            return self._on_error
        return verdict


def policy_of(config: ModerationConfig) -> ImagePolicy | None:
    """Return the check of a config; None if it has none.

    Raises:
        ConfigError: there is no such program, or no such script of Python's, whose code would be that of a verdict.
    """
    if not config.image_check:
        return None
    if shutil.which(config.image_check[0]) is None:
        raise ConfigError([f"[moderation] image_check: there is no program {config.image_check[0]!r} that can be run"])
    for word in config.image_check[1:]:
        if word.endswith(SCRIPT) and not word.startswith("-") and not _is_file(word):
            raise ConfigError([f"[moderation] image_check: there is no file {word!r}"])
    return ProgramPolicy(config)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # longer than any name
        return False


async def _end(process: Process) -> None:
    """End a program that still runs, and on Unix whatever it left running."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()


def _harmless_environment() -> dict[str, str]:
    """The environment without this program's secrets."""
    secret = (TOKEN_ENV, PASSWORD_ENV)
    return {
        name: value
        for name, value in os.environ.items()
        if name.upper() not in secret and not name.upper().startswith(ENV_PREFIX)
    }
