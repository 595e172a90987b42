"""An uploaded picture → `Reference`, the pixels that an edit looks at. No torch.

The file itself goes through the checks of `pipeline/images/init_image.py` first.
"""

from __future__ import annotations

import math
from typing import Final

from PIL import Image, ImageOps

from pipeline.engine import Reference
from pipeline.images.init_image import read_source
from pipeline.spec import SIDE_MULTIPLE_PX

MAX_REFERENCE_PIXELS: Final = 2**20  # each pixel more makes every step of the edit slower


def read_reference(data: bytes) -> Reference:
    """Read a PNG, JPEG or WebP file as a reference image. Any thread.

    Raises:
        InvalidSpec: empty, too large, another format, damaged, or far too long and narrow.
    """
    return fit_reference(read_source(data))


def fit_reference(picture: Image.Image) -> Reference:
    """Scale an unpacked picture down to `MAX_REFERENCE_PIXELS`, keeping its shape. Any thread.

    Args:
        picture: as `init_image.unpack` returns it. A smaller one keeps its size.

    Returns:
        The picture with sides that are multiples of `SIDE_MULTIPLE_PX`; what that rounds away is cut off evenly.
    """
    fitted = ImageOps.fit(picture.convert("RGB"), _fitting_size(*picture.size), Image.Resampling.LANCZOS)
    return Reference(pixels=fitted.tobytes(), width=fitted.width, height=fitted.height)


def _fitting_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, math.sqrt(MAX_REFERENCE_PIXELS / (width * height)))
    sides = [max(1, round(side * scale / SIDE_MULTIPLE_PX)) for side in (width, height)]
    if math.prod(sides) * SIDE_MULTIPLE_PX**2 > MAX_REFERENCE_PIXELS:  # both were rounded up
        longer = sides.index(max(sides))
        sides[longer] = MAX_REFERENCE_PIXELS // (SIDE_MULTIPLE_PX**2 * sides[1 - longer])
    return sides[0] * SIDE_MULTIPLE_PX, sides[1] * SIDE_MULTIPLE_PX
