"""Imports DiffSynth without what drawing never uses, which is a third of its import time (12 s → 8.5 s on 2 cores).

Left out: its training data sets (pandas, torchvision's models, imageio), and the start of torch's compiler,
which it causes by compiling flex attention, used by none of our models. Importing this module is the import.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

import torch

DATA_SETS: Final = "diffsynth.core.data"


@contextlib.contextmanager
def _without_the_training_half() -> Iterator[None]:
    compile_ = torch.compile
    sys.modules.setdefault(DATA_SETS, ModuleType(DATA_SETS))  # nothing that draws asks it for anything
    torch.compile = _as_it_is  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.compile = compile_


def _as_it_is(function: Any, *_args: Any, **_options: Any) -> Any:
    """Stand in for `torch.compile` while DiffSynth is imported."""
    return function


with _without_the_training_half():
    import diffsynth.core  # noqa: F401
