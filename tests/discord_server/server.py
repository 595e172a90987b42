"""The emulator: one aiohttp server for the HTTP API, the gateway and the CDN.

Owns the parts and the way of a request through authorization, rate limit, body and schema to its handler.
Must not know what the handlers do. The API is under /api/v10, the CDN under /cdn of the same host.
"""

from __future__ import annotations

import contextvars
import json
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from aiohttp import BodyPartReader, web

from tests.discord_server import gateway as gateway_module
from tests.discord_server import (
    rest,  # noqa: F401 - registers the handlers in routes
    routes,
)
from tests.discord_server.commands import Commands
from tests.discord_server.config import Config
from tests.discord_server.errors import CATALOG, NAME_OF_CODE, ApiError, Problem
from tests.discord_server.faults import Fault, Faults
from tests.discord_server.gateway import Gateway
from tests.discord_server.interactions import Interactions
from tests.discord_server.messages import MAX_FILES, Event, Messages, Upload
from tests.discord_server.ratelimit import RateLimiter, Verdict
from tests.discord_server.routes import Call, Operation
from tests.discord_server.signals import Signal
from tests.discord_server.spec import Spec
from tests.discord_server.stats import RequestRecord, Stats, Violation
from tests.discord_server.world import Attachment, Channel, World

API = "/api/v10"

current: contextvars.ContextVar[Call | None] = contextvars.ContextVar("current", default=None)


