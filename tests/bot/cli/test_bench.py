"""The bench command prints a table that fits a terminal and writes its figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pipeline.families.flux.engine  # noqa: F401 - takes seconds, which shall count for no test
from bot.__main__ import app
from pipeline.bench.report import EMULATIONS, STOCK, SYSTEMS, Conditions, Machine, Pictures, Timing
from pipeline.device.gpu import Gpu


def test_quality_prints_a_column_per_setting_and_writes_json(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    result = CliRunner().invoke(
        app,
        ["bench", "quality", "--precision", "float32", "--steps", "1", "--steps", "2", "--cfg", "1", "--pictures", "8",
         "--size", "draft", "-o", str(figures)],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "top1" in result.stdout and "2 steps" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert [entry["setting"]["steps"] for entry in json.loads(figures.read_text("utf-8"))] == [1, 2]
    assert "draft size" in result.stdout


@pytest.mark.parametrize(("option", "value"), [("--precision", "int3"), ("--size", "tiny"), ("--size", "large")])
def test_unknown_precision_or_size_is_refused_by_name(option: str, value: str) -> None:
    result = CliRunner().invoke(app, ["bench", "quality", option, value])
    assert result.exit_code == 2
    assert value in result.output


GPU = Gpu(name="Some Card", driver="1", total_mib=8188, free_mib=8000, compute_capability=(8, 9))
MACHINE = Machine(
    gpu="Some Card", driver="1", cpus=4, versions={"torch": "2.11"}, link_gb_s=55.2, pageable_gb_s=11.8
)  # fmt: skip
TIMINGS = (
    Timing(system="int8", side_px=512, first_step_s=0.5, step_s=0.1, peak_mib=6900, streamed_bytes=2_760_000_000,
           link_gb_s=55.2, kernels=1200, busy_s=0.07, is_compiled=True, floor_s=0.09),
    Timing(system="float8", side_px=512, first_step_s=0.5, step_s=0.2, is_compiled=False),
    Timing(system=STOCK, side_px=512, first_step_s=0.5, step_s=5.0, peak_mib=6900, link_gb_s=55.2),
    Timing(system="diffusers", side_px=512, error="diffusers is not installed: pip install diffusers"),
)  # fmt: skip


PICTURES = (
    Pictures(system="int8", side_px=512, new_prompt_s=2.3, known_prompt_s=1.6, peak_mib=6800, host_mib=5900),
    Pictures(system=STOCK, side_px=512, new_prompt_s=115.0),
    Pictures(system="float8", side_px=512, error="out of memory within 7200 MiB"),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the machine room is asked for on a machine with a card; it answers `TIMINGS`."""
    asked: dict[str, object] = {}

    def time_systems(systems: list[str], conditions: Conditions, **options: object) -> Iterator[Timing | Pictures]:
        asked.update(systems=systems, conditions=conditions, **options)
        yield from TIMINGS
        if conditions.draws_pictures:
            yield from PICTURES

    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: GPU)
    monkeypatch.setattr("pipeline.bench.engine_timing.describe_machine", lambda _gpu: MACHINE)
    monkeypatch.setattr("pipeline.bench.engine_timing.time_systems", time_systems)
    return asked


