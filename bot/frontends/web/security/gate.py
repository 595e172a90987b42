"""What every request has to pass before Gradio or our routes see it: host, password, path, origin, size, shape.

Gradio answers on many more paths than this page needs, some of which fetch or read files: what is not in `paths.py`
does not exist here, and our own paths are answered from here, so that nobody looks for them a second time. Pure ASGI;
knows no jobs and no people beyond the cookie that it hands out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import PurePath
from typing import Final

from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.frontends.web.identity import COOKIE, is_loopback, is_token, new_token
from bot.frontends.web.security import paths
from bot.frontends.web.security.admission import Admission, Verdict
from bot.frontends.web.security.bodies import Events, rewritten
from bot.frontends.web.security.origins import HERE, PublicPlace, is_ours, mismatch, read_origin, split_host
from bot.frontends.web.security.paths import HOST, WORD, Body, Found, Path
from bot.frontends.web.security.refused import RequestRefused

log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]

WAIT_FOR_DRAW: Final = re.compile(rf"/gradio_api/call/(v2/)?draw/{WORD}", re.ASCII)
WAIT_FOR_ALL: Final = "/gradio_api/queue/data"  # as gradio_client does
NO_PAGE: Final = "there is no such page"
FAREWELL: Final = "the service is stopping; what you asked for keeps its place and is drawn when it is back"
MAX_BODY_BYTES: Final = 256 * 1024
COOKIE_AGE_S: Final = 400 * 24 * 3600  # as long as browsers keep any
RETRY_S: Final = 5
FRAMES: Final = 4  # of an error that nobody expected, in the log
# What proxies say of a request. The server under us believes those on this machine (`server.py`); Gradio would believe
# anybody.
HEARSAY: Final = re.compile(rb"x-forwarded-.*|forwarded|x-gradio-server", re.DOTALL)
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
    """ASGI middleware around Gradio; `routes` are ours, by the names that `paths.py` has for them.

    A proxy that shows the page below a path may take that path off or leave it: both lead to the same. Without
    `events`, `app` is what is shown instead of the page until `open`; whatever else is for Gradio waits for that.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        password: SecretStr | None,
        routes: Mapping[str, Handler],
        events: Events | None = None,
        place: PublicPlace = HERE,
    ) -> None:
        self._app = app
        self._is_built = asyncio.Event()
        if events is not None:
            self._is_built.set()
        self._admission = None if password is None else Admission(password)
        self._routes = routes
        self._events = events
        self._place = place
        self._open: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        scope, found = self._resolved(scope)
        answer = _Answer(scope, send, root_path=self._place.path, is_closed=lambda: self._is_closed)
        task = asyncio.current_task()
        assert task is not None, "ASGI runs in tasks"
        self._open.add(task)
        try:
            await self._answer(scope, found, receive, request, answer)
            await answer.release()
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            if not self._is_closed:
                raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the visitor gets a number and the log its place
            await answer.fail(error)
        finally:
            self._open.discard(task)
        if self._is_closed:
            await answer.end()

    def open(self, app: ASGIApp, events: Events) -> None:
        """Let requests to Gradio, which is built now. To be called on the page's loop."""
        self._app, self._events = app, events
        self._is_built.set()

    def close(self) -> None:
        """End what is still being answered: Gradio keeps streams open for as long as the page is looked at."""
        self._is_closed = True
        if self._admission is not None:
            self._admission.tell_wrong()
        for task in self._open:
            task.cancel()

    def _resolved(self, scope: Scope) -> tuple[Scope, Found | None]:
        """The request as one to the page itself, without the path below which a proxy shows it; and what it is for."""
        root, path = self._place.path, scope["path"]
        if self._place.origin is not None:
            scope = {**scope, "scheme": self._place.origin.scheme}
        if root and path.startswith(f"{root}/"):
            raw = scope.get("raw_path") or path.encode()
            inside = {**scope, "path": path.removeprefix(root), "raw_path": raw.removeprefix(root.encode())}
            if (found := paths.find(scope["method"], inside["path"])) is not None:
                return inside, found
        return scope, paths.find(scope["method"], path)

    async def _answer(
        self, scope: Scope, found: Found | None, receive: Receive, request: HTTPConnection, answer: _Answer
    ) -> None:
        token = request.cookies.get(COOKIE, "")
        token = token if is_token(token) else ""
        refusal: Response | None = await self._refusal(scope, token)
        if refusal is None and (bad_origin := self._bad_origin(scope)) is not None:
            refusal = PlainTextResponse(str(bad_origin), 403) if found is None else _told(found[0], bad_origin)
        if refusal is not None:
            await refusal(scope, receive, answer.send)
            return
        if found is None:
            is_root = bool(self._place.path) and scope["path"] == self._place.path
            # Everything on the page is named from the path that ends with a slash.
            missing = RedirectResponse(f"{self._place.path}/") if is_root else PlainTextResponse(NO_PAGE, 404)
            await missing(scope, receive, answer.send)
            return
        entry, names = found
        if entry.route is not None:
            ours = Request({**scope, "path_params": dict(names)}, receive)
            await (await self._routes[entry.route](ours))(scope, receive, answer.send)
            return
        if scope["path"] == "/":
            token = token or new_token()
            answer.set_cookie(token)
            if self._admission is not None:
                self._admission.introduce(token)
        else:
            await self._is_built.wait()
        try:
            for_gradio, again = await _for_gradio(entry, scope, receive, self._events, self._place)
        except RequestRefused as bad:
            await _told(entry, bad)(scope, receive, answer.send)
            return
        await self._app(for_gradio, again, answer.send)

    async def _refusal(self, scope: Scope, token: str) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or re.fullmatch(HOST, hosts[0], re.ASCII) is None:
            return PlainTextResponse("the request must say which host it is for", 400)
        if self._admission is None:
            name, _ = split_host(hosts[0])
            if is_loopback(name.strip("[]")):
                return None
            # A page elsewhere whose name was pointed at this machine: DNS rebinding.
            return PlainTextResponse("this page is for this machine: open it as http://127.0.0.1", 403)
        address = (scope.get("client") or ("",))[0]
        verdict = await self._admission.judge(headers.get("authorization"), token=token, address=address)
        if verdict is Verdict.TOO_MANY:
            # Closed, or what else lies on the connection would come as the newest at once.
            wait = {"Retry-After": str(RETRY_S), "Connection": "close"}
            return PlainTextResponse("too many passwords at once: try again later", 429, headers=wait)
        if verdict is Verdict.REFUSED:
            challenge = {"WWW-Authenticate": 'Basic realm="imagine-bot", charset="UTF-8"'}
            return PlainTextResponse("this page asks for a password", 401, headers=challenge)
        return None

    def _bad_origin(self, scope: Scope) -> RequestRefused | None:
        """Why a request comes from another page; None if from ours, or from none."""
        headers = Headers(scope=scope)
        host = headers["host"]
        is_same_to_browser = headers.getlist("sec-fetch-site") == ["same-origin"]
        for text in headers.getlist("origin"):
            origin = read_origin(text)
            if origin is None:
                return RequestRefused(403, "requests from other pages are refused")
            if not is_ours(
                origin, self._place, host=host, scheme=scope["scheme"], is_same_to_browser=is_same_to_browser
            ):
                log.warning("refused: a page at %s asks for something of %s", origin, host)
                return RequestRefused(403, mismatch(origin, host))
        return None


