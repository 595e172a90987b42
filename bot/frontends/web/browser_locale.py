"""Tells Gradio which kind of Chinese a browser reads.

Gradio accepts a browser's locale only if one of its own translations has exactly that name, and shows English to
everybody else: a reader in Hong Kong (`zh-HK`) would get an English form. So the HTML of the page begins with a script
that replaces such a locale by the language that the reader gets, or by the one that they chose on the page. Must not
know what the page contains.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.frontends.web.identity import LANGUAGE_COOKIE, locale_of
from bot.presentation.wording import LANGUAGES, language_of

HEAD: Final = b"<head>"
SCRIPT: Final = '<script>Object.defineProperty(navigator, "language", {{value: "{language}"}});</script>'


class BrowserLocale:
    """ASGI middleware around Gradio: changes the page itself for readers who need it, and nothing else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and insert the script into the answer if the browser needs it."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("GET", "/"):
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        language = language_of(locale_of(request))
        if language == LANGUAGES[0] and LANGUAGE_COOKIE not in request.cookies:
            await self._app(scope, receive, send)
            return
        plain = {**scope, "headers": [each for each in scope["headers"] if each[0] != b"accept-encoding"]}
        await self._app(plain, receive, _Inserting(send, SCRIPT.format(language=language).encode()))


class _Inserting:
    """Collects an answer, and sends it with `script` at the beginning of its head."""

    def __init__(self, send: Send, script: bytes) -> None:
        self._send, self._script = send, script
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False) or self._start is None:
            return
        body = self._body.replace(HEAD, HEAD + self._script, 1)
        headers = MutableHeaders(raw=list(self._start["headers"]))
        headers["content-length"] = str(len(body))
        headers.add_vary_header("Accept-Language, Cookie")
        await self._send({**self._start, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})