def test_engine_prints_a_row_per_system_beside_stock(asked: dict[str, object]) -> None:
    result = CliRunner().invoke(app, ["bench", "engine", "--side", "512", "--limit", "7200"])
    assert result.exit_code == 0, result.output
    assert asked == {
        "systems": list(SYSTEMS),
        "conditions": Conditions(limit_mib=7200, sides_px=(512,), steps=8, draws_pictures=True),
        "link_gb_s": 55.2,
    }
    assert "Some Card, 7200 MiB" in result.stdout
    names = tuple(timing.system for timing in TIMINGS)
    rows = [
        line.split() for line in result.stdout.splitlines() if line.strip().startswith(names) and " at " not in line
    ]
    assert rows == [
        ["int8", "512", "0.100", "0.50", "6900", "2.76", "50", "1200", "30", "90", "50.0"],
        ["float8", "512", "0.200", "0.50", "–", "–", "–", "–", "–", "–", "25.0"],
        [STOCK, "512", "5.000", "0.50", "6900", "–", "–", "–", "–", "–", "1.0"],
        ["diffusers", "512", "failed", "–", "–", "–", "–", "–", "–", "–", "–"],
        ["int8", "512", "2.30", "1.60", "6800", "5900", "50.0"],
        [STOCK, "512", "115.00", "–", "–", "–", "1.0"],
        ["float8", "512", "failed", "–", "–", "–", "–"],
    ]
    assert "images of float8 at 512: out of memory within 7200 MiB" in result.stdout
    assert "diffusers at 512: diffusers is not installed: pip install diffusers" in result.stdout
    assert "float8 at 512: blocks are not compiled" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_engine_writes_figures_and_where_they_come_from(asked: dict[str, object], tmp_path: Path) -> None:
    figures, page = tmp_path / "figures.json", tmp_path / "figures.md"
    result = CliRunner().invoke(
        app,
        ["bench", "engine", "--system", "int8", "--peer", "diffusers", "--side", "512", "--limit", "7200", "--eager",
         "--emulate", "rtx4060", "--no-pictures", "-o", str(figures), "--markdown", str(page)],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert asked["systems"] == ["int8", "diffusers"]
    assert asked["conditions"] == Conditions(
        limit_mib=7200, sides_px=(512,), steps=8, is_eager=True, emulation=EMULATIONS["rtx4060"]
    )
    command = (
        "imagine-bot bench engine --system int8 --peer diffusers --side 512 --steps 8 --limit 7200 "
        "--eager --no-pictures --emulate rtx4060"
    )

    report = json.loads(figures.read_text("utf-8"))
    assert report["command"] == command
    assert report["machine"] == asdict(MACHINE)
    assert report["conditions"]["emulation"] == {"multiprocessors": 8, "link_gb_s": 12.8}
    assert datetime.fromisoformat(report["date"]).tzinfo is not None
    assert [timing["system"] for timing in report["timings"]] == [timing.system for timing in TIMINGS]
    assert report["timings"][0]["streamed_bytes"] == 2_760_000_000
    assert report["timings"][0]["link_share"] == pytest.approx(0.5)
    assert report["timings"][0]["idle_share"] == pytest.approx(0.3)
    assert report["timings"][0]["floor_share"] == pytest.approx(0.9)

    lines = page.read_text("utf-8").splitlines()
    assert lines[0] == (
        "| system | side | s/step | 1st step | peak MiB | GB/step | link % | kernels / step | idle % | floor % "
        "| × stock |"
    )
    assert lines[2] == "| int8 | 512 | 0.100 | 0.50 | 6900 | 2.76 | 50 | 1200 | 30 | 90 | 50.0 |"
    assert "known prompt" not in page.read_text("utf-8")
    assert "- Some Card, driver 1, 4 CPUs; torch 2.11" in lines
    assert "- link to the card: 55.2 GB/s from page-locked memory, 11.8 GB/s from ordinary" in lines
    assert "- diffusers at 512: diffusers is not installed: pip install diffusers" in lines
    assert any(line.startswith("- emulated: 8 multiprocessors for all;") for line in lines)
    assert lines[-1].endswith(f" UTC, {command}")


def test_what_was_timed_is_kept_if_the_rest_ends_badly(
    asked: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def time_systems(*_arguments: object, **_options: object) -> Iterator[Timing]:
        yield TIMINGS[0]
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.bench.engine_timing.time_systems", time_systems)
    figures = tmp_path / "figures.json"
    result = CliRunner().invoke(app, ["bench", "engine", "-o", str(figures)])
    assert result.exit_code != 0
    assert len(json.loads(figures.read_text("utf-8"))["timings"]) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no NVIDIA GPU"),
        (["--system", "fp3"], "fp3"),
        (["--peer", "webui"], "webui"),
        (["--emulate", "rtx1"], "rtx1"),
        (["--side", "500"], "500"),
    ],
)
def test_engine_refuses_what_it_cannot_time(arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: None)
    result = CliRunner().invoke(app, ["bench", "engine", *arguments])
    assert result.exit_code == 2
    assert says in result.output
    assert ("Invalid value" in result.output) is bool(arguments)  # a machine without a GPU is no value


@pytest.mark.parametrize("command", ["quality", "engine"])
@pytest.mark.parametrize(("place", "says"), [("none/x.json", "there is no folder"), (".", "name a file")])
def test_place_that_takes_no_file_is_refused_before_minutes_of_measuring(
    command: str, place: str, says: str, asked: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.bench.quality.measure", lambda *_, **__: pytest.fail("it measured"))
    result = CliRunner().invoke(app, ["bench", command, "-o", str(tmp_path / place)], env={"COLUMNS": "300"})
    assert (result.exit_code, asked) == (2, {})
    assert says in result.output
