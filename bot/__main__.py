"""The command line: run, draw, check, fetch, invite, bench.

Reads arguments and config, starts the logs, calls the part that does the work, and turns every expected error
into one clear line and an exit code. What the parts do is theirs. Everything heavy is imported inside the
commands, so that `--help` answers at once.
"""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import logging
import os
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Never

import typer
from typer.core import TyperGroup

from bot.cli import bench
from bot.cli.help_format import Command
from bot.errors import ConfigError, ExitCode, OperatorError
from pipeline.errors import (
    DiskFull,
    EngineDead,
    FetchFailed,
    GenerationStopped,
    GpuUnusable,
    HubSilent,
    InvalidSpec,
    ModelFilesMissing,
    OutOfMemory,
    PackedDirReadOnly,
    PipelineError,
    UnknownModel,
)
from pipeline.spec import DEFAULT_STRENGTH, MAX_SEED, MAX_STEPS, Aspect, ImageOptions

if TYPE_CHECKING:
    from rich.progress import Progress as ProgressBars
    from rich.progress import ProgressColumn

    from pipeline import GeneratedImage, ImageSpec, Progress
    from pipeline.catalog.model_card import ModelCard
    from pipeline.config import PipelineConfig

PROGRAM: Final = "imagine-bot"
MIB: Final = 2**20
THREAD_GRACE_S: Final = 1.0  # after which a thread that still draws or loads is left to the system
NAME_CHARS: Final = 48  # of the prompt in a file name; 4 bytes each still fit into the 255 that file systems allow
FOREIGN_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})

PUT_ASIDE: Final = "not deleted, but put aside, since it differed from the hub's"

SHAPES: Final = ", ".join(Aspect)

NO_TOKEN: Final = """\
There is no Discord token yet, so this is the local page alone. To put the bot on Discord as well:

  1. https://discord.com/developers/applications: New Application, then Bot, then Reset Token; copy the token.
  2. Set it as DISCORD_TOKEN in the environment, or write it into a file and name that file in config.toml:
         [discord]
         token_file = "token.txt"
  3. imagine-bot invite   prints the link that puts the bot on your server.
     imagine-bot check    says whether everything is in place.
     imagine-bot run      starts it, and with [console] enabled = true the page too."""

# What a write to a full, failing or read-only place brings: standard output may be one.
UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EPIPE})

log = logging.getLogger("bot.__main__")  # __name__ is "__main__" under `python -m bot`


class Commands(TyperGroup):
    """All commands; every expected error leaves here as a clear message and an exit code."""

    def invoke(self, ctx: Any) -> Any:  # click's own types, which typer carries under changing names
        """Run a command."""
        try:
            return super().invoke(ctx)
        except OperatorError as error:
            fail(str(error), error.exit_code)
        except (GenerationStopped, KeyboardInterrupt):
            say("stopped", style="dim")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except PipelineError as error:
            fail(*explained(error))


app = typer.Typer(
    name=PROGRAM,
    cls=Commands,
    help="A Discord bot that draws FLUX pictures on your own graphics card.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(bench.app, name="bench")

ConfigPath = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Config file; default: config.toml here, then in the user's config folder.",
        show_default=False,
    ),
]


def main() -> None:
    """Entry of the `imagine-bot` script."""
    _ready_streams()
    code: int = ExitCode.OK
    try:
        app()
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except KeyboardInterrupt:  # outside of a command
        code = ExitCode.INTERRUPTED
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        _say_unwritable(error)
        code = ExitCode.FAILED
    code = _flushed(code)
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(THREAD_GRACE_S)
            if thread.is_alive():  # drawing or loading: it cannot be stopped from outside, and Python would wait
                os._exit(code)
    sys.exit(code)


