"""What `page.js` asks for, and the pictures: a few small routes beside Gradio's own.

Runs on the page's loop; `ask` carries every question to the service's. Who may come this far is `gate.py`.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
from PIL import Image
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from bot.console.bridge import Ask
from bot.console.desk import Desk
from bot.console.people import visitor
from bot.errors import BotError
from pipeline.errors import InvalidSpec

log = logging.getLogger(__name__)

THUMBNAIL_PX: Final = 320
# A picture never changes under its address; "private": not for caches that several people share.
KEPT: Final = {"Cache-Control": "private, max-age=31536000, immutable"}


def routes(desk: Desk, ask: Ask, secret: str) -> list[BaseRoute]:
    """All of them."""

    def told(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """A refusal is an answer: its sentence, in the reader's language."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except (BotError, InvalidSpec) as error:
                text = desk.explain(error, visitor(request, secret))
                return JSONResponse({"text": text, "is_refusal": True}, status_code=409)

        return answer

    async def state(request: Request) -> Response:
        return JSONResponse(await ask(desk.state(visitor(request, secret))))

    async def gallery(request: Request) -> Response:
        before = request.query_params.get("before", "")
        search = request.query_params.get("search", "")
        before_id = int(before) if before.isdecimal() and len(before) < 16 else None
        return JSONResponse(await ask(desk.gallery(visitor(request, secret), search=search, before_id=before_id)))

    async def picture(request: Request) -> Response:
        return HTMLResponse(await ask(desk.picture(visitor(request, secret), _job_id(request))))

    async def cancel(request: Request) -> Response:
        return JSONResponse({"text": await ask(desk.cancel(visitor(request, secret), _job_id(request)))})

    async def vary(request: Request) -> Response:
        drawn = await ask(desk.vary(visitor(request, secret), _job_id(request)))
        return JSONResponse({"text": drawn.text})

    async def dismiss(request: Request) -> Response:
        await ask(desk.dismiss(visitor(request, secret), _job_id(request)))
        return JSONResponse({"text": ""})

    async def file(request: Request) -> Response:
        path = await ask(desk.file(request.path_params["key"], _job_id(request)))
        if path is None:
            return PlainTextResponse("there is no such picture", status_code=404)
        if request.path_params["kind"] == "png":
            return FileResponse(path, media_type="image/png", headers=KEPT)
        small = await anyio.to_thread.run_sync(_thumbnail, path)
        if small is None:
            return PlainTextResponse("there is no such picture", status_code=404)
        return Response(small, media_type="image/webp", headers=KEPT)

    job = "/console/jobs/{job_id:int}"
    return [
        Route("/console/state", told(state)),
        Route("/console/gallery", told(gallery)),
        Route(job, told(picture)),
        Route(f"{job}/cancel", told(cancel), methods=["POST"]),
        Route(f"{job}/vary", told(vary), methods=["POST"]),
        Route(f"{job}/dismiss", told(dismiss), methods=["POST"]),
        Route("/pictures/{key}/{job_id:int}.{kind:str}", told(file)),
        # Where gradio_client looks for what `draw` returned.
        Route("/gradio_api/file={origin:path}/pictures/{key}/{job_id:int}.{kind:str}", told(file)),
    ]


def _job_id(request: Request) -> int:
    number: Any = request.path_params["job_id"]
    return min(int(number), 2**63 - 1)  # SQLite's largest


def _thumbnail(path: Path) -> bytes | None:
    """Our own PNG, small; None if the file is damaged or gone. A few milliseconds at 1024²; blocks."""
    buffer = io.BytesIO()
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
            picture.convert("RGB").save(buffer, format="WEBP", quality=80)
    except MemoryError:
        raise
    except Exception as error:  # Pillow has many: OSError, SyntaxError, ValueError, zlib.error, struct.error
        log.warning("%s cannot be shown: %s", path, error)
        return None
    return buffer.getvalue()
