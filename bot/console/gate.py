"""What every request has to pass before Gradio or our routes see it: password, host, origin, path, size.

Gradio answers on many more paths than this page needs, some of which fetch or read files; what is not on the list
does not exist here. Pure ASGI; knows no jobs and no people beyond the cookie that it hands out.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.console.people import COOKIE, is_loopback, is_token, new_token

READ: Final = re.compile(
    r"/|/console/\w+(/\d+)?|/pictures/.+|/(assets|static|svelte)/.+|/theme\.css|/favicon\.ico|/manifest\.json|/config/?"
    r"|/gradio_api/(info/?|app_id/?|theme\.css|startup-events|upload_progress|heartbeat/\w+|queue/data"
    r"|call/(v2/)?draw/\w+|file=https?://[^/]+/pictures/\w+/\d+\.png)"
)
WRITE: Final = re.compile(
    r"/console/jobs/\d+/\w+"
    r"|/gradio_api/(queue/join|run/predict/?|api/predict/?|reset/?|cancel|upload|call/(v2/)?draw/?)"
)
UPLOAD: Final = "/gradio_api/upload"
NAMED_DRAW: Final = "/gradio_api/call/v2/draw"
DRAW_KEYS: Final = ("prompt", "seed", "steps")  # of which only the first is needed
WAIT_FOR_DRAW: Final = re.compile(r"/gradio_api/call/(v2/)?draw/\w+")
WAIT_FOR_ALL: Final = "/gradio_api/queue/data"  # as gradio_client does
FAREWELL: Final = "the service is stopping; what you asked for keeps its place and is drawn when it is back"
UPLOADED: Final = "/gradio_api/file="
MAX_BODY_BYTES: Final = 256 * 1024
UPLOAD_MARGIN_BYTES: Final = 64 * 1024  # for the rest of the form around the file
UPLOADS_AGE_S: Final = 3600  # Gradio deletes them after that
MAX_UPLOADS: Final = 40  # as many of the largest files may lie there at the same time, whoever sent them
COOKIE_AGE_S: Final = 400 * 24 * 3600  # as long as browsers keep any
WRONG_PASSWORD_PAUSE_S: Final = 0.5
# Gradio needs inline scripts and eval; everything comes from here, and nothing goes anywhere else.
CONTENT_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Gate:
    """ASGI middleware around the whole page."""

    def __init__(self, app: ASGIApp, *, password: SecretStr | None, uploads: Path, max_upload_bytes: int) -> None:
        self._app = app
        self._password = password
        self._uploads = f"{uploads}{os.sep}"
        self._max_upload_bytes = max_upload_bytes
        self._guessing = asyncio.Lock()
        self._uploaded: deque[tuple[float, int]] = deque()  # when, bytes
        self._open: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        refusal = await self._refusal(scope, request.headers)
        if refusal is None and scope["method"] == "POST":
            receive, refusal = await self._body(scope, receive)
        if refusal is not None:
            refusal.headers.update(HEADERS)
            await refusal(scope, receive, send)
            return
        answer = _Answer(scope, request, send, is_closed=lambda: self._is_closed)
        task = asyncio.current_task()
        assert task is not None, "ASGI runs in tasks"
        self._open.add(task)
        try:
            await self._app(scope, receive, answer.send)
        except asyncio.CancelledError:
            if not self._is_closed:
                raise
        finally:
            self._open.discard(task)
        if self._is_closed:
            await answer.end()

    def close(self) -> None:
        """End what is still being answered: Gradio keeps streams open for as long as the page is looked at."""
        self._is_closed = True
        for task in self._open:
            task.cancel()

    async def _refusal(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if self._password is None and not is_loopback(host):
            # A page elsewhere whose name was pointed at this machine: DNS rebinding.
            return PlainTextResponse("this page is for this machine: open it as http://127.0.0.1", 403)
        if self._password is not None and not self._knows(headers.get("authorization", ""), self._password):
            if "authorization" in headers:
                async with self._guessing:  # one guess at a time, whoever guesses
                    await asyncio.sleep(WRONG_PASSWORD_PAUSE_S)
            challenge = {"WWW-Authenticate": 'Basic realm="imagine-bot", charset="UTF-8"'}
            return PlainTextResponse("this page asks for a password", 401, headers=challenge)
        if not self._exists(scope["method"], scope["path"]):
            return PlainTextResponse("there is no such page", 404)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return PlainTextResponse("requests from other pages are refused", 403)
        return None

    def _exists(self, method: str, path: str) -> bool:
        if method == "POST":
            return WRITE.fullmatch(path) is not None
        is_upload = path.startswith(UPLOADED) and self._is_upload(path.removeprefix(UPLOADED))
        return method in {"GET", "HEAD"} and (is_upload or READ.fullmatch(path) is not None)

    @staticmethod
    def _knows(authorization: str, password: SecretStr) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            _, _, given = base64.b64decode(encoded, validate=True).partition(b":")
        except (ValueError, binascii.Error):
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(given, password.get_secret_value().encode())

    def _upload_refusal(self, length: str) -> PlainTextResponse | None:
        if not length.isdecimal() or int(length) > self._max_upload_bytes + UPLOAD_MARGIN_BYTES:
            return PlainTextResponse("the file is too large", 413)
        now = time.monotonic()
        while self._uploaded and self._uploaded[0][0] < now - UPLOADS_AGE_S:
            self._uploaded.popleft()
        if sum(size for _, size in self._uploaded) + int(length) > MAX_UPLOADS * self._max_upload_bytes:
            return PlainTextResponse("too much was uploaded within an hour: try again later", 429)
        self._uploaded.append((now, int(length)))
        return None

    def _is_upload(self, path: object) -> bool:
        return isinstance(path, str) and os.path.abspath(path).startswith(self._uploads)  # noqa: PTH100 - no look at the disk

    async def _body(self, scope: Scope, receive: Receive) -> tuple[Receive, PlainTextResponse | None]:
        """Bound what is sent; of JSON, see that it asks the server for no file from elsewhere."""
        if scope["path"] == UPLOAD:
            return receive, self._upload_refusal(Headers(scope=scope).get("content-length", ""))
        body = b""
        is_whole = False
        while not is_whole:
            message = await receive()
            if message["type"] == "http.disconnect":
                return receive, PlainTextResponse("gone", 400)
            body += message.get("body", b"")
            is_whole = not message.get("more_body", False)
            if len(body) > MAX_BODY_BYTES:
                return receive, PlainTextResponse("the request is too large", 413)
        try:
            values = json.loads(body) if body else None
            if not all(self._is_upload(path) for path in _paths(values)):
                return receive, PlainTextResponse("files are uploaded, not fetched", 403)
        except (ValueError, RecursionError):
            return receive, PlainTextResponse("the request is not JSON", 400)
        if scope["path"].rstrip("/") == NAMED_DRAW and not _is_named_draw(values):
            first, *others = DRAW_KEYS
            text = f"the request must be a JSON object with {first} and, if wanted, {' and '.join(others)}"
            return receive, PlainTextResponse(text, 400)
        return _replay(body, receive), None


def _is_named_draw(values: Any) -> bool:
    """Whether Gradio can make arguments of it: what it cannot is an error of the server to it, with a traceback."""
    return isinstance(values, dict) and DRAW_KEYS[0] in values and values.keys() <= set(DRAW_KEYS)


def _paths(value: Any) -> Iterator[object]:
    """Everything in a request that Gradio may take for a file: it would copy it from this disk, or fetch it."""
    if isinstance(value, dict):
        if value.get("path") is not None:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _paths(inner)


def _replay(body: bytes, receive: Receive) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _farewell(path: str) -> bytes:
    """The last event of a stream in which a script waits for its picture; nothing for all else."""
    if WAIT_FOR_DRAW.fullmatch(path):
        return f"event: error\ndata: {json.dumps({'error': FAREWELL})}\n\n".encode()
    if path == WAIT_FOR_ALL:
        event = {"msg": "unexpected_error", "message": FAREWELL, "success": False, "session_not_found": False}
        return f"data: {json.dumps(event)}\n\n".encode()
    return b""


class _Answer:
    """An answer on its way, with our headers, and on the page itself the cookie that makes a browser a person."""

    def __init__(self, scope: Scope, request: HTTPConnection, send: Send, *, is_closed: Callable[[], bool]) -> None:
        self._scope, self._request, self._send, self._is_closed = scope, request, send, is_closed
        self._has_begun = self._is_whole = False

    async def send(self, message: Message) -> None:
        """Pass a piece on; of a stream that is cut off none, since Gradio would tell how it was cancelled."""
        if self._has_begun and self._is_closed() and _farewell(self._scope["path"]):
            return
        await self._pass_on(message)

    async def _pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            headers = MutableHeaders(scope=message)
            headers.update(HEADERS)
            if self._scope["path"] == "/":
                headers["Cache-Control"] = "no-store"
                headers.append("Set-Cookie", self._cookie())
        self._is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def end(self) -> None:
        """Leave nothing half said."""
        if not self._has_begun:
            await self._pass_on({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
            await self._pass_on({"type": "http.response.body", "body": b"", "more_body": False})
        elif not self._is_whole:
            farewell = _farewell(self._scope["path"])
            await self._pass_on({"type": "http.response.body", "body": farewell, "more_body": False})

    def _cookie(self) -> str:
        token = self._request.cookies.get(COOKIE, "")
        secure = "; Secure" if self._scope["scheme"] == "https" else ""
        value = token if is_token(token) else new_token()
        return f"{COOKIE}={value}; Path=/; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Lax{secure}"
