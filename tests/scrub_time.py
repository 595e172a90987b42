"""How long the database is written anew after somebody had everything erased: `python -m tests.scrub_time [ROWS]`.

Others go on reading meanwhile; writes wait, and are refused after five seconds, as when another program locks the file.
Prints how long both took, on a database of `tests/history_time.py`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from bot.errors import StoreUnavailable
from bot.store.database import Database
from bot.store.key_value_store import SettingStore
from tests.history_time import fill


async def measure(path: Path, rows: int) -> None:
    """Make a database, scrub it, and read and write beside that."""
    async with Database.open(path):
        pass
    fill(path, rows, share=0.02)
    async with Database.open(path) as database:
        settings, reads_s, writes_s, refused = SettingStore(database), [], [], 0
        begun, spent = time.perf_counter(), time.process_time()
        scrubbing = asyncio.create_task(database.scrub())
        while not scrubbing.done():
            before = time.perf_counter()
            await database.fetch_all("SELECT id FROM jobs WHERE id = :id", {"id": 1})
            reads_s.append(time.perf_counter() - before)
            before = time.perf_counter()
            try:
                await settings.set("test", str(before))
            except StoreUnavailable:
                refused += 1
            writes_s.append(time.perf_counter() - before)
            await asyncio.sleep(0.05)
        await scrubbing
        took_s, spent_s = time.perf_counter() - begun, time.process_time() - spent
    print(  # noqa: T201 - its purpose
        f"{rows} rows, {path.stat().st_size / 2**20:.0f} MiB: scrubbed in {took_s:.1f} s, {spent_s:.1f} s of CPU; "
        f"{len(reads_s)} reads meanwhile took at most {max(reads_s):.2f} s, as many writes at most "
        f"{max(writes_s):.1f} s, {refused} of them were refused"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "imagine-bot.db", int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