class Emulator:
    """One Discord: its world, its rules and its server."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.spec = Spec.load(config.openapi) if config.openapi else None
        self.world = World(config)
        self.stats = Stats()
        self.violations: list[Violation] = []
        self.requests: list[RequestRecord] = []
        self.log: list[Event] = []
        self.traffic = Signal()  # after every request
        self.limiter = RateLimiter(config)
        self.faults = Faults()
        self.gateway = Gateway(self)
        self.messages = Messages(self)
        self.interactions = Interactions(self)
        self.commands = Commands(self)
        self.port = 0
        self._started = time.monotonic()
        self._runner: web.AppRunner | None = None

    # -- life -----------------------------------------------------------------------

    async def start(self) -> None:
        """Listen; from here on the addresses below are valid."""
        app = web.Application(client_max_size=4 * self.config.request_size_limit)
        app.router.add_route("*", "/api/{tail:.*}", self._serve_api)
        app.router.add_get(gateway_module.PATH, self._serve_gateway)
        app.router.add_get("/cdn/{tail:.*}", self._serve_cdn)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.config.host, self.config.port).start()
        self.port = self._runner.addresses[0][1]
        self.world.cdn.base = self.cdn_base
        self._started = time.monotonic()

    async def stop(self) -> None:
        """Close every connection and end every timer; safe to call twice."""
        self.faults.stop()
        for interaction in self.interactions:
            interaction.stop_timers()
        await self.gateway.shutdown()
        if self._runner:
            await self._runner.cleanup()

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._started

    @property
    def api_base(self) -> str:
        return f"http://{self.config.host}:{self.port}{API}"

    @property
    def gateway_url(self) -> str:
        return f"ws://{self.config.host}:{self.port}{gateway_module.PATH}"

    @property
    def cdn_base(self) -> str:
        return f"http://{self.config.host}:{self.port}/cdn"

    def set_archived(self, thread: Channel, *, archived: bool) -> None:
        """Put a thread to rest or wake it, and tell the bot."""
        assert thread.guild is not None
        thread.archived = archived
        self.gateway.dispatch("THREAD_UPDATE", thread.payload(), thread.guild.id)

    # -- misdeeds -------------------------------------------------------------------

    def violation(self, kind: str, message: str) -> None:
        """Record something a correct bot never does."""
        call = current.get()
        where = (call.request.method, call.path) if call else ("", "")
        self.violations.append(Violation(self.elapsed(), kind, message, *where))

    def reject_if(self, kind: str, problems: Iterable[Problem]) -> None:
        """Record broken rules, if any, and end the request with 50035."""
        found = list(problems)
        if found:
            self.violation(kind, "; ".join(map(str, found)))
            raise ApiError("INVALID_FORM_BODY", found)

    # -- HTTP -----------------------------------------------------------------------

    async def _serve_api(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        path = path[len(API) :] if path.startswith(API + "/") else path
        parts = tuple(unquote(p) for p in path.strip("/").split("/"))
        call = Call(self, request, unquote(path), routes.find(request.method, parts))
        token = current.set(call)
        began = time.monotonic()
        route = call.op.template if call.op else call.path
        fault = self.faults.take(request.method, call.path, route)
        status, code = 0, None
        try:
            response = await self._inject(fault, request) if fault and not fault.applied else None
            if response is None:
                response = await self._answer(call, parts)
                if fault and fault.applied:
                    failed = await self._inject(fault, request)
                    response = response if failed is None else failed
            if fault is None or (not fault.reset and fault.hang is None):
                status, code = response.status, _error_code(response)
            return response
        finally:
            seconds, injected = time.monotonic() - began, fault is not None and fault.slow is None
            record = RequestRecord(self.elapsed(), request.method, route, call.path, status, code, seconds, injected)
            self.requests.append(record)
            self.stats.note(record)
            self.traffic.notify()
            current.reset(token)

    async def _inject(self, fault: Fault, request: web.Request) -> web.Response | None:
        """Act the fault out; None when the request is to be answered normally after all."""
        if fault.slow is not None:
            await self.faults.pause(fault.slow)
            return None
        if fault.status is not None:
            await request.read()
            text = f"<html><body><h1>{fault.status}</h1>upstream error</body></html>"
            return web.Response(status=fault.status, text=text, content_type="text/html")
        if fault.code is not None or fault.retry_after is not None:
            await request.read()
            return _json_fault(fault)
        if fault.hang is not None:
            await self.faults.pause(fault.hang)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)  # never sent: the connection is gone

    async def _answer(self, call: Call, parts: tuple[str, ...]) -> web.Response:
        verdict = Verdict()
        try:
            if call.op is None:
                raise self._unanswerable(call, parts)
            self._check_auth(call, call.op)
            verdict = self.limiter.check(call.op)
            if verdict.limited:
                await call.request.read()
                return _rate_limited(verdict)
            await self._read_body(call)
            if self.spec:
                self.reject_if("schema", self.spec.request_problems(call.op, call.query, call.body))
            status, body = self._carry_out(call, call.op)
        except ApiError as error:
            return _json(error.status, error.body(), verdict.headers)
        except ConnectionError:
            raise  # who asked went away, or was killed, before the body was here: nothing has happened
        except Exception as error:
            self.violation("emulator", f"the emulator failed: {error!r}")
            raise
        if self.spec and self.config.validate_responses:
            for problem in self.spec.response_problems(call.op, status, body):
                self.violation("emulator", f"our {status} answer to {call.op.name}: {problem}")
        return _json(status, body, verdict.headers)

    def _unanswerable(self, call: Call, parts: tuple[str, ...]) -> ApiError:
        if self.spec and self.spec.describes(call.request.method, parts):
            self.violation("not_emulated", "Discord has this route, the emulator has not")
            return ApiError("NOT_EMULATED")
        templates = [name.split(" ", 1)[1] for name in routes.HANDLERS]
        known = any(routes.match(templates, parts))
        self.violation("unknown_route", "there is no such " + ("method here" if known else "path"))
        return ApiError("METHOD_NOT_ALLOWED" if known else "NOT_FOUND")

    def _check_auth(self, call: Call, op: Operation) -> None:
        given = call.request.headers.get("Authorization")
        if given == f"Bot {self.config.token}" or (given is None and not op.needs_auth):
            return
        self.stats.bad_tokens += 1
        raise ApiError("UNAUTHORIZED")

    def _carry_out(self, call: Call, op: Operation) -> routes.Answer:
        try:
            return routes.HANDLERS[op.name](call)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if self.spec:
                raise
            # Without the description a malformed body is only noticed here.
            self.violation("schema", f"a body that cannot be carried out: {error!r}")
            raise ApiError("INVALID_FORM_BODY") from None

    # -- bodies ---------------------------------------------------------------------

    async def _read_body(self, call: Call) -> None:
        request = call.request
        if request.content_type == "multipart/form-data":
            total = await self._read_form(call)
        else:
            raw = await request.read()
            total = len(raw)
            if raw and request.content_type != "application/json":
                text = f"Content-Type {request.content_type!r}"
                self.reject_if("schema", [Problem((), "CONTENT_TYPE_INVALID", text)])
            call.body = self._parse_json(raw) if raw else None
        largest = max((len(f.data) for f in call.files.values()), default=0)
        if total > self.config.request_size_limit or largest > self.config.attachment_size_limit:
            # No violation: a bot cannot know every server's limit beforehand, it has to cope.
            raise ApiError("ENTITY_TOO_LARGE")
        if len(call.files) > MAX_FILES:
            text = f"Must be {MAX_FILES} or fewer in length."
            self.reject_if("limit", [Problem(("files",), "BASE_TYPE_MAX_LENGTH", text)])

    async def _read_form(self, call: Call) -> int:
        """Read payload_json and files[n]; return the bytes of all of it."""
        total = 0
        try:
            async for part in await call.request.multipart():
                assert isinstance(part, BodyPartReader)
                name, raw = part.name or "", bytes(await part.read(decode=True))
                total += len(raw)
                if name == "payload_json":
                    call.body = self._parse_json(raw)
                elif name.startswith("files[") and name.endswith("]"):
                    call.files[int(name[6:-1])] = Upload(part.filename or "unknown", raw)
                else:
                    raise ValueError(name)
        except (AssertionError, ValueError):
            self.violation("schema", "a malformed multipart body")
            raise ApiError("INVALID_FORM_BODY") from None
        if call.files and call.body is None:
            call.body = {}
        return total

    def _parse_json(self, raw: bytes) -> Any:
        try:
            return json.loads(raw)
        except ValueError:
            self.violation("schema", "a body that is not JSON")
            raise ApiError("INVALID_JSON") from None

    # -- gateway and CDN ------------------------------------------------------------

    async def _serve_gateway(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults.take("GET", gateway_module.PATH)
        if fault and (failed := await self._inject(fault, request)) is not None:
            return failed
        return await self.gateway.serve(request)

    async def _serve_cdn(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults.take("GET", request.path)
        if fault and fault.cut is None and (failed := await self._inject(fault, request)) is not None:
            return failed
        attachment = self.world.cdn.fetch(request.match_info["tail"], dict(request.query))
        if attachment is None:
            return web.Response(status=404, text="This content is no longer available.")
        if fault and fault.cut is not None:
            return await _cut_off(request, attachment, fault.cut)
        return web.Response(body=attachment.data, content_type=attachment.content_type)


async def _cut_off(request: web.Request, attachment: Attachment, sent: int) -> web.StreamResponse:
    """Send the beginning of a file whose length is told right."""
    response = web.StreamResponse(headers={"Content-Length": str(len(attachment.data))})
    response.content_type = attachment.content_type
    await response.prepare(request)
    await response.write(attachment.data[:sent])
    if request.transport is not None:
        request.transport.close()  # what was written still goes out
    return response


def _json(status: int, body: Any, headers: dict[str, str]) -> web.Response:
    headers = {**headers, "Via": "1.1 google"}  # without it discord.py takes a 429 for a ban
    if body is None:
        return web.Response(status=status, headers=headers)
    raw = json.dumps(body).encode()
    return web.Response(status=status, body=raw, headers={**headers, "Content-Type": "application/json"})


def _rate_limited(verdict: Verdict) -> web.Response:
    wait = verdict.retry_after
    body = {"message": "You are being rate limited.", "retry_after": wait, "global": verdict.is_global}
    return _json(429, body, {**verdict.headers, "Retry-After": str(int(wait) + 1)})


def _json_fault(fault: Fault) -> web.Response:
    scope = "global" if fault.is_global else "user"
    verdict = Verdict({"X-RateLimit-Scope": scope}, fault.retry_after or 1.0, fault.is_global)
    if fault.is_global:
        verdict.headers["X-RateLimit-Global"] = "true"
    if fault.code is None:
        return _rate_limited(verdict)
    status, code, message = CATALOG[NAME_OF_CODE[fault.code]]
    body: dict[str, Any] = {"message": message, "code": code}
    if status == 429:
        body |= {"retry_after": verdict.retry_after, "global": fault.is_global}
    return _json(status, body, verdict.headers if status == 429 else {})


def _error_code(response: web.Response) -> int | None:
    if response.status < 400 or response.content_type != "application/json":
        return None
    assert isinstance(response.body, bytes)
    code: int | None = json.loads(response.body).get("code")
    return code
