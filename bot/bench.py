"""`imagine-bot bench`: measurements that anyone can repeat on their own machine, as tables.

What is measured is the business of the machine room (`pipeline/quality.py`, `pipeline/timing.py`); here it gets a
progress bar and columns.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline.spec import SIDE_MULTIPLE_PX
from pipeline.timing import STOCK, SYSTEMS

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.quality import Score
    from pipeline.timing import Timing

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


@app.command()
def engine(
    system: Annotated[list[str] | None, typer.Option(help=f"{', '.join(SYSTEMS)}; repeatable. Default: all.")] = None,
    side: Annotated[
        list[int] | None, typer.Option(min=256, max=2048, help="Side in px; repeatable. Default: 512, 1024.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=50, help="Steps to time.")] = 8,
    limit: Annotated[int | None, typer.Option(min=2000, help="GPU memory in MiB; default: the config's.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the figures as JSON.")] = None,
    config_path: Annotated[Path | None, typer.Option("--config", help="Config file.", show_default=False)] = None,
) -> None:
    """Time FLUX.1's transformer at full size on this GPU, with random weights: no model files are needed."""
    from rich.console import Console
    from rich.progress import Progress

    from bot.config import load_config
    from pipeline.hardware import find_gpu
    from pipeline.timing import time_engine

    systems, sides = system or list(SYSTEMS), side or [512, 1024]
    if unknown := set(systems) - set(SYSTEMS):
        raise typer.BadParameter(f"unknown system {min(unknown)!r}; there are {', '.join(SYSTEMS)}")
    if odd := [each for each in sides if each % SIDE_MULTIPLE_PX]:
        raise typer.BadParameter(f"a side must be a multiple of {SIDE_MULTIPLE_PX}, {odd[0]} is not")
    config, _ = load_config(config_path)
    gpu = find_gpu()
    if gpu is None:
        raise typer.BadParameter("there is no NVIDIA GPU here; on a CPU a model of this size takes minutes per step")
    limit_mib = limit or config.pipeline.vram_limit_mib
    timings = []
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        bar = bars.add_task("timing", total=len(systems) * len(sides))
        for timing in time_engine(systems, limit_mib=limit_mib, sides_px=sides, steps=steps):
            timings.append(timing)
            bars.advance(bar)
    Console().print(_timings(timings, f"{gpu.name}, {limit_mib} MiB"))
    if output is not None:
        output.write_text(json.dumps([dataclasses.asdict(timing) for timing in timings], indent=1), "utf-8")


def _timings(timings: list[Timing], title: str) -> Table:
    """One row per system and size; how many times faster than the stock system, where that was timed as well."""
    from rich import box
    from rich.table import Table

    stock = {timing.side_px: timing.step_s for timing in timings if timing.system == STOCK}
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for name in ("system", "side", "s/step", "first step", "peak MiB", "GB/step", "link busy", "× stock"):
        table.add_column(name, justify="left" if name == "system" else "right")
    for timing in timings:
        table.add_row(
            timing.system,
            str(timing.side_px),
            f"{timing.step_s:.3f}",
            f"{timing.first_step_s:.2f}",
            "–" if timing.peak_mib is None else str(timing.peak_mib),
            "–" if timing.streamed_bytes is None else f"{timing.streamed_bytes / 1e9:.2f}",
            "–" if timing.link_share is None else f"{100 * timing.link_share:.0f} %",
            f"{stock[timing.side_px] / timing.step_s:.1f}" if timing.side_px in stock else "–",
        )
    return table


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