def _ready_streams() -> None:
    """Have standard streams that take any text, even if whoever started the program closed them."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:  # in this order each gets its own number back, which no database then has by accident
            stream = Path(os.devnull).open("w" if number else "r", encoding="utf-8")  # noqa: SIM115 - until the end
            setattr(sys, name, stream)
        if number and isinstance(stream, io.TextIOWrapper):
            # A service's log file on Windows is not UTF-8, and a prompt may hold anything.
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def _flushed(code: int) -> int:
    """Write what is left for the standard streams; the exit code, which is another if that cannot be done."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            if code != ExitCode.FAILED:
                _say_unwritable(error)
            code = code or ExitCode.FAILED
            with contextlib.suppress(OSError):  # Python flushes once more when it ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def _say_unwritable(error: OSError) -> None:
    """Say that output went nowhere, if anybody can still read it; a reader that went away wanted no more."""
    with contextlib.suppress(OSError):
        if not isinstance(error, BrokenPipeError):
            say("✘", f"the output cannot be written: {error.strerror}", style="bold red")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(release())
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(cls=Command)
def run(config_path: ConfigPath = None) -> None:
    """Run the bot, the local page, or both, until stopped (Ctrl-C or SIGTERM)."""
    from bot import logs
    from bot.config import load_config, load_password, load_token, near_misses

    config, path = load_config(config_path)
    token, password = load_token(config.discord), load_password(config.console)
    for secret in (token, password):
        if secret is not None:
            logs.redact(secret)
    if token is None:
        say("•", NO_TOKEN, style="yellow")
        port = config.console.port
        place = f"will be at {config.console.url(port)}" if port else "says its address"
        say("•", f"The page {place} in about ten seconds.", style="yellow")  # Gradio takes that long to import
    import asyncio

    from bot import app as service

    logs.setup(config.log)
    for line in near_misses(os.environ):
        log.warning(line)
    log.info("starting", extra={"release": release(), "config": str(path or "defaults")})
    try:
        with logs.captured_prints():
            code = asyncio.run(service.run(config, token, password=password, release=release()))
    except (OperatorError, PipelineError):
        raise
    except Exception:
        log.exception("stopped by an error that nobody expected")
        code = ExitCode.FAILED
    raise typer.Exit(code)


@app.command(cls=Command, context_settings={"allow_extra_args": True})
def draw(
    context: typer.Context,
    prompt: Annotated[
        str, typer.Argument(help="What to draw: in English; the demo reads Chinese, too.", metavar="PROMPT")
    ],
    seed: Annotated[int | None, typer.Option(help=f"0 to {MAX_SEED}; -1 or nothing: random.")] = None,
    steps: Annotated[int | None, typer.Option(help=f"1 to {MAX_STEPS}; default: what suits the model.")] = None,
    aspect: Annotated[str | None, typer.Option(help=f"Shape: {SHAPES}; default: square, or the --image's.")] = None,
    model: Annotated[str | None, typer.Option(help="Model to draw with; default: the config's.")] = None,
    image: Annotated[
        Path | None, typer.Option(help="Picture to start from: PNG, JPEG or WebP; brought to the shape.")
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(help=f"How much of it is drawn anew: over 0, up to 1; default: {DEFAULT_STRENGTH}."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="PNG file to write; default: named after prompt and seed, here."),
    ] = None,
    is_forced: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
    config_path: ConfigPath = None,
) -> None:
    """Draw one picture, without Discord, and save it as a PNG."""
    if context.args:
        whole = " ".join([prompt, *context.args])
        fail(f'the prompt is one argument: put it in quotes, {PROGRAM} draw "{whole}"', ExitCode.USAGE)
    import asyncio
    import secrets

    from bot import logs
    from bot.config import LogConfig, load_config
    from bot.text_files import read_text
    from pipeline.catalog import files
    from pipeline.catalog.models import choose_model, demand_means, find_model
    from pipeline.images.init_image import resolve_with_source
    from pipeline.images.png_metadata import encode_png

    try:
        prompt = read_text(prompt)
    except UnicodeError:
        fail("the prompt is not UTF-8 text", ExitCode.USAGE)
    config, _ = load_config(config_path)
    logs.setup(LogConfig(level="warning", format=config.log.format), stream=sys.stderr)
    card = find_model(model) if model else choose_model(config.pipeline)[0]
    options = ImageOptions.read(
        prompt=prompt, seed=seed, steps=steps, aspect=aspect, model=card.name, strength=strength
    )
    random_seed, source = secrets.randbelow(MAX_SEED + 1), None
    if image is None:
        spec = card.resolve(options, random_seed=random_seed)
    else:
        spec, fitted = resolve_with_source(card, options, read_upload(image), random_seed=random_seed)
        source = fitted.tobytes()
    path = png_path(output, spec.prompt, spec.seed)
    if flaws := files.missing(card, config.pipeline.models_dir):
        raise ModelFilesMissing(card.name, [flaw.path for flaw in flaws])  # at once, not after importing torch
    demand_means(card, config.pipeline)
    _say_unread(spec, config.pipeline)
    drawn = asyncio.run(_draw(config.pipeline, spec, source))
    written = write_new(path, encode_png(drawn, release()), is_forced=is_forced)
    _show_picture(drawn, written, source=image)
    if output is not None and not output.is_dir() and path != output:
        say("•", f"pictures are PNG files: {output} became {path}", style="yellow")
    if written != path:
        say("•", f"{path} is there already: the picture went to {written} (--force overwrites)", style="yellow")


