"""The addresses of the operator's corner: the page, what it shows, and what its buttons do.

Runs on the page's loop; `ask` carries every question to the service's. `paths.py` lists the addresses, `gate.py` has
checked page password, host and origin; here `security/operators.py` decides who is the operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from bot.errors import BackupFailed, BotError
from bot.frontends.web.corner.handlers import CornerHandlers
from bot.frontends.web.corner.page import corner_page
from bot.frontends.web.cross_loop import Ask
from bot.frontends.web.handlers import PageHandlers
from bot.frontends.web.identity import visitor
from bot.frontends.web.security.admission import Verdict
from bot.frontends.web.security.bodies import read_json
from bot.frontends.web.security.gate import NO_PAGE, RETRY_S, Handler
from bot.frontends.web.security.operators import Operators, Standing, cookie
from bot.frontends.web.security.refused import RequestRefused
from bot.presentation.wording import Wording, wording_for
from pipeline.errors import InvalidSpec

MAX_BODY_BYTES: Final = 8 * 1024
NOT_KEPT: Final = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Corner:
    """The parts of the corner: who may enter, and what is there."""

    operators: Operators
    handlers: CornerHandlers
    root_path: str


def corner_routes(corner: Corner, page: PageHandlers, ask: Ask, secret: str) -> dict[str, Handler]:
    """Return every route of the corner by name; `page` explains what was refused."""

    def wording(request: Request) -> Wording:
        return wording_for(visitor(request, secret).locale)

    def inside(handler: Handler) -> Handler:
        """Answer operators alone, and a refusal with its sentence and the field that it is about."""

        async def answer(request: Request) -> Response:
            standing = corner.operators.standing(request)
            if standing is Standing.ABSENT:
                return PlainTextResponse(NO_PAGE, 404)
            if standing is Standing.CLOSED:
                return _refused(wording(request).say("operator-closed"), status=403)
            try:
                answered = await handler(request)
            except RequestRefused as bad:
                return _refused(bad.text, status=bad.status)
            except (BotError, InvalidSpec) as error:
                text = page.explain(error, visitor(request, secret))
                return _refused(text, field=corner.handlers.field_of(error), status=409)
            answered.headers.update(NOT_KEPT)
            return answered

        return answer

    async def the_page(request: Request) -> Response:
        if corner.operators.standing(request) is Standing.ABSENT:
            return PlainTextResponse(NO_PAGE, 404)
        return HTMLResponse(corner_page(wording(request), root_path=corner.root_path), headers=NOT_KEPT)

    async def overview(request: Request) -> Response:
        seen = await ask(corner.handlers.overview(wording(request)))
        return JSONResponse({**seen, "can_leave": corner.operators.asks})

    async def enter(request: Request) -> Response:
        if corner.operators.standing(request) is Standing.ABSENT:
            return PlainTextResponse(NO_PAGE, 404)
        try:
            values = await _read(request, ("password",))
        except RequestRefused as bad:
            return _refused(bad.text, status=bad.status)
        address = request.client.host if request.client is not None else ""
        entered = await corner.operators.enter(values["password"], address=address)
        if isinstance(entered, Verdict):
            is_crowded = entered is Verdict.TOO_MANY
            text = wording(request).say("operator-too-many" if is_crowded else "operator-wrong")
            refused = _refused(text, field="password", status=429 if is_crowded else 403)
            if is_crowded:
                refused.headers.update({"Retry-After": str(RETRY_S), "Connection": "close"})
            return refused
        return _with_session(request, entered)

    async def leave(request: Request) -> Response:
        corner.operators.leave(request)
        return _with_session(request, "")

    def _with_session(request: Request, token: str) -> Response:
        is_secure = request.scope["scheme"] == "https"
        session = cookie(token, root_path=corner.root_path, is_secure=is_secure)
        return JSONResponse({"text": ""}, headers={**NOT_KEPT, "Set-Cookie": session})

    async def cancel(request: Request) -> Response:
        await _read(request, ())
        job_id = int(request.path_params["job_id"])
        return JSONResponse({"text": await ask(corner.handlers.cancel(job_id, wording(request)))})

    async def pause(request: Request) -> Response:
        values = await _read(request, ("reason", "until"))
        said = await ask(corner.handlers.pause(values["reason"], values["until"], wording(request)))
        return JSONResponse({"text": said})

    async def resume(request: Request) -> Response:
        await _read(request, ())
        return JSONResponse({"text": await ask(corner.handlers.resume(wording(request)))})

    async def back_up(request: Request) -> Response:
        await _read(request, ())
        try:
            return JSONResponse({"text": await ask(corner.handlers.back_up(wording(request)))})
        except BackupFailed as failed:
            return _refused(wording(request).say("operator-backup-failed", reason=str(failed)), status=409)

    async def release(request: Request) -> Response:
        await _read(request, ())
        return JSONResponse({"text": await ask(corner.handlers.release(wording(request)))})

    return {
        "operator_page": the_page,
        "operator": inside(overview),
        "operator_enter": enter,
        "operator_leave": inside(leave),
        "operator_cancel": inside(cancel),
        "operator_pause": inside(pause),
        "operator_resume": inside(resume),
        "operator_back_up": inside(back_up),
        "operator_release": inside(release),
    }


def _refused(text: str, *, status: int, field: str = "") -> Response:
    return JSONResponse({"text": text, "is_refusal": True, "field": field}, status_code=status, headers=NOT_KEPT)


async def _read(request: Request, keys: Sequence[str]) -> Mapping[str, str]:
    """Read a JSON object of texts with just these keys.

    The type is asked for because no form of another page can send it.

    Raises:
        RequestRefused
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RequestRefused(400, "the request must be JSON, and say so as its Content-Type")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise RequestRefused(413, "the request is too large")
    values = read_json(body)
    if not isinstance(values, dict) or set(values) != set(keys):
        raise RequestRefused(422, f"the request must be a JSON object with {', '.join(keys) or 'nothing in it'}")
    if not all(isinstance(value, str) for value in values.values()):
        raise RequestRefused(422, "a value is of the wrong kind")
    return values
