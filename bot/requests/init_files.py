"""Files of init images: what they hold, and what their headers say. Knows no person and no queue."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from pipeline.errors import InvalidSpec
from pipeline.images.init_image import SourceFile, read_header

log = logging.getLogger(__name__)


async def read_bytes(path: Path | None) -> bytes | None:
    """Return what a file holds; None if there is none, or it cannot be read."""
    try:
        return None if path is None else await asyncio.to_thread(path.read_bytes)
    except OSError as error:  # pruned meanwhile, or the disk fails
        log.warning("the picture %s cannot be read: %s", path, error)
        return None


def read_source_header(source: bytes | Path) -> SourceFile:
    """Read the header of a file, which may still be on disk so that waiting files take no memory. Blocks."""
    try:
        return read_header(source if isinstance(source, bytes) else source.read_bytes())
    except FileNotFoundError as error:
        raise InvalidSpec("image", "is gone") from error