@app.command(cls=Command)
def check(
    config_path: ConfigPath = None,
    is_offline: Annotated[bool, typer.Option("--offline", help="Do not ask Discord.")] = False,
) -> None:
    """Look whether everything is in place: config, token, database, disk, card, model, Discord."""
    import asyncio

    problems = asyncio.run(_check(config_path, is_offline=is_offline))
    if problems:
        say(f"\n{problems} to mend", style="bold red", on_stderr=False)
        raise typer.Exit(ExitCode.FAILED)
    say("\nall in place", style="bold green", on_stderr=False)


@app.command(cls=Command)
def fetch(
    model: Annotated[
        str | None, typer.Argument(help="majicflus-v1 or flux1-dev; default: the config's.", metavar="MODEL")
    ] = None,
    prepare: Annotated[
        bool | None,
        typer.Option(
            "--prepare/--no-prepare",
            help="Pack the weights for this graphics card now, or when they are first used. Default: ask.",
            show_default=False,
        ),
    ] = None,
    config_path: ConfigPath = None,
) -> None:
    """Download the files of a model and compare them with the hub; goes on where an earlier download stopped."""
    from bot import logs
    from bot.cli.fetch_progress import fetch_and_show
    from bot.config import LogConfig, load_config
    from pipeline.catalog import download as hub
    from pipeline.catalog import files
    from pipeline.catalog.models import AUTO, MAJICFLUS_V1, find_model
    from pipeline.device.gpu import look_at_gpu

    config, _ = load_config(config_path)
    logs.setup(LogConfig(level="error", format=config.log.format), stream=sys.stderr)
    name = model or config.pipeline.model
    card = MAJICFLUS_V1 if name == AUTO else find_model(name)
    if config.discord.proxy is not None:
        for variable in ("HTTPS_PROXY", "HTTP_PROXY"):  # which the hub's library reads, in small letters first
            os.environ.pop(variable.lower(), None)
            os.environ[variable] = config.discord.proxy
    say(card.title, f"→ {config.pipeline.models_dir}", style="bold", on_stderr=False)
    typer.echo(f"Licence: {card.licence}\n         {card.licence_url}")
    try:
        replaced = fetch_and_show(
            config.pipeline, card, fetch=hub.fetch, say=lambda text: say("•", text, style="dim", on_stderr=False)
        )
    except HubSilent as error:
        if files.missing(card, config.pipeline.models_dir):
            raise
        reasons = "".join(f"\n  {repo}: {reason}" for repo, reason in error.reasons.items())
        say("•", f"the files look whole, but were not compared with the hub:{reasons}", style="yellow", on_stderr=False)
    else:
        for path in replaced:
            say("•", f"{PUT_ASIDE}: {path}", style="yellow", on_stderr=False)
        say("✔", "all files are there and whole", style="green", on_stderr=False)
    if card.packed_gb and config.pipeline.device != "cpu" and look_at_gpu().is_usable:
        logs.setup(LogConfig(level="info", format=config.log.format), stream=sys.stderr)
        _prepare(config.pipeline, card, is_wanted=prepare)


