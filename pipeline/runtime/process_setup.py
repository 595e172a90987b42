"""Everything that drawing changes in the whole process: environment, threads, the library's import and its prints.

Importing a module of this project changes nothing. Whoever makes an engine calls `prepare_process` before anything
imports torch; an engine calls the rest when it loads. Must not know models.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Final

from pipeline.device.gpu_profile import is_writable
from pipeline.runtime.diffsynth_import import FLUX, import_diffsynth

__all__ = [
    "COMPILERS",
    "FLUX",
    "keep_compiled_in",
    "prepare_process",
    "set_environment",
    "silence_diffsynth",
    "use_threads",
]

ENVIRONMENT: Final = {
    # GNU OpenMP reads this when torch is first imported: how long a waiting thread may spin. By default long enough to
    # burn whole time slices wherever another process wants a core: six steps of the demo on two busy cores took 4 to
    # 64 s. Sleeping after 3000 rounds: 2 s, and no slower on idle ones.
    "GOMP_SPINCOUNT": "3000",
    # GPUs are numbered as the driver's tools number them; CUDA by itself would put the fastest first.
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
}
COMPILERS: Final = ("torchinductor", "triton")
PRINTING: Final = (
    "diffsynth.core.loader.config",
    "diffsynth.core.vram.layers",
    "diffsynth.diffusion.base_pipeline",
    "diffsynth.models.model_loader",
)


def prepare_process(*library: str) -> None:
    """Set the environment, then import torch and these modules of DiffSynth: seconds, for the first time.

    What the environment says already stays.
    """
    set_environment()
    import_diffsynth(*library)


def set_environment() -> None:
    """Tell OpenMP and CUDA what they read when they start."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def silence_diffsynth() -> None:
    """Shadow `print` in the modules of DiffSynth that we drive; it has no switch for it.

    Only there: redirecting standard output would swallow what other threads print meanwhile.
    """
    for name in PRINTING:
        if (module := sys.modules.get(name)) is not None:
            vars(module)["print"] = _discard


def _discard(*_values: object, **_options: object) -> None:
    """Print nothing."""


def use_threads(number: int) -> None:
    """Have torch compute with so many threads; 0: all cores but one, which is the event loop's, or both of two."""
    import torch

    cores = _torch_threads()
    torch.set_num_threads(number or (cores - 1 if cores > 2 else cores))


@cache
def _torch_threads() -> int:
    """Return torch's own choice: the cores that this process may use."""
    import torch

    return torch.get_num_threads()


def keep_compiled_in(packed_dir: Path) -> None:
    """Let compiled code outlive the process, beside the packed weights; the system's temporary folder would lose it."""
    if not is_writable(packed_dir):  # all has been packed before
        return
    for compiler in COMPILERS:
        os.environ.setdefault(f"{compiler.upper()}_CACHE_DIR", str(packed_dir / compiler))
