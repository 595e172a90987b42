"""The files that the page brings along: all found, under addresses that change with them, and nothing beside them."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from bot.frontends.web.own_files import CORNER_STYLE, FOLDER, STYLES, address_of, own_files, version
from bot.frontends.web.routes import routes
from bot.frontends.web.security.bodies import Events
from bot.frontends.web.security.gate import Gate


def test_every_file_that_a_script_imports_is_there_and_no_script_is_left_over() -> None:
    imported = {"page.js", "operator.js", "keeping.js"}  # which the server names
    for name, file in own_files().items():
        if name.endswith(".js"):
            imported |= set(re.findall(r'from "\./([a-z_]+\.js)"', file.content.decode()))
    assert imported == {name for name in own_files() if name.endswith(".js")}
    assert {*STYLES, CORNER_STYLE} == set(FOLDER.rglob("*.css"))


def test_no_file_names_an_address_elsewhere() -> None:
    for path in FOLDER.rglob("*.*s*"):
        if path.suffix in {".js", ".css"}:
            found = re.findall(r"https?://[^\s\"'`)]+", path.read_text("utf-8"))
            assert [each for each in found if not each.startswith("http://www.w3.org/")] == [], path


def test_no_style_has_a_comma_in_brackets_where_gradio_would_put_its_prefix() -> None:
    for path in FOLDER.glob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text("utf-8"), flags=re.DOTALL)
        assert re.findall(r":(?:is|where|not|has)\([^)]*,", text) == [], path


@pytest.mark.asyncio
async def test_files_are_kept_for_good_and_nothing_else_is_found() -> None:
    nobody: Any = None
    gate = Gate(
        Starlette(),
        password=None,
        routes=routes(nobody, nobody, "secret", nobody),
        events=Events(form=0, reuse=1, start_from=3, draw=2),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=gate), base_url="http://127.0.0.1") as client:
        answer = await client.get(address_of("page.js"))
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert (
            "immutable" in answer.headers["Cache-Control"]
            and "connect-src" in answer.headers["Content-Security-Policy"]
        )
        wrong = "/console/assets/" + "0" * len(version())
        base = f"/console/assets/{version()}"
        for path in (
            f"{wrong}/page.js", f"{base}/nowhere.js", f"{base}/page.css", f"{base}/..%2Fserver.py", f"{base}/",
            f"{base}/../own_files.py", f"{base}/%00", f"{base}/page.js/x", f"{base[:-1]}/page.js", f"{base}/PAGE.JS",
            f"{base}/{'x' * 5000}", "/console/assets/page.js",
        ):  # fmt: skip
            assert (await client.get(path)).status_code == 404, path
        assert (await client.post(address_of("page.js"))).status_code == 404
