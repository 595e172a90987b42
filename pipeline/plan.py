"""What stays on the card and what is streamed: arithmetic on bytes and rates. No torch.

GB are 10⁹ bytes. Sizes of FLUX.1 are counted, rates are measured on the machine that runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.errors import OutOfMemory
from pipeline.hardware import MIB

RING_SLOTS: Final = 3  # one in use, one there, one on its way
CONTEXT_BYTES: Final = 350 * MIB  # CUDA's own, and cuBLAS's workspace
HEADROOM_BYTES: Final = 128 * MIB  # what the allocator cannot use because it lies in pieces
BYTES_PER_TOKEN: Final = 120_000  # activations of one block at its widest: (tokens, 15 360) twice, in 16 bits
BYTES_PER_DECODED_PIXEL: Final = 2_640  # of the VAE, in 16 bits; measured at 512² to 1280²
TOKEN_PX: Final = 16
LATENT_PX: Final = 8
TEXT_TOKENS: Final = 512
TILE_PX: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where the blocks of a transformer lie while it draws one size of picture."""

    is_resident: tuple[bool, ...]  # by block, in the order in which they run
    resident_bytes: int
    streamed_bytes: int  # that cross the link at every step
    slot_bytes: int
    ring_slots: int
    peak_bytes: int  # expected, of the whole process


def make_plan(
    blocks: Sequence[int],
    *,
    other_blocks: Sequence[int],
    fixed_bytes: int,
    free_bytes: int,
    width: int,
    height: int,
) -> Plan:
    """Keep as many blocks on the card as there is room for, and spread the others evenly among them.

    Args:
        blocks: bytes of each block of the transformer, in the order in which they run.
        other_blocks: bytes of whatever else passes through the ring (modulation, text encoder).
        fixed_bytes: weights that always stay: embedders, head, VAE, the modulation table.
        free_bytes: GPU memory that this process may take in all, its CUDA context included.
        width, height: of the picture, in px.

    Raises:
        OutOfMemory: not even one block at a time fits.
    """
    pixels = width * height
    tokens = pixels // TOKEN_PX**2 + TEXT_TOKENS
    drawing, decoding = tokens * BYTES_PER_TOKEN, pixels * BYTES_PER_DECODED_PIXEL
    decoding_a_tile = min(decoding, TILE_PX**2 * BYTES_PER_DECODED_PIXEL)
    base = CONTEXT_BYTES + HEADROOM_BYTES + fixed_bytes
    slot_bytes, is_resident = max(other_blocks, default=0), (True,) * len(blocks)
    room = free_bytes - base - max(drawing, decoding_a_tile) - RING_SLOTS * slot_bytes
    if sum(blocks) > room:
        room += RING_SLOTS * slot_bytes
        slot_bytes = max(*blocks, slot_bytes)
        room -= RING_SLOTS * slot_bytes
        if room < 0:
            raise OutOfMemory(free_mib=free_bytes // MIB)
        is_resident = spread(blocks, room)
    resident = sum(size for size, stays in zip(blocks, is_resident, strict=True) if stays)
    weights = base + resident + RING_SLOTS * slot_bytes
    return Plan(
        is_resident=is_resident,
        resident_bytes=resident,
        streamed_bytes=sum(blocks) - resident,
        slot_bytes=slot_bytes,
        ring_slots=RING_SLOTS,
        peak_bytes=weights + max(drawing, decoding if weights + decoding <= free_bytes else decoding_a_tile),
    )


def spread(blocks: Sequence[int], room: int) -> tuple[bool, ...]:
    """Which blocks stay, of `room` bytes at most: as many as fit, the streamed ones evenly between them.

    Evenly, because then the link and the arithmetic are both busy during the whole step.
    """
    share = min(1.0, room / sum(blocks)) if blocks else 0.0
    kept, owed = [], 0.0
    left = room
    for size in blocks:
        owed += share * size
        stays = owed >= size / 2 and size <= left
        if stays:
            owed -= size
            left -= size
        kept.append(stays)
    return tuple(kept)
