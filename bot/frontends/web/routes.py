"""The routes beside Gradio's own: the state, the page's own files, pictures, and uploads.

Runs on the page's loop; `ask` carries every question to the service's. Which paths lead here, and what the names in
them look like, is `paths.py`; who may come this far is `gate.py`.
"""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from typing import Final

import anyio.to_thread
from PIL import Image
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse

from bot.errors import BotError, Refusal
from bot.frontends.web.cross_loop import Ask
from bot.frontends.web.handlers import PageHandlers
from bot.frontends.web.identity import visitor
from bot.frontends.web.installing import MANIFEST_KIND, SMALL_ICON, manifest
from bot.frontends.web.own_files import own_files, version
from bot.frontends.web.own_images import MAX_AT_ONCE, Looked
from bot.frontends.web.security.gate import Handler
from bot.frontends.web.security.paths import JOB_ID
from bot.frontends.web.security.refused import RequestRefused
from bot.frontends.web.uploads import KINDS, Uploads
from bot.frontends.web.zip_stream import zipped
from bot.presentation.job_view import Action
from pipeline.errors import InvalidSpec

log = logging.getLogger(__name__)

THUMBNAIL_PX: Final = 320
# Asked for again each time, because it may have been removed; "private": not for caches that several people share.
KEPT: Final = {"Cache-Control": "private, no-cache"}
FOR_GOOD: Final = {"Cache-Control": "private, max-age=31536000, immutable"}
NOT_KEPT: Final = {"Cache-Control": "no-store"}
JOB_IDS: Final = re.compile(rf"{JOB_ID}(?:,{JOB_ID}){{0,999}}", re.ASCII)
MAX_NAME: Final = 100  # characters of a model's name
NO_PICTURE: Final = "there is no such picture"
NO_FILE: Final = "there is no such file"