async def _for_gradio(
    entry: Path, scope: Scope, receive: Receive, events: Events | None, place: PublicPlace
) -> tuple[Scope, Receive]:
    """What Gradio is to see of a request: the plain path, a query that it needs, a body that was checked.

    It builds whole addresses from path and host, so these are the public ones, if the operator names them.

    Raises:
        RequestRefused
    """
    if (scope.get("raw_path") or scope["path"].encode()) != scope["path"].encode():
        raise RequestRefused(404, NO_PAGE)
    query = scope.get("query_string", b"").decode("latin-1")
    if entry.query is not None and entry.query.fullmatch(query) is None:
        raise RequestRefused(400, "something is wrong behind the question mark")
    headers = [(name, value) for name, value in scope["headers"] if HEARSAY.fullmatch(name.lower()) is None]
    if place.origin is not None:
        headers = [(name, value) for name, value in headers if name.lower() != b"host"]
        headers.append((b"host", place.origin.authority.encode()))
    path = f"{place.path}{scope['path']}"
    scope = {
        **scope,
        "root_path": place.path,
        "path": path,
        "raw_path": path.encode(),
        "headers": headers,
        "query_string": b"" if entry.query is None else scope["query_string"],
    }
    if entry.body is None:
        return scope, receive
    named = Headers(scope=scope)
    if named.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RequestRefused(400, "the request must be JSON, and say so as its Content-Type")
    if int(named.get("content-length", "0")) > MAX_BODY_BYTES:  # the protocol lets nothing but a few digits pass
        raise RequestRefused(413, "the request is too large")
    assert events is not None, "only the page itself is answered before Gradio is there"
    body = rewritten(entry.body, await _read(receive), events)
    headers = [(name, value) for name, value in headers if name.lower() not in {b"content-length", b"content-type"}]
    headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    return {**scope, "headers": headers}, _replay(body, receive)


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece: bytes = message.get("body", b"")
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise RequestRefused(413, "the request is too large")
        if not message.get("more_body", False):
            return body