def _prepare(config: PipelineConfig, card: ModelCard, *, is_wanted: bool | None) -> None:
    """Load a model once, which packs its weights and compiles its code for this graphics card."""
    from pipeline.catalog.models import create_engine

    cost = f"{card.packed_gb} GB of disk, some minutes"
    if is_wanted is None:
        is_wanted = can_ask() and typer.confirm(f"Pack the weights for this card now ({cost})?", default=True)
    if not is_wanted:
        say("•", f"its weights are packed when it is first used: {cost}", style="yellow", on_stderr=False)
        return
    engine = create_engine(card.name, config)
    engine.load()
    engine.close()
    say("✔", "ready to draw", style="green", on_stderr=False)


def can_ask() -> bool:
    """Whether somebody sits at the terminal."""
    return sys.stdin.isatty()


@app.command(cls=Command)
def invite(
    application_id: Annotated[
        int | None,
        typer.Option(min=1, help="Application id from the developer page; default: read from the token."),
    ] = None,
    config_path: ConfigPath = None,
) -> None:
    """Print the link with which an administrator puts the bot on a server."""
    from bot.config import load_config, load_token
    from bot.frontends.discord_app import preflight

    if application_id is None:
        config, _ = load_config(config_path)
        what = "there is no token"
        try:
            if (token := load_token(config.discord)) is not None:
                application_id, what = preflight.application_id(token), "the token does not hold one"
        except ConfigError as error:
            what = "; ".join(error.problems)
        if application_id is None:
            fail(
                f"The application id is needed and {what}. Copy it from the General Information page of your "
                "application and run\n  imagine-bot invite --application-id 123456789012345678",
                ExitCode.USAGE,
            )
    typer.echo(preflight.invite_url(application_id))


def release() -> str:
    """Name and version of this program, as pictures and `--version` carry it."""
    from importlib.metadata import version

    return f"{PROGRAM} {version(PROGRAM)}"


def fail(text: str, code: ExitCode) -> Never:
    """Say what is wrong on standard error and leave with `code`."""
    from bot.logs import redacted

    say("✘", redacted(text), style="bold red")
    raise typer.Exit(code)


def say(mark: str, text: str = "", *, style: str, on_stderr: bool = True) -> None:
    """Print a coloured mark and plain text; square brackets in it are section names, not markup."""
    from rich.console import Console
    from rich.text import Text

    line = Text.assemble((mark, style), f" {text}" if text else "")
    Console(stderr=on_stderr).print(line, soft_wrap=True)


