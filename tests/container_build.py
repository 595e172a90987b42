"""Builds the Dockerfile's image without a container engine, in a clean root, and runs what it would run.

    sudo uv run python -m tests.container_build BASE [--variant nvidia] [--keep FOLDER]

BASE is a folder with the root of a system that has Python in /usr/local, as python:3.13-slim-bookworm has it:

    debootstrap --variant=minbase --include=ca-certificates,libssl3,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5 \
        bookworm BASE && cp -a PREFIX/. BASE/usr/local/ && chroot BASE ldconfig
    sed -i '1s|.*|#!/usr/local/bin/python3|' BASE/usr/local/bin/pip*

Every step of every stage is run by its words, with `chroot` in namespaces of its own. Then the finished root becomes
read-only, and its user draws an image, starts the page, asks the health check, and stops it. Takes root, the network
and 2 to 14 GB. Layers, capabilities, the engine's own network and GPUs are not imitated.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.dockerfile import ROOT, Stage, read_stages
from tests.install_time import size_of

OF_THE_NETWORK: Final = ("SSL_CERT_FILE", "PIP_CERT", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
FILES_OF_THE_NETWORK: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt")
PORT: Final = 6006
STARTED_S: Final = 180.0
GB: Final = 1e9


def in_root(root: Path, command: str, environment: Mapping[str, str], *, folder: str, user: str = "0:0",
            shut: bool = False) -> subprocess.Popen[str]:  # fmt: skip
    """Start a shell command in a root; `shut` makes all but /data, /models, /tmp and the home unwritable."""
    shown = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    inner = f"cd {shlex.quote(folder)} && {command}"
    lines = [
        "set -e",
        f"cd {shlex.quote(str(root))}",
        "mount --bind . .",
        f"cd {shlex.quote(str(root))}",
        "mount -t proc proc proc",
        "mount --rbind /dev dev",
    ]
    if shut:
        lines += [f"mount --bind {each} {each}" for each in ("data", "models")]
        lines += [f"mount -t tmpfs tmpfs {each}" for each in ("tmp", "home/imagine-bot")]
        lines += ["mount -o remount,bind,ro ."]
    lines += [f"exec chroot --userspec={user} . /usr/bin/env -i {shown} sh -ec {shlex.quote(inner)}"]
    return subprocess.Popen(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "\n".join(lines)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """The output of a command.

    Raises:
        SystemExit: it failed.
    """
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"failed with {process.returncode}:\n{output[-4000:]}")
    return output


class Builder:
    """Makes the roots of the stages, one after another."""

    def __init__(self, base: Path, work: Path, variant: str) -> None:
        self.base = base
        self.work = work
        self.arguments = {"VARIANT": variant}
        self.roots: dict[str, Path] = {}
        self.environment: dict[str, str] = {}
        self.folder = "/"
        self.user = "0:0"

    def build(self, stage: Stage, number: int) -> Path:
        """Run the steps of one stage."""
        root = self.work / f"stage-{number}"
        subprocess.run(["cp", "-a", self.base, root], check=True)
        for file in FILES_OF_THE_NETWORK:
            if Path(file).exists():
                (root / file[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, root / file[1:])
        self.roots[stage.name or str(number)] = root
        self.environment = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"}
        self.folder, self.user = "/", "0:0"
        for step in stage.steps:
            began = time.perf_counter()
            self.take(step.name, step.value, step.words(self.environment) if step.name != "RUN" else [], root)
            sys.stdout.write(
                f"{time.perf_counter() - began:7.1f} s  {step.name} {' '.join(step.value.split())[:100]}\n"
            )
            sys.stdout.flush()
        return root

    def take(self, name: str, value: str, words: list[str], root: Path) -> None:
        """Do what one step says."""
        if name == "ENV":
            self.environment |= dict(word.split("=", 1) for word in words)
        elif name == "ARG":
            key, _, default = words[0].partition("=")
            self.arguments.setdefault(key, default)
        elif name == "WORKDIR":
            self.folder = value
            (root / value[1:]).mkdir(parents=True, exist_ok=True)
        elif name == "USER":
            self.user = value
        elif name == "COPY":
            self.copy(words, root)
        elif name == "RUN":
            network = {key: os.environ[key] for key in OF_THE_NETWORK if os.environ.get(key)}
            everything = {**network, **self.arguments, **self.environment}
            finish(in_root(root, value, everything, folder=self.folder, user=self.user))

    def copy(self, words: list[str], root: Path) -> None:
        """COPY of files and folders, from the project or another stage."""
        source = ROOT
        if words[0].startswith("--from="):
            source = self.roots[words.pop(0).removeprefix("--from=")]
        *names, target = words
        into = root / (target if target.startswith("/") else f"{self.folder}/{target}").lstrip("/")
        for name in names:
            origin = source / name.lstrip("/")
            place = into / origin.name if target.endswith("/") else into
            place.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", "--no-target-directory", origin, place], check=True)


def use(root: Path, builder: Builder, image: Stage) -> None:
    """Draw, start the page, ask the health check, and stop, as the image's user."""
    environment = {**builder.environment, "IMAGINE_BOT__CONSOLE__PASSWORD": "a password"}

    def start(command: str) -> subprocess.Popen[str]:
        return in_root(root, command, environment, folder=builder.folder, user=builder.user, shut=True)

    began = time.perf_counter()
    finish(start("imagine-bot draw 'a red apple' --seed 7 -o /data/apple.png"))
    sys.stdout.write(f"{time.perf_counter() - began:7.1f} s  to an image\n")
    health = image.all("HEALTHCHECK")[0].value.partition("CMD ")[2]
    asked = shlex.join(word.strip(' "') for word in health.strip("[]").split(","))
    began = time.perf_counter()
    # In one process space, as the engine would do it: the health check is asked beside the program.
    script = f"""
        imagine-bot run > /data/log 2>&1 & bot=$!
        until {asked}; do kill -0 $bot || {{ cat /data/log; exit 1; }}; sleep 1; done
        python -c "import urllib.request, urllib.error
try:
    urllib.request.urlopen('http://127.0.0.1:{PORT}/')
except urllib.error.HTTPError as error:
    print('the page answers', error.code)
else:
    print('the page answers')"
        kill -TERM $bot; wait $bot; echo "stopped with $?"
        {asked} || echo "and is not alive any more"
    """
    process = start(script)
    try:
        output, _ = process.communicate(timeout=STARTED_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise SystemExit(f"it did not become alive within {STARTED_S:.0f} s") from None
    sys.stdout.write(f"{time.perf_counter() - began:7.1f} s  from the start to the stop:\n{output}")
    if "stopped with 0" not in output or "not alive any more" not in output:
        raise SystemExit(1)


def main() -> None:
    """Build, use, and say how large the image is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("--variant", default="cpu", help="the build argument VARIANT")
    parser.add_argument("--keep", type=Path, help="a folder to build in, which is kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imagine-bot-container-") as name:
        builder = Builder(options.base, options.keep or Path(name), options.variant)
        stages = read_stages()
        root = Path()
        for number, stage in enumerate(stages):
            root = builder.build(stage, number)
        sys.stdout.write(f"{(size_of(root) - size_of(options.base)) / GB:.2f} GB beyond the base\n")
        use(root, builder, stages[-1])


if __name__ == "__main__":
    main()
