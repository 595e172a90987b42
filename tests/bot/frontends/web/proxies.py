"""The examples of the manual as real proxies: nginx and Caddy before the page, with nothing but places replaced."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.discord_server import BotProcess, Discord
from tests.network import ROOT

MANUAL = ROOT / "docs" / "page.md"
CERTIFICATE, KEY = "/etc/ssl/pictures.example.pem", "/etc/ssl/pictures.example.key"
PAGE = "127.0.0.1:6006"
NOTHING: Mapping[str, str] = {}
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def example(language: str) -> str:
    """The one block of the manual that is marked as such."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", MANUAL.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return cast("str", found)


def replaced(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"the manual no longer says {old!r}"
        text = text.replace(old, new)
    return text


def installed(program: str, package: str) -> str:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed (Debian, Ubuntu: apt-get install {package})")
    return path


def _version(path: str) -> str:
    return subprocess.run([path, "-V"], capture_output=True, text=True, check=True).stderr


@asynccontextmanager
async def _running(command: list[str], folder: Path, ready: str) -> AsyncIterator[BotProcess]:
    no_discord = cast("Discord", SimpleNamespace(gateway=SimpleNamespace(sessions=[])))
    homes = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    async with BotProcess(no_discord, command, env=homes, cwd=folder) as process:
        await process.wait_log(ready, timeout=20)
        yield process


@asynccontextmanager
async def nginx(
    folder: Path, page: str, port: int, certificates: Path, changes: Mapping[str, str] = NOTHING
) -> AsyncIterator[BotProcess]:
    """nginx as in the manual, before the page at the address `page`; `changes` are made before its places are."""
    path = installed("nginx", "nginx")
    version = _version(path)
    server = replaced(
        replaced(example("nginx"), changes),
        {
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            CERTIFICATE: str(certificates / "certificate.pem"),
            KEY: str(certificates / "key.pem"),
            PAGE: page,
        },
    )
    lines = [
        *(["user root;"] if os.geteuid() == 0 else []),
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr notice;",
        "events { worker_connections 512; }",
        "http {",
        "access_log off;",
        *(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY if f"--without-http_{name}_module" not in version),
        server,
        "}",
    ]
    (folder / "nginx.conf").write_text("\n".join(lines))
    command = [path, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    async with _running(command, folder, "start worker process ") as process:
        yield process


@asynccontextmanager
async def caddy(
    folder: Path, page: str, port: int, certificates: Path, changes: Mapping[str, str] = NOTHING
) -> AsyncIterator[BotProcess]:
    """Caddy as in the manual, before the page at the address `page`."""
    path = installed("caddy", "caddy")
    site = replaced(
        replaced(example("caddy"), changes),
        {
            "pictures.example {": f"https://localhost:{port} {{\n    bind 127.0.0.1",
            CERTIFICATE: str(certificates / "certificate.pem"),
            KEY: str(certificates / "key.pem"),
            PAGE: page,
        },
    )
    options = "{\n    admin off\n    auto_https disable_redirects\n    servers {\n        protocols h1 h2\n    }\n}\n"
    (folder / "Caddyfile").write_text(options + site)
    command = [path, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    async with _running(command, folder, "serving initial configuration") as process:
        yield process
