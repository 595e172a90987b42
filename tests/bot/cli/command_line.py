"""The command line for tests: in this process, or as a process of its own with a shell or a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typer.testing import CliRunner, Result

from bot.__main__ import app
from bot.errors import ExitCode

BOT_TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.abcdefghijklmnopqrstuvwxyz0123456789AB"
ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "bot"]


def invoke(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, list(arguments))


def refusal(result: Result) -> str:
    """The one line of a refusal, after checking that there is nothing else."""
    assert result.exit_code == ExitCode.USAGE
    assert isinstance(result.exception, SystemExit)
    [line] = result.stderr.splitlines()
    assert result.stdout == ""
    return line


def environment() -> dict[str, str]:
    """Variables with which a process finds the program."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def in_shell(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The program with the arguments and redirections of this line."""
    command = ["sh", "-c", f'exec "{sys.executable}" -m bot {line}']
    return subprocess.run(command, capture_output=True, text=True, env={**environment(), **variables}, check=False)


@contextmanager
def on_terminal(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The program with a terminal of its own, as a person would start it."""
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment(), "COLUMNS": "100", "TERM": "xterm", **variables},
        start_new_session=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def wait_for(terminal: int, text: str) -> None:
    """Read until this text was shown."""
    seen = b""
    while text.encode() not in seen:
        seen += os.read(terminal, 4096)


def read_rest(terminal: int) -> str:
    """Read until the program has closed its end."""
    seen = b""
    try:
        while chunk := os.read(terminal, 4096):
            seen += chunk
    except OSError:  # Linux: the other end is closed
        pass
    return seen.decode()
