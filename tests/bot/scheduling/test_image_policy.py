"""An operator's program sees every image before anybody else does."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bot.config import ModerationConfig
from bot.errors import ConfigError
from bot.scheduling.image_policy import ProgramPolicy, Verdict, policy_of

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "image_check.py"

Program = Callable[[str], tuple[str, ...]]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Write a program in Python; returns the words that run it."""

    def program(source: str) -> tuple[str, ...]:
        path = tmp_path / "check.py"
        path.write_text(source, "utf-8")
        return (sys.executable, "-I", "-S", str(path))

    return program


def policy(words: tuple[str, ...], *, on_error: str = "block", timeout_s: float = 20) -> ProgramPolicy:
    return ProgramPolicy(
        ModerationConfig.model_validate(
            {"image_check": words, "on_check_error": on_error, "image_check_timeout_s": timeout_s}
        )
    )


@pytest.mark.parametrize(("code", "verdict"), [(0, Verdict.ALLOW), (1, Verdict.SPOILER), (2, Verdict.BLOCK)])
async def test_exit_code_is_the_verdict(program: Program, tmp_path: Path, code: int, verdict: Verdict) -> None:
    image = tmp_path / "an image; $(touch no).png"
    image.write_bytes(b"png")
    words = program(f"import sys; sys.exit({code} if open(sys.argv[-1], 'rb').read() == b'png' else 9)")
    assert await policy(words).judge(image) is verdict
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(("on_error", "verdict"), [("block", Verdict.BLOCK), ("allow", Verdict.ALLOW)])
@pytest.mark.parametrize("source", ["raise SystemExit(3)", "import os; os.abort()", "this is no program"])
async def test_program_that_fails_decides_nothing(
    program: Program, tmp_path: Path, source: str, on_error: str, verdict: Verdict
) -> None:
    # A Python program that cannot be compiled ends with 1, which is a verdict.
    wanted = Verdict.SPOILER if source.startswith("this") else verdict
    assert await policy(program(source), on_error=on_error).judge(tmp_path / "a.png") is wanted


async def test_program_that_cannot_be_started_decides_nothing(tmp_path: Path) -> None:
    assert await policy((str(tmp_path / "gone"),)).judge(tmp_path / "a.png") is Verdict.BLOCK
    assert await policy((str(tmp_path),), on_error="allow").judge(tmp_path / "a.png") is Verdict.ALLOW


async def test_program_that_hangs_is_ended_with_what_it_started(program: Program, tmp_path: Path) -> None:
    source = f"""
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
time.sleep(60)
"""
    began = time.monotonic()
    judged = asyncio.create_task(policy(program(source), timeout_s=3).judge(tmp_path / "a.png"))
    assert await judged is Verdict.BLOCK
    assert time.monotonic() - began < 20
    pid = int((tmp_path / "pid").read_text())
    async with asyncio.timeout(5):
        while _runs(pid):
            await asyncio.sleep(0.01)


async def test_cancelling_ends_the_program(program: Program, tmp_path: Path) -> None:
    source = f"""
import os, pathlib, time
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
time.sleep(60)
"""
    task = asyncio.create_task(policy(program(source)).judge(tmp_path / "a.png"))
    async with asyncio.timeout(20):
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _runs(int((tmp_path / "pid").read_text()))


async def test_nothing_that_it_writes_is_shown_and_it_learns_no_secret(
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "hush-hush")
    monkeypatch.setenv("IMAGINE_BOT__CONSOLE__PASSWORD", "hush-hush")
    source = """
import os, sys
print("a secret prompt"); print("a secret prompt", file=sys.stderr)
sys.exit(2 if "hush-hush" in "".join(os.environ.values()) else 7 if sys.stdin.read() == "" else 5)
"""
    with caplog.at_level("DEBUG"):
        assert await policy(program(source), on_error="allow").judge(tmp_path / "a.png") is Verdict.ALLOW
    assert "secret prompt" not in "".join(capfd.readouterr()) + caplog.text
    assert "code 7" in caplog.text


async def test_loop_is_free_while_the_program_works(program: Program, tmp_path: Path) -> None:
    source = f"""
import pathlib, time
pathlib.Path({str(tmp_path / "begun")!r}).touch()
while not pathlib.Path({str(tmp_path / "may_end")!r}).exists():
    time.sleep(0.01)
"""
    judged = asyncio.create_task(policy(program(source)).judge(tmp_path / "a.png"))
    async with asyncio.timeout(20):
        while not (tmp_path / "begun").exists():
            await asyncio.sleep(0.01)
    (tmp_path / "may_end").touch()  # by a turn of the loop, or it would never end by itself
    assert await judged is Verdict.ALLOW


def test_program_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    assert policy_of(ModerationConfig()) is None
    with pytest.raises(ConfigError, match="no program"):
        policy_of(ModerationConfig(image_check=(str(tmp_path / "gone"),)))
    path = tmp_path / "check"
    path.write_text("#!/bin/sh\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    assert isinstance(policy_of(ModerationConfig(image_check=(str(path),))), ProgramPolicy)


def test_python_file_that_is_not_there_stops_the_start(tmp_path: Path, program: Program) -> None:
    """Python would end with 2, and block every image."""
    words = program("")
    assert isinstance(policy_of(ModerationConfig(image_check=(*words, "--rules=gone.py"))), ProgramPolicy)
    with pytest.raises(ConfigError, match="there is no file"):
        policy_of(ModerationConfig(image_check=(*words, f"{'x' * 5000}.py")))
    with pytest.raises(ConfigError, match="there is no file"):
        policy_of(ModerationConfig(image_check=(sys.executable, str(tmp_path / "gone.py"))))


@pytest.mark.parametrize(
    ("python", "words", "verdict"),
    [
        ((), (), Verdict.ALLOW),
        ((), ("--block-darker-than", "256"), Verdict.BLOCK),
        ((), ("--block-darker-then", "256"), None),
        ((), ("--block-from", "much"), None),
        ((), ("--model", "gone.onnx"), None),
        (("-I", "-S"), (), None),  # without the packages that it needs
    ],
)
@pytest.mark.parametrize("on_error", [Verdict.ALLOW, Verdict.BLOCK])
async def test_documented_check_decides_nothing_if_it_fails(
    tmp_path: Path,
    python: tuple[str, ...],
    words: tuple[str, ...],
    verdict: Verdict | None,
    on_error: Verdict,
    caplog: pytest.LogCaptureFixture,
) -> None:
    image = tmp_path / "a.png"
    Image.new("RGB", (8, 8), "white").save(image)
    said = await policy((sys.executable, *python, str(EXAMPLE), *words), on_error=on_error.value).judge(image)
    assert said is (verdict or on_error)
    assert ("ended with code 3" in caplog.text) is (verdict is None)


@pytest.mark.parametrize("words", [("",), (" ", "x"), ("a\0b",), ("a", "\0")])
def test_words_that_name_no_program_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="must begin with the name of a program"):
        ModerationConfig(image_check=words)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
