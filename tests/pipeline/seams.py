"""How visible the borders of tiles are: how steep an image is across them, against how steep it is elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def seam_ratio(picture: np.ndarray, borders: Iterable[int]) -> float:
    """Of a picture (H, W) or (H, W, C): the steepest of these columns, against the mean of all others.

    About 1 if these columns are like others.

    Args:
        borders: each a column with which a tile begins, or with which the one before has ended.
    """
    grey = picture.astype(float).reshape(*picture.shape[:2], -1).mean(-1)
    steps = np.abs(np.diff(grey, axis=1)).mean(0)  # (W − 1)
    at = np.array(sorted({border - 1 for border in borders}))
    return float(steps[at].max() / np.delete(steps, at).mean())


def texture(height: int, width: int, *, seed: int = 1) -> np.ndarray:
    """Waves of several lengths and directions, (H, W) in −1…1, so that no column is like the next."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [
        np.sin(rows * random.uniform(-0.5, 0.5) + columns * random.uniform(-0.9, 0.9) + random.uniform(0, 7))
        for _ in range(12)
    ]
    total: np.ndarray = np.sum(waves, axis=0)
    return total / np.abs(total).max()
