"""A person's picture → RGB pixels of the size that is drawn: the start of image-to-image. No torch.

Files here come from strangers: nothing is believed before it is checked, and only fresh pixels go on.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from typing import Final

from PIL import Image, ImageOps

from pipeline.cards import ModelCard
from pipeline.errors import InvalidSpec
from pipeline.spec import Aspect, ImageOptions, ImageSpec

FORMATS: Final = ("PNG", "JPEG", "WEBP")
MAX_SOURCE_BYTES: Final = 25 * 2**20
MAX_SOURCE_PIXELS: Final = 64_000_000  # the largest phones' cameras; 200 MB while it is unpacked
TOO_MANY_PIXELS: Final = f"has more than {MAX_SOURCE_PIXELS // 10**6} million pixels"
MAX_RATIO: Final = 8  # of the sides: cropping away more than that is never meant


def read_source(data: bytes) -> Image.Image:
    """Unpack a PNG, JPEG or WebP: upright, RGB, the first frame, transparent parts white. Any thread.

    Raises:
        InvalidSpec: empty, too large, another format, damaged, or far too long and narrow.
    """
    if not data:
        raise InvalidSpec("image", "is empty")
    if len(data) > MAX_SOURCE_BYTES:
        raise InvalidSpec("image", f"is larger than {MAX_SOURCE_BYTES // 2**20} MiB")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            width, height = file.size
            if width * height > MAX_SOURCE_PIXELS:
                raise InvalidSpec("image", TOO_MANY_PIXELS)
            if max(width, height) > MAX_RATIO * min(width, height):
                raise InvalidSpec("image", f"is more than {MAX_RATIO} times as long as it is wide")
            return _flat(ImageOps.exif_transpose(file))
    except InvalidSpec:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidSpec("image", TOO_MANY_PIXELS) from error
    except Exception as error:  # readers of picture formats raise anything at all on damaged files
        raise InvalidSpec("image", "cannot be read as a PNG, JPEG or WebP picture") from error


def resolve_with_source(
    card: ModelCard, options: ImageOptions, data: bytes, *, random_seed: int
) -> tuple[ImageSpec, Image.Image]:
    """`ModelCard.resolve` for a file to start from, and its picture cropped around the middle and scaled to fit.

    Where no shape is asked for, it is the one that cuts least off the picture.

    Raises:
        InvalidSpec
    """
    picture = read_source(data)
    options = replace(options, aspect=options.aspect or card.nearest_aspect(*picture.size))
    size = card.size(options.aspect or Aspect.SQUARE)
    fitted = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    key = hashlib.sha256(fitted.tobytes()).hexdigest()
    return card.resolve(options, random_seed=random_seed, source=key), fitted


def source_png(picture: Image.Image) -> bytes:
    """Pack a fitted picture for keeping; nothing of the file that it came from is left."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _flat(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey; converting would cut them off at 255
        picture = picture.point(lambda value: value / 256).convert("L")
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")
