"""While the page is built, a small one is there; then the real one takes over, and no request fails."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from playwright.async_api import async_playwright, expect
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.config import NO_PASSWORDS, ConsoleConfig
from bot.frontends.web.security import admission
from bot.frontends.web.security.bodies import Events
from bot.frontends.web.security.gate import Gate
from bot.frontends.web.security.origins import public_place
from bot.frontends.web.server import WebServer
from bot.frontends.web.starting_page import starting_page
from bot.presentation.wording import LANGUAGES, wording_for
from tests.bot.frontends.web.conftest import CHROMIUM_FLAGS

EVENTS = Events(form=0, reuse=3, start_from=4, draw=6)
Make = Callable[..., tuple[Gate, httpx.AsyncClient]]


async def gradio(request: Request) -> Response:
    return PlainTextResponse(f"gradio: {request.url.path}")


ROOM = Starlette(routes=[Route("/{path:path}", gradio, methods=["GET", "HEAD", "POST"])])


@pytest.fixture
async def make(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Make a gate behind which nothing is built yet, and a client of it."""
    monkeypatch.setattr(admission, "MAX_WAIT_S", 0.0)

    async def state(_request: Request) -> Response:
        return PlainTextResponse("state")

    def make(password: str | None = None, *, root_path: str = "", **options: Any) -> tuple[Gate, httpx.AsyncClient]:
        secret = None if password is None else SecretStr(password)
        gate = Gate(starting_page, password=secret, routes={"state": state}, place=public_place(root_path))
        transport = httpx.ASGITransport(app=gate)
        return gate, httpx.AsyncClient(transport=transport, **{"base_url": "http://127.0.0.1:6006", **options})

    yield make


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("en-GB,en;q=0.9", "en"), ("zh-CN,zh;q=0.9", "zh-CN"), ("zh-TW", "zh-TW"), ("fr", "en"), ("", "en")],
)
async def test_it_is_in_the_readers_language(make: Make, accepted: str, language: str) -> None:
    _, client = make()
    answer = await client.get("/", headers={"Accept-Language": accepted})
    assert answer.status_code == 200 and f'<html lang="{language}">' in answer.text
    assert wording_for(language).say("console-starting") in answer.text
    assert len({wording_for(each).say("console-starting") for each in LANGUAGES}) == len(LANGUAGES)


async def test_it_is_kept_by_nobody_and_guarded_like_the_page(make: Make) -> None:
    _, client = make()
    answer = await client.get("/")
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["Retry-After"] == "2"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert (await client.head("/")).status_code == 200


async def test_it_asks_for_nothing_but_the_page_itself(make: Make) -> None:
    _, client = make()
    text = (await client.get("/")).text
    assert re.findall(r'fetch\("(.*?)"', text) == ["theme.css"]  # relative: right below a path, too
    assert "http://" not in text and "https://" not in text and re.findall(r'(?:src|href)="(.*?)"', text) == ["data:,"]


async def test_other_names_of_this_machine_are_refused_already(make: Make) -> None:
    _, client = make()
    for path in ("/", "/config"):
        assert (await client.get(path, headers={"Host": "evil.example"})).status_code == 403
        assert (await client.get(path, headers={"Origin": "http://evil.example"})).status_code == 403
    assert (await client.get("/docs")).status_code == 404


async def test_it_asks_for_the_password(make: Make) -> None:
    _, client = make("secret", base_url="http://pictures.example")
    refused = await client.get("/")
    assert (
        refused.status_code == 401 and "WWW-Authenticate" in refused.headers and "imagine-bot</h1>" not in refused.text
    )
    assert (await client.get("/theme.css")).status_code == 401
    assert (await client.get("/", auth=("", "secret"))).status_code == 200


@pytest.mark.parametrize("path", ["/config", "/theme.css", "/assets/index.js", "/gradio_api/info"])
async def test_what_is_asked_of_the_page_waits_until_it_is_built(make: Make, path: str) -> None:
    gate, client = make()
    waiting = asyncio.create_task(client.get(path))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert "imagine-bot</h1>" in (await client.get("/")).text
    gate.open(ROOM, EVENTS)
    assert (await waiting).text == f"gradio: {path}"
    assert (await client.get("/")).text == "gradio: /"


