"""The page of `imagine-bot check`: what is found is shown in order, and every problem has a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import ExitCode
from bot.store.database import DATABASE_NAME
from tests.bot.cli.command_line import BOT_TOKEN, invoke

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")


@pytest.mark.usefixtures("no_gpu")
def test_checking_never_takes_the_lock(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that starts at that instant would be refused."""
    taken: list[object] = []
    monkeypatch.setattr("filelock.BaseFileLock.acquire", lambda lock, **_: taken.append(lock))
    data_dir.mkdir()
    (data_dir / DATABASE_NAME).with_suffix(".lock").touch()
    invoke("check", "--offline")
    assert taken == []


@pytest.mark.usefixtures("no_gpu", "data_dir")
def test_the_page_ends_with_0_when_all_is_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", BOT_TOKEN)
    result = invoke("check", "--offline")
    assert result.exit_code == ExitCode.OK
    assert [line.split()[1] for line in result.stdout.splitlines() if line[:1] in {"✔", "•"}] == [
        "config", "token", "database", "disk", "gpu", "model", "files", "memory", "discord",
    ]  # fmt: skip
    assert BOT_TOKEN not in result.output


@pytest.mark.usefixtures("no_gpu", "data_dir")
def test_the_page_ends_with_1_and_a_way_out_for_every_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "client-secret")
    result = invoke("check", "--offline")
    assert result.exit_code == ExitCode.FAILED
    lines = result.stdout.splitlines()
    problems = [number for number, line in enumerate(lines) if line.startswith("✘")]
    assert problems
    assert all("→" in lines[number + 1] for number in problems)
    assert lines[-1] == f"{len(problems)} to mend"


@pytest.mark.parametrize(
    ("arguments", "environment", "says", "way_out"),
    [
        (["--config", "none.toml"], {}, "none.toml: there is no such file", "correct the path"),
        (["--config", "."], {}, ".: is a folder", "name a file: config.toml"),
        ([], {"IMAGINE_BOT__WORKR__X": "1"}, "unknown section", "environment variable IMAGINE_BOT__WORKR__X"),
        ([], {"IMAGINE_BOT__LIMITS__X": "1"}, "unknown key", "environment variable IMAGINE_BOT__LIMITS__X"),
    ],
)
def test_a_config_problem_that_is_no_line_has_its_own_way_out(
    clean_place: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    environment: dict[str, str],
    says: str,
    way_out: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = invoke("check", *arguments)
    assert says in result.stdout
    assert way_out in result.stdout
    assert "mend this line" not in result.stdout


@pytest.mark.usefixtures("no_gpu")
def test_checking_leaves_nothing_behind(data_dir: Path) -> None:
    invoke("check", "--offline")
    assert not data_dir.exists()
