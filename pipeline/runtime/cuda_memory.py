"""Memory of the GPU: what CUDA takes by itself, a limit for torch, and what is free."""

from __future__ import annotations

from functools import cache
from typing import Final

import torch

from pipeline.device.gpu import MIB, find_gpu

KERNELS_BYTES: Final = 100 * MIB  # CUDA loads kernels when they are first used; measured after some pictures
USUAL_CONTEXT_BYTES: Final = 500 * MIB


@cache
def start_cuda() -> int:
    """Start CUDA, if nobody has, and return the bytes that it takes itself of the card's memory."""
    before = find_gpu()
    is_first = not torch.cuda.is_initialized()
    torch.zeros(256, 256, device="cuda") @ torch.zeros(256, 256, device="cuda")  # starts cuBLAS as well
    torch.cuda.synchronize()
    after = find_gpu()
    if before is None or after is None or not is_first:
        return USUAL_CONTEXT_BYTES
    taken = (before.free_mib - after.free_mib) * MIB - torch.cuda.memory_reserved() + KERNELS_BYTES
    return taken if 100 * MIB < taken < 1500 * MIB else USUAL_CONTEXT_BYTES  # another process changed it meanwhile


def hold_to(limit_bytes: int) -> None:
    """Let this process take so much of the card's memory and no more, its context included."""
    context_bytes = start_cuda()  # first: see `total_mib`
    _free, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction(min(1.0, max(0.01, (limit_bytes - context_bytes) / total)))


def available_bytes() -> int:
    """What this process takes of the card and what nobody takes, together."""
    context_bytes = start_cuda()
    free, _total = torch.cuda.mem_get_info()
    return context_bytes + torch.cuda.memory_reserved() + free


def total_mib() -> int:
    """All of the card's memory."""
    start_cuda()  # first, since anything else would start CUDA unseen
    return int(torch.cuda.mem_get_info()[1]) // MIB


def room_bytes() -> int:
    """What torch may still allocate: neither withheld from this process nor taken by others."""
    free, total = torch.cuda.mem_get_info()
    allowed = int(total * torch.cuda.get_per_process_memory_fraction())
    return min(allowed, torch.cuda.memory_reserved() + free) - torch.cuda.memory_allocated()


def free_mib() -> int | None:
    """Free memory of the GPU, all processes counted; None without one or when it no longer answers."""
    if not torch.cuda.is_available():
        return None
    try:
        free_bytes, _total_bytes = torch.cuda.mem_get_info()
    except RuntimeError:
        return None
    return int(free_bytes) // MIB
