"""`--help` and `--version`: what they show, and that they need nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from bot.errors import ExitCode
from tests.bot.cli.command_line import ROOT, invoke, on_terminal, read_rest


def test_version_is_the_installed_one() -> None:
    assert invoke("--version").stdout == f"imagine-bot {version('imagine-bot')}\n"


def test_without_arguments_the_commands_are_listed() -> None:
    result = invoke()
    assert all(name in result.stdout for name in ("run", "draw", "check", "fetch", "invite"))
    assert result.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(("command", "usage"), [("draw", "[OPTIONS] PROMPT"), ("fetch", "[OPTIONS] [MODEL]")])
def test_help_shows_arguments_without_doubled_brackets(command: str, usage: str) -> None:
    text = invoke(command, "--help").output
    assert any(line.strip().endswith(f" {command} {usage}") for line in text.splitlines())
    assert not set("{}−") & set(text)


@pytest.mark.parametrize("command", ["", "draw", "check", "fetch", "bench", "bench engine", "models", "models add"])
def test_help_shows_no_type_after_a_switch(command: str) -> None:
    assert "<bool>" not in invoke(*command.split(), "--help").output


@pytest.mark.parametrize("command", [[], ["draw"], ["bench", "engine"]])
def test_help_needs_nothing_heavy(command: list[str]) -> None:
    """Starting has to take a fraction of a second."""
    heavy = {"torch", "diffsynth", "modelscope", "discord", "pydantic", "structlog", "PIL", "numpy", "asyncio", "rich"}
    code = f"""
import sys, bot.__main__
bot.__main__.app({[*command, "--help"]!r}, standalone_mode=False)
print(sorted({heavy!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "Usage: " in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("command", ["", "draw", "bench engine"])
def test_help_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: str, command: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = invoke(*command.split(), "--help").output.splitlines()
    boxes = [line for line in lines if line[:1] in "╭│╰" and line]
    assert boxes and {len(line) for line in boxes} == {int(columns)}
    assert max(map(len, lines)) <= int(columns)


def test_help_shows_defaults_bounds_and_what_is_required() -> None:
    text = " ".join(invoke("bench", "engine", "--help").output.replace("│", "").split())
    assert "[default: 8; 1<=x<=50]" in text and "[default: pictures]" in text
    assert "[required]" in invoke("draw", "--help").output


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("variables", "has_colours"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_help_is_coloured_on_a_terminal_that_shows_colours(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], has_colours: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    with on_terminal("draw", "--help", **variables) as (_, terminal):
        text = read_rest(terminal)
    assert "--seed" in text
    assert ("\x1b[36m" in text) is has_colours
    assert "\x1b" not in invoke("draw", "--help").output


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_help_is_drawn_in_ascii_on_a_terminal_that_knows_no_other_lines() -> None:
    with on_terminal("draw", "--help", PYTHONIOENCODING="latin-1") as (_, terminal):
        text = read_rest(terminal)
    assert "+- Options ---" in text and "?" not in text