def _replay(body: bytes, receive: Receive) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _told(entry: Path, bad: RequestRefused) -> Response:
    """A refusal in the form that whoever asked can read: the form of the page shows what Gradio calls an error."""
    if entry.body is Body.DIRECT:
        return JSONResponse({"error": bad.text}, bad.status)
    return PlainTextResponse(bad.text, bad.status)


def note(error: BaseException) -> str:
    """Log where an error came up that nobody expected, without its text, which may be a person's; return its number."""
    error_id = secrets.token_hex(4)
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    places = " < ".join(f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    log.error("error %s at the page: %s in %s", error_id, type(error).__name__, places)
    return error_id


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

    def __init__(self, scope: Scope, send: Send, *, root_path: str, is_closed: Callable[[], bool]) -> None:
        self._scope, self._send, self._root_path, self._is_closed = scope, send, root_path, is_closed
        self._cookie = ""
        self._has_begun = self._is_whole = self._has_length = False
        self._held: list[Message] = []  # an answer 500 of a library: what follows it may be the error itself

    def set_cookie(self, token: str) -> None:
        """Make whoever gets this answer a person, or keep them the one that they are."""
        secure = "; Secure" if self._scope["scheme"] == "https" else ""
        path = self._root_path or "/"
        self._cookie = f"{COOKIE}={token}; Path={path}; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Lax{secure}"

    async def send(self, message: Message) -> None:
        """Pass a piece on; of a stream that is cut off none, since Gradio would tell how it was cancelled."""
        if self._has_begun and self._is_closed() and _farewell(self._scope["path"]):
            return
        if self._held or (message["type"] == "http.response.start" and message["status"] >= 500):
            self._held.append(message)
            return
        await self._pass_on(message)

    async def release(self) -> None:
        """Pass on what was held back: no error came after it."""
        for message in self._held:
            await self._pass_on(message)
        self._held.clear()

    async def _pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            headers = MutableHeaders(scope=message)
            headers.update(HEADERS)
            self._has_length = "content-length" in headers
            if self._scope["path"] == "/":
                headers["Cache-Control"] = "no-store"
            if self._cookie:
                headers.append("Set-Cookie", self._cookie)
        self._is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def fail(self, error: Exception) -> None:
        """Something went wrong that nobody expected, or a stream ends as Starlette ends one: with an error."""
        if not (self._has_begun and isinstance(error.__cause__, HTTPException)):
            error_id = note(error)
            if not self._has_begun:
                text = f"something went wrong here; its number is {error_id}"
                await PlainTextResponse(text, 500)(self._scope, _nothing, self._pass_on)
                return
        if not self._is_whole and not self._has_length:
            await self._pass_on({"type": "http.response.body", "body": b"", "more_body": False})

    async def end(self) -> None:
        """Leave nothing half said."""
        if not self._has_begun:
            await self._pass_on({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
            await self._pass_on({"type": "http.response.body", "body": b"", "more_body": False})
        elif not self._is_whole:
            farewell = _farewell(self._scope["path"])
            await self._pass_on({"type": "http.response.body", "body": farewell, "more_body": False})


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
