"""`imagine-bot bench`: measurements that anyone can repeat on their own machine, as tables.

What is measured is the machine room's business (`pipeline/quality.py`); here it gets a progress bar and columns.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.quality import Score

MEASURES: Final = ("top1", "top5", "top1 en", "top1 zh", "colour", "count", "place", "pair")
PRECISIONS: Final = ("float32", "bfloat16", "float8", "int8")

app = typer.Typer(no_args_is_help=True, help="Measure this machine.")


@app.callback()
def _group() -> None:
    """Measure this machine."""


@app.command()
def quality(
    precision: Annotated[list[str] | None, typer.Option(help=f"{', '.join(PRECISIONS)}; repeatable.")] = None,
    steps: Annotated[list[int] | None, typer.Option(min=1, max=50, help="Steps; repeatable.")] = None,
    cfg_scale: Annotated[list[float] | None, typer.Option("--cfg", help="CFG scale; repeatable.")] = None,
    guidance: Annotated[list[float] | None, typer.Option(help="Embedded guidance; repeatable.")] = None,
    pictures: Annotated[int, typer.Option(min=8, max=1000, help="Pictures per setting.")] = 64,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the figures as JSON.")] = None,
    config_path: Annotated[Path | None, typer.Option("--config", help="Config file.", show_default=False)] = None,
) -> None:
    """Score settings of the engine on the demo model: does it draw what was asked, and how close to float32."""
    from rich.console import Console
    from rich.progress import Progress

    from bot.config import load_config
    from pipeline.models import DEMO
    from pipeline.quality import Setting, make_tasks, measure

    precisions = precision or ["float32", "float8", "int8"]
    if unknown := set(precisions) - set(PRECISIONS):
        raise typer.BadParameter(f"unknown precision {min(unknown)!r}; there are {', '.join(PRECISIONS)}")
    config, _ = load_config(config_path)
    settings = [
        Setting(precision=each, steps=number, cfg_scale=scale, guidance=strength)
        for each, number, scale, strength in itertools.product(
            precisions, steps or [DEMO.default_steps], cfg_scale or [DEMO.cfg_scale], guidance or [DEMO.guidance]
        )
    ]
    tasks = make_tasks(pictures)
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        bar = bars.add_task("drawing", total=len(settings) * len(tasks))
        scores = list(measure(settings, tasks, config.pipeline, on_picture=lambda: bars.advance(bar)))
    Console().print(_table(scores))
    if output is not None:
        output.write_text(json.dumps([dataclasses.asdict(score) for score in scores], indent=1), "utf-8")


def _table(scores: list[Score]) -> Table:
    """One column per setting, one row per measure: that fits a terminal."""
    from rich import box
    from rich.table import Table

    table = Table(title=f"{scores[0].pictures} pictures per setting", box=box.SIMPLE_HEAD)
    table.add_column("measure")
    for score in scores:
        setting = score.setting
        table.add_column(
            f"{setting.precision}\n{setting.steps} steps\ncfg {setting.cfg_scale:g} · {setting.guidance:g}",
            justify="right",
        )
    for name in MEASURES:
        if name in scores[0].shares:
            table.add_row(name, *(f"{100 * score.shares[name]:.0f} %" for score in scores))
    table.add_row("PSNR to float32", *("–" if score.psnr_db is None else f"{score.psnr_db:.1f} dB" for score in scores))
    table.add_row("seconds per picture", *(f"{score.seconds:.2f}" for score in scores))
    return table
