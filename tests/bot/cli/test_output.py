"""What all commands share: refusals without a traceback, and standard streams that are closed, full or gone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bot.cli.output import explained, operator_locale
from bot.errors import ExitCode
from pipeline.errors import AddedModelsUnwritable, FetchFailed, GenerationFailed, HubSilent, LoraMisfit, PipelineError
from tests.bot.cli.command_line import COMMAND, environment, in_shell, invoke

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")


@pytest.mark.parametrize("command", ["check --offline", "invite", "fetch demo", "bench quality --output"])
def test_no_command_stumbles_over_a_name_that_is_too_long(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("IMAGINE_BOT__STORAGE__DATA_DIR", "x" * 300)
    if command.startswith("bench"):
        command += f" {'x' * 300}"
    result = invoke(*command.split())
    assert isinstance(result.exception, SystemExit) and result.exit_code in {ExitCode.FAILED, ExitCode.USAGE}
    assert "must be shorter" in result.output or "cannot be written" in result.output.replace("│", "")


@pytest.mark.parametrize(
    "error",
    [
        GenerationFailed("x.safetensors: tensor \x1b]0;owned\x07\nb is too large"),
        FetchFailed("a", {Path("\x1b[2J.safetensors"): "is absent"}),
        HubSilent("a", {"\x1b[2J/b": "no connection"}),
        AddedModelsUnwritable(Path("\x1b[2J"), "is full"),
        LoraMisfit("ink", "holds \x1b]0;owned\x07\nb is what belongs to no LoRA"),
    ],
)
def test_nothing_that_an_error_quotes_reaches_the_terminal_as_a_command(error: PipelineError) -> None:
    text, _ = explained(error)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "\nb is" not in text


@pytest.mark.parametrize("command", ["draw a-cat", "check", "fetch", "invite", "run"])
def test_a_broken_config_is_told_without_a_traceback(clean_place: Path, command: str) -> None:
    (clean_place / "config.toml").write_text("[limits]\nmax_waitin = 3\n[log]\nlevel = 'loud'\n")
    result = invoke(*command.split())
    assert result.exit_code in {ExitCode.FAILED, ExitCode.USAGE}
    assert "did you mean 'max_waiting'?" in result.output
    assert "[log] level" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["check", "--offline"], ["draw", "a cat", "--model", "fake"]]
)
def test_a_reader_that_goes_away_is_no_accident(clean_place: Path, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, env=environment(), check=False
        )
    finally:
        os.close(writer)
    assert "Traceback" not in done.stderr
    assert "BrokenPipeError" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="closes streams as POSIX shells do")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("--version >&-", ExitCode.OK),
        ("--version <&- >&- 2>&-", ExitCode.OK),
        ("check --offline <&- >&- 2>&-", ExitCode.OK),
        ("draw --model fake x 2>&-", ExitCode.OK),
        ("draw --model fake '' >&- 2>&-", ExitCode.USAGE),
    ],
)
def test_closed_streams_are_no_accident(clean_place: Path, line: str, code: ExitCode) -> None:
    done = in_shell(line, IMAGINE_BOT__PIPELINE__MODEL="demo")
    assert done.returncode == code
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--version > /dev/full", "✘ the output cannot be written: No space left on device\n"),
        ("--help > /dev/full", "✘ the output cannot be written: No space left on device\n"),
        ("check --offline > /dev/full", "✘ the output cannot be written: No space left on device\n"),
        ("--version 1< /dev/null", "✘ the output cannot be written: Bad file descriptor\n"),
        ("--version > /dev/full 2>&1", ""),
        ("draw '' --model fake 2> /dev/full", ""),
    ],
)
def test_output_that_cannot_be_written_is_told_in_a_line(
    clean_place: Path, line: str, says: str, unbuffered: str
) -> None:
    done = in_shell(line, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == ExitCode.FAILED
    assert done.stderr == says


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, ""),
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "de_DE@euro"}, "de_DE"),
        ({"LANG": "zh_CN", "LC_ALL": "C.UTF-8"}, "C"),
        ({"LANG": "", "LC_ALL": ""}, ""),
        ({"LANG": "zh_Hant_TW.UTF-8@x" + "y" * 10_000}, "zh_Hant_TW"),
    ],
)
def test_operators_locale_is_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], expected: str
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert operator_locale() == expected
