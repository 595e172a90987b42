"""`imagine-bot run`: what it hands to the service, what it says first, and how it ends."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.errors import AlreadyRunning, ExitCode
from pipeline.catalog import files
from pipeline.device.gpu import Gpu, TorchBuild
from tests.bot.cli.command_line import BOT_TOKEN, COMMAND, environment, invoke

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")
OLD_CARD = Gpu(
    name="NVIDIA GeForce GTX 1070", driver="535.183.01", total_mib=8192, free_mib=8000, compute_capability=(6, 1)
)


def test_run_without_a_token_runs_the_page_and_says_how_to_add_discord(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    async def service(
        _config: Any, token: SecretStr | None, *, say_page: Callable[[str], None], **_: object
    ) -> ExitCode:
        seen.append(token)
        say_page("http://127.0.0.1:6006")
        return ExitCode.OK

    monkeypatch.setattr("bot.app.run", service)
    result = invoke("run")
    assert (result.exit_code, seen) == (0, [None])
    assert "the local page alone" in result.stderr
    assert "DISCORD_TOKEN" in result.stderr
    assert "token_file" in result.stderr
    assert "imagine-bot invite" in result.stderr
    assert "The page is at http://127.0.0.1:6006; it is built in ten seconds or more." in result.stderr
    assert len(result.stderr.splitlines()) < 15


@pytest.mark.parametrize(("name", "is_told"), [("IMAGINE_BOT_CONSOLE_PORT", True), ("IMAGINE_BOTTOM", False)])
def test_variable_that_nearly_sets_something_is_told(monkeypatch: pytest.MonkeyPatch, name: str, is_told: bool) -> None:
    async def service(*_: object, **__: object) -> ExitCode:
        return ExitCode.OK

    monkeypatch.setattr("bot.app.run", service)
    monkeypatch.setenv(name, "7000")
    for command in (["run"], ["check", "--offline"]):
        assert (f"{name} sets nothing; keys are set as IMAGINE_BOT__SECTION__KEY" in invoke(*command).output) == is_told


def test_run_hands_config_and_token_to_the_service(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    async def service(config: Any, token: SecretStr, **_: object) -> ExitCode:
        seen.extend((config.limits.max_waiting, token.get_secret_value()))
        return ExitCode.OK

    monkeypatch.setattr("bot.app.run", service)
    monkeypatch.setenv("DISCORD_TOKEN", BOT_TOKEN)
    (clean_place / "other.toml").write_text("[limits]\nmax_waiting = 4\n")
    result = invoke("run", "--config", "other.toml")
    assert (result.exit_code, seen) == (0, [4, BOT_TOKEN])
    assert BOT_TOKEN not in result.output


@pytest.mark.parametrize(
    ("error", "code"),
    [(AlreadyRunning(Path("x.db")), ExitCode.ALREADY_RUNNING), (KeyboardInterrupt(), ExitCode.INTERRUPTED)],
)
def test_run_ends_with_the_code_of_the_error(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: ExitCode
) -> None:
    async def service(_config: object, _token: object, **_: object) -> ExitCode:
        raise error

    monkeypatch.setattr("bot.app.run", service)
    monkeypatch.setenv("DISCORD_TOKEN", BOT_TOKEN)
    result = invoke("run")
    assert result.exit_code == code
    assert "Traceback" not in result.output


def test_run_logs_what_nobody_expected_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def service(_config: object, _token: object, **_: object) -> ExitCode:
        raise ExceptionGroup("parts", [ValueError(f"with {BOT_TOKEN}")])

    monkeypatch.setattr("bot.app.run", service)
    monkeypatch.setenv("DISCORD_TOKEN", BOT_TOKEN)
    result = invoke("run")
    assert result.exit_code == ExitCode.FAILED
    assert "ValueError: with ***" in result.stdout
    assert BOT_TOKEN not in result.output


@pytest.mark.parametrize("command", ["run", "draw"])
@pytest.mark.parametrize(("has_card", "says"), [(False, "nvidia-smi must list the card"), (True, "CUDA build")])
def test_device_that_is_not_there_is_a_refusal_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, command: str, has_card: bool, says: str
) -> None:
    monkeypatch.setenv("IMAGINE_BOT__PIPELINE__DEVICE", "cuda")
    monkeypatch.setenv("IMAGINE_BOT__PIPELINE__MODEL", "demo")
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: OLD_CARD if has_card else None)
    monkeypatch.setattr("pipeline.device.gpu.torch_build", lambda: TorchBuild(version="2.15.0+cpu", cuda=None))
    result = invoke(command, *(["a red apple"] if command == "draw" else []))
    assert result.exit_code == ExitCode.USAGE
    assert "[pipeline] device is cuda, but" in result.stderr
    assert says in result.stderr and 'or set [pipeline] device = "auto"' in result.stderr


@pytest.mark.parametrize("command", ["run", "draw"])
@pytest.mark.parametrize("gpu", [OLD_CARD, None])
def test_large_model_never_falls_to_the_cpu_in_silence(
    monkeypatch: pytest.MonkeyPatch, command: str, gpu: Gpu | None
) -> None:
    """The error names card, driver, what is needed and the way out, before torch is imported."""
    monkeypatch.setenv("IMAGINE_BOT__PIPELINE__MODEL", "flux1-dev")
    monkeypatch.setattr(files, "missing", lambda *_: [])
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: gpu)
    result = invoke(command, *(["a red apple"] if command == "draw" else []))
    assert result.exit_code == ExitCode.USAGE
    assert "flux1-dev needs a GPU" in result.stderr
    expected = ("GTX 1070", "535.183", "6.1", "7.5 or more") if gpu else ("no NVIDIA GPU", "install the NVIDIA driver")
    assert all(words in result.stderr for words in expected)
    assert '[pipeline] model = "demo"' in result.stderr


@pytest.mark.parametrize("text", ["x = [", "[limits]\nmax_waitin = 4\n", "[consol]\nport = 1\n"])
def test_config_that_cannot_be_used_is_a_refusal_with_the_way_out(clean_place: Path, text: str) -> None:
    (clean_place / "config.toml").write_text(text)
    result = invoke("run")
    assert result.exit_code == ExitCode.USAGE and result.stdout == ""
    assert result.stderr.startswith("✘ config.toml: ")
    assert result.stderr.endswith("\n→ mend this; config.example.toml explains every key\n")
    assert "The page is at" not in result.stderr


def test_run_as_a_process_on_a_taken_port_exits_with_2(clean_place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        variables = {**environment(), "IMAGINE_BOT__CONSOLE__PORT": port, "IMAGINE_BOT__PIPELINE__MODEL": "fake"}
        done = subprocess.run([*COMMAND, "run"], capture_output=True, text=True, env=variables, check=False)
    assert done.returncode == 2
    assert "There is no Discord token yet, so this is the local page alone." in done.stderr
    assert f"port {port} cannot be used" in done.stderr and "[console] port" in done.stderr
    assert "The page is at" not in done.stderr  # nothing is promised before it was found to be so
    assert "Traceback" not in done.stdout + done.stderr
