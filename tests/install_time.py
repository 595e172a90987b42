"""How long an installation takes, and how large it is: from nothing to the first image, as README says it.

    uv run python -m tests.install_time WAY [--python PYTHON] [--install ARGUMENT …] [--links FOLDER]

WAY is clone, tool, pipx, pip or venv. Each runs with a home and caches of its own, which are empty at first and deleted
at the end. Downloads through the network as it is; writes 3 to 13 GB beside the system's temporary files meanwhile.
`--install` hands an argument to the installer (`--install=--torch-backend=cpu`), and `--links` a folder of wheels.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
DRAW: Final = ("draw", "a red apple", "--seed", "7")
WAYS: Final = ("clone", "tool", "pipx", "pip", "venv")
PASSED_ON: Final = ("PATH", "LANG", "SSL_CERT_FILE", "PIP_CERT", "PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX")
GB: Final = 1e9


class Newcomer:
    """Somebody with an empty home, who types one command after another; says what each took."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.bin = self.home / ".local" / "bin"
        known = {name: value for name in PASSED_ON if (value := os.environ.get(name))}
        path = f"{self.bin}:{known.get('PATH', os.defpath)}"
        # What this machine tells pip in files of its own is nothing that a newcomer has.
        self._environment = {**known, "HOME": str(self.home), "PATH": path, "PIP_CONFIG_FILE": os.devnull}

    def types(self, *command: str | Path, at: Path | None = None, also: Mapping[str, str] | None = None) -> None:
        """Run one command to its end.

        Raises:
            SystemExit: it failed; its output is printed.
        """
        began = time.perf_counter()
        done = subprocess.run(
            [str(part) for part in command],
            cwd=at or self.folder,
            env={**self._environment, **(also or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        line = " ".join(str(part) for part in command).replace(str(self.folder), "~")
        sys.stdout.write(f"{time.perf_counter() - began:7.1f} s  {line}\n")
        sys.stdout.flush()
        if done.returncode:
            raise SystemExit(done.stdout.decode(errors="replace")[-4000:])


def size_of(folder: Path) -> int:
    """Bytes on disk; a file with two names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            status = (Path(parent) / name).lstat()
            seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


def wheel_in(folder: Path) -> Path:
    """A wheel of this checkout."""
    subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(way: str, newcomer: Newcomer, python: str, arguments: Sequence[str]) -> tuple[list[str | Path], Path]:
    """Install by one way; returns the command that draws, and the folder of the environment that was made."""
    home, folder = newcomer.home, newcomer.folder
    if way == "clone":
        newcomer.types("git", "clone", "--quiet", ROOT, folder / "imagine-bot")
        newcomer.types("uv", "sync", "--no-dev", "--python", python, *arguments, at=folder / "imagine-bot")
        environment = folder / "imagine-bot" / ".venv"
    elif way == "tool":
        newcomer.types("uv", "tool", "install", "--python", python, *arguments, wheel_in(folder / "dist"))
        environment = home / ".local" / "share" / "uv" / "tools" / "imagine-bot"
    elif way == "pipx":
        newcomer.types(python, "-m", "venv", folder / "pipx")
        newcomer.types(folder / "pipx" / "bin" / "pip", "install", "--quiet", "pipx")
        newcomer.types(folder / "pipx" / "bin" / "pipx", "install", *arguments, wheel_in(folder / "dist"))
        environment = home / ".local" / "share" / "pipx" / "venvs" / "imagine-bot"
    else:
        newcomer.types("git", "clone", "--quiet", ROOT, folder / "imagine-bot")
        project = folder / "imagine-bot"
        environment = project / ".venv"
        if way == "pip":
            newcomer.types(python, "-m", "venv", environment)
            newcomer.types(environment / "bin" / "pip", "install", *arguments, ".", at=project)
        else:
            newcomer.types("uv", "venv", "--python", python, at=project)
            newcomer.types("uv", "pip", "install", *arguments, ".", at=project)
            return ["uv", "run", "--no-sync", "--project", project, "imagine-bot"], environment
    return [environment / "bin" / "imagine-bot"], environment


def main() -> None:
    """Install by the way that the arguments name, draw twice, and print seconds and gigabytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--python", default=sys.executable, help="the interpreter to install with")
    parser.add_argument("--install", action="append", default=[], help="an argument for the installer")
    parser.add_argument("--links", help="a folder of wheels that the installer looks into as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imagine-bot-install-") as name:
        newcomer = Newcomer(Path(name))
        if options.links:
            options.install += ["--find-links", options.links]
        sys.stdout.write(f"{options.way} with {options.python}, {platform.platform()}, {os.cpu_count()} cores\n")
        began = time.perf_counter()
        program, environment = install(options.way, newcomer, options.python, options.install)
        for each in ("first.png", "second.png"):
            newcomer.types(*program, *DRAW, "-o", newcomer.folder / each)
            if each == "first.png":
                total = time.perf_counter() - began
        newcomer.types(*program, "check", "--offline")
        cache = size_of(newcomer.home / ".cache")
        both = size_of(newcomer.folder)
        shutil.rmtree(newcomer.home / ".cache", ignore_errors=True)
        sys.stdout.write(
            f"to the first image {total:.0f} s; installed {size_of(environment) / GB:.2f} GB, "
            f"caches {cache / GB:.2f} GB, everything together {both / GB:.2f} GB\n"
        )


if __name__ == "__main__":
    main()
