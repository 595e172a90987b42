"""The one owner of GPU memory: which blocks stay there, and who may use the rest.

    EMPTY ──fit──► PLACED ──lend──► LENT ──restore──► PLACED
      ▲              │ out of memory in a step: shrink, repeat the step
      └── fit fails ─┘

EMPTY: no block may run; only `fit` leads out. PLACED: every block stays on the GPU or passes through the ring.
LENT: something else uses the ring's memory; blocks that stay are where they were.

A model that is not streamed is placed as a whole and never shrinks. Must not know model families.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

import torch

from pipeline.catalog.architecture import StepCost
from pipeline.device.memory_plan import HEADROOM_BYTES, Plan, plan_blocks
from pipeline.engine import MemoryReport
from pipeline.errors import OutOfMemory
from pipeline.runtime.out_of_memory import RETRIES, OutOfMemoryLadder, Rung
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.block_ring import BlockRing
from pipeline.streaming.streamed_module import StreamedModule

log = logging.getLogger(__name__)

HOST_BYTES: Final = 4 * 2**30  # that a VAE may take of the computer's memory if it draws on the CPU

T = TypeVar("T")


class State(StrEnum):
    """Where the blocks are; see the top of this file."""

    EMPTY = "empty"
    PLACED = "placed"
    LENT = "lent"


@dataclass(frozen=True, slots=True)
class Reserved:
    """GPU memory beside a model's weights and activations.

    fixed_bytes: that always stay.
    outputs: bytes per token beside the activations, by block; the largest counts.
    """

    fixed_bytes: int = 0
    outputs: Mapping[str, int] = field(default_factory=dict)

    def bytes_of(self, cost: StepCost) -> int:
        """What it is for one size of image."""
        widest = max((size * cost.share_of(block) for block, size in self.outputs.items()), default=0)
        return self.fixed_bytes + int(widest * cost.tokens)


class Residency:
    """Places the blocks of a model in the memory that a budget allows, and again when that changes."""

    def __init__(
        self,
        transformer: StreamedModule,
        text_encoders: Collection[StreamedModule] = (),
        *,
        budget: VramBudget | None,
        cost: StepCost | None,
        fixed_bytes: int = 0,
        link_repeat: int = 1,
    ) -> None:
        """Prepare for images that take so much. Nothing is placed yet.

        Args:
            budget: None on a CPU, where nothing is streamed.
            cost: of the largest image that is usually drawn; None if the model is not streamed.
            fixed_bytes: of weights on the GPU that are not ours.
            link_repeat: see `BlockRing`.
        """
        self.transformer = transformer
        self.parts: tuple[StreamedModule, ...] = (transformer, *text_encoders)
        self.ladder = OutOfMemoryLadder(budget)
        self.plan: Plan | None = None  # of a streamed model, unless it is EMPTY
        self.is_short = False  # whether more memory was to be had and was not there
        self._text_encoders = text_encoders
        self._budget = budget
        self._usual_cost = self._cost = cost if budget is not None else None
        self._fixed_bytes = fixed_bytes
        self._link_repeat = link_repeat
        self.ring: BlockRing | None = None
        self._lent: BlockRing | None = None
        self._is_whole = False  # a model that is not streamed was placed
        self._limit_bytes = 0  # that the plan was made for
        self._planned_cost: StepCost | None = None  # likewise
        self._reserved = self._planned_reserved = Reserved()  # beside the model; and when the plan was made
        self._found_bytes = 0  # what the setting allows, or what other programs had left of it

    @property
    def state(self) -> State:
        """See the top of this file."""
        if self.plan is None and not self._is_whole:
            return State.EMPTY
        return State.PLACED if self._lent is None or self._lent is not self.ring else State.LENT

    @property
    def is_streamed(self) -> bool:
        """Whether blocks take turns on the GPU."""
        return self._cost is not None

    def reserve(self, fixed_bytes: int, outputs: Mapping[str, int]) -> None:
        """Leave memory to something beside the model, as LoRAs are, from the next `fit` on; see `Reserved`."""
        self._reserved = Reserved(fixed_bytes, dict(outputs))

    def fit(self, cost: StepCost | None = None) -> None:
        """Place the blocks in the memory that the setting allows, or in what other programs have left of it.

        Does nothing if that changed little. May be called between images and between steps.

        Args:
            cost: of the image that is drawn next. A larger one than those planned for gets more room, until the next
                call with another.

        Raises:
            OutOfMemory: not even one block at a time fits.
            torch.OutOfMemoryError: much less is left than the driver says. EMPTY until a call that succeeds.
        """
        if cost is not None and self._usual_cost is not None:
            self._cost = max(cost, self._usual_cost, key=lambda each: each.activation_bytes)
        if self._budget is not None:
            self._found_bytes = self._budget.limit
        if self._budget is None or not self.is_streamed:
            if not self._is_whole:
                for part in self.parts:
                    part.place()
                self._is_whole = True
            return
        budget, is_short = self._budget, False
        if (available := budget.available()) < self._found_bytes:
            self._found_bytes = available // budget.grain * budget.grain
        limit = self._found_bytes

        def attempt() -> None:
            self.fit_to(limit, is_short=is_short)

        def plan_for_less() -> None:
            nonlocal limit, is_short
            self.ladder.note(Rung.SMALLER_PLAN)
            limit, is_short = limit - budget.grain, True

        self.ladder.run(attempt, [plan_for_less] * RETRIES)

    def fit_to(self, limit_bytes: int, *, is_short: bool = False) -> None:
        """Place the blocks so that this process takes at most so much of the GPU, its CUDA context included.

        Does nothing if that changes little.

        Args:
            is_short: whether more was to be had and was not there; kept for whoever asks.

        Raises:
            OutOfMemory: not even one block at a time fits.
            torch.OutOfMemoryError: less is left than the limit allows. EMPTY until a call that succeeds.
        """
        assert self._budget is not None and self._cost is not None, "the model is not streamed"
        self.is_short = is_short
        is_planned_for = (
            self.plan is not None and self._planned_cost == self._cost and self._planned_reserved == self._reserved
        )
        if is_planned_for and 0 <= limit_bytes - self._limit_bytes < self._budget.grain:
            return
        transformer = self.transformer
        plan = plan_blocks(
            transformer.weights,
            [part.weights for part in self._text_encoders],
            fixed_bytes=self._fixed_bytes + self._reserved.bytes_of(self._cost),
            free_bytes=limit_bytes - self._budget.context(),
            cost=self._cost,
        )
        if self.plan is not None and plan.is_resident == self.plan.is_resident:
            self._limit_bytes, self._planned_cost, self._planned_reserved = limit_bytes, self._cost, self._reserved
            self.plan = plan
            return
        self.plan = None  # until everything has found its place
        log.info(
            "weights on the GPU: %.1f GB, streamed at every step: %.1f GB, expected peak: %.1f GB",
            plan.resident_bytes / 1e9,
            plan.streamed_bytes / 1e9,
            plan.peak_bytes / 1e9,
        )
        if self.ring is None or self.ring.slot_bytes != plan.slot_bytes:
            if self.ring is not None:
                self._empty(self.ring)
            self.ring = None
            self.ring = BlockRing(plan.slot_bytes, plan.ring_slots, transformer.device, repeat=self._link_repeat)
        transformer.place(
            [name for name, stays in zip(transformer.running, plan.is_resident, strict=True) if stays], ring=self.ring
        )
        for part in self._text_encoders:
            part.place([], ring=self.ring)
        self._limit_bytes, self._planned_cost, self._planned_reserved = limit_bytes, self._cost, self._reserved
        self.plan = plan

    def ensure_placed(self) -> None:
        """`fit`, unless the blocks can run."""
        if self.state is State.EMPTY:
            self.fit()

    def run_step(self, step: Callable[[], T]) -> T:
        """Run one step, again with fewer blocks on the GPU if there is too little memory."""
        return self.ladder.run(step, [self.shrink] * RETRIES if self.is_streamed else [])

    def shrink(self) -> None:
        """Give memory back by streaming more.

        Raises:
            OutOfMemory: there is nothing left to give.
            torch.OutOfMemoryError: see `fit_to`.
        """
        if self._budget is None or not self.is_streamed:
            raise OutOfMemory
        self.ladder.note(Rung.FEWER_BLOCKS)
        self._budget.trim()
        self.fit_to(self._limit_bytes - self._budget.grain, is_short=True)

    @contextmanager
    def lend(self) -> Iterator[None]:
        """Let something else use the memory of the ring meanwhile, unless `fit_to` makes a larger one.

        Raises:
            torch.OutOfMemoryError: it is not there any more. EMPTY until a `fit` that succeeds.
        """
        ring = self.ring
        if ring is None:
            yield
            return
        self._empty(ring)
        self._lent = ring
        try:
            yield
        except torch.OutOfMemoryError as error:
            traceback.clear_frames(error.__traceback__)  # they hold what the ring needs again
            raise
        finally:
            self._lent = None
            if self.ring is ring:  # `fit_to` may have made another one
                plan, self.ring, self.plan = self.plan, None, None
                ring.restore()
                self.ring, self.plan = ring, plan

    def must_tile(self, needed_bytes: int) -> bool:
        """Whether there is less than that beside what stays on the GPU and the ring, not yet lent."""
        if self._budget is None:
            return needed_bytes > HOST_BYTES
        room = self._found_bytes - self._budget.context() - self._budget.allocated()
        if self.is_short:
            room = min(room, self._budget.largest_free())
        return needed_bytes > room

    def make_room(self, needed_bytes: int) -> None:
        """See that so much can be allocated, if steps found too little; as far as there is something to give."""
        if self._budget is None or not self.is_short:
            return
        with suppress(OutOfMemory):  # then it has to do with what there is
            while needed_bytes + HEADROOM_BYTES > self._budget.largest_free():
                self.shrink()

    def release(self) -> None:
        """Give host memory back that only the last image of a streamed model needed."""
        if self.is_streamed:
            for part in self.parts:
                part.release()

    def trim(self) -> None:
        """Give the GPU's memory back that no tensor uses.

        Raises:
            RuntimeError: the GPU does not answer.
        """
        if self._budget is not None:
            self._budget.trim()

    @property
    def taken_bytes(self) -> int:
        """What other programs have of the memory that the setting allows; 0 if nothing is streamed for it."""
        if self._budget is None or self.plan is None or not self.plan.streamed_bytes:
            return 0
        return max(0, self._budget.limit - self._found_bytes)

    def snapshot(self) -> MemoryReport:
        """What is where."""
        ring, plan = self.ring, self.plan
        weights = sum(self.transformer.sizes[name] for name in self.transformer.running)
        return MemoryReport(
            state=self.state,
            limit_bytes=self._limit_bytes if self.is_streamed else self._found_bytes,
            resident_bytes=plan.resident_bytes if plan is not None else weights * self._is_whole,
            streamed_bytes=0 if plan is None else plan.streamed_bytes,
            ring_bytes=0 if ring is None else sum(len(slot) for slot in ring.slots),
            expected_peak_bytes=0 if plan is None else plan.peak_bytes,
            climbed={str(rung): count for rung, count in self.ladder.climbed.items()},
            taken_bytes=self.taken_bytes,
        )

    def _empty(self, ring: BlockRing) -> None:
        """Give its memory back."""
        for part in self.parts:
            part.leave_ring()
        ring.release()
