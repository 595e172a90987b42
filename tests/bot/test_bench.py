"""The bench command prints a table that fits a terminal and writes its figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.__main__ import app
from pipeline.hardware import Gpu
from pipeline.timing import STOCK, SYSTEMS, Timing


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


def timings() -> Iterator[Timing]:
    for system, step_s, streamed in (("int8", 0.1, 2_760_000_000), (STOCK, 5.0, None)):
        yield Timing(
            system=system,
            side_px=512,
            first_step_s=0.5,
            step_s=step_s,
            peak_mib=6900,
            streamed_bytes=streamed,
            link_gb_s=55.2,
        )


def test_engine_prints_a_row_per_system_beside_stock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def time_engine(systems: list[str], **options: object) -> Iterator[Timing]:
        asked.update(systems=systems, **options)
        return timings()

    gpu = Gpu(name="Some Card", driver="1", total_mib=8188, free_mib=8000, compute_capability=(8, 9))
    monkeypatch.setattr("pipeline.hardware.find_gpu", lambda: gpu)
    monkeypatch.setattr("pipeline.timing.time_engine", time_engine)
    figures = tmp_path / "figures.json"
    result = CliRunner().invoke(app, ["bench", "engine", "--side", "512", "--limit", "7200", "-o", str(figures)])
    assert result.exit_code == 0, result.output
    assert asked == {"systems": list(SYSTEMS), "limit_mib": 7200, "sides_px": [512], "steps": 8}
    assert "Some Card, 7200 MiB" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line.strip().startswith(("int8", STOCK))]
    assert rows == [
        ["int8", "512", "0.100", "0.50", "6900", "2.76", "50", "%", "50.0"],
        [STOCK, "512", "5.000", "0.50", "6900", "–", "–", "1.0"],
    ]
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert json.loads(figures.read_text("utf-8"))[0]["streamed_bytes"] == 2_760_000_000


@pytest.mark.parametrize(
    ("arguments", "says"), [([], "no NVIDIA GPU"), (["--system", "fp3"], "fp3"), (["--side", "500"], "500")]
)
def test_engine_refuses_what_it_cannot_time(arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.hardware.find_gpu", lambda: None)
    result = CliRunner().invoke(app, ["bench", "engine", *arguments])
    assert result.exit_code == 2
    assert says in result.output
