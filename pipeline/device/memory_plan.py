"""What stays on the card and what is streamed: arithmetic on bytes and rates. No torch.

GB are 10⁹ bytes. Sizes of FLUX.1 are counted, rates are measured on the machine that runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.device.gpu import MIB
from pipeline.errors import OutOfMemory

REST: Final = ""  # the name of the block that holds what belongs to none, and always stays on the card
WORDS: Final = ("shared", "token_embedding")  # the tables of word pieces of T5 and CLIP, which stay in host memory
MODULATION: Final = "#modulation"  # how the names of blocks end that are used once per picture

RING_SLOTS: Final = 3  # one in use, one there, one on its way
HEADROOM_BYTES: Final = 192 * MIB  # what the allocator cannot use because it lies in pieces; modulation's tables
BYTES_PER_TOKEN: Final = 160_000  # activations of one block at its widest; measured with compiled blocks
BYTES_PER_DECODED_PIXEL: Final = 2_640  # of the VAE, in 16 bits; measured at 512² to 1280²
TOKEN_PX: Final = 16
LATENT_PX: Final = 8
TEXT_TOKENS: Final = 512
TILE_PX: Final = 512
EFFICIENCY: Final = 0.75  # how near `floor_seconds` a step is expected to come; measured 0.7 to 0.97
ATTENTION_WIDTH: Final = 3072


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where the blocks of a transformer lie while it draws one size of picture."""

    is_resident: tuple[bool, ...]  # by block, in the order in which they run
    resident_bytes: int
    streamed_bytes: int  # that cross the link at every step
    slot_bytes: int
    ring_slots: int
    peak_bytes: int  # expected, weights and activations


def is_running(name: str) -> bool:
    """Whether a block is used each time its model runs."""
    return name not in (REST, *WORDS) and not name.endswith(MODULATION)


def plan_blocks(
    transformer: Mapping[str, int],
    text_encoders: Iterable[Mapping[str, int]],
    *,
    fixed_bytes: int,
    free_bytes: int,
    width: int,
    height: int,
) -> Plan:
    """`make_plan` for the blocks of models, bytes by name."""
    others = [size for name, size in transformer.items() if name.endswith(MODULATION)]
    for part in text_encoders:
        others += [size for name, size in part.items() if is_running(name)]
        fixed_bytes += part[REST]
    return make_plan(
        [size for name, size in transformer.items() if is_running(name)],
        other_blocks=others,
        fixed_bytes=fixed_bytes + transformer[REST],
        free_bytes=free_bytes,
        width=width,
        height=height,
    )


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
        free_bytes: GPU memory for weights and activations; CUDA's own context comes on top.
        width, height: of the picture, in px.

    Raises:
        OutOfMemory: not even one block at a time fits.
    """
    pixels = width * height
    tokens = pixels // TOKEN_PX**2 + TEXT_TOKENS
    drawing, decoding = tokens * BYTES_PER_TOKEN, pixels * BYTES_PER_DECODED_PIXEL
    decoding_a_tile = min(decoding, TILE_PX**2 * BYTES_PER_DECODED_PIXEL)
    base = HEADROOM_BYTES + fixed_bytes

    def beside_weights(slot_bytes: int) -> int:
        return max(drawing + RING_SLOTS * slot_bytes, decoding_a_tile)  # the autoencoder uses the ring's memory as well

    slot_bytes, is_resident = max(other_blocks, default=0), (True,) * len(blocks)
    if sum(blocks) > free_bytes - base - beside_weights(slot_bytes):
        slot_bytes = max([*blocks, slot_bytes])
        room = free_bytes - base - beside_weights(slot_bytes)
        if room < 0:
            raise OutOfMemory(free_mib=free_bytes // MIB)
        is_resident = spread(blocks, room)
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
    transformer: Mapping[str, int],
    *,
    streamed_bytes: int,
    bytes_per_weight: int,
    link_gb_s: float,
    tflops: float,
    width: int,
    height: int,
) -> float:
    """What a step takes at least where copies and arithmetic go on at once: the longer of the two.

    Args:
        transformer: bytes of its blocks by name.
        tflops: 10¹² operations per second of the products.
    """
    tokens = width * height // TOKEN_PX**2 + TEXT_TOKENS
    running = {name: size / bytes_per_weight for name, size in transformer.items() if is_running(name)}
    # In a double block a token of the picture meets one half of the weights, and one of the text the other.
    weights = sum(size if name.startswith("single") else size / 2 for name, size in running.items())
    operations = 2 * weights * tokens + 4 * len(running) * ATTENTION_WIDTH * tokens**2
    return max(streamed_bytes / (link_gb_s * 1e9), operations / (tflops * 1e12))


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