def explained(error: PipelineError) -> tuple[str, ExitCode]:
    """What went wrong in the machine room, with the way out, and the exit code for it."""
    match error:
        case InvalidSpec(field="prompt", reason="is empty"):
            return "the prompt is empty: write what to draw", ExitCode.USAGE
        case InvalidSpec():
            return f"{error.field} {error.reason}", ExitCode.USAGE
        case UnknownModel():
            return f"unknown model {error.name!r}; there are {', '.join(error.known)}", ExitCode.USAGE
        case ModelFilesMissing():
            lines = "\n".join(f"  {path}" for path in error.paths)
            way_out = f"imagine-bot fetch {error.model}"
            return f"{error.model} lacks these files, or they are not whole:\n{lines}\n→ {way_out}", ExitCode.USAGE
        case GpuUnusable():
            which = f"{error.gpu}: " if error.gpu else ""
            text = f"{error.model} needs a graphics card that PyTorch can use; {which}{error.obstacle}"
            return f'{text}\n→ {error.way_out}, or draw with [pipeline] model = "demo"', ExitCode.USAGE
        case PackedDirReadOnly():
            return f"{error.model}: {error.reason}\n→ {error.way_out}", ExitCode.USAGE
        case HubSilent():
            lines = "\n".join(f"  {repo}: {reason}" for repo, reason in error.reasons.items())
            way_out = "check the connection, or name another hub in [pipeline] endpoint; then run the command again"
            return f"{error.model}: the hub does not say which files there are:\n{lines}\n→ {way_out}", ExitCode.FAILED
        case FetchFailed():
            lines = "\n".join(f"  {path}: {reason}" for path, reason in error.reasons.items())
            lines += "".join(f"\n  {PUT_ASIDE}: {path}" for path in error.aside)
            way_out = "mend that, then run the command again: it goes on where this one stopped"
            return f"{error.model}: these files are still missing:\n{lines}\n→ {way_out}", ExitCode.FAILED
        case DiskFull():
            need, free = error.needed_bytes / MIB, error.free_bytes / MIB
            way_out = "free some space, or set [pipeline] models_dir to a folder on another disk"
            text = f"{error.folder} needs {need:.0f} MiB more and has {free:.0f} MiB free"
            return f"{text}\n→ {way_out}", ExitCode.FAILED
        case OutOfMemory():
            way_out = "close what else uses the memory, try another --aspect, or lower [pipeline] vram_limit_mib"
            return f"{error}\n→ {way_out}", ExitCode.FAILED
        case EngineDead():
            return f"the GPU gave up: {error}", ExitCode.ENGINE_DEAD
        case _:
            return f"the picture could not be drawn: {error}", ExitCode.FAILED


def png_path(output: Path | None, prompt: str, seed: int) -> Path:
    """Where the picture goes: `output`, or a name made of prompt and seed in it or here. Checked before drawing."""
    try:
        path = _png_path(output, prompt, seed)
        path.exists()
    except OSError as error:  # of a name that is too long, say
        fail(f"{output} cannot be written: {error.strerror}; choose another with -o", ExitCode.USAGE)
    return path


def _png_path(output: Path | None, prompt: str, seed: int) -> Path:
    words = "-".join(re.findall(r"\w+", prompt.lower()))[:NAME_CHARS].rstrip("-_") or "picture"
    default = f"{words}-{seed}.png"
    try:
        os.fsencode(default)
    except UnicodeEncodeError:  # the locale has no such characters, but the file system takes their bytes
        default = os.fsdecode(default.encode())
    if output is None:
        path = Path(default)
    elif output.is_dir():
        path = output / default
    elif output.suffix.lower() in FOREIGN_SUFFIXES:
        fail(f"{output}: pictures are written as PNG; end the name in .png", ExitCode.USAGE)
    else:
        path = output if output.suffix.lower() == ".png" else output.with_name(f"{output.name}.png")
    if not path.parent.is_dir():
        fail(f"{path}: there is no folder {path.parent}; create it first", ExitCode.USAGE)
    if not os.access(path.parent, os.W_OK):
        fail(f"{path}: the folder {path.parent} cannot be written; choose another with -o", ExitCode.USAGE)
    return path


def read_upload(path: Path) -> bytes:
    """The picture file to start from, or one byte more of it than it may have."""
    from bot.text_files import read_file
    from pipeline.images.init_image import MAX_SOURCE_BYTES

    try:
        return read_file(path, most_bytes=MAX_SOURCE_BYTES)
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}", ExitCode.USAGE)


def write_new(path: Path, content: bytes, *, is_forced: bool) -> Path:
    """Write a file and return its path; beside an older one of that name (`-2`, `-3` …) unless forced."""
    places = itertools.chain([path], (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in itertools.count(2)))
    for place in places:
        try:
            with place.open("wb" if is_forced else "xb") as file:
                file.write(content)
        except FileExistsError:
            continue
        except OSError as error:
            fail(f"{place} cannot be written: {error.strerror}; choose another with -o", ExitCode.FAILED)
        return place
    raise AssertionError("there is always a next number")


