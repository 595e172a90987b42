"""A person's picture → RGB pixels of the size that is drawn: the start of image-to-image. No torch.

Files here come from strangers: nothing is believed before it is checked, nothing is unpacked before its header was
read, and only fresh pixels go on. What a file holds beside its pixels is dropped, but for the profile of its colours
and which side is up.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image, ImageCms, ImageOps

from pipeline.catalog.model_card import ModelCard
from pipeline.errors import InvalidSpec
from pipeline.spec import ImageOptions, ImageSpec

FORMATS: Final = ("PNG", "JPEG", "WEBP")
MAX_SOURCE_BYTES: Final = 25 * 2**20
MAX_SOURCE_PIXELS: Final = 64_000_000  # the largest phones' cameras, which write JPEG: that is unpacked to a part
MAX_WHOLE_PIXELS: Final = 32_000_000  # of PNG, 130 MB while it is unpacked, and of WebP, 500 MB
MAX_RATIO: Final = 8  # of the sides: cropping away more than that is never meant
WORKING_PX: Final = 2048  # of the shorter side: larger pictures are made smaller before anything else is done to them
BAND_PIXELS: Final = 2**22  # that are worked on at a time, while they still are so large
MAX_PROFILE_BYTES: Final = 4 * 2**20  # those of printers have two million
MAX_EXIF_BYTES: Final = 2**16
MAX_CHUNKS: Final = 50_000  # or segments; there is one for every few kilobytes
MAX_SCANS: Final = 32  # of a JPEG, each of which is a pass over all pixels; usual are ten
ORIENTATION: Final = 0x0112  # of an Exif, https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf, 4.6.4
SHORT: Final = 3
TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_JPEG: Final = b"\xff\xd8"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_EXIF: Final = b"Exif\0\0"
_JPEG_SCAN: Final = b"\xff\xda"
_JPEG_PIXELS: Final = frozenset({_JPEG_SCAN, b"\xff\xd9"})
_JPEG_PROFILE: Final = b"ICC_PROFILE\0"
_PNG_PIXELS: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A picture file whose header fits: it may be unpacked."""

    data: bytes  # without what is dropped
    size: tuple[int, int]  # (width, height) px, as they lie in the file
    profile: bytes  # ICC; what is empty here may still be in `data`
    exif: bytes


def read_header(data: bytes) -> SourceFile:
    """Read the header of a PNG, JPEG or WebP, and nothing of its pixels. A few milliseconds; any thread.

    Raises:
        InvalidSpec: empty, too large, another format, damaged, or far too long and narrow.
    """
    if not data:
        raise InvalidSpec("image", "is empty", detail="unreadable")
    if len(data) > MAX_SOURCE_BYTES:
        raise InvalidSpec("image", f"is larger than {MAX_SOURCE_BYTES // 2**20} MiB", detail="too-large")
    try:
        profile = exif = b""
        if data.startswith(_PNG):
            data, profile, exif = _bare_png(data)
        elif data.startswith(_JPEG):
            data, profile, exif = _bare_jpeg(data)
        # Pillow makes room for the pixels of a WebP when it opens it: those are counted before.
        if (size := _webp_size(data)) is None:
            with Image.open(io.BytesIO(data), formats=FORMATS) as file:
                size = file.size
    except InvalidSpec:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(MAX_SOURCE_PIXELS) from error
    except Exception as error:  # readers of picture formats raise anything at all on damaged files
        raise _unreadable() from error
    _check_size(*size, is_jpeg=data.startswith(_JPEG))
    return SourceFile(data=data, size=size, profile=profile, exif=exif)


def read_source(data: bytes) -> Image.Image:
    """`read_header` and `unpack` in one.

    Raises:
        InvalidSpec
    """
    return unpack(read_header(data))


