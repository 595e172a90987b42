"""The progress display of `imagine-bot fetch`: bars on a terminal, a line every few seconds anywhere else.

The download itself is in `pipeline.catalog.download`; `fetch.py` reports the result.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from pipeline.catalog.download import Fetched, FetchProgress
from pipeline.catalog.fetch_speed import note_speed
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
        left = f", {_span((total - done) * 1e9 / rate)} left" if rate > 0 else ""
        self._say(f"{what}: {done:.2f} of {total:.2f} GB, {rate / 1e6:.1f} MB/s{left}")


def _span(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes / 60:.1f} h" if minutes >= 120 else f"{minutes} min"


def hub_name(endpoint: str | None) -> str:
    """Return what the hub is called: the host that is configured, else the hub's own name."""
    return "ModelScope" if endpoint is None else urlsplit(endpoint).hostname or "the hub"


class Meter:
    """How much arrived, and how long that took: of what was here before nothing counts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.count, self.took_s = 0, 0.0
        self._clock = clock
        self._begun: tuple[int, float] | None = None

    def note(self, progress: FetchProgress) -> None:
        """Take in progress; may be called from any thread, one at a time."""
        if progress.is_checking:
            return
        now = self._clock()
        self._begun = self._begun or (progress.done_bytes, now)
        self.count, self.took_s = progress.done_bytes - self._begun[0], now - self._begun[1]


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
    lines, meter = ProgressLines(say, clock=clock), Meter(clock)
    say(f"asking the hub, {hub_name(config.endpoint)}, which files there are")
    with bars:
        fetching = bars.add_task("fetching", total=None)
        checking = bars.add_task("checking", total=None, visible=False)

        def show(progress: FetchProgress) -> None:
            bar = checking if progress.is_checking else fetching
            bars.update(bar, visible=True, total=progress.total_bytes, completed=progress.done_bytes)
            lines.show(progress)
            meter.note(progress)

        # On its own thread, because the hub's library waits for its downloads to end and Ctrl-C must not.
        pool = ThreadPoolExecutor(max_workers=1)
        future = pool.submit(fetch, card, config.models_dir, endpoint=config.endpoint, on_progress=show)
        pool.shutdown(wait=False)
        while not wait([future], timeout=LOOK_EVERY_S).done:
            if not console.is_terminal:
                lines.tick()
        fetched = future.result()
    if meter.count:
        note_speed(config.models_dir, count=meter.count, took_s=meter.took_s)
        speed = f", {meter.count / meter.took_s / 1e6:.1f} MB/s" if meter.took_s >= 1 else ""
        say(f"fetched {meter.count / 1e9:.2f} GB{speed}")
    return fetched
