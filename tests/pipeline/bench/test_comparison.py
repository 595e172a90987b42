"""The comparison of models: what is measured, and how it is laid out. The measuring itself is another test's."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.bench.comparison import ARTICLE, CLOUD, COLUMNS, LIMITS_MIB, STEPS, Compared, chart, compare, notes, rows
from pipeline.bench.model_timing import Figures
from pipeline.bench.report import STOCK, Conditions
from pipeline.catalog.models import MODELS

EIGHT, SIX = LIMITS_MIB[8], LIMITS_MIB[6]
CARDS = [MODELS["z-image-turbo"], MODELS["sd15"]]


def time(name: str, system: str, conditions: Conditions) -> Figures:
    """A step of a thousandth of a second per px of a side; stock takes ten times as long."""
    if name == "sd15" and conditions.limit_mib == SIX:
        raise MemoryError("no room\nand more")
    step_s = conditions.sides_px[0] / 1e6 * (10 if system == STOCK else 1)
    parameters = None if system == STOCK else 6_150_000_000
    return Figures(step_s=step_s, image_s=1 + STEPS * step_s, peak_mib=conditions.limit_mib - 1, parameters=parameters)


@pytest.fixture
def found() -> list[Compared]:
    return list(compare(CARDS, (EIGHT, SIX), time))


def test_row_has_a_cell_for_each_column(found: list[Compared]) -> None:
    turbo, sd15 = rows(found, EIGHT)
    assert len(turbo) == len(sd15) == len(COLUMNS)
    assert turbo[1:6] == ("z-image", "6.2 G", "commercial", "yes", str(EIGHT - 1))
    assert turbo[6:] == ("1.01", "1.02", "1.01 (1024²/8)", "yes", "yes", "10.0")
    assert sd15[8:] == ("1.01 (512²/25)", "yes", "no", "10.0")


def test_why_figures_are_missing_stands_below_beside_the_article_and_the_cloud(found: list[Compared]) -> None:
    lines = list(notes(found))
    assert lines[0] == f"Stable Diffusion 1.5 at 512² within {SIX} MiB: MemoryError: no room"
    assert lines[-1] == CLOUD and len(lines) == 2 + len(ARTICLE)
    assert "majicflus-v1: 22 s, 7.2 GB" in lines[-2]


def test_stock_is_left_out_if_nobody_wants_it() -> None:
    [row] = rows(list(compare(CARDS[:1], (EIGHT,), time, with_stock=False)), EIGHT)
    assert row[-2:] == ("–", "–")


def test_model_that_never_drew_has_a_row_of_dashes() -> None:
    def fail(_name: str, _system: str, _conditions: Conditions) -> Figures:
        raise OSError("no driver")

    [row] = rows(list(compare(CARDS[:1], (EIGHT,), fail)), EIGHT)
    assert row[2] == "–" and row[5:8] == ("–", "–", "–") and row[9] == "no"


def test_chart_is_an_svg_that_asks_nobody(found: list[Compared], tmp_path: Path) -> None:
    chart(found, EIGHT, tmp_path / "chart.svg")
    text = (tmp_path / "chart.svg").read_text("utf-8")
    assert "Z-Image" in text and "<svg" in text
    assert "<script" not in text and 'href="http' not in text
