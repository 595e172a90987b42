"""A picture small enough to send: a ladder from the original file down to smaller ones.

Blocks for up to a second or so: call it on another thread. Knows no messages.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, PngImagePlugin

# Rungs: 0 the original, 1 a PNG packed harder, then WebP of (quality, divisor of the sides).
_LOSSY: Final = ((95, 1), (90, 1), (80, 1), (80, 2), (80, 4))
LAST_RUNG: Final = 1 + len(_LOSSY)


class BrokenPicture(Exception):
    """The file is there, but no picture can be read from it, now or later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file to send. `format` says what became of the picture, None if it is the original."""

    body: bytes
    extension: str
    rung: int
    format: str | None


def fit(path: Path, *, limit_bytes: int, rung: int = 0) -> Upload:
    """Make the best file of at most `limit_bytes`, starting at `rung`; the last rung is returned whatever its size.

    The text inside the PNG (prompt, seed) survives as long as the file is a PNG; the mark that a model made the picture
    always does.

    Raises:
        OSError: the file is gone or cannot be read at this moment.
        BrokenPicture
    """
    original = path.read_bytes()
    try:
        upload = _climb(original, rung)
        while len(upload.body) > limit_bytes and upload.rung < LAST_RUNG:
            upload = _climb(original, upload.rung + 1)
    except MemoryError:
        raise
    except Exception as error:  # Pillow has many: OSError, SyntaxError, ValueError, zlib.error, struct.error
        raise BrokenPicture(f"{path}: {error}") from error
    return upload


def _climb(original: bytes, rung: int) -> Upload:
    out = io.BytesIO()
    with Image.open(io.BytesIO(original)) as image:
        if rung == 0:
            image.verify()  # checksums only: nothing is unpacked
            return Upload(body=original, extension="png", rung=0, format=None)
        if rung == 1:
            texts = PngImagePlugin.PngInfo()
            for key, text in getattr(image, "text", {}).items():
                texts.add_itxt(key, text)
            image.save(out, "PNG", optimize=True, pnginfo=texts)
            return Upload(body=out.getvalue(), extension="png", rung=1, format=None)
        quality, divisor = _LOSSY[rung - 2]
        picture, mark = image.convert("RGB"), image.info.get("xmp", b"")
    if divisor > 1:
        picture = picture.resize((max(1, picture.width // divisor), max(1, picture.height // divisor)))
    picture.save(out, "WEBP", quality=quality, xmp=mark)
    size = f" {picture.width} × {picture.height}" if divisor > 1 else ""
    return Upload(body=out.getvalue(), extension="webp", rung=rung, format=f"WebP{size}")
