"""The page in a network of its own, in which a public address is a web server of the test: that is never asked."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.network import ROOT

ADDRESS = "11.22.33.44"  # public to everybody who looks, and nowhere but in there
NETWORK = f"ip link set lo up && ip address add {ADDRESS}/32 dev lo && exec"


async def run(*command: str, env: dict[str, str] | None = None) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complained = await process.communicate()
    return process.returncode, said.decode(), complained.decode()


async def test_no_request_makes_the_page_ask_another_server(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("a network of its own needs unshare and ip (Debian, Ubuntu: apt-get install util-linux iproute2)")
    in_there = ("unshare", "--net", "--map-root-user", "sh", "-c")
    status, _, complained = await run(*in_there, f"{NETWORK} true")
    if status != 0:
        pytest.skip(f"this machine gives out no network of its own: {complained.strip()}")
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    program = f'{NETWORK} "{sys.executable}" -m tests.bot.frontends.web.strangers "{tmp_path}" {ADDRESS}'
    status, said, complained = await run(*in_there, program, env=env)
    assert status == 0, complained
    found = json.loads(said.splitlines()[-1])
    assert found["asked"] > 1000
    assert found["control"] == ["GET /control HTTP/1.1"], "the server was not there"
    assert found["heard"] == [] and found["lines"] == []
