"""`bench models` prints a row per model and writes what it is asked to; measured is by another test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.__main__ import app
from bot.errors import ExitCode
from pipeline.bench.model_timing import Figures
from pipeline.device.gpu import Gpu

GPU = Gpu(name="Some Card", driver="1", total_mib=8188, free_mib=8000, compute_capability=(8, 9))
FIGURES = Figures(step_s=0.1, image_s=1.4, peak_mib=7000, parameters=6_150_000_000)


def test_model_has_a_row_and_figures_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: GPU)
    monkeypatch.setattr("pipeline.bench.model_timing.time_model", lambda *_, folder: FIGURES)
    figures, table, chart = tmp_path / "a.json", tmp_path / "a.md", tmp_path / "a.svg"
    arguments = ["--model", "z-image-turbo", "-o", str(figures), "--markdown", str(table), "--chart", str(chart)]
    result = CliRunner().invoke(app, ["bench", "models", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "Z-Image-Turbo" in result.stdout and "the article" in result.stdout
    [model] = json.loads(figures.read_text("utf-8"))["models"]
    assert {(each["limit_mib"], each["side_px"]) for each in model["ours"]} == {(7372, 512), (7372, 1024), (5324, 1024)}
    assert table.read_text("utf-8").startswith("| model | type |")
    assert chart.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "demo"], "demo"),
        (["--emulate", "rtx9999"], "rtx4060"),
        (["--chart", "x.gif"], "must end in"),
        (["--chart", "none/x.svg"], "there is no folder"),
    ],
)
def test_what_cannot_be_done_is_refused_before_minutes_of_measuring(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["bench", "models", *arguments], env={"COLUMNS": "300"})
    assert result.exit_code == ExitCode.USAGE and says in result.output


def test_without_a_gpu_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: None)
    result = CliRunner().invoke(app, ["bench", "models"])
    assert result.exit_code == ExitCode.USAGE and "no NVIDIA GPU" in result.output
