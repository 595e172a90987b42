"""`imagine-bot fetch`: what it says, what it asks, and how it ends; the hub is a function of the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.request import getproxies_environment

import pytest

from bot.cli.fetch_progress import ProgressLines
from bot.errors import ExitCode
from pipeline.catalog import files
from pipeline.catalog.download import Fetched, FetchProgress
from pipeline.catalog.fetch_speed import last_speed
from pipeline.catalog.file_owner import FileOwner
from pipeline.catalog.model_card import ModelCard
from pipeline.device.gpu import Gpu
from pipeline.errors import DiskFull, FetchFailed, HubSilent
from tests.bot.cli.command_line import invoke
from tests.pipeline.translation.miniature_translator import write_translator

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")


@pytest.fixture
def whole_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is there afterwards."""
    monkeypatch.setattr(files, "missing", lambda *_: [])


@pytest.mark.usefixtures("whole_files")
def test_fetch_shows_the_licence_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "missing", lambda *_: [])
    monkeypatch.setattr("pipeline.catalog.download.fetch", lambda *_, **__: Fetched())
    result = invoke("fetch")
    assert result.exit_code == 0
    assert result.stdout.index("Non-Commercial") < result.stdout.index("all files are there and whole")


def test_fetch_compares_files_that_look_whole_and_names_those_it_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "missing", lambda *_: [])
    fetched = Fetched(aside=(Path("ae.safetensors.rejected"),))
    monkeypatch.setattr("pipeline.catalog.download.fetch", lambda *_, **__: fetched)
    result = invoke("fetch", "flux1-dev")
    assert result.exit_code == 0
    assert "differed from the hub's: ae.safetensors.rejected" in result.stdout


@pytest.mark.usefixtures("whole_files")
@pytest.mark.parametrize("options", [[], ["--update"]])
def test_fetch_replaces_what_the_hub_has_replaced_only_if_told_to(
    monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    asked: list[bool] = []

    def fetch(*_: object, is_update: bool, **__: object) -> Fetched:
        asked.append(is_update)
        return Fetched() if is_update else Fetched(newer=(Path("ae.safetensors"),))

    monkeypatch.setattr(files, "missing", lambda *_: [])
    monkeypatch.setattr("pipeline.catalog.download.fetch", fetch)
    result = invoke("fetch", "flux1-dev", *options)
    assert (result.exit_code, asked) == (0, [bool(options)])
    assert ("which imagine-bot fetch flux1-dev --update takes: ae.safetensors" in result.stdout) is not bool(options)


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


@pytest.mark.usefixtures("whole_files")
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
    monkeypatch.setattr(files, "missing", lambda *_: [])
    monkeypatch.setattr("pipeline.catalog.download.fetch", lambda *_, **__: Fetched())
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: gpu if has_gpu else None)
    monkeypatch.setattr("pipeline.catalog.models.create_engine", lambda _name, _config: Engine())
    if answer is not None:
        monkeypatch.setattr("typer.confirm", lambda *_, **__: answer)
        monkeypatch.setattr("bot.cli.fetch.can_ask", lambda: True)
    result = invoke("fetch", "flux1-dev", *options)
    assert result.exit_code == 0
    assert done == (["load", "close"] if is_loaded else [])
    assert ("ready to draw" in result.stdout) is is_loaded
    assert ("packed when it is first used" in result.stdout) is (has_gpu and not is_loaded)


def test_fetch_has_nothing_to_do_for_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(name="a", driver="1", total_mib=8192, free_mib=8000, compute_capability=(8, 9))
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: gpu)
    result = invoke("fetch", "demo")
    assert (result.exit_code, "there is nothing to fetch" in result.stdout) == (0, True)
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


def test_fetch_never_says_that_all_is_whole_while_something_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.catalog.download.fetch", lambda *_, **__: Fetched())
    result = invoke("fetch", "flux1-dev")
    assert result.exit_code == ExitCode.FAILED
    assert "flux1-dev.safetensors: is absent" in result.stderr
    assert "whole" not in result.stdout


def test_fetch_says_how_much_room_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise DiskFull(tmp_path, 30 * 2**20, 2 * 2**20)

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


