"""Says so if steps take far longer than planned, and why, if the driver knows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from pipeline.device.gpu import why_slow

log = logging.getLogger(__name__)

TOO_SLOW: Final = 3  # times what is planned


def warn_if_slow(steps_s: Sequence[float], planned_s: float, why: Callable[[], Sequence[str]] = why_slow) -> None:
    """Warn if even the fastest step took far longer than this GPU needs."""
    if steps_s and min(steps_s) > TOO_SLOW * planned_s:
        causes = "; ".join(why()) or "its driver gives no reason, so it may be shared with other programs"
        log.warning(
            "a step took %.2f s where this card needs about %.2f s: %s; see docs/troubleshooting.md#slow-steps",
            min(steps_s), planned_s, causes,
        )  # fmt: skip
