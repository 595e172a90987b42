"""What stays on the card and what is streamed: arithmetic on bytes and rates. No torch.

GB are 10⁹ bytes. What a model needs is declared by its `Architecture`; rates are measured on the machine that runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.catalog.architecture import MODULATION, REST, Component, StepCost
from pipeline.device.gpu import MIB
from pipeline.errors import OutOfMemory

RING_SLOTS: Final = 3  # one in use, one there, one on its way
HEADROOM_BYTES: Final = 192 * MIB  # what the allocator cannot use because it lies in pieces; modulation's tables
TILE_PX: Final = 512  # a side of what the VAE makes at a time if a whole image is too much
EFFICIENCY: Final = 0.75  # how near `floor_seconds` a step is expected to come; measured 0.7 to 0.97


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where the blocks of a transformer lie while it draws one size of picture."""

    is_resident: tuple[bool, ...]  # by block, in the order in which they run
    resident_bytes: int
    streamed_bytes: int  # that cross the link at every step
    slot_bytes: int
    ring_slots: int
    peak_bytes: int  # expected, weights and activations


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A component and the bytes of its blocks by name."""

    component: Component
    sizes: Mapping[str, int]

    @property
    def running(self) -> dict[str, int]:
        """The blocks that are used each time the component runs, in their order."""
        return {name: size for name, size in self.sizes.items() if self.component.is_running(name)}


def plan_blocks(
    transformer: Weights, text_encoders: Iterable[Weights], *, fixed_bytes: int, free_bytes: int, cost: StepCost
) -> Plan:
    """`make_plan` for the blocks of components."""
    running = transformer.running
    others = [size for name, size in transformer.sizes.items() if name.endswith(MODULATION)]
    for part in text_encoders:
        others += part.running.values()
        fixed_bytes += part.sizes.get(REST, 0)
    return make_plan(
        list(running.values()),
        work=[cost.operations({name: size}) - cost.fixed_operations for name, size in running.items()],
        other_blocks=others,
        fixed_bytes=fixed_bytes + transformer.sizes.get(REST, 0),
        free_bytes=free_bytes,
        cost=cost,
    )


def make_plan(
    blocks: Sequence[int],
    *,
    work: Sequence[float],
    other_blocks: Sequence[int],
    fixed_bytes: int,
    free_bytes: int,
    cost: StepCost,
) -> Plan:
    """Keep as many blocks on the card as there is room for, and spread the others among them, see `spread`.

    Args:
        blocks: bytes of each block of the transformer, in the order in which they run.
        work: operations of each of them.
        other_blocks: bytes of whatever else passes through the ring (modulation, text encoder).
        fixed_bytes: weights that always stay: embedders, head, VAE, the modulation table.
        free_bytes: GPU memory for weights and activations; CUDA's own context comes on top.
        cost: of the largest image that is drawn.

    Raises:
        OutOfMemory: not even one block at a time fits.
    """
    drawing, decoding = cost.activation_bytes, cost.decode_bytes
    base = HEADROOM_BYTES + fixed_bytes

    def beside_weights(slot_bytes: int) -> int:
        return max(drawing + RING_SLOTS * slot_bytes, cost.tile_bytes)  # the autoencoder uses the ring's memory as well

    slot_bytes, is_resident = max(other_blocks, default=0), (True,) * len(blocks)
    if sum(blocks) > free_bytes - base - beside_weights(slot_bytes):
        slot_bytes = max([*blocks, slot_bytes])
        room = free_bytes - base - beside_weights(slot_bytes)
        if room < 0:
            raise OutOfMemory(free_mib=free_bytes // MIB)
        is_resident = spread(blocks, room, work)
    resident = sum(size for size, stays in zip(blocks, is_resident, strict=True) if stays)
    # Whole pictures are decoded only where they leave the ring alone, so that there is plenty.
    is_whole = base + resident + RING_SLOTS * slot_bytes + decoding <= free_bytes
    return Plan(
        is_resident=is_resident,
        resident_bytes=resident,
        streamed_bytes=sum(blocks) - resident,
        slot_bytes=slot_bytes,
        ring_slots=RING_SLOTS,
        peak_bytes=base + resident + max(beside_weights(slot_bytes), decoding if is_whole else 0),
    )


def floor_seconds(
    transformer: Weights, *, streamed_bytes: int, bytes_per_weight: int, link_gb_s: float, tflops: float, cost: StepCost
) -> float:
    """What a pass takes at least if copies and arithmetic go on at once: the longer of the two.

    Args:
        tflops: 10¹² operations per second of the products.
    """
    operations = cost.operations({name: size / bytes_per_weight for name, size in transformer.running.items()})
    return max(streamed_bytes / (link_gb_s * 1e9), operations / (tflops * 1e12))


def spread(blocks: Sequence[int], room: int, work: Sequence[float]) -> tuple[bool, ...]:
    """Which blocks stay, of `room` bytes at most: as many as fit, those that compute longest being streamed most.

    Because while a block computes others are copied: where copies and arithmetic keep pace with each other, both are
    busy during the whole step.

    Args:
        blocks: bytes of each, in the order in which they run.
        work: how much each computes, in any unit.
    """
    streamed = _shared_out(max(0, sum(blocks) - room), blocks, work)
    kept, owed = [], 0.0
    left = room
    for size, passing in zip(blocks, streamed, strict=True):
        owed += size - passing
        stays = owed >= size / 2 and size <= left
        if stays:
            owed -= size
            left -= size
        kept.append(stays)
    return tuple(kept)


def _shared_out(total: float, most: Sequence[int], work: Sequence[float]) -> list[float]:
    """Parts of a total in proportion to work, none larger than its most."""
    parts = [0.0] * len(most)
    order = sorted((number for number in range(len(most)) if work[number] > 0), key=lambda at: most[at] / work[at])
    remaining_work = sum(work[number] for number in order)
    for number in order:
        share = total * work[number] / remaining_work if remaining_work > 0 else total
        parts[number] = min(float(most[number]), share)
        total -= parts[number]
        remaining_work -= work[number]
    return parts
