"""What the commands share: output for people, errors as messages and exit codes, the end of the process.

Knows no command. Heavy modules are imported inside functions, so that `--help` answers at once.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Never

import typer

from bot.cli.help_format import Group
from bot.errors import ConfigError, ExitCode, OperatorError
from pipeline.errors import (
    AddedModelsUnwritable,
    DiskFull,
    EngineDead,
    FetchFailed,
    GenerationStopped,
    GpuUnusable,
    HubSilent,
    InvalidSpec,
    LoraMisfit,
    LoraUnusable,
    ModelFilesMissing,
    ModelUnusable,
    NothingAdded,
    OutOfMemory,
    PackedDirReadOnly,
    PipelineError,
    UnknownLora,
    UnknownModel,
)

if TYPE_CHECKING:
    from rich.progress import Progress as ProgressBars
    from rich.progress import ProgressColumn

PROGRAM: Final = "imagine-bot"
MIB: Final = 2**20
THREAD_GRACE_S: Final = 1.0  # to wait for a thread that still draws or loads; then the process ends without it
MEND_CONFIG: Final = "mend this; config.example.toml explains every key"
PUT_ASIDE: Final = "not deleted, but put aside, since it differed from the hub's"
# Errors of writing to a full, failing or read-only place, such as a redirected standard output.
UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EPIPE})
ConfigPath = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Config file; default: config.toml here, then in the user's config folder.",
        show_default=False,
    ),
]


class Commands(Group):
    """All commands; turns every expected error into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:  # click's own types, which typer carries under changing names
        """Run a command."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            fail(f"{error}" if error.way_out else f"{error}\n→ {MEND_CONFIG}", error.exit_code)
        except OperatorError as error:
            fail(_with_entry(str(error), error), error.exit_code)
        except (GenerationStopped, KeyboardInterrupt):
            say("stopped", style="dim")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except PipelineError as error:
            text, code = explained(error)
            fail(_with_entry(text, error), code)


def _with_entry(text: str, error: Exception) -> str:
    """Add where more is said about an error, if that is anywhere."""
    from bot.troubles import entry_of, place

    entry = entry_of(error)
    return text if entry is None else f"{text}\n→ more in {place(entry)}"


def run_to_exit(app: Callable[[], object]) -> Never:
    """Run a command line and end the process with its exit code, even if threads are still running."""
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


def operator_locale() -> str:
    """Return the locale of whoever reads this terminal, as `zh_CN`; "" if nothing says it."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):  # in POSIX's order; LC_ALL=C asks for English
        if value := os.environ.get(name):
            return value.partition(".")[0].partition("@")[0]
    if sys.platform == "win32":
        import ctypes
        import locale

        return locale.windows_locale.get(ctypes.windll.kernel32.GetUserDefaultUILanguage(), "")
    return ""


def _ready_streams() -> None:
    """Make standard streams accept any text, and replace those that were closed before the start."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:  # in this order each gets its own file descriptor back, which a database might get otherwise
            stream = Path(os.devnull).open("w" if number else "r", encoding="utf-8")  # noqa: SIM115 - until the end
            setattr(sys, name, stream)
        if number and isinstance(stream, io.TextIOWrapper):
            # On Windows a redirected log is not UTF-8 by default, and a prompt may contain anything.
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def _flushed(code: int) -> int:
    """Flush the standard streams. Returns the exit code: `code`, or FAILED if flushing failed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            if code != ExitCode.FAILED:
                _say_unwritable(error)
            code = code or ExitCode.FAILED
            with contextlib.suppress(OSError):  # because Python flushes once more at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def _say_unwritable(error: OSError) -> None:
    """Report that output was lost, unless the reader closed the pipe: it wanted no more."""
    with contextlib.suppress(OSError):
        if not isinstance(error, BrokenPipeError):
            say("✘", f"the output cannot be written: {error.strerror}", style="bold red")


def release() -> str:
    """Return the name and version of this program, as shown by `--version` and stored in pictures."""
    from importlib.metadata import version

    return f"{PROGRAM} {version(PROGRAM)}"


def fail(text: str, code: ExitCode) -> Never:
    """Print an error on standard error and exit with `code`."""
    from bot.logs import redacted

    say("✘", redacted("\n".join(map(printable, text.split("\n")))), style="bold red")
    raise typer.Exit(code)


