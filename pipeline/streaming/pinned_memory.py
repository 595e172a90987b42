"""Page-locked host memory: the GPU fetches from it by itself, but systems have little of it to give."""

from __future__ import annotations

import logging
import weakref
from contextlib import suppress
from typing import Final

import psutil
import torch
from torch import Tensor

log = logging.getLogger(__name__)

LOCKED_SHARE: Final = 0.35  # of the host's memory; with much more of it page-locked, systems stall


class PinnedMemory:
    """Page-locked copies, as many as the system has room for."""

    def __init__(self) -> None:
        self._limit_bytes = int(LOCKED_SHARE * psutil.virtual_memory().total)
        self._locked_bytes = 0  # of the copies that are still in use
        self._has_warned = False

    def copy(self, data: Tensor) -> Tensor:
        """A page-locked copy of (bytes,) uint8; the data themselves where there is no room for one."""
        size = len(data)
        if self._locked_bytes + size > self._limit_bytes:
            self._warn()
            return data
        copied = data.clone()
        if torch.cuda.cudart().cudaHostRegister(copied.data_ptr(), size, 0) != 0:
            _forget_last_error()
            self._limit_bytes = self._locked_bytes  # each further try would copy a block and fail
            self._warn()
            return data
        self._locked_bytes += size
        weakref.finalize(copied, self._unlock, copied.data_ptr(), size)
        return copied

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            gigabytes = self._limit_bytes / 1e9
            log.warning("the system locks no more than %.1f GB of memory: what is beyond is streamed slowly", gigabytes)

    def _unlock(self, address: int, size: int) -> None:
        torch.cuda.cudart().cudaHostUnregister(address)
        self._locked_bytes -= size


def _forget_last_error() -> None:
    """CUDA keeps the error of a call that failed, and torch would raise it after the next launch of a kernel."""
    with suppress(RuntimeError):
        torch.ones(1, device="cuda")
