"""The progress display of `imagine-bot fetch`: bars on a terminal, a line every few seconds anywhere else.

The download itself is in `pipeline.catalog.download`; `fetch.py` reports the result.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from pipeline.catalog.download import Fetched, FetchProgress
from pipeline.catalog.file_owner import FileOwner
from pipeline.config import PipelineConfig

LINE_EVERY_S: Final = 10.0
LOOK_EVERY_S: Final = 0.2


class ProgressLines:
    """Progress lines for logs and pipes, at most one every ten seconds."""

    def __init__(self, say: Callable[[str], object], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._latest: FetchProgress | None = None
        self._said_at = clock()
        self._said_bytes: int | None = None  # of the line before, for the rate

    def show(self, progress: FetchProgress) -> None:
        """Store the latest progress. May be called from any thread."""
        with self._lock:
            if self._latest is None or self._latest.is_checking is not progress.is_checking:
                self._said_bytes = progress.done_bytes
            self._latest = progress

    def tick(self) -> None:
        """Print a line if one is due. Call repeatedly, even if nothing arrives."""
        now = self._clock()
        with self._lock:
            progress, since_s = self._latest, now - self._said_at
            if progress is None or since_s < LINE_EVERY_S:
                return
            rate = (progress.done_bytes - (self._said_bytes or 0)) / since_s
            self._said_at, self._said_bytes = now, progress.done_bytes
        what = "checking" if progress.is_checking else "fetching"
        done, total = progress.done_bytes / 1e9, progress.total_bytes / 1e9
        self._say(f"{what}: {done:.2f} of {total:.2f} GB, {rate / 1e6:.1f} MB/s")


def fetch_and_show(
    config: PipelineConfig,
    card: FileOwner,
    *,
    fetch: Callable[..., Fetched],
    say: Callable[[str], object],
    clock: Callable[[], float] = time.monotonic,
) -> Fetched:
    """Run `download.fetch` and show its progress."""
    console = Console(stderr=True)
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    lines = ProgressLines(say, clock=clock)
    say("asking the hub which files there are")
    with bars:
        fetching = bars.add_task("fetching", total=None)
        checking = bars.add_task("checking", total=None, visible=False)

        def show(progress: FetchProgress) -> None:
            bar = checking if progress.is_checking else fetching
            bars.update(bar, visible=True, total=progress.total_bytes, completed=progress.done_bytes)
            lines.show(progress)

        # On its own thread, because the hub's library waits for its downloads to end and Ctrl-C must not.
        pool = ThreadPoolExecutor(max_workers=1)
        future = pool.submit(fetch, card, config.models_dir, endpoint=config.endpoint, on_progress=show)
        pool.shutdown(wait=False)
        while not wait([future], timeout=LOOK_EVERY_S).done:
            if not console.is_terminal:
                lines.tick()
        return future.result()