def unpack(source: SourceFile) -> Image.Image:
    """Read the pixels: upright, sRGB, the first frame, transparent parts white, large ones made smaller. Any thread.

    Takes about four bytes of memory for each of the file's pixels.

    Raises:
        InvalidSpec: damaged.
    """
    try:
        with Image.open(io.BytesIO(source.data), formats=FORMATS) as file:
            _check_size(*file.size, is_jpeg=source.data.startswith(_JPEG))
            profile = source.profile or file.info.get("icc_profile", b"")
            orientation = _orientation(source.exif or file.info.get("exif", b""))
            shorter = min(file.size)
            if shorter >= 2 * WORKING_PX:
                # JPEG alone can be unpacked to a half, a quarter or an eighth.
                file.draft(None, (file.width * WORKING_PX // shorter, file.height * WORKING_PX // shorter))
            picture = _small(file, _to_srgb(profile, file.mode))
    except InvalidSpec:
        raise
    except Exception as error:
        raise _unreadable() from error
    picture.info.clear()
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


def resolve_with_source(
    card: ModelCard, options: ImageOptions, data: bytes, *, random_seed: int, translated: str = ""
) -> tuple[ImageSpec, Image.Image]:
    """`fit_source` for a file.

    Raises:
        InvalidSpec
    """
    return fit_source(card, options, read_source(data), random_seed=random_seed, translated=translated)


def fit_source(
    card: ModelCard, options: ImageOptions, picture: Image.Image, *, random_seed: int, translated: str = ""
) -> tuple[ImageSpec, Image.Image]:
    """`ModelCard.resolve` for a picture to start from, and that picture cropped around the middle and scaled to fit.

    Where neither a shape nor an exact size is asked for, it is the shape that cuts least off the picture.

    Raises:
        InvalidSpec
    """
    options = replace(options, aspect=options.aspect or card.nearest_aspect(*picture.size))
    fitted = ImageOps.fit(picture, card.pixels_of(options), Image.Resampling.LANCZOS)
    key = hashlib.sha256(fitted.tobytes()).hexdigest()
    return card.resolve(options, random_seed=random_seed, source=key, translated=translated), fitted


def source_png(picture: Image.Image) -> bytes:
    """Pack a fitted picture for keeping; nothing of the file that it came from is left."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _check_size(width: int, height: int, *, is_jpeg: bool) -> None:
    most = MAX_SOURCE_PIXELS if is_jpeg else MAX_WHOLE_PIXELS
    if width * height > most:
        raise _too_many_pixels(most)
    if max(width, height) > MAX_RATIO * min(width, height):
        reason = f"is more than {MAX_RATIO} times as long as it is wide"
        raise InvalidSpec("image", reason, detail="too-long", ratio=MAX_RATIO)


def _too_many_pixels(most: int) -> InvalidSpec:
    return InvalidSpec("image", f"has more than {most // 10**6} million pixels", detail="too-many-pixels")


def _unreadable() -> InvalidSpec:
    return InvalidSpec("image", "cannot be read as a PNG, JPEG or WebP picture", detail="unreadable")


# ── what lies around the pixels ─────────────────────────────────────────────────────────────────────


def _bare_png(data: bytes) -> tuple[bytes, bytes, bytes]:
    """A PNG without texts, times and frames, which can unfold to any size; the profile and the Exif that it had."""
    packed = exif = b""
    kept = [_PNG]
    for kind, body, whole in _chunks(data):
        if kind in _PNG_PIXELS:
            kept.append(whole)
        elif kind == b"iCCP":
            packed = packed or body
        elif kind == b"eXIf":
            exif = body
    return b"".join(kept), _profile(packed), exif


def _bare_jpeg(data: bytes) -> tuple[bytes, bytes, bytes]:
    """A JPEG without what cameras write around it; the profile and the Exif that it had (JPEG, annex B)."""
    profile, exif = [], b""
    kept, offset = [data[:2]], 2
    for _ in range(MAX_CHUNKS):
        marker, (length,) = data[offset : offset + 2], struct.unpack_from(">H", data.ljust(offset + 4), offset + 2)
        segment = data[offset : offset + 2 + length]
        body = segment[4:]
        if marker == b"\xff\xe1" and body.startswith(_EXIF):
            exif = exif or body
        elif marker == b"\xff\xe2" and body.startswith(_JPEG_PROFILE):
            profile.append(body[len(_JPEG_PROFILE) :])  # number, of how many, piece
        if marker[:1] != b"\xff" or marker in _JPEG_PIXELS or length < 2 or offset >= len(data):
            break
        if not (0xE1 <= marker[1] <= 0xED or marker[1] in {0xEF, 0xFE}):
            kept.append(segment)
        offset += len(segment)
    else:
        raise InvalidSpec("image", "has too many segments", detail="unreadable")
    if data.count(_JPEG_SCAN, offset) > MAX_SCANS:
        raise InvalidSpec("image", "has too many scans", detail="unreadable")
    return b"".join([*kept, data[offset:]]), b"".join(piece[2:] for piece in sorted(profile)), exif


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Walk a PNG: type, body, and the whole chunk. Ends where the file does; what is missing, the reader will say."""
    offset = len(_PNG)
    for _ in range(MAX_CHUNKS):
        if offset + 12 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, offset)
        whole = data[offset : offset + 12 + length]
        yield kind, whole[8 : 8 + length], whole
        offset += len(whole)
        if kind == b"IEND":
            return
    raise InvalidSpec("image", "has too many chunks", detail="unreadable")


def _profile(body: bytes) -> bytes:
    """Unfold the profile of a PNG, up to a bound: name 0 method data (PNG 3rd edition, 11.3.2.3)."""
    name, _, rest = body.partition(b"\0")
    try:
        unfolding = zlib.decompressobj()
        profile = unfolding.decompress(rest[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return b""
    return profile if name and unfolding.eof else b""


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a WebP, by the first of its chunks; None where there is none.

    https://developers.google.com/speed/webp/docs/riff_container
    """
    kind, body = data[12:16], data[20:30]
    if not data.startswith(b"RIFF") or data[8:12] != b"WEBP" or len(body) < 10:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _orientation(exif: bytes) -> int:
    """Which side of it is up, by the first directory of an Exif; 1, as it lies, where nothing usable says so."""
    exif = exif.removeprefix(_EXIF)[:MAX_EXIF_BYTES]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (place,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, place)
        for number in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, place + 2 + 12 * number)
            if (tag, kind) == (ORIENTATION, SHORT):
                return int(value)
    except struct.error:  # it breaks off
        pass
    return 1


# ── pixels ──────────────────────────────────────────────────────────────────────────────────────────


def _small(file: Image.Image, transform: ImageCms.ImageCmsTransform | None) -> Image.Image:
    """RGB of at least `WORKING_PX`, band by band where that is smaller than the file: only its own pixels are whole."""
    factor = max(1, min(file.size) // WORKING_PX)
    width, height = file.size
    if factor == 1:
        return _flat(file, transform)
    small = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    rows = factor * max(1, BAND_PIXELS // (width * factor))
    for top in range(0, height, rows):
        band = file.crop((0, top, width, min(height, top + rows)))
        small.paste(_flat(band, transform).reduce(factor), (0, top // factor))
    return small


def _flat(picture: Image.Image, transform: ImageCms.ImageCmsTransform | None) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey; converting would cut them off at 255
        picture = picture.point(lambda value: value / 256).convert("L")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture)
    if picture.mode != "CMYK" or transform is None:
        picture = picture.convert("RGB")
    return picture if transform is None else ImageCms.applyTransform(picture, transform) or picture


def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """How colours of a profile become those of screens; None where it is none, or not one for this kind of pixel."""
    if not profile or len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        pixels = "CMYK" if mode == "CMYK" else "RGB"
        if given.profile.xcolor_space.strip() != pixels or mode in {"1", "L", "LA", "I", "I;16"}:
            return None
        return ImageCms.buildTransform(given, ImageCms.createProfile("sRGB"), pixels, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
