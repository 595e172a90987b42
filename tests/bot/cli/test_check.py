"""The page of `imagine-bot check`: what is found is shown in order, and every problem has a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.cli.program_updates import Unanswered
from bot.errors import ExitCode
from bot.store.database import DATABASE_NAME
from pipeline.catalog import fetch_record
from pipeline.catalog.fetch_record import FetchedFile, FetchRecord
from pipeline.catalog.hub import HubFile
from pipeline.catalog.models import FLUX1_DEV
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
        "config", "token", "database", "disk", "gpu", "model", "files", "memory", "translator", "discord",
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
    assert lines[-1] == f"{len(problems)} to fix"


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


def unanswered(_command: object) -> str:
    raise Unanswered("there was no answer")


class Listing:
    """A hub of which every listing is the same, or that does not answer."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.error = error

    def __call__(self, _endpoint: str | None) -> Listing:
        return self

    def list_files(self, repo: str, _revision: str) -> list[HubFile]:
        self.asked.append(repo)
        if self.error is not None:
            raise self.error
        entries = [file for file in FLUX1_DEV.files.values() if file.repo == repo]
        paths = [f"{file.path}model.safetensors" if file.is_folder else file.path for file in entries]
        return [HubFile(path=path, size_bytes=2, sha256="b" * 64) for path in paths]


@pytest.fixture
def vae_of_flux(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One file of FLUX.1-dev, fetched when the hub had another."""
    monkeypatch.setenv("IMAGINE_BOT__PIPELINE__MODELS_DIR", str(clean_place / "models"))
    repo, name = FLUX1_DEV.files["vae"].repo, FLUX1_DEV.files["vae"].path
    assert repo is not None
    folder = clean_place / "models" / repo
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"x")
    old = FetchedFile(size_bytes=1, sha256="a" * 64, fetched_at=1_800_000_000)
    fetch_record.write(folder, repo, FetchRecord(revision="master", files={name: old}))
    return folder / name


@pytest.mark.usefixtures("no_gpu", "data_dir", "vae_of_flux")
def test_hub_is_asked_for_newer_files_only_if_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.catalog.newer.ModelScope", hub := Listing())
    asked: list[object] = []
    monkeypatch.setattr("bot.cli.program_updates._ask", asked.append)
    said = invoke("check", "--offline").stdout
    assert " newer " not in said and " program " not in said and asked == []
    assert hub.asked == []


@pytest.mark.usefixtures("no_gpu", "data_dir")
@pytest.mark.parametrize("option", ["--updates", "--newer"])
def test_newer_files_at_the_hub_are_said_with_the_way_to_them(
    monkeypatch: pytest.MonkeyPatch, vae_of_flux: Path, option: str
) -> None:
    monkeypatch.setattr("pipeline.catalog.newer.ModelScope", hub := Listing())
    monkeypatch.setattr("bot.cli.program_updates._ask", lambda _command: "refs/tags/v0.0.1")
    said = invoke("check", "--offline", option).stdout
    assert hub.asked
    assert "flux1-dev: the hub has a newer one, yours was fetched on 2027-01-15" in said
    assert vae_of_flux.name in said.replace("\n", "")
    assert "→ imagine-bot fetch flux1-dev --update" in said


@pytest.mark.usefixtures("no_gpu", "data_dir", "vae_of_flux")
def test_hub_that_does_not_answer_is_a_note_and_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", BOT_TOKEN)
    monkeypatch.setattr("pipeline.catalog.newer.ModelScope", Listing(ConnectionError("no route to host")))
    monkeypatch.setattr("bot.cli.program_updates._ask", unanswered)
    result = invoke("check", "--offline", "--updates")
    assert result.exit_code == ExitCode.OK
    assert "• newer" in result.stdout and "no route to host" in result.stdout


@pytest.mark.usefixtures("no_gpu", "data_dir")
def test_hub_is_not_asked_about_models_that_are_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.catalog.newer.ModelScope", hub := Listing())
    monkeypatch.setattr("bot.cli.program_updates._ask", unanswered)
    assert "the hub was not asked" in invoke("check", "--offline", "--updates").stdout
    assert hub.asked == []
