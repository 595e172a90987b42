"""Cost of packed checksums: `python -m tests.pipeline.families.flux.packed_cost FOLDER GB`, of random bytes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import torch

from pipeline.streaming.block_packing import Block, Packed
from pipeline.streaming.packed_cache import open_packed

BLOCK_BYTES = 2**27  # half a double block of FLUX.1 in 8 bits


def main(folder: Path, gigabytes: float) -> None:
    count = round(gigabytes * 1e9 / BLOCK_BYTES)
    blocks = {str(n): Block(name=str(n), entries=(), size=BLOCK_BYTES) for n in range(count)}
    data = torch.randint(0, 256, (BLOCK_BYTES,), dtype=torch.uint8)
    path = folder / "cost.safetensors"

    def contents(_done: Collection[str]) -> Iterator[Packed]:
        return (Packed(block, data) for block in blocks.values())

    def timed(what: str, call: Callable[[], object]) -> None:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        call()
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        print(f"{what}: {wall_s:.2f} s, {cpu_s:.2f} s of a core; {count * BLOCK_BYTES / 1e9:.1f} GB")  # noqa: T201

    try:
        timed("written", lambda: open_packed(path, blocks, "cost", contents))
        packed = open_packed(path, blocks, "cost", contents)
        timed("opened again", lambda: open_packed(path, blocks, "cost", contents))
        packed.check()
        timed("checked", lambda: packed.wait(None))
        assert packed.flaw is None
    finally:
        path.unlink(missing_ok=True)
        path.with_suffix(".lock").unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
