"""The guard of processes refuses and counts every way out; the commands that need no network take none."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.network import attempts, guarded

ELSEWHERE = "http://192.0.2.7"  # of a range that nobody has
TRIES = f"""
import asyncio, socket, urllib.request
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def tries(what):
    try: what()
    except OSError: print("refused")
tries(lambda: urllib.request.urlopen({ELSEWHERE!r}, timeout=5))
tries(lambda: asyncio.run(asyncio.open_connection("example.org", 443)))
tries(lambda: datagrams.sendto(b"x", ("192.0.2.7", 53)))
tries(lambda: datagrams.sendmsg([b"x"], [], 0, ("192.0.2.7", 53)))
tries(lambda: socket.create_connection(("2001:db8::1", 80)))
"""
COMMANDS = """
import os
from tests.bot.cli.command_line import invoke
for words in (
    ["check", "--offline"], ["models"], ["draw", "a red apple", "-o", "apple.png"], ["draw", "x", "--model", "none"],
    ["invite", "--application-id", "1"], ["--help"], ["--version"],
):
    print(words[0], invoke(*words).exit_code, flush=True)
os._exit(0)
"""


async def run(code: str, folder: Path, **env: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env={**os.environ, **guarded(folder / "attempts.txt"), **env}, cwd=folder,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    return said.decode().splitlines()


async def test_guard_refuses_and_counts(tmp_path: Path) -> None:
    assert await run(TRIES, tmp_path, no_proxy="*") == ["refused"] * 5
    assert len(attempts(tmp_path / "attempts.txt")) == 5


def test_guard_that_was_not_there_is_no_proof(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="never loaded"):
        attempts(tmp_path / "attempts.txt")


async def test_commands_that_need_no_network_make_no_connection(tmp_path: Path) -> None:
    said = await run(
        COMMANDS, tmp_path, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path),
        IMAGINE_BOT__PIPELINE__MODEL="fake", IMAGINE_BOT__STORAGE__DATA_DIR=str(tmp_path / "data"), DISCORD_TOKEN="",
    )  # fmt: skip
    codes = dict.fromkeys(line.split()[0] for line in said)
    assert list(codes) == ["check", "models", "draw", "invite", "--help", "--version"], said
    assert (tmp_path / "apple.png").read_bytes().startswith(b"\x89PNG")
    assert attempts(tmp_path / "attempts.txt") == []
