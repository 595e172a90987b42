"""Compiling blocks, with code that an earlier start kept. Must not know which blocks.

Compiled, the blocks of a transformer take half the time: what lies between two products becomes one kernel.
"""

from __future__ import annotations

import logging
import shutil
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MethodType
from typing import Any, Final

import torch
from torch import nn
from torch.utils._triton import has_triton

from pipeline.runtime.process_setup import COMPILERS
from pipeline.streaming.quantization import mark_constants

log = logging.getLogger(__name__)

# Otherwise every start measures some kernels anew and takes those that happen to be faster, which sum in another order.
REPEATABLE: Final[dict[str, str | int | bool | Callable[..., Any]]] = {"deterministic": True}


def compile_kinds(
    blocks: Sequence[nn.Module],
    for_every_size: Callable[[Any], Callable[..., Any]],
    warm_up: Callable[[], None],
    *,
    device: str,
    backend: str | Callable[..., Any] = "inductor",
) -> bool:
    """Compile the code of blocks, once for all of a kind; whether that worked.

    The first time takes about a minute on a usual computer, later some seconds: results are kept on disk. Compiled
    anew, they compute the same bits. Where it fails, blocks are as they were.

    Args:
        for_every_size: makes a forward pass (block, …) of a compiled one, which marks the sizes that change.
        warm_up: runs the blocks.
        backend: of `torch.compile`; another one for tests.
    """
    if device != "cpu" and not has_triton():
        log.info("Triton is missing, so blocks are not compiled and pictures take longer")
        return False
    mark_constants()
    options = REPEATABLE if backend == "inductor" else None
    compiled = {
        kind: for_every_size(torch.compile(kind.forward, backend=backend, options=options))
        for kind in {type(block) for block in blocks}
    }
    before = [vars(block).get("forward") for block in blocks]
    for block in blocks:
        block.forward = MethodType(compiled[type(block)], block)
    try:
        warm_up()
    except Exception as error:  # noqa: BLE001 - a compiler raises anything
        traceback.clear_frames(error.__traceback__)
        log.warning("blocks could not be compiled, so pictures take longer: %s", str(error).partition("\n")[0])
        for block, forward in zip(blocks, before, strict=True):
            del block.forward
            if forward is not None:
                block.forward = forward
        return False
    return True


def compile_or_start_over(compile_blocks: Callable[[], bool], packed_dir: Path) -> None:
    """Compile; if that fails with code that was kept, once more without it, since it may be damaged."""
    kept = [folder for compiler in COMPILERS if (folder := packed_dir / compiler).is_dir()]
    if compile_blocks() or not kept:
        return
    log.info("what was compiled before is deleted, and all is compiled anew")
    for folder in kept:
        shutil.rmtree(folder, ignore_errors=True)
    torch.compiler.reset()
    if not compile_blocks():
        for folder in kept:  # or the next start would try twice as well
            shutil.rmtree(folder, ignore_errors=True)
