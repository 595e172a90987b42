"""The command line as a person meets it: output, files, exit codes, Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import getproxies_environment

import pytest
from PIL import Image
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from bot import __main__ as cli
from bot.cli.fetch_progress import ProgressLines
from bot.errors import AlreadyRunning, ExitCode
from pipeline.catalog import files
from pipeline.catalog.download import FetchProgress
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.vocabulary import Unread
from pipeline.device.gpu import Gpu, TorchBuild
from pipeline.errors import DiskFull, FetchFailed, HubSilent
from pipeline.images.png_metadata import read_spec

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")

OLD_CARD = Gpu(
    name="NVIDIA GeForce GTX 1070", driver="535.183.01", total_mib=8192, free_mib=8000, compute_capability=(6, 1)
)
BOT_TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.abcdefghijklmnopqrstuvwxyz0123456789AB"
COMMAND = [sys.executable, "-m", "bot"]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def draw(*arguments: str) -> Result:
    return invoke("draw", "--model", "fake", *arguments)


def refusal(result: Result) -> str:
    """The one line of a refusal, after checking that there is nothing else."""
    assert result.exit_code == ExitCode.USAGE
    assert isinstance(result.exception, SystemExit)
    [line] = result.stderr.splitlines()
    assert result.stdout == ""
    return line


# --- without a command ------------------------------------------------------------------------------------


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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_root())
    assert done.stdout.strip() == "[]"


# --- draw -------------------------------------------------------------------------------------------------


def test_draw_saves_a_png_named_after_prompt_and_seed(clean_place: Path) -> None:
    result = draw("A red apple, 熊猫!", "--seed", "7", "--steps", "3")
    assert result.exit_code == 0
    spec = read_spec((clean_place / "a-red-apple-熊猫-7.png").read_bytes())
    assert spec is not None
    assert (spec.prompt, spec.seed, spec.steps, spec.model) == ("A red apple, 熊猫!", 7, 3, "fake")


def test_draw_prints_what_the_picture_is_and_what_it_cost() -> None:
    lines = dict(line.split(maxsplit=1) for line in draw("a cat", "--seed", "7").stdout.splitlines())
    assert list(lines) == ["file", "seed", "size", "steps", "model", "seconds", "peak"]
    assert (lines["file"], lines["seed"], lines["size"], lines["model"]) == ("a-cat-7.png", "7", "64 × 64", "fake")
    assert float(lines["seconds"].split()[0]) >= 0
    assert sys.platform == "win32" or lines["peak"].endswith("MiB of memory")


def test_draw_takes_a_random_seed_and_shows_it(clean_place: Path) -> None:
    for arguments in ([], ["--seed", "-1"]):
        lines = dict(line.split(maxsplit=1) for line in draw("a cat", *arguments).stdout.splitlines())
        assert (clean_place / f"a-cat-{lines['seed']}.png").is_file()
    assert len(list(clean_place.glob("*.png"))) == 2


def test_draw_takes_an_aspect() -> None:
    assert "64 × 96" in draw("a cat", "--aspect", "portrait").stdout


def test_draw_starts_from_a_picture(clean_place: Path) -> None:
    Image.new("RGB", (90, 60), "red").save("photo.jpg")
    lines = dict(line.split(maxsplit=1) for line in draw("a cat", "--image", "photo.jpg").stdout.splitlines())
    assert lines["size"] == "96 × 64" and lines["strength"] == "0.6"
    spec = read_spec(Path(lines["file"]).read_bytes())
    assert spec is not None and spec.strength == 0.6 and len(spec.source) == 64
    with Image.open(lines["file"]) as picture:
        assert "Denoising strength: 0.6" in picture.info["parameters"]


def test_draw_names_the_picture_that_it_started_from(clean_place: Path) -> None:
    Image.new("RGB", (64, 64), "red").save("photo.png")
    assert "image    photo.png\n" in draw("a cat", "--image", "photo.png").stdout


def test_draw_says_in_both_languages_what_the_model_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert draw("红苹果").stderr == ""
    monkeypatch.setattr("pipeline.catalog.models.count_unread", lambda _card, _folder, prompt: Unread(len(prompt), 3))
    said = draw("红苹果").stderr
    assert "reads English: 3 of 3 characters" in said and "只认识英文" in said and "只認得英文" in said


def test_draw_never_overwrites_by_itself(clean_place: Path) -> None:
    names = [draw("a cat", "--seed", "7").stdout.split()[1] for _ in range(3)]
    assert names == ["a-cat-7.png", "a-cat-7-2.png", "a-cat-7-3.png"]
    (clean_place / "mine.png").write_text("precious")
    assert draw("a cat", "-o", "mine.png").stdout.split()[1] == "mine-2.png"
    assert (clean_place / "mine.png").read_text() == "precious"


def test_draw_says_when_the_picture_has_another_name_than_asked_for(clean_place: Path) -> None:
    (clean_place / "mine.png").write_text("precious")
    assert draw("a cat", "-o", "mine.png").stderr == (
        "• mine.png is there already: the picture went to mine-2.png (--force overwrites)\n"
    )
    assert draw("a cat", "-o", "v1.5").stderr == "• pictures are PNG files: v1.5 became v1.5.png\n"
    assert draw("a cat", "-o", "new.png").stderr == draw("a cat", "-o", ".").stderr == ""


def test_draw_overwrites_when_told(clean_place: Path) -> None:
    (clean_place / "mine.png").write_text("old")
    result = draw("a cat", "--force", "-o", "mine.png")
    assert result.exit_code == 0
    assert (clean_place / "mine.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("output", "file"),
    [("x.png", "x.png"), ("x", "x.png"), ("v1.5", "v1.5.png"), ("X.PNG", "X.PNG"), ("folder", "folder/a-cat-7.png")],
)
def test_draw_writes_where_it_is_told(clean_place: Path, output: str, file: str) -> None:
    (clean_place / "folder").mkdir()
    assert draw("a cat", "--seed", "7", "--output", output).exit_code == 0
    assert (clean_place / file).is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([""], "the prompt is empty: write what to draw"),
        ([" \u200b "], "the prompt is empty: write what to draw"),
        (["x" * 2001], "prompt has 2001 characters, at most 2000 are allowed"),
        (["a cat", "--seed", "-2"], "seed must be -1 (random) or 0 to 4294967295"),
        (["a cat", "--seed", "4294967296"], "seed must be -1 (random) or 0 to 4294967295"),
        (["a cat", "--steps", "0"], "steps must be 1 to 50"),
        (["a cat", "--steps", "51"], "steps must be 1 to 50"),
        (["a cat", "--aspect", "wide"], "aspect must be one of square, portrait, landscape with fake"),
        (["a cat", "--aspect", "banana"], "aspect must be one of square, portrait, landscape, phone, wide"),
        (["a cat", "--aspect", "wide", "--model", "demo"], "aspect must be square with demo"),
        (["a cat", "-o", "no/where.png"], "no/where.png: there is no folder no; create it first"),
        (["a cat", "--image", "gone.png"], "gone.png cannot be read: No such file or directory"),
        (["a cat", "--image", "."], ". cannot be read: Is a directory"),
        (["a cat", "--image", "empty.webp"], "image is empty"),
        (["a cat", "--image", __file__], "image cannot be read as a PNG, JPEG or WebP picture"),
        (["a cat", "--strength", "0.5"], "strength needs an image to start from"),
        (["a cat", "-o", "cat.jpg"], "cat.jpg: pictures are written as PNG; end the name in .png"),
    ],
)
def test_draw_refuses_in_one_line(clean_place: Path, arguments: list[str], says: str) -> None:
    (clean_place / "empty.webp").touch()
    assert refusal(draw(*arguments)) == f"✘ {says}"
    assert not list(clean_place.glob("*.png"))


@pytest.mark.parametrize("output", ["x" * 300, f"{'x' * 300}.png", f"{'x' * 300}/y.png", "x" * 253])
def test_draw_refuses_a_name_that_is_too_long(clean_place: Path, output: str) -> None:
    assert refusal(draw("x", "-o", output)) == (
        f"✘ {output} cannot be written: File name too long; choose another with -o"
    )
    assert "cannot be read: File name too long" in refusal(draw("x", "--image", output * 2))
    assert "cannot be read: File name too long" in draw("x", "--config", output * 2).stderr


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


@pytest.mark.skipif(os.name == "nt", reason="has no pipes with names")
def test_draw_starts_from_no_pipe_or_device(clean_place: Path) -> None:
    os.mkfifo("pipe")
    for path in ("pipe", "/dev/zero"):
        assert refusal(draw("x", "--image", path)).startswith(f"✘ {path} cannot be read: it is a pipe or a device")


def test_prompt_that_is_no_text_is_refused(clean_place: Path) -> None:
    assert refusal(draw("a\udcffb")) == "✘ the prompt is not UTF-8 text"


@pytest.mark.skipif(os.name == "nt", reason="its command lines are text")
def test_prompt_is_read_as_utf8_whatever_the_locale(clean_place: Path) -> None:
    done = _in_shell("draw --model fake --seed 7 熊猫", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    spec = read_spec(next(clean_place.glob("*.png")).read_bytes())
    assert spec is not None and spec.prompt == "熊猫"


def test_prompt_without_quotes_is_shown_with_them(clean_place: Path) -> None:
    assert refusal(draw("a", "red", "apple", "--seed", "7")).endswith(
        'put it in quotes, imagine-bot draw "a red apple"'
    )
    assert list(clean_place.glob("*.png")) == []


def test_draw_names_the_models_there_are() -> None:
    says = refusal(invoke("draw", "a cat", "--model", "flux"))
    assert says == "✘ unknown model 'flux'; there are majicflus-v1, flux1-dev, demo"


def test_draw_names_every_missing_file_and_the_way_out(clean_place: Path) -> None:
    result = invoke("draw", "a cat", "--model", "flux1-dev")
    assert result.exit_code == ExitCode.USAGE
    assert str(Path("FLUX.1-dev", "ae.safetensors")) in result.stderr
    assert "imagine-bot fetch flux1-dev" in result.stderr


@pytest.mark.parametrize(
    ("prompt", "code", "says"),
    [
        ("[fail]", ExitCode.FAILED, "could not be drawn"),
        ("[oom]", ExitCode.FAILED, "--aspect"),
        ("[dead]", ExitCode.ENGINE_DEAD, "gave up"),
    ],
)
def test_a_failed_run_is_a_message_and_a_code(clean_place: Path, prompt: str, code: ExitCode, says: str) -> None:
    result = draw(prompt)
    assert result.exit_code == code
    assert says in result.stderr
    assert "Traceback" not in result.output
    assert not list(clean_place.iterdir())


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_draw_refuses_a_folder_that_cannot_be_written(clean_place: Path) -> None:
    folder = clean_place / "closed"
    folder.mkdir(mode=0o500)
    assert "cannot be written" in refusal(draw("a cat", "-o", str(folder / "x.png")))


def test_a_full_disk_is_a_message(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, mode: str = "r", *_args: object, **_options: object) -> Any:
        if mode == "xb":
            raise OSError(28, "No space left on device")
        return open_really(path, mode)

    open_really = Path.open
    monkeypatch.setattr(Path, "open", refuse)
    result = draw("a cat")
    assert result.exit_code == ExitCode.FAILED
    assert "cannot be written: No space left on device; choose another with -o" in result.stderr


@pytest.mark.parametrize("command", ["draw a-cat", "check", "fetch", "invite", "run"])
def test_a_broken_config_is_told_without_a_traceback(clean_place: Path, command: str) -> None:
    (clean_place / "config.toml").write_text("[limits]\nmax_waitin = 3\n[log]\nlevel = 'loud'\n")
    result = invoke(*command.split())
    assert result.exit_code in {ExitCode.FAILED, ExitCode.USAGE}
    assert "did you mean 'max_waiting'?" in result.output
    assert "[log] level" in result.output
    assert "Traceback" not in result.output


# --- run --------------------------------------------------------------------------------------------------


def test_run_without_a_token_runs_the_page_and_says_how_to_add_discord(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    async def service(_config: Any, token: SecretStr | None, **_: object) -> ExitCode:
        seen.append(token)
        return ExitCode.OK

    monkeypatch.setattr("bot.app.run", service)
    result = invoke("run")
    assert (result.exit_code, seen) == (0, [None])
    assert "the local page alone" in result.stderr
    assert "DISCORD_TOKEN" in result.stderr
    assert "token_file" in result.stderr
    assert "imagine-bot invite" in result.stderr
    assert "The page will be at http://127.0.0.1:6006 in about ten seconds." in result.stderr
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
    assert "flux1-dev needs a graphics card" in result.stderr
    expected = ("GTX 1070", "535.183", "6.1", "7.5 or more") if gpu else ("no NVIDIA card", "install the NVIDIA driver")
    assert all(words in result.stderr for words in expected)
    assert '[pipeline] model = "demo"' in result.stderr


# --- fetch ------------------------------------------------------------------------------------------------


def test_fetch_shows_the_licence_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.catalog.download.fetch", lambda *_, **__: [])
    result = invoke("fetch")
    assert result.exit_code == 0
    assert result.stdout.index("Non-Commercial") < result.stdout.index("all files are there and whole")


def test_fetch_compares_files_that_look_whole_and_names_those_it_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "missing", lambda *_: [])
    monkeypatch.setattr("pipeline.catalog.download.fetch", lambda *_, **__: [Path("ae.safetensors.rejected")])
    result = invoke("fetch", "flux1-dev")
    assert result.exit_code == 0
    assert "differed from the hub's: ae.safetensors.rejected" in result.stdout


@pytest.mark.parametrize("is_whole", [True, False])
def test_fetch_without_a_hub_says_what_is_known(monkeypatch: pytest.MonkeyPatch, is_whole: bool) -> None:
    def fail(card: ModelCard, *_args: object, **_options: object) -> None:
        raise HubSilent(card.name, {"x/y": "no connection to the hub"})

    monkeypatch.setattr("pipeline.catalog.download.fetch", fail)
    if is_whole:
        monkeypatch.setattr(files, "missing", lambda *_: [])
    result = invoke("fetch", "flux1-dev")
    assert result.output.count("x/y: no connection to the hub") == 1
    assert ("look whole, but were not compared" in result.stdout) is is_whole
    assert ("[pipeline] endpoint" in result.stderr) is not is_whole
    assert result.exit_code == (ExitCode.OK if is_whole else ExitCode.FAILED)
    assert "✔" not in result.output
    assert "is kept" not in result.output


@pytest.mark.parametrize(
    ("options", "has_gpu", "answer", "is_loaded"),
    [
        (["--prepare"], True, None, True),
        (["--no-prepare"], True, None, False),
        ([], True, None, False),
        ([], True, True, True),
        ([], True, False, False),
        (["--prepare"], False, None, False),
    ],
    ids=["wanted", "unwanted", "nobody to ask", "yes", "no", "no card"],
)
def test_fetch_packs_the_weights_for_the_card_if_wanted(
    monkeypatch: pytest.MonkeyPatch, options: list[str], has_gpu: bool, answer: bool | None, is_loaded: bool
) -> None:
    done: list[str] = []

    class Engine:
        def load(self) -> None:
            done.append("load")

        def close(self) -> None:
            done.append("close")

    gpu = Gpu(name="a", driver="1", total_mib=8192, free_mib=8000, compute_capability=(8, 9))
    monkeypatch.setattr("pipeline.catalog.download.fetch", lambda *_, **__: [])
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: gpu if has_gpu else None)
    monkeypatch.setattr("pipeline.catalog.models.create_engine", lambda _name, _config: Engine())
    if answer is not None:
        monkeypatch.setattr("typer.confirm", lambda *_, **__: answer)
        monkeypatch.setattr(cli, "can_ask", lambda: True)
    result = invoke("fetch", "flux1-dev", *options)
    assert result.exit_code == 0
    assert done == (["load", "close"] if is_loaded else [])
    assert ("ready to draw" in result.stdout) is is_loaded
    assert ("packed when it is first used" in result.stdout) is (has_gpu and not is_loaded)


def test_fetch_has_nothing_to_do_for_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(name="a", driver="1", total_mib=8192, free_mib=8000, compute_capability=(8, 9))
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: gpu)
    result = invoke("fetch", "demo")
    assert (result.exit_code, "all files are there and whole" in result.stdout) == (0, True)
    assert "packed" not in result.stdout


def test_fetch_names_every_file_that_did_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(card: ModelCard, *_args: object, **_options: object) -> None:
        raise FetchFailed(card.name, {Path("a/ae.safetensors"): "connection lost", Path("b/c.json"): "wrong size"})

    monkeypatch.setattr("pipeline.catalog.download.fetch", fail)
    result = invoke("fetch", "flux1-dev")
    assert result.exit_code == ExitCode.FAILED
    assert f"{Path('a/ae.safetensors')}: connection lost" in result.stderr
    assert f"{Path('b/c.json')}: wrong size" in result.stderr
    assert "run the command again: it goes on where this one stopped" in result.stderr


def test_fetch_says_how_much_room_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise DiskFull(tmp_path, 30 * cli.MIB, 2 * cli.MIB)

    monkeypatch.setattr("pipeline.catalog.download.fetch", fail)
    result = invoke("fetch", "flux1-dev")
    assert result.exit_code == ExitCode.FAILED
    assert "needs 30 MiB more and has 2 MiB free" in result.stderr
    assert "models_dir" in result.stderr


def test_fetch_stops_cleanly(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.catalog.download.fetch", stop)
    result = invoke("fetch", "flux1-dev")
    assert (result.exit_code, result.stderr.split()) == (ExitCode.INTERRUPTED, ["stopped"])


def test_fetch_reports_progress_and_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def succeed(
        _card: object, _folder: object, *, endpoint: object, on_progress: Callable[[FetchProgress], None]
    ) -> list[Path]:
        assert endpoint == "https://hub.example"
        for is_checking in (False, True):
            on_progress(FetchProgress(is_checking=is_checking, done_bytes=5, total_bytes=10))
        return []

    monkeypatch.setenv("IMAGINE_BOT__PIPELINE__ENDPOINT", "https://hub.example")
    monkeypatch.setattr("pipeline.catalog.download.fetch", succeed)
    result = invoke("fetch", "majicflus-v1")
    assert (result.exit_code, result.stderr) == (0, "")


def test_fetch_without_a_terminal_says_how_far_it_is_every_ten_seconds() -> None:
    said: list[str] = []
    now = 100.0
    lines = ProgressLines(said.append, clock=lambda: now)
    lines.tick()
    for second in range(1, 36):
        now = 100.0 + second
        lines.show(FetchProgress(is_checking=False, done_bytes=10**9 + second * 10**8, total_bytes=24 * 10**9))
        lines.tick()
    assert said == [
        f"fetching: {gb} of 24.00 GB, {rate} MB/s"
        for gb, rate in (("2.00", "90.0"), ("3.00", "100.0"), ("4.00", "100.0"))
    ]
    now += 7
    lines.tick()  # nothing arrives, which is worth a line as well
    assert said[-1] == "fetching: 4.50 of 24.00 GB, 41.7 MB/s"
    lines.show(FetchProgress(is_checking=True, done_bytes=10**9, total_bytes=24 * 10**9))
    now += 10
    lines.tick()
    assert said[-1].startswith("checking: 1.00 of 24.00 GB")


@pytest.mark.parametrize("theirs", ["", "http://theirs:1"])
@pytest.mark.parametrize(("mine", "used"), [("", "{}"), ("http://mine:2", "http://mine:2")], ids=["none", "one"])
def test_fetch_goes_through_the_proxy_of_the_config_else_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, theirs: str, mine: str, used: str
) -> None:
    """As Discord is reached."""
    seen: list[str] = []
    for name in ("https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, theirs)
    if mine:
        monkeypatch.setenv("IMAGINE_BOT__DISCORD__PROXY", mine)

    def fetch(*_: object, **__: object) -> list[Path]:
        seen.extend(getproxies_environment().get(scheme, "") for scheme in ("https", "http"))
        return []

    monkeypatch.setattr("pipeline.catalog.download.fetch", fetch)
    assert invoke("fetch").exit_code == 0
    assert seen == [used.format(theirs)] * 2


def test_fetch_says_at_once_that_it_asks_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.catalog.download.fetch", lambda *_, **__: [])
    said = invoke("fetch").stdout
    assert said.index("asking the hub") < said.index("all files are there and whole")


# --- invite -----------------------------------------------------------------------------------------------

INVITE = (
    "https://discord.com/oauth2/authorize?client_id=123456789012345678"
    "&scope=bot+applications.commands&permissions=274878024704\n"
)


def test_invite_asks_for_exactly_what_is_needed() -> None:
    """View Channel, Send Messages (also in threads), Embed Links, Attach Files, Read Message History."""
    assert sum(1 << bit for bit in (10, 11, 14, 15, 16, 38)) == 274878024704
    assert invoke("invite", "--application-id", "123456789012345678").stdout == INVITE


def test_invite_reads_the_application_from_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", BOT_TOKEN)
    result = invoke("invite")
    assert result.stdout == INVITE
    assert BOT_TOKEN not in result.output


@pytest.mark.parametrize("token", ["", "é.x.y", "not-a-token", "YWJj.x.y"])
def test_invite_without_an_id_says_where_to_find_it(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", token)
    result = invoke("invite")
    assert result.exit_code == ExitCode.USAGE
    assert "--application-id" in result.stderr


# --- whole processes --------------------------------------------------------------------------------------


def _root() -> Path:
    return Path(__file__).parents[3]


def test_run_as_a_process_on_a_taken_port_exits_with_2(clean_place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        environment = {**_environment(), "IMAGINE_BOT__CONSOLE__PORT": port, "IMAGINE_BOT__PIPELINE__MODEL": "fake"}
        done = subprocess.run([*COMMAND, "run"], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "There is no Discord token yet, so this is the local page alone." in done.stderr
    assert f"port {port} cannot be used" in done.stderr and "[console] port" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["check", "--offline"], ["draw", "a cat", "--model", "fake"]]
)
def test_a_reader_that_goes_away_is_no_accident(clean_place: Path, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, env=_environment(), check=False
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
    done = _in_shell(line, IMAGINE_BOT__PIPELINE__MODEL="demo")
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
    done = _in_shell(line, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == ExitCode.FAILED
    assert done.stderr == says


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("model", "shows"), [("fake", "step 0/20"), ("demo", "loading demo")])
def test_ctrl_c_ends_draw_at_once_without_a_traceback(clean_place: Path, model: str, shows: str) -> None:
    with _on_terminal("draw", "[hang] a red apple", "--model", model) as (process, terminal):
        _wait_for(terminal, shows)
        os.killpg(process.pid, signal.SIGINT)
        started = time.monotonic()
        rest = _read_rest(terminal)  # first, or the program waits for room in the terminal's buffer
        assert process.wait(10) == ExitCode.INTERRUPTED
    assert "stopped" in rest
    assert "Traceback" not in rest
    assert time.monotonic() - started < 10
    assert not list(clean_place.glob("*.png"))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_root())}


def _in_shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program with the arguments and redirections of this line."""
    command = ["sh", "-c", f'exec "{sys.executable}" -m bot {line}']
    return subprocess.run(command, capture_output=True, text=True, env={**_environment(), **environment}, check=False)


@contextmanager
def _on_terminal(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The program with a terminal of its own, as a person would start it."""
    import pty

    ours, theirs = pty.openpty()
    environment = {**_environment(), "COLUMNS": "100", "TERM": "xterm"}
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
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


def _wait_for(terminal: int, text: str) -> None:
    seen = b""
    while text.encode() not in seen:
        seen += os.read(terminal, 4096)


def _read_rest(terminal: int) -> str:
    seen = b""
    try:
        while chunk := os.read(terminal, 4096):
            seen += chunk
    except OSError:  # Linux: the other end is closed
        pass
    return seen.decode()