def routes(handlers: PageHandlers, ask: Ask, secret: str, uploads: Uploads) -> dict[str, Handler]:
    """Return every route by name."""

    def told(handler: Handler) -> Handler:
        """Answer a refusal with its sentence, in the reader's language."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestRefused as bad:
                return PlainTextResponse(bad.text, status_code=bad.status)
            except (BotError, InvalidSpec) as error:
                text = handlers.explain(error, visitor(request, secret))
                return JSONResponse({"text": text, "is_refusal": True}, status_code=409)

        return answer

    async def state(request: Request) -> Response:
        return JSONResponse(await ask(handlers.state(visitor(request, secret))))

    async def gallery(request: Request) -> Response:
        query = request.query_params
        before = query.get("before", "")
        looked = Looked(
            search=query.get("search", ""), model=query.get("model", "")[:MAX_NAME], is_kept=query.get("kept") == "yes"
        )
        before_id = int(before) if before.isascii() and before.isdecimal() and len(before) < 16 else None
        return JSONResponse(await ask(handlers.images.page(visitor(request, secret), looked, before_id=before_id)))

    async def picture(request: Request) -> Response:
        return HTMLResponse(await ask(handlers.images.large(visitor(request, secret), _job_id(request))))

    async def cancel(request: Request) -> Response:
        return JSONResponse({"text": await ask(handlers.cancel(visitor(request, secret), _job_id(request)))})

    async def draw_again(request: Request) -> Response:
        verb = Action(request.path_params["verb"])
        drawn = await ask(handlers.draw_again(visitor(request, secret), _job_id(request), verb))
        return JSONResponse({"text": drawn.text})

    async def keep(request: Request) -> Response:
        text = await ask(handlers.images.keep(visitor(request, secret), _job_ids(request), is_kept=True))
        return JSONResponse({"text": text})

    async def let_go(request: Request) -> Response:
        text = await ask(handlers.images.keep(visitor(request, secret), _job_ids(request), is_kept=False))
        return JSONResponse({"text": text})

    async def erase(request: Request) -> Response:
        return JSONResponse({"text": await ask(handlers.images.erase(visitor(request, secret), _job_ids(request)))})

    async def zip_file(request: Request) -> Response:
        files = await ask(handlers.images.files(visitor(request, secret), _job_ids(request)))
        headers = {**NOT_KEPT, "Content-Disposition": 'attachment; filename="imagine-bot.zip"'}
        return StreamingResponse(zipped(files), media_type="application/zip", headers=headers)

    async def help_text(request: Request) -> Response:
        return HTMLResponse(handlers.help(visitor(request, secret)))

    async def dismiss(request: Request) -> Response:
        await ask(handlers.dismiss(visitor(request, secret), _job_id(request)))
        return JSONResponse({"text": ""})

    async def file(request: Request) -> Response:
        try:
            path = await ask(handlers.addresses.file(request.path_params["key"], _job_id(request)))
        except Refusal as gone:
            return PlainTextResponse(handlers.explain(gone, visitor(request, secret)), status_code=410)
        is_whole = request.path_params["kind"] == "png"
        tag = f'"{_job_id(request)}-{request.path_params["kind"]}"'  # a picture never changes under its address
        if path is not None and request.headers.get("If-None-Match") == tag:
            return Response(status_code=304, headers={**KEPT, "ETag": tag})
        small = None if path is None else await anyio.to_thread.run_sync(_first_byte if is_whole else _thumbnail, path)
        if path is None or not small:
            return PlainTextResponse(NO_PICTURE, status_code=404)
        if is_whole:
            return FileResponse(path, media_type="image/png", headers={**KEPT, "ETag": tag})
        return Response(small, media_type="image/webp", headers={**KEPT, "ETag": tag})

    async def icon(_request: Request) -> Response:
        return Response(own_files()[SMALL_ICON].content, media_type=own_files()[SMALL_ICON].kind, headers=KEPT)

    async def web_manifest(request: Request) -> Response:
        # Asked for again each time: the addresses of the icons change with them.
        seen = JSONResponse(manifest(handlers.root_path), media_type=MANIFEST_KIND)
        seen.headers.update(KEPT)
        return seen

    async def own_file(request: Request) -> Response:
        known = own_files().get(request.path_params["name"])
        if known is None or request.path_params["version"] != version():
            return PlainTextResponse(NO_FILE, status_code=404)
        return Response(known.content, media_type=known.kind, headers=FOR_GOOD)

    async def upload(request: Request) -> Response:
        try:
            name = await uploads.receive(visitor(request, secret), request.headers, request.stream())
        except RequestRefused as bad:
            return PlainTextResponse(bad.text, status_code=bad.status)
        return JSONResponse([name])  # what the browser hands back in the form, as Gradio's page expects it

    async def upload_progress(_request: Request) -> Response:
        """Answer the question for progress with "done"; the page waits for the upload itself."""
        return Response('data: {"msg": "done"}\n\n', media_type="text/event-stream")

    async def uploaded(request: Request) -> Response:
        """Return a person's own upload for the form, always with the type of a picture."""
        name = request.path_params["name"]
        try:
            path = uploads.find(visitor(request, secret), name)
        except BotError:
            return PlainTextResponse(NO_PICTURE, status_code=404)
        return FileResponse(path, media_type=KINDS[name.rpartition(".")[2]], headers=NOT_KEPT)

    return {
        "state": told(state),
        "gallery": told(gallery),
        "picture": told(picture),
        "cancel": told(cancel),
        "draw_again": told(draw_again),
        "keep": told(keep),
        "let_go": told(let_go),
        "erase": told(erase),
        "zip": told(zip_file),
        "help": told(help_text),
        "dismiss": told(dismiss),
        "file": told(file),
        "own_file": own_file,
        "manifest": web_manifest,
        "icon": icon,
        "upload": upload,
        "upload_progress": upload_progress,
        "uploaded": uploaded,
    }


def _job_id(request: Request) -> int:
    return int(request.path_params["job_id"])


def _job_ids(request: Request) -> list[int]:
    """Read which images are meant, each once: `ids=7,8,9`.

    Raises:
        RequestRefused: there are none, too many, or something else.
    """
    text = request.query_params.get("ids", "")
    if JOB_IDS.fullmatch(text) is None:
        raise RequestRefused(422, "ids must be numbers of images with commas between them")
    ids = list(dict.fromkeys(map(int, text.split(","))))
    if len(ids) > MAX_AT_ONCE:
        raise RequestRefused(422, f"at most {MAX_AT_ONCE} images may be named at once")
    return ids


def _thumbnail(path: Path) -> bytes:
    """Shrink one of our PNG files; b"" if it is damaged or not readable. Takes milliseconds at 1024²; blocks."""
    buffer = io.BytesIO()
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
            picture.convert("RGB").save(buffer, format="WEBP", quality=80)
    except Exception as error:  # noqa: BLE001 - readers of picture formats raise anything at all on damaged files
        log.warning("the picture %s cannot be shown: %s", path.name, type(error).__name__)
        return b""
    return buffer.getvalue()


def _first_byte(path: Path) -> bytes:
    """Return the first byte of a file; b"" if it cannot be read. Blocks."""
    try:
        with path.open("rb") as file:
            return file.read(1)
    except OSError as error:
        log.warning("the picture %s cannot be read: %s", path.name, error.strerror)
        return b""
