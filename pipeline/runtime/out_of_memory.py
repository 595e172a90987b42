"""What is done if GPU memory runs out: `OutOfMemoryLadder`, one rung after the other, each logged with its numbers.

    placing   less memory is planned for than the driver says
    a step    more blocks are streamed, and the step is repeated; an upscale is then drawn in smaller tiles
    the VAE   tiles → more blocks are streamed → float32 on the CPU; float32 at once if 16 bits overflow

Must not know models; what a rung changes is passed in.
"""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, TypeVar

import torch

from pipeline.device.gpu import MIB
from pipeline.runtime.vram_budget import VramBudget

log = logging.getLogger(__name__)

RETRIES: Final = 2  # of what found too little memory

T = TypeVar("T")


class Rung(StrEnum):
    """What is changed before the next attempt."""

    SMALLER_PLAN = "blocks are placed in less memory"
    FEWER_BLOCKS = "fewer blocks stay on the GPU"
    SMALLER_TILES = "an upscale is drawn in smaller tiles"
    TILES = "the VAE works in tiles"
    FLOAT32 = "the VAE works in float32"
    CPU = "the VAE works in float32 on the CPU, which takes a while"


class OutOfMemoryLadder:
    """Attempts something again after each change, and counts the changes. What changes something notes its rung."""

    def __init__(self, budget: VramBudget | None) -> None:
        """`budget` is asked for the numbers of the log; None on a CPU without one."""
        self._budget = budget
        self.climbed: Counter[Rung] = Counter()

    def run(self, attempt: Callable[[], T], remedies: Sequence[Callable[[], None]]) -> T:
        """Call `attempt`; each time that it finds too little memory, apply the next remedy and call it again.

        Raises:
            torch.OutOfMemoryError: there was too little after the last remedy as well.
        """
        for remedy in remedies:
            try:
                return attempt()
            except torch.OutOfMemoryError as error:
                traceback.clear_frames(error.__traceback__)  # they hold what was allocated until then
            remedy()
        return attempt()

    def note(self, rung: Rung, why: str = "too little memory on the GPU") -> None:
        """Log and count a rung that is being climbed."""
        self.climbed[rung] += 1
        if self._budget is None:
            log.warning("%s: %s", why, rung)
            return
        log.warning(
            "%s (limit %d MiB, available %d, allocated %d): %s",
            why,
            self._budget.limit // MIB,
            self._budget.available() // MIB,
            self._budget.allocated() // MIB,
            rung,
        )