@pytest.mark.usefixtures("whole_files")
def test_fetch_reports_progress_and_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def succeed(
        _card: object, _folder: object, *, on_progress: Callable[[FetchProgress], None], **options: object
    ) -> Fetched:
        assert options == {"endpoint": "https://hub.example", "is_update": False}
        for is_checking in (False, True):
            on_progress(FetchProgress(is_checking=is_checking, done_bytes=5, total_bytes=10))
        return Fetched()

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
        f"fetching: {gb} of 24.00 GB, {rate} MB/s, {left} min left"
        for gb, rate, left in (("2.00", "90.0", 4), ("3.00", "100.0", 4), ("4.00", "100.0", 3))
    ]
    now += 7
    lines.tick()  # nothing arrives, which is worth a line as well
    assert said[-1] == "fetching: 4.50 of 24.00 GB, 41.7 MB/s, 8 min left"
    now += 10
    lines.tick()
    assert said[-1] == "fetching: 4.50 of 24.00 GB, 0.0 MB/s", "of a line that stands still nobody can tell"
    lines.show(FetchProgress(is_checking=True, done_bytes=10**9, total_bytes=24 * 10**9))
    now += 10
    lines.tick()
    assert said[-1].startswith("checking: 1.00 of 24.00 GB")


@pytest.mark.usefixtures("whole_files")
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

    def fetch(*_: object, **__: object) -> Fetched:
        seen.extend(getproxies_environment().get(scheme, "") for scheme in ("https", "http"))
        return Fetched()

    monkeypatch.setattr("pipeline.catalog.download.fetch", fetch)
    assert invoke("fetch").exit_code == 0
    assert seen == [used.format(theirs)] * 2


@pytest.mark.usefixtures("whole_files")
def test_fetch_says_at_once_that_it_asks_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.catalog.download.fetch", lambda *_, **__: Fetched())
    said = invoke("fetch").stdout
    assert said.index("asking the hub, ModelScope,") < said.index("all files are there and whole")


@pytest.mark.usefixtures("whole_files")
def test_fetch_names_the_hub_and_remembers_how_fast_it_was(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def fetch(*_: object, on_progress: Callable[[FetchProgress], None], **__: object) -> Fetched:
        nonlocal now
        for done in (5, 6, 7):
            on_progress(FetchProgress(is_checking=False, done_bytes=done * 10**9, total_bytes=7 * 10**9))
            now += 100.0
        on_progress(FetchProgress(is_checking=True, done_bytes=10**9, total_bytes=7 * 10**9))
        return Fetched()

    monkeypatch.setattr("pipeline.catalog.download.fetch", fetch)
    monkeypatch.setattr("bot.cli.fetch_progress.fetch_and_show.__kwdefaults__", {"clock": lambda: now})
    monkeypatch.setenv("IMAGINE_BOT__PIPELINE__ENDPOINT", "https://hub.example/x")
    monkeypatch.setenv("IMAGINE_BOT__PIPELINE__MODELS_DIR", str(clean_place))
    said = invoke("fetch", "flux1-dev").stdout
    assert "asking the hub, hub.example, which files there are" in said
    assert "fetched 2.00 GB, 10.0 MB/s" in said
    assert last_speed(clean_place) == 10**7


@pytest.fixture
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGINE_BOT__PIPELINE__MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def test_the_translator_is_fetched_like_a_model(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(card: FileOwner, folder: Path, **_: object) -> Fetched:
        assert folder == models_dir
        write_translator(folder / "Qwen" / "Qwen3-0.6B")
        return Fetched()

    monkeypatch.setattr("pipeline.catalog.download.fetch", fetch)
    result = invoke("fetch", "translator")
    assert result.exit_code == 0
    assert result.stdout.index("Apache-2.0") < result.stdout.index("all files are there and whole")


def test_a_translator_that_arrived_damaged_is_no_success(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(card: FileOwner, folder: Path, **_: object) -> Fetched:
        paths = write_translator(folder / "Qwen" / "Qwen3-0.6B")
        paths.config.write_text('{"model_type": "llama"}', "utf-8")
        return Fetched()

    monkeypatch.setattr("pipeline.catalog.download.fetch", fetch)
    result = invoke("fetch", "translator")
    assert result.exit_code != 0
    assert "config.json" in str(result.exception) + result.stderr


def test_a_translator_of_ones_own_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGINE_BOT__TRANSLATOR__PATH", str(tmp_path / "mine"))
    assert invoke("fetch", "translator").exit_code != 0
    write_translator(tmp_path / "mine")
    result = invoke("fetch", "translator")
    assert result.exit_code == 0
    assert "nothing to fetch" in result.stdout
