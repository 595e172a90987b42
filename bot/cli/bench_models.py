"""`imagine-bot bench models`: the models side by side on this GPU, without their files.

`pipeline/bench/comparison.py` measures and lays out; this module adds a progress bar, tables and files.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final

import typer

from bot.cli.bench import check_folder
from bot.cli.output import fail
from bot.errors import ExitCode
from pipeline.bench.comparison import COLUMNS, LIMITS_MIB, Compared, chart, compare, notes, rows
from pipeline.bench.report import EMULATIONS

CHARTS: Final = (".svg", ".png", ".pdf")


def models(
    model: Annotated[list[str] | None, typer.Option(help="A model; repeatable. Default: all that are large.")] = None,
    limit: Annotated[
        list[int] | None, typer.Option(min=2000, help="GPU memory in MiB; repeatable. Default: for 8 and for 6 GB.")
    ] = None,
    with_stock: Annotated[bool, typer.Option("--stock/--no-stock", help="DiffSynth's own recipe as well.")] = True,
    emulate: Annotated[
        str | None,
        typer.Option(help=f"Use a part of this GPU, without DiffSynth's own recipe: {', '.join(EMULATIONS)}."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the figures as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write the table as Markdown.")] = None,
    chart_file: Annotated[
        Path | None, typer.Option("--chart", help="Also write a bar chart: .svg, .png or .pdf.")
    ] = None,
) -> None:
    """Compare models on this GPU with random weights of full size: no model files are needed, nothing is fetched."""
    from rich import box
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from pipeline.bench.model_timing import time_model
    from pipeline.bench.tenants import MAKERS
    from pipeline.catalog.models import MODELS
    from pipeline.device.gpu import look_at_gpu

    names = model or list(MAKERS)
    if unknown := set(names) - set(MAKERS):
        raise typer.BadParameter(f"unknown model {min(unknown)!r}; there are {', '.join(MAKERS)}")
    if emulate is not None and emulate not in EMULATIONS:
        raise typer.BadParameter(f"unknown {emulate!r}; there are {', '.join(EMULATIONS)}")
    for file in (output, markdown, chart_file):
        check_folder(file)
    if chart_file is not None and find_spec("matplotlib") is None:
        raise typer.BadParameter("a chart needs matplotlib: pip install matplotlib")
    if chart_file is not None and chart_file.suffix not in CHARTS:
        raise typer.BadParameter(f"{chart_file} must end in {', '.join(CHARTS)}")
    state = look_at_gpu()
    if state.gpu is None:
        fail("there is no NVIDIA GPU here, and on a CPU models of this size take minutes per step", ExitCode.USAGE)
    if not state.is_usable:
        fail(f"{state.gpu.description}: {state.obstacle}\n→ {state.way_out}", ExitCode.USAGE)
    limits, found = tuple(limit or LIMITS_MIB.values()), list[Compared]()
    title = f"{state.gpu.name}, driver {state.gpu.driver}, {limits[0]} MiB{f', emulating {emulate}' if emulate else ''}"
    with (
        TemporaryDirectory(prefix="imagine-bot-", ignore_cleanup_errors=True) as folder,
        Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars,
    ):
        bar = bars.add_task("timing", total=len(names))
        for each in compare(
            [MODELS[name] for name in names],
            limits,
            partial(time_model, folder=Path(folder)),
            with_stock=with_stock and emulate is None,  # its copies cannot be slowed down
            emulation=EMULATIONS[emulate] if emulate else None,
        ):
            found.append(each)
            bars.advance(bar)
            # After each, so that an interrupted run loses nothing.
            _write(found, limits[0], title, output=output, markdown=markdown)
    table = Table(title=title, box=box.SIMPLE_HEAD, collapse_padding=True)
    for name in COLUMNS:
        table.add_column(name)
    for row in rows(found, limits[0]):
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print("\n".join(notes(found)), markup=False, highlight=False)
    if chart_file is not None:
        chart(found, limits[0], chart_file)


def _write(found: list[Compared], limit_mib: int, title: str, *, output: Path | None, markdown: Path | None) -> None:
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if output is not None:
        figures = [
            {"model": each.card.name, "ours": _listed(each.ours), "stock": _listed(each.stock)} for each in found
        ]
        output.write_text(json.dumps({"when": when, "where": title, "models": figures}, indent=1), "utf-8")
    if markdown is not None:
        lines = [COLUMNS, ["---"] * len(COLUMNS), *rows(found, limit_mib)]
        text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        below = "\n".join(f"- {note}" for note in [*notes(found), f"{title}, {when}"])
        markdown.write_text(f"{text}\n\n{below}\n", "utf-8")


def _listed(figures: Any) -> list[dict[str, Any]]:
    return [
        {"limit_mib": limit, "side_px": side} | ({"error": each} if isinstance(each, str) else asdict(each))
        for (limit, side), each in figures.items()
    ]
