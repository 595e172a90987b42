"""The files that a request starts from or looks at, wherever they lie: read, or fetched; and their headers."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from bot.errors import UploadGone
from bot.requests.batch import File, InitImage, StoredInitImage, StoredResult
from bot.store.image_store import ImageStore
from pipeline.errors import InvalidSpec
from pipeline.images.init_image import SourceFile, read_header

log = logging.getLogger(__name__)


async def file_of(wanted: InitImage, images: ImageStore) -> File:
    """Return the file that an image of a batch stands for. Nothing is fetched yet.

    Raises:
        UploadGone: it is kept no more.
    """
    match wanted:
        case StoredInitImage(digest=digest):
            path = await images.find_source(digest)
        case StoredResult(path=relative):
            path = await images.find(relative)
        case _:
            return wanted
    if (data := await read_file(path)) is None:
        raise UploadGone
    return data


async def read_file(path: Path | None) -> bytes | None:
    """Return what is in a file; None if it is gone or cannot be read."""
    try:
        return None if path is None else await asyncio.to_thread(path.read_bytes)
    except OSError as error:  # pruned meanwhile, or the disk fails
        log.warning("the picture %s cannot be read: %s", path, error)
        return None


async def header_of(source: File) -> SourceFile:
    """Read the header of a file, which may still be on disk or elsewhere, so that waiting files take no memory.

    Raises:
        Refusal: it cannot be fetched.
        InvalidSpec: it is gone, or cannot be used.
    """
    if isinstance(source, Path):
        return await asyncio.to_thread(_read_header, source)
    data = source if isinstance(source, bytes) else await source.fetch()
    return await asyncio.to_thread(read_header, data)


def _read_header(path: Path) -> SourceFile:
    try:
        return read_header(path.read_bytes())
    except FileNotFoundError as error:
        raise InvalidSpec("image", "is gone") from error
