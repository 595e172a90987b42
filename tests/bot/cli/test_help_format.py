"""`--help` and `--version`: what they show, and that they need nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from tests.bot.cli.command_line import ROOT, invoke


def test_version_is_the_installed_one() -> None:
    assert invoke("--version").stdout == f"imagine-bot {version('imagine-bot')}\n"


def test_without_arguments_the_commands_are_listed() -> None:
    result = invoke()
    assert all(name in result.output for name in ("run", "draw", "check", "fetch", "invite"))


@pytest.mark.parametrize(("command", "usage"), [("draw", "[OPTIONS] PROMPT"), ("fetch", "[OPTIONS] [MODEL]")])
def test_help_shows_arguments_without_doubled_brackets(command: str, usage: str) -> None:
    text = invoke(command, "--help").output
    assert any(line.strip().endswith(f" {command} {usage}") for line in text.splitlines())
    assert not set("{}−") & set(text)


@pytest.mark.parametrize("command", ["draw", "check", "fetch", "bench engine"])
def test_help_shows_no_type_after_a_switch(command: str) -> None:
    assert "<bool>" not in invoke(*command.split(), "--help").output


def test_help_needs_nothing_heavy() -> None:
    """Starting has to take a fraction of a second."""
    heavy = {"torch", "diffsynth", "modelscope", "discord", "pydantic", "structlog", "PIL", "numpy", "asyncio"}
    code = f"import sys, bot.__main__; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