def _say_unread(spec: ImageSpec, config: PipelineConfig) -> None:
    """Say what the model cannot read of the prompt, in every language, since it is in another one than expected."""
    from bot.presentation.wording import LANGUAGES, wording_for
    from pipeline.catalog.models import unread_of

    unread = unread_of(config.models_dir, spec)
    for language in LANGUAGES:
        if text := wording_for(language).unread(unread):
            say("•", text.removeprefix("⚠️ "), style="yellow")


async def _draw(config: PipelineConfig, spec: ImageSpec, source: bytes | None) -> GeneratedImage:
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

    from bot.executors import create_executor
    from bot.jobs import StopSignal
    from pipeline import Stage

    executor = create_executor(config, stop_grace_s=THREAD_GRACE_S)
    with _progress_bars(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()) as bars:
        bar = bars.add_task(f"loading {spec.model}", total=None)

        def show(progress: Progress) -> None:
            match progress.stage:
                case Stage.LOADING:
                    bars.update(bar, description=f"loading {spec.model}", total=None)
                case Stage.ENCODING:
                    bars.update(bar, description="reading the prompt", total=None)
                case Stage.DENOISING:
                    text = f"step {progress.step}/{progress.steps}"
                    bars.update(bar, description=text, total=progress.steps, completed=progress.step)
                case Stage.DECODING:
                    bars.update(bar, description="decoding", total=progress.steps, completed=progress.steps)

        try:
            await executor.start(spec.model)
            return await executor.run(spec, on_progress=show, stop=StopSignal(), source=source)
        finally:
            await executor.close(THREAD_GRACE_S)


def _show_picture(image: GeneratedImage, path: Path, *, source: Path | None) -> None:
    if image.peak_mib is not None:
        peak = f"{image.peak_mib} MiB of GPU memory"
    elif (resident_mib := peak_resident_mib()) is not None:
        peak = f"{resident_mib} MiB of memory"
    else:
        peak = "unknown"
    parts = f"encoding {image.encode_s:.1f}, steps {image.denoise_s:.1f}, decoding {image.decode_s:.1f}"
    for name, value in {
        "file": str(path),
        "seed": str(image.spec.seed),
        "size": f"{image.width} × {image.height}",
        "steps": str(image.spec.steps),
        **({"image": str(source)} if source is not None else {}),
        **({"strength": f"{image.spec.strength:g}"} if image.spec.source else {}),
        "model": image.spec.model,
        "seconds": f"{image.seconds:.1f} ({parts})",
        "peak": peak,
    }.items():
        typer.echo(f"{name:<8} {value}")


def peak_resident_mib() -> int | None:
    """The most memory this process has had, where the system tells (not on Windows)."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // MIB if sys.platform == "darwin" else peak // 1024  # bytes there, KiB elsewhere


async def _check(config_path: Path | None, *, is_offline: bool) -> int:
    from bot.cli import check as page
    from bot.logs import redacted

    styles = {page.Mark.OK: "green", page.Mark.NOTE: "yellow", page.Mark.PROBLEM: "bold red"}
    problems = 0
    async for finding in page.examine(config_path, is_offline=is_offline):
        text = f"{finding.topic:<11}{finding.text}" + (f"\n{' ' * 13}→ {finding.way_out}" if finding.way_out else "")
        say(finding.mark.value, redacted(text), style=styles[finding.mark], on_stderr=False)
        problems += finding.mark is page.Mark.PROBLEM
    return problems


def _progress_bars(*columns: ProgressColumn) -> ProgressBars:
    """Bars on standard error that vanish when done; nothing at all where nobody can see them."""
    from rich.console import Console
    from rich.progress import Progress as ProgressBars

    console = Console(stderr=True)
    return ProgressBars(*columns, console=console, transient=True, disable=not console.is_terminal)


if __name__ == "__main__":
    main()
