"""The texts that programs leave in image files: PNG, JPEG and WebP. No pixels are touched, no torch.

Files here come from strangers: sizes are bounded before anything is unfolded, and what makes no sense is left out.
What the texts mean is for the caller to find out.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from PIL import Image

MAX_TEXT_BYTES: Final = 256 * 1024  # of one text: graphs of ComfyUI are long
MAX_EXIF_BYTES: Final = 2**20
MAX_PIECES: Final = 2000  # of a file that are looked at: chunks, or segments
MAX_KEY_CHARS: Final = 79  # of a PNG (3rd edition, 11.3.3.2)
USER_COMMENT: Final = "UserComment"  # of an Exif, where AUTOMATIC1111 writes what is `parameters` of a PNG
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_EXIF: Final = b"Exif\0\0"
_EXIF_IFD: Final = 0x8769
_USER_COMMENT: Final = 0x9286
_PREFIXED: Final = (0x010F, 0x0110)  # make and model of the camera, where ComfyUI writes `prompt:{…}`


def embedded_texts(data: bytes) -> dict[str, str]:
    """Return the texts of a file by their names, the first of equal names; empty for anything unknown. Any thread."""
    if data.startswith(_PNG):
        found: dict[str, str] = {}
        for key, text in _texts_of_png(data):
            found.setdefault(key, text)
        return found
    if data.startswith(b"\xff\xd8"):
        return _texts_of_exif(_exif_of_jpeg(data))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _texts_of_exif(_exif_of_webp(data))
    return {}


def _texts_of_png(data: bytes) -> Iterator[tuple[str, str]]:
    offset = len(_PNG)
    for _ in range(MAX_PIECES):
        if offset + 12 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, offset)
        if kind in (b"tEXt", b"zTXt", b"iTXt") and length <= MAX_TEXT_BYTES:
            key, _, rest = data[offset + 8 : offset + 8 + length].partition(b"\0")
            if 0 < len(key) <= MAX_KEY_CHARS and (text := _text_of(kind, rest)) is not None:
                yield key.decode("latin-1"), text
        offset += 12 + length


def _text_of(kind: bytes, rest: bytes) -> str | None:
    if kind == b"tEXt":
        return rest.decode("latin-1")
    if kind == b"zTXt":
        unfolded = _unfold(rest[1:])
        return None if unfolded is None else unfolded.decode("latin-1")
    is_packed = rest[:1] == b"\1"
    _language, _, rest = rest[2:].partition(b"\0")
    _translated, _, body = rest.partition(b"\0")
    whole = _unfold(body) if is_packed else body
    return None if whole is None else whole.decode("utf-8", "replace")


def _unfold(packed: bytes) -> bytes | None:
    """Unfold a text up to the bound; None if it is longer, or damaged."""
    try:
        unfolding = zlib.decompressobj()
        text = unfolding.decompress(packed, MAX_TEXT_BYTES)
    except zlib.error:
        return None
    return text if unfolding.eof else None


def _exif_of_jpeg(data: bytes) -> bytes:
    offset = 2
    for _ in range(MAX_PIECES):
        if offset + 4 > len(data) or data[offset] != 0xFF or data[offset + 1] == 0xDA:
            return b""
        (length,) = struct.unpack_from(">H", data, offset + 2)
        body = data[offset + 4 : offset + 2 + length]
        if data[offset + 1] == 0xE1 and body.startswith(_EXIF):
            return body
        offset += 2 + max(2, length)
    return b""


def _exif_of_webp(data: bytes) -> bytes:
    offset = 12
    for _ in range(MAX_PIECES):
        if offset + 8 > len(data):
            return b""
        kind, length = struct.unpack_from("<4sI", data, offset)
        if kind == b"EXIF" and length <= MAX_EXIF_BYTES:
            return data[offset + 8 : offset + 8 + length]
        offset += 8 + length + length % 2
    return b""


def _texts_of_exif(exif: bytes) -> dict[str, str]:
    if not exif:
        return {}
    found: dict[str, str] = {}
    try:
        tags = Image.Exif()
        tags.load(exif if exif.startswith(_EXIF) else _EXIF + exif)
        comment = tags.get_ifd(_EXIF_IFD).get(_USER_COMMENT)
        if isinstance(comment, bytes) and (text := _comment(comment)):
            found[USER_COMMENT] = text
        for tag in _PREFIXED:
            key, colon, text = str(tags.get(tag, "")).partition(":")
            if colon and 0 < len(key) <= MAX_KEY_CHARS:
                found.setdefault(key, text[:MAX_TEXT_BYTES])
    except Exception:  # noqa: BLE001 - readers of picture formats raise anything at all on damaged files
        return found
    return found


def _comment(comment: bytes) -> str:
    """Read a comment by the eight bytes that name its characters (Exif 2.32, 4.6.5); UTF-16 of either order."""
    code, body = comment[:8], comment[8 : 8 + MAX_TEXT_BYTES]
    if code != b"UNICODE\0":
        return body.decode("utf-8", "replace").strip("\0 ")
    body = body[: len(body) // 2 * 2]
    orders = [body.decode(order, "replace") for order in ("utf-16-be", "utf-16-le")]
    return max(orders, key=lambda text: sum(character.isascii() for character in text)).strip("\0 ")
