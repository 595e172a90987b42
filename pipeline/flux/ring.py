"""Slots on the device through which blocks of weights pass: while one is used, the next are on their way.

Copies run on a stream of their own and only ever towards the device. A slot is refilled when what used it has
finished, told by events, so the program never waits; addresses never change. On the CPU the same slots are
filled at once, which is how the order of things is tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


class Ring:
    """`slots` buffers of `slot_bytes`, used in turn. Feed it, then `take` and `give` by turns."""

    def __init__(self, slot_bytes: int, slots: int, device: str) -> None:
        self.slots = [torch.empty(slot_bytes, dtype=torch.uint8, device=device) for _ in range(slots)]
        self._copies = torch.cuda.Stream() if device == "cuda" else None
        self._full = [torch.cuda.Event() for _ in self.slots] if self._copies else []
        self._free = [torch.cuda.Event() for _ in self.slots] if self._copies else []
        self._source: Iterator[Tensor] = iter(())
        self._filled = self._taken = self._given = 0
        self.user: object = None  # who fed it last

    def feed(self, blocks: Iterable[Tensor], user: object) -> None:
        """Begin a run of blocks, (bytes,) uint8 each, in host memory; what is left of another run is forgotten.

        Only page-locked blocks are copied while the program goes on; others make it wait.
        """
        for event in self._free:
            event.record()  # an interrupted run may still be using any of them
        self.user = user
        self._source = iter(blocks)
        self._filled = self._taken = self._given = 0
        for _ in self.slots:
            self._fill()

    def take(self) -> int:
        """The slot that holds the next block; its bytes may be used by what is launched from now on."""
        assert self._taken < self._filled, "nothing was fed"
        slot = self._taken % len(self.slots)
        if self._copies is not None:
            torch.cuda.current_stream().wait_event(self._full[slot])
        self._taken += 1
        return slot

    def give(self) -> None:
        """What was launched last is the last to use the slot taken first."""
        slot = self._given % len(self.slots)
        if self._copies is not None:
            self._free[slot].record()
        self._given += 1
        self._fill()

    def _fill(self) -> None:
        block = next(self._source, None)
        if block is None:
            return
        slot = self._filled % len(self.slots)
        target = self.slots[slot][: len(block)]
        if self._copies is None:
            target.copy_(block)
        else:
            with torch.cuda.stream(self._copies):
                self._copies.wait_event(self._free[slot])
                target.copy_(block, non_blocking=True)
                self._full[slot].record(self._copies)
        self._filled += 1
