"""The most GPU memory that this process has at a time, as the driver counts it. No torch."""

from __future__ import annotations

import contextlib
import os
from threading import Event, Thread
from typing import Final, Self

import pynvml

from pipeline.device.gpu import MIB, find_device

SAMPLE_S: Final = 0.02


class PeakMemory:
    """The most of the card's memory that this process has at a time while inside `with`, whoever allocates it.

    Make it before CUDA starts: where the driver does not count by process (containers, Windows), what all of them
    have more than now is taken for ours.
    """

    def __init__(self) -> None:
        pynvml.nvmlInit()
        self._card = find_device()
        self._before_bytes = self._used_bytes()
        self._most_bytes = 0

    @property
    def mib(self) -> int:
        """In MiB; of the last `with`."""
        return self._most_bytes // MIB

    def __enter__(self) -> Self:
        self._most_bytes = 0
        self._is_over = Event()
        self._thread = Thread(target=self._watch, name="peak-memory", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            is_last = self._is_over.wait(SAMPLE_S)
            self._most_bytes = max(self._most_bytes, self._own_bytes())
            if is_last:
                return

    def _own_bytes(self) -> int:
        with contextlib.suppress(pynvml.NVMLError):
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(self._card):
                if process.pid == os.getpid() and process.usedGpuMemory is not None:
                    return int(process.usedGpuMemory)
        return self._used_bytes() - self._before_bytes

    def _used_bytes(self) -> int:
        return int(pynvml.nvmlDeviceGetMemoryInfo(self._card).used)
