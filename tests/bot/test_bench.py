"""The bench command prints a table that fits a terminal and writes its figures."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from bot.__main__ import app


def test_quality_prints_a_column_per_setting_and_writes_json(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    result = CliRunner().invoke(
        app,
        ["bench", "quality", "--precision", "float32", "--steps", "1", "--steps", "2", "--cfg", "1", "--pictures", "8",
         "-o", str(figures)],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "top1" in result.stdout and "2 steps" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert [entry["setting"]["steps"] for entry in json.loads(figures.read_text("utf-8"))] == [1, 2]


def test_unknown_precision_is_refused_by_name() -> None:
    result = CliRunner().invoke(app, ["bench", "quality", "--precision", "int3"])
    assert result.exit_code == 2
    assert "int3" in result.output
