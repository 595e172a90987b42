"""How fast the last download of model files was, for saying how long the next one takes. No torch.

One number in the folder of the models, in bytes per second. Whatever is wrong with the file, nothing is known then.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Final

FILE_NAME: Final = ".fetch_speed"
LEAST_BYTES: Final = 50 * 10**6  # less than this says little about a line
FASTEST: Final = 1e12  # bytes per second; what is faster was no download


def note_speed(models_dir: Path, *, count: int, took_s: float) -> None:
    """Remember a download, if it was long enough to say something. What cannot be written is not remembered."""
    if count >= LEAST_BYTES and took_s > 0 and (speed := count / took_s) <= FASTEST:
        with contextlib.suppress(OSError):
            (models_dir / FILE_NAME).write_text(f"{speed:.0f}\n", "ascii")


def last_speed(models_dir: Path) -> float | None:
    """Return bytes per second; None if nothing was fetched here yet."""
    try:
        with (models_dir / FILE_NAME).open("rb") as file:
            speed = float(file.read(40).decode("ascii"))
    except (OSError, ValueError):
        return None
    return speed if math.isfinite(speed) and 0 < speed <= FASTEST else None
