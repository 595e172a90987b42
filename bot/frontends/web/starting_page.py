"""What a browser sees while Gradio is imported: a small page that becomes the real one by itself.

It waits for an answer that the gate holds back until the page is built (`gate.py`), and loads itself again. Without
scripts it asks every two seconds. Needs no cookie; asks for nothing else. Pure ASGI.
"""

from __future__ import annotations

from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from bot.frontends.web.identity import locale_of
from bot.presentation.wording import wording_for

RETRY_S: Final = 2
HEADERS: Final = {"Retry-After": str(RETRY_S), "Cache-Control": "no-store"}
# `theme.css` is a file of the page's own that is not there before the page is.
PAGE: Final = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>imagine-bot</title>
<link rel="icon" href="data:,">
<noscript><meta http-equiv="refresh" content="{retry}"></noscript>
<style>body {{ font: 1.1rem system-ui, sans-serif; margin: 20vh auto; max-width: 32rem; padding: 0 1rem; }}</style>
</head>
<body>
<main role="status"><h1>imagine-bot</h1><p>{text}</p></main>
<script>
const wait = () => fetch("theme.css", {{cache: "no-store"}}).then(
  answer => answer.ok ? location.reload() : Promise.reject(answer)
).catch(() => setTimeout(wait, {retry}000));
wait();
</script>
</body>
</html>
"""


async def starting_page(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the page, in the reader's language."""
    wording = wording_for(locale_of(Request(scope)))
    text = escape(wording.say("console-starting"))
    page = PAGE.format(language=wording.language, text=text, retry=RETRY_S)
    await HTMLResponse(page, headers=HEADERS)(scope, receive, send)
