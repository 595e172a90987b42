"""Where the tiles of an image lie that is larger than a model draws at a time. No torch.

An upscaled image is predicted tile by tile, and the estimate of time, the limits and the memory plan have to know how
many pixels that are. All numbers are px along one side, multiples of `GRAIN_PX` as the sides of images are.
"""

from __future__ import annotations

from typing import Final

GRAIN_PX: Final = 16
OVERLAP: Final = 8  # tiles share an eighth of their side with the next one, where both are blended


def tile_side(side: int, count: int) -> int:
    """Return how long each of `count` tiles is that cover a side and share at least an eighth with the next."""
    shares = OVERLAP * count - (count - 1)  # of an eighth of a tile each, which together are the side
    grains = -(-OVERLAP * side // (shares * GRAIN_PX))
    return min(side, grains * GRAIN_PX)


def tile_starts(side: int, count: int) -> list[int]:
    """Return where `count` tiles begin, evenly spread: the first one at 0, the last one so that it ends at the end."""
    last = side - tile_side(side, count)
    places = (last * number / max(1, count - 1) for number in range(count))
    return sorted({round(place / GRAIN_PX) * GRAIN_PX for place in places})  # fewer if the side is too short for them