def ask_the_hub_through(proxy: str | None) -> None:
    """Name a proxy to the hub's library, which reads these variables, in small letters first."""
    if proxy is not None:
        for variable in ("HTTPS_PROXY", "HTTP_PROXY"):
            os.environ.pop(variable.lower(), None)
            os.environ[variable] = proxy


def say(mark: str, text: str = "", *, style: str, on_stderr: bool = True) -> None:
    """Print a coloured mark and plain text. Square brackets are section names, not markup."""
    from rich.console import Console
    from rich.text import Text

    line = Text.assemble((mark, style), f" {text}" if text else "")
    Console(stderr=on_stderr).print(line, soft_wrap=True)


def printable(text: str) -> str:
    """Return a line without what a terminal would obey: names of files may hold any character."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def explained(error: PipelineError) -> tuple[str, ExitCode]:
    """Return the message for a pipeline error, with the way out, and the exit code.

    Errors may quote files: their names, those of tensors, and notes; none of it reaches the terminal as commands.
    """
    text, code = _explained(error)
    return "\n".join(map(printable, text.split("\n"))), code


def _explained(error: PipelineError) -> tuple[str, ExitCode]:
    match error:
        case InvalidSpec(field="prompt", reason="is empty"):
            return "the prompt is empty: write what to draw", ExitCode.USAGE
        case InvalidSpec():
            return f"{error.field.replace('_', ' ')} {error.reason}", ExitCode.USAGE
        case ModelUnusable():
            return f"{error.name} {printable(error.reason)}\n→ {error.way_out}", ExitCode.USAGE
        case UnknownModel():
            return f"unknown model {error.name!r}; there are {', '.join(error.known)}", ExitCode.USAGE
        case LoraUnusable():
            return f"the LoRA {error.name} {printable(error.reason)}\n→ {error.way_out}", ExitCode.USAGE
        case UnknownLora():
            return f"unknown LoRA {error.name!r}; there are {', '.join(error.known) or 'none'}", ExitCode.USAGE
        case ModelFilesMissing():
            lines = "\n".join(f"  {printable(f'{path} {reason}')}".rstrip() for path, reason in error.reasons.items())
            way_out = f"imagine-bot fetch {error.model}"
            return f"{error.model} cannot be drawn with as its files are:\n{lines}\n→ {way_out}", ExitCode.USAGE
        case LoraMisfit():
            return f"the LoRA {error.name} {printable(error.reason)}", ExitCode.USAGE
        case NothingAdded():
            lines = "\n".join(f"  {printable(reason)}" for reason in error.reasons)
            way_out = "docs/models.md says which files can be drawn with"
            return f"nothing was added:\n{lines}\n→ {way_out}", ExitCode.USAGE
        case AddedModelsUnwritable():
            way_out = "let this user write there, or set [pipeline] models_dir to another folder"
            return f"{error}\n→ {way_out}", ExitCode.FAILED
        case GpuUnusable():
            which = f"{error.gpu}: " if error.gpu else ""
            text = f"{error.model} needs a GPU that PyTorch can use; {which}{error.obstacle}"
            return f'{text}\n→ {error.way_out}, or draw with [pipeline] model = "demo"', ExitCode.USAGE
        case PackedDirReadOnly():
            return f"{error.model}: {error.reason}\n→ {error.way_out}", ExitCode.USAGE
        case HubSilent():
            lines = "\n".join(f"  {repo}: {reason}" for repo, reason in error.reasons.items())
            way_out = "check the connection, or name another hub in [pipeline] endpoint; then run the command again"
            text = f"{error.model}: the hub cannot be reached, or does not say which files there are:\n{lines}"
            return f"{text}\n→ {way_out}", ExitCode.FAILED
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
            return f"the image could not be drawn: {printable(str(error))}", ExitCode.FAILED


def progress_bars(*columns: ProgressColumn) -> ProgressBars:
    """Return bars on standard error that vanish when done, and that show nothing if it is no terminal."""
    from rich.console import Console
    from rich.progress import Progress as ProgressBars

    console = Console(stderr=True)
    return ProgressBars(*columns, console=console, transient=True, disable=not console.is_terminal)
