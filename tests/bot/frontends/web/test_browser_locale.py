"""The page says to Gradio which language a browser reads, if Gradio would not find out."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from bot.frontends.web.browser_locale import BrowserLocale

HTML = "<html><head><title>图</title></head></html>"


async def _page(request: Request) -> Response:
    return HTMLResponse(HTML, headers={"Asked-Encoding": request.headers.get("accept-encoding", "none")})


async def _in_parts(_request: Request) -> Response:
    async def parts():
        for letter in HTML:
            yield letter.encode()

    return StreamingResponse(parts(), media_type="text/html")


async def ask(language: str, *, path: str = "/", method: str = "GET", page=_page) -> httpx.Response:
    app = Starlette(routes=[Route("/", page), Route("/other", page)])
    transport = httpx.ASGITransport(app=BrowserLocale(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
        return await client.request(method, path, headers={"Accept-Language": language})


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("zh-TW,zh;q=0.9,en;q=0.8", "zh-TW"),
        ("zh-HK", "zh-TW"),
        ("zh-MO,en", "zh-TW"),
        ("zh-Hant-HK;q=0.9", "zh-TW"),
        ("zh-SG", "zh-CN"),
        ("zh,en;q=0.5", "zh-CN"),
    ],
)
@pytest.mark.parametrize("page", [_page, _in_parts])
async def test_page_begins_with_the_language_that_a_chinese_browser_gets(accepted: str, language: str, page) -> None:
    answer = await ask(accepted, page=page)
    script = f'<script>Object.defineProperty(navigator, "language", {{value: "{language}"}});</script>'
    assert answer.text == HTML.replace("<head>", f"<head>{script}")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "Accept-Language" in answer.headers["vary"]


@pytest.mark.parametrize("accepted", ["", "en-GB,zh;q=0.9", "de", 'zhx"><script>', '"};alert(1)//'])
async def test_page_stays_as_it_is_for_everybody_else(accepted: str) -> None:
    assert (await ask(accepted)).text == HTML


async def test_page_that_is_changed_is_asked_for_without_compression() -> None:
    assert (await ask("zh-TW")).headers["asked-encoding"] == "none"
    assert (await ask("en")).headers["asked-encoding"] != "none"


async def test_nothing_but_the_page_is_changed() -> None:
    assert (await ask("zh-TW", path="/other")).text == HTML
    assert (await ask("zh-TW", method="HEAD")).text == ""
