"""`imagine-bot bench`: measurements that anyone can repeat on their own machine, as tables.

`pipeline/bench` measures; this module adds a progress bar and tables.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bot.cli.help_format import Command, Group
from bot.cli.output import fail
from bot.errors import ExitCode
from pipeline.bench.report import (
    EMULATIONS,
    PEERS,
    PICTURE_STEPS,
    STOCK,
    SYSTEMS,
    Conditions,
    Machine,
    Pictures,
    Timing,
)
from pipeline.spec import SIDE_MULTIPLE_PX, Size

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.bench.quality import Score

MEASURES: Final = ("top1", "top5", "top1 en", "top1 zh", "colour", "count", "place", "pair")
COLUMNS: Final = (
    "system",
    "side",
    "s/step",
    "1st\nstep",
    "peak\nMiB",
    "GB/\nstep",
    "link\n%",
    "kernels\n/ step",
    "idle\n%",
    "floor\n%",
    "×\nstock",
)
PICTURE_COLUMNS: Final = ("system", "side", "s, new prompt", "s, known prompt", "peak MiB", "host MiB", "× stock")
PRECISIONS: Final = ("float32", "bfloat16", "float8", "int8")

app = typer.Typer(cls=Group, no_args_is_help=True, help="Measure this machine.")


@app.callback()
def _group() -> None:
    """Measure this machine."""


@app.command(cls=Command)
def quality(
    precision: Annotated[list[str] | None, typer.Option(help=f"{', '.join(PRECISIONS)}; repeatable.")] = None,
    steps: Annotated[list[int] | None, typer.Option(min=1, max=50, help="Steps; repeatable.")] = None,
    cfg_scale: Annotated[list[float] | None, typer.Option("--cfg", help="CFG scale; repeatable.")] = None,
    guidance: Annotated[list[float] | None, typer.Option(help="Embedded guidance; repeatable.")] = None,
    size: Annotated[list[str] | None, typer.Option(help="draft, normal; repeatable.")] = None,
    pictures: Annotated[int, typer.Option(min=8, max=1000, help="Images per setting.")] = 64,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the figures as JSON.")] = None,
    config_path: Annotated[Path | None, typer.Option("--config", help="Config file.", show_default=False)] = None,
) -> None:
    """Score settings of the engine on the demo model: does it draw what was asked, and how close to float32."""
    from rich.console import Console
    from rich.progress import Progress

    from bot.config import load_config
    from pipeline.bench.quality import Setting, make_tasks, measure
    from pipeline.catalog.models import DEMO

    precisions = precision or ["float32", "float8", "int8"]
    if unknown := set(precisions) - set(PRECISIONS):
        raise typer.BadParameter(f"unknown precision {min(unknown)!r}; there are {', '.join(PRECISIONS)}")
    sizes = size or [Size.NORMAL.value]
    if unknown := set(sizes) - set(DEMO.scales):
        raise typer.BadParameter(f"unknown size {min(unknown)!r}; there are {', '.join(DEMO.scales)}")
    check_folder(output)
    config, _ = load_config(config_path)
    settings = [
        Setting(precision=each, steps=number, cfg_scale=scale, guidance=strength, size=named)
        for each, number, scale, strength, named in itertools.product(
            precisions,
            steps or [DEMO.default_steps],
            cfg_scale or [DEMO.cfg_scale],
            guidance or [DEMO.guidance],
            [Size(each) for each in sizes],
        )
    ]
    tasks = make_tasks(pictures)
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        bar = bars.add_task("drawing", total=len(settings) * len(tasks))
        scores = list(measure(settings, tasks, config.pipeline, on_picture=lambda: bars.advance(bar)))
    Console().print(_table(scores))
    if output is not None:
        output.write_text(json.dumps([dataclasses.asdict(score) for score in scores], indent=1), "utf-8")


@app.command(cls=Command)
def engine(
    system: Annotated[list[str] | None, typer.Option(help=f"{', '.join(SYSTEMS)}; repeatable. Default: all.")] = None,
    peer: Annotated[list[str] | None, typer.Option(help=f"{', '.join(PEERS)}, if installed; repeatable.")] = None,
    side: Annotated[
        list[int] | None, typer.Option(min=256, max=2048, help="Side in px; repeatable. Default: 512, 1024.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=50, help="Steps to time.")] = 8,
    limit: Annotated[int | None, typer.Option(min=2000, help="GPU memory in MiB; default: the config's.")] = None,
    is_eager: Annotated[bool, typer.Option("--eager", help="Do not compile blocks.")] = False,
    draws_pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help=f"Whole images of {PICTURE_STEPS} steps as well.")
    ] = True,
    emulate: Annotated[str | None, typer.Option(help=f"Use a part of this GPU: {', '.join(EMULATIONS)}.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the figures as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write the table as Markdown.")] = None,
    config_path: Annotated[Path | None, typer.Option("--config", help="Config file.", show_default=False)] = None,
) -> None:
    """Time FLUX.1 at full size on this GPU, with random weights: no model files are needed."""
    from rich.console import Console
    from rich.progress import Progress

    from bot.config import load_config
    from pipeline.bench.engine_timing import describe_machine, time_systems
    from pipeline.device.gpu import look_at_gpu

    for names, known in ((system or [], SYSTEMS), (peer or [], PEERS), ([emulate] if emulate else [], EMULATIONS)):
        if unknown := set(names) - set(known):
            raise typer.BadParameter(f"unknown {min(unknown)!r}; there are {', '.join(known)}")
    systems, sides = [*(system or SYSTEMS), *(peer or [])], tuple(side or (512, 1024))
    if odd := [each for each in sides if each % SIDE_MULTIPLE_PX]:
        raise typer.BadParameter(f"a side must be a multiple of {SIDE_MULTIPLE_PX}, {odd[0]} is not")
    check_folder(output)
    check_folder(markdown)
    config, _ = load_config(config_path)
    state = look_at_gpu()
    gpu = state.gpu
    if gpu is None:
        fail("there is no NVIDIA GPU here, and on a CPU a model of this size takes minutes per step", ExitCode.USAGE)
    if not state.is_usable:
        fail(f"{gpu.description}: {state.obstacle}\n→ {state.way_out}", ExitCode.USAGE)
    conditions = Conditions(
        limit_mib=limit or config.pipeline.limit_mib(gpu.total_mib),
        sides_px=sides,
        steps=steps,
        is_eager=is_eager,
        draws_pictures=draws_pictures,
        emulation=EMULATIONS[emulate] if emulate else None,
    )
    command = [
        "imagine-bot bench engine",
        *(f"--system {each}" for each in system or ()),
        *(f"--peer {each}" for each in peer or ()),
        *(f"--side {each}" for each in sides),
        f"--steps {steps} --limit {conditions.limit_mib}",
        *(["--eager"] if is_eager else []),
        *([] if draws_pictures else ["--no-pictures"]),
        *([f"--emulate {emulate}"] if emulate else []),
    ]
    report = Report(
        date=datetime.now(UTC),
        command=" ".join(command),
        conditions=conditions,
        machine=describe_machine(gpu),
    )
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        bar = bars.add_task("timing", total=len(systems) * len(sides))
        for measured in time_systems(systems, conditions, link_gb_s=report.machine.link_gb_s):
            if isinstance(measured, Timing):
                report.timings.append(measured)
                bars.advance(bar)
            else:
                report.pictures.append(measured)
            report.write(output, markdown)  # after each result, so that an interrupted run loses nothing
    console = Console()
    for columns, rows in report.tables():
        console.print(_timings(report, columns, rows))
    console.print("\n".join(report.notes()), markup=False, highlight=False)


def check_folder(file: Path | None) -> None:
    """Check that the output file can be written, before minutes of measuring.

    Raises:
        BadParameter
    """
    if file is None:
        return
    try:
        if file.is_dir():
            raise typer.BadParameter(f"{file} is a folder; name a file")
        if not file.parent.is_dir():
            raise typer.BadParameter(f"{file}: there is no folder {file.parent}; create it first")
        is_writable = os.access(file if file.exists() else file.parent, os.W_OK)
    except OSError:  # for example, the name is too long
        is_writable = False
    if not is_writable:
        raise typer.BadParameter(f"{file} cannot be written; choose another place")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of one `engine` run and the conditions needed to repeat it."""

    date: datetime
    command: str
    conditions: Conditions
    machine: Machine
    timings: list[Timing] = dataclasses.field(default_factory=list)
    pictures: list[Pictures] = dataclasses.field(default_factory=list)

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield a row of `COLUMNS` for each system and size."""
        stock = {timing.side_px: timing.step_s for timing in self.timings if timing.system == STOCK}
        for timing in self.timings:
            yield (
                timing.system,
                str(timing.side_px),
                "failed" if timing.error else _figure(timing.step_s, ".3f"),
                _figure(timing.first_step_s, ".2f"),
                _figure(timing.peak_mib, "d"),
                _figure(timing.streamed_bytes, ".2f", scale=1e-9),
                _figure(timing.link_share, ".0f", scale=100),
                _figure(timing.kernels, "d"),
                _figure(timing.idle_share, ".0f", scale=100),
                _figure(timing.floor_share, ".0f", scale=100),
                _times(stock.get(timing.side_px), timing.step_s),
            )

    def picture_rows(self) -> Iterator[tuple[str, ...]]:
        """Yield a row of `PICTURE_COLUMNS` for each system and size that drew whole pictures."""
        stock = {each.side_px: each.new_prompt_s for each in self.pictures if each.system == STOCK}
        for each in self.pictures:
            yield (
                each.system,
                str(each.side_px),
                "failed" if each.error else _figure(each.new_prompt_s, ".2f"),
                _figure(each.known_prompt_s, ".2f"),
                _figure(each.peak_mib, "d"),
                _figure(each.host_mib, "d"),
                _times(stock.get(each.side_px), each.new_prompt_s),
            )

    def tables(self) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
        """Yield columns and rows: of steps, then of whole pictures if any were drawn."""
        yield COLUMNS, list(self.rows())
        if pictures := list(self.picture_rows()):
            yield PICTURE_COLUMNS, pictures

    def notes(self) -> Iterator[str]:
        """Yield the lines below the table."""
        machine, conditions = self.machine, self.conditions
        versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
        yield f"{machine.gpu}, driver {machine.driver}, {machine.cpus} CPUs; {versions}"
        yield (
            f"link to the card: {machine.link_gb_s:.1f} GB/s from page-locked memory, "
            f"{machine.pageable_gb_s:.1f} GB/s from ordinary"
        )
        if conditions.emulation is not None:
            yield (
                f"emulated: {conditions.emulation.multiprocessors} multiprocessors for all; a link of about "
                f"{conditions.emulation.link_gb_s:.1f} GB/s for our own transformer only, all else has the whole one"
            )
        if self.pictures:
            yield f"images have {PICTURE_STEPS} steps; {STOCK} draws a few, the others are reckoned from them"
        for each in self.pictures:
            if each.error:
                yield f"images of {each.system} at {each.side_px}: {each.error}"
        for timing in self.timings:
            if timing.error:
                yield f"{timing.system} at {timing.side_px}: {timing.error}"
            elif timing.is_compiled is False and not conditions.is_eager:
                yield f"{timing.system} at {timing.side_px}: blocks are not compiled"
        yield f"{self.date:%Y-%m-%d %H:%M} UTC, {self.command}"

    def write(self, json_path: Path | None, markdown_path: Path | None) -> None:
        """Write the requested files, replacing earlier versions."""
        if json_path is not None:
            figures = dataclasses.asdict(self) | {
                "date": self.date.isoformat(timespec="seconds"),
                "timings": [
                    dataclasses.asdict(timing)
                    | {name: getattr(timing, name) for name in ("link_share", "idle_share", "floor_share")}
                    for timing in self.timings
                ],
            }
            json_path.write_text(json.dumps(figures, indent=1, ensure_ascii=False), "utf-8")
        if markdown_path is not None:
            tables = [_markdown(columns, rows) for columns, rows in self.tables()]
            notes = "\n".join(f"- {note}" for note in self.notes())
            markdown_path.write_text("\n\n".join([*tables, notes]) + "\n", "utf-8")


def _times(stock_s: float | None, own_s: float | None) -> str:
    """Return the speed-up over the stock system."""
    return _figure(None if stock_s is None or own_s is None else stock_s / own_s, ".1f")


def _figure(value: float | None, form: str, *, scale: float = 1) -> str:
    if value is None:
        return "–"
    return format(value if scale == 1 else value * scale, form)


def _markdown(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    heads = [name.replace("/\n", "/").replace("\n", " ") for name in columns]
    rules = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows))


def _timings(report: Report, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    from rich import box
    from rich.table import Table

    title = f"{report.machine.gpu}, {report.conditions.limit_mib} MiB"
    table = Table(title=title, box=box.SIMPLE_HEAD, collapse_padding=True)  # eleven columns in 80
    for name in columns:
        table.add_column(name, justify="left" if name == columns[0] else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _table(scores: list[Score]) -> Table:
    """Return a table with a column per setting and a row per measure, which fits a terminal."""
    from rich import box
    from rich.table import Table

    table = Table(title=f"{scores[0].pictures} images per setting", box=box.SIMPLE_HEAD)
    table.add_column("measure")
    for score in scores:
        setting = score.setting
        table.add_column(
            f"{setting.precision}\n{setting.size} size\n{setting.steps} steps\n"
            f"cfg {setting.cfg_scale:g} · {setting.guidance:g}",
            justify="right",
        )
    for name in MEASURES:
        if name in scores[0].shares:
            table.add_row(name, *(f"{100 * score.shares[name]:.0f} %" for score in scores))
    table.add_row("PSNR to float32", *("–" if score.psnr_db is None else f"{score.psnr_db:.1f} dB" for score in scores))
    table.add_row("seconds per image", *(f"{score.seconds:.2f}" for score in scores))
    return table
