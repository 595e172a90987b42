"""Where a system is timed: in a process of its own, held to a part of the GPU, or slowed down to a smaller one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

import torch

from pipeline.bench.report import Conditions
from pipeline.device.gpu import MIB
from pipeline.errors import GenerationFailed
from pipeline.runtime.cuda_memory import hold_to, start_cuda
from pipeline.runtime.process_setup import set_environment
from pipeline.streaming.block_ring import BlockRing

T = TypeVar("T")


@contextmanager
def held_to(conditions: Conditions, device: str) -> Iterator[None]:
    """Keep this process to what it may use of the card."""
    with ExitStack() as stack:
        if device == "cuda":
            start_cuda()
            hold_to(conditions.limit_mib * MIB)
        if conditions.emulation is not None:
            stack.enter_context(few_multiprocessors(conditions.emulation.multiprocessors))
        yield


@contextmanager
def slow_link(conditions: Conditions, link_gb_s: float | None) -> Iterator[float | None]:
    """Slow the link that was measured down to the emulated one, for our streamed blocks alone; gives its rate in GB/s.

    `link_gb_s`: None if it was not measured or copies are not ours; then nothing is slowed down.
    """
    if conditions.emulation is None or link_gb_s is None:
        yield link_gb_s
        return
    before, BlockRing.copies = BlockRing.copies, max(1, round(link_gb_s / conditions.emulation.link_gb_s))
    try:
        yield link_gb_s / BlockRing.copies
    finally:
        BlockRing.copies = before


@contextmanager
def few_multiprocessors(number: int) -> Iterator[None]:
    """What is launched inside uses so many multiprocessors of the card.

    Raises:
        GenerationFailed: this driver or this PyTorch cannot.
    """
    try:
        from torch.cuda.green_contexts import GreenContext

        context = GreenContext.create(num_sms=number, device_id=0)
        stream = context.Stream()
    except Exception as error:
        raise GenerationFailed(f"a smaller card cannot be emulated here: {error}") from error
    with torch.cuda.stream(stream):
        yield


def here(function: Callable[..., T], *arguments: Any) -> T:
    """Call it in this process."""
    return function(*arguments)


def apart(function: Callable[..., T], *arguments: Any) -> T:
    """Call it in a fresh process."""
    set_environment()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
