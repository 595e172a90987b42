"""Slots on the device through which blocks of weights pass: while one is used, the next are on their way.

Copies run on a stream of their own and only ever towards the device. A slot is refilled when what used it has
finished, told by events, so the program never waits; addresses never change. On the CPU the same slots are
filled at once, which is how the order of things is tested.

The GPU fetches page-locked memory by itself. Other memory is first copied, by a thread, to a small page-locked
buffer: slower, but the system has little page-locked memory to give.

With the log at `debug` every block is summed up before and after its way, which is slow and finds what went wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ClassVar, Final

import torch
from torch import Tensor

from pipeline.errors import GenerationFailed

log = logging.getLogger(__name__)

STAGE_BYTES: Final = 2**25
STAGES: Final = 2


class BlockRing:
    """`slots` buffers of `slot_bytes`, used in turn. Feed it, then `take` and `give` by turns."""

    copies: ClassVar[int] = 1  # of every page-locked block; more make a fast link stand for a slow one in a benchmark

    def __init__(self, slot_bytes: int, slots: int, device: str) -> None:
        self.slot_bytes, self._count, self._device = slot_bytes, slots, device
        self.slots: list[Tensor] = []
        self._copies = torch.cuda.Stream() if device == "cuda" else None
        self._full = [torch.cuda.Event() for _ in range(slots)] if self._copies else []
        self._free = [torch.cuda.Event() for _ in range(slots)] if self._copies else []
        self._checks = log.isEnabledFor(logging.DEBUG)
        self._sums: dict[int, tuple[int, int]] = {}  # by slot: bytes, and their sum
        self._staging: dict[int, Future[None]] = {}  # by slot that the thread fills
        self._stager: _Stager | None = None
        self._source: Iterator[Tensor] = iter(())
        self._filled = self._taken = self._given = 0
        self.user: object = None  # who fed it last
        self.restore()

    def forget(self) -> None:
        """Let go of the blocks that were fed, which may be page-locked; whoever fed them feeds anew the next time."""
        self._end_run()
        if self._copies is not None:
            self._copies.synchronize()  # they are read until then
        self.user = None

    def release(self) -> None:
        """Give the memory of the slots back, which whoever was fed has let go of."""
        self.forget()
        self.slots.clear()

    def restore(self) -> None:
        """Take the memory again."""
        self.slots = [torch.empty(self.slot_bytes, dtype=torch.uint8, device=self._device) for _ in range(self._count)]

    def feed(self, blocks: Iterable[Tensor], user: object) -> None:
        """Begin a run of blocks, (bytes,) uint8 each, in host memory; what is left of another run is forgotten."""
        self._end_run()
        for event in self._free:
            event.record()  # an interrupted run may still be using any of them
        self.user = user
        self._source = iter(blocks)
        for _ in self.slots:
            self._fill()

    def take(self) -> int:
        """The slot that holds the next block; its bytes may be used by what is launched from now on.

        Raises:
            GenerationFailed: it holds something else; looked for only with the log at `debug`.
        """
        assert self._taken < self._filled, "nothing was fed"
        slot = self._taken % len(self.slots)
        if self._copies is not None:
            if (future := self._staging.pop(slot, None)) is not None:
                future.result()
            torch.cuda.current_stream().wait_event(self._full[slot])
        self._taken += 1
        if self._checks:
            size, expected = self._sums[slot]
            if _sum(self.slots[slot][:size]) != expected:
                raise GenerationFailed(f"slot {slot} of the ring does not hold the block that was sent")
        return slot

    def give(self) -> None:
        """What was launched last is the last to use the slot taken first."""
        slot = self._given % len(self.slots)
        if self._copies is not None:
            self._free[slot].record()
        self._given += 1
        self._fill()

    def _end_run(self) -> None:
        for future in self._staging.values():
            future.result()
        self._staging.clear()
        self._source = iter(())
        self._filled = self._taken = self._given = 0

    def _fill(self) -> None:
        block = next(self._source, None)
        if block is None:
            return
        slot = self._filled % len(self.slots)
        target = self.slots[slot][: len(block)]
        if self._checks:
            self._sums[slot] = len(block), _sum(block)
        if self._copies is None:
            target.copy_(block)
        elif block.is_pinned():
            with torch.cuda.stream(self._copies):
                self._copies.wait_event(self._free[slot])
                for _ in range(self.copies):
                    target.copy_(block, non_blocking=True)
                self._full[slot].record(self._copies)
        else:
            self._stager = self._stager or _Stager(self._copies)
            self._staging[slot] = self._stager.start(block, target, free=self._free[slot], full=self._full[slot])
        self._filled += 1


def _sum(data: Tensor) -> int:
    """Of bytes."""
    return int(data.sum(dtype=torch.int64))


class _Stager:
    """Copies ordinary memory to the device by way of two page-locked buffers, on a thread."""

    def __init__(self, copies: torch.cuda.Stream) -> None:
        self._copies = copies
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ring")
        self._buffers = [torch.empty(STAGE_BYTES, dtype=torch.uint8, pin_memory=True) for _ in range(STAGES)]
        self._emptied = [torch.cuda.Event() for _ in range(STAGES)]
        self._next = 0

    def start(self, block: Tensor, target: Tensor, *, free: torch.cuda.Event, full: torch.cuda.Event) -> Future[None]:
        """Fill `target` when it is `free`; the future says when `full` has been recorded."""
        return self._thread.submit(self._copy, block, target, free, full)

    def _copy(self, block: Tensor, target: Tensor, free: torch.cuda.Event, full: torch.cuda.Event) -> None:
        free.synchronize()
        with torch.cuda.stream(self._copies):
            for start in range(0, len(block), STAGE_BYTES):
                buffer, emptied = self._buffers[self._next], self._emptied[self._next]
                self._next = (self._next + 1) % STAGES
                emptied.synchronize()
                part = block[start : start + STAGE_BYTES]
                staged = buffer[: len(part)]
                staged.copy_(part)
                target[start : start + len(part)].copy_(staged, non_blocking=True)
                emptied.record(self._copies)
            full.record(self._copies)