async def test_form_that_is_sent_meanwhile_is_not_lost(make: Make) -> None:
    gate, client = make()
    body = {"data": ["a red apple"], "fn_index": 6, "session_hash": "x"}
    waiting = asyncio.create_task(client.post("/gradio_api/call/draw", json=body))
    await asyncio.sleep(0)
    gate.open(ROOM, EVENTS)
    assert (await waiting).text == "gradio: /gradio_api/call/draw"


async def test_our_own_paths_are_there_from_the_start(make: Make) -> None:
    _, client = make()
    assert (await client.get("/console/state")).text == "state"


async def test_below_a_path_it_is_there_as_well(make: Make) -> None:
    _, client = make(root_path="/imagine")
    for path in ("/", "/imagine/"):
        assert "imagine-bot</h1>" in (await client.get(path)).text


async def test_stop_while_it_is_built_ends_those_who_wait(make: Make) -> None:
    gate, client = make()
    waiting = asyncio.create_task(client.get("/config"))
    for _ in range(10):
        await asyncio.sleep(0)
    gate.close()
    assert (await waiting).status_code == 503


def announced(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("bot.")]


# --- the whole server -------------------------------------------------------------------------------------


class Slow:
    """A page that is built when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_be_built = threading.Event()
        monkeypatch.setattr(WebServer, "_build", self._build)

    def _build(self, *_args: Any) -> tuple[Starlette, Events]:
        assert self.may_be_built.wait(30)
        return ROOM, EVENTS


@pytest.fixture
async def server(settings: Any, tmp_path: Any) -> AsyncIterator[WebServer]:
    operating = SimpleNamespace(limits={})
    service: Any = SimpleNamespace(models=SimpleNamespace(all=[]), is_accepting=True, operating=operating)
    config = ConsoleConfig(port=0)
    async with WebServer(
        config, NO_PASSWORDS, service=service, settings=settings, data_dir=tmp_path, release="test"
    ) as server:
        yield server


async def test_real_page_takes_over_the_port_and_no_request_fails(
    server: WebServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    slow = Slow(monkeypatch)
    running = asyncio.create_task(server.run_until_closed())
    seen: list[str] = []
    async with httpx.AsyncClient(base_url=server.url, timeout=20, trust_env=False) as client:
        held = asyncio.create_task(client.get("/theme.css"))
        until = time.monotonic() + 20
        while (not seen or seen[-1] != "gradio: /") and time.monotonic() < until:
            answer = await client.get("/", headers={"Connection": "close"})
            assert answer.status_code == 200
            seen.append(answer.text if answer.text.startswith("gradio") else "starting")
            if len(seen) == 5:
                assert not server._is_built.is_set() and announced(caplog) == []
                slow.may_be_built.set()
        assert seen[:5] == ["starting"] * 5 and seen[-1] == "gradio: /"
        assert seen == sorted(seen, reverse=True)  # never back to the start
        assert (await held).text == "gradio: /theme.css"
    await asyncio.wait_for(server.wait_until_built(), 5)
    assert announced(caplog) == [f"the page is at {server.url}"]
    running.cancel()
    await asyncio.wait([running])


async def test_stop_does_not_wait_for_the_import(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    running = asyncio.create_task(server.run_until_closed())
    async with httpx.AsyncClient(base_url=server.url, timeout=20, trust_env=False) as client:
        await client.get("/")
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=10)
    assert done and not server._is_built.is_set()
    slow.may_be_built.set()


async def test_page_that_cannot_be_built_ends_the_service(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any) -> Any:
        raise RuntimeError("Gradio is broken")

    monkeypatch.setattr(WebServer, "_build", broken)
    with pytest.raises(RuntimeError, match="Gradio is broken"):
        await asyncio.wait_for(server.run_until_closed(), 20)


@pytest.mark.parametrize("has_scripts", [True, False])
async def test_it_becomes_the_page_by_itself_in_a_browser(
    server: WebServer, monkeypatch: pytest.MonkeyPatch, has_scripts: bool
) -> None:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium is installed (Debian, Ubuntu: apt-get install chromium)")
    slow = Slow(monkeypatch)
    running = asyncio.create_task(server.run_until_closed())
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        page = await browser.new_page(locale="zh-CN", java_script_enabled=has_scripts)
        await page.goto(server.url)
        await expect(page.locator("main")).to_contain_text(wording_for("zh-CN").say("console-starting"))
        slow.may_be_built.set()
        await expect(page.locator("body")).to_have_text("gradio: /")
        await browser.close()
    running.cancel()
    await asyncio.wait([running])
