"""Progress of a run that stops by the clock, and the learning rate that follows from it."""

from __future__ import annotations

import json
import logging
import math
import time
from pathlib import Path

logger = logging.getLogger(__name__)


class Clock:
    """Time of one phase. `end_at`: seconds of `time.monotonic`."""

    def __init__(self, end_at: float) -> None:
        self._start = time.monotonic()
        self._length_s = end_at - self._start

    @property
    def share(self) -> float:
        """The share of the phase that is over; 1 and more: stop."""
        return (time.monotonic() - self._start) / self._length_s if self._length_s > 0 else 1.0


def learning_rate(peak: float, step: int, share: float, *, warmup_steps: int = 100, last: float = 0.02) -> float:
    """Linear warm-up by steps, then half a cosine over the phase down to `last` of the peak."""
    warm = min(1.0, (step + 1) / warmup_steps)
    return peak * warm * (last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def record(folder: Path, **values: object) -> None:
    """Log a line and append it to `log.jsonl` in `folder`."""
    line = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()})
    logger.info(line)
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
