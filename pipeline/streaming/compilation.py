"""Compiling blocks with code that an earlier start kept. Must not know which blocks."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from pipeline.runtime.process_setup import COMPILERS

log = logging.getLogger(__name__)


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
