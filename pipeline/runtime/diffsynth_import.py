"""Imports of DiffSynth what drawing with one family needs, a sixth of the time that the whole library takes.

Left out are its training half, its hubs, its own streaming, flex attention, and transformers: our tokenizers and our
T5 stand in for what it is asked for (`prompt_tokenizer.py`, `t5_encoder.py`). Nothing happens before
`import_diffsynth` is called; how stand-ins are seen is `pipeline/partial_import.py`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import TracebackType
from typing import Final

from pipeline.partial_import import LeftOut, Names, StandIns, standing_in

LIBRARY: Final = "diffsynth"
FLUX: Final = "diffsynth.pipelines.flux_image"


class ContextManagers:
    """Several contexts at once, for DiffSynth's loader."""

    def __init__(self, contexts: Sequence[contextlib.AbstractContextManager[object]]) -> None:
        self._contexts = contexts
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> None:
        """Enter all."""
        for context in self._contexts:
            self._stack.enter_context(context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave all, the last one first."""
        self._stack.__exit__(kind, error, trace)


def _no_deepspeed() -> bool:
    return False


_LAYERS: Final = dict.fromkeys(
    ("AutoTorchModule", "AutoWrappedModule", "AutoWrappedLinear", "LoRAHotLoadMixin", "enable_vram_management"), LeftOut
)
_STREAMING: Final[Mapping[str, Names]] = {f"{LIBRARY}.core.vram.layers": _LAYERS}
STAND_INS: Final[StandIns] = {
    f"{LIBRARY}.core": {f"{LIBRARY}.core.{part}": {} for part in ("attention", "data", "offload_training")},
    f"{LIBRARY}.core.vram": _STREAMING,
    f"{LIBRARY}.core.loader.config": {
        "modelscope": {"snapshot_download": LeftOut},
        "huggingface_hub": {"snapshot_download": LeftOut},
    },
    f"{LIBRARY}.core.loader.model": {
        **_STREAMING,
        "transformers.integrations": {"is_deepspeed_zero3_enabled": _no_deepspeed},
        "transformers.utils": {"ContextManagers": ContextManagers},
    },
    f"{LIBRARY}.diffusion": {
        f"{LIBRARY}.diffusion.training_module": {"DiffusionTrainingModule": LeftOut},
        f"{LIBRARY}.diffusion.logger": {"ModelLogger": LeftOut},
        f"{LIBRARY}.diffusion.runner": dict.fromkeys(("launch_training_task", "launch_data_process_task"), LeftOut),
        **{f"{LIBRARY}.diffusion.{part}": {} for part in ("parsers", "loss", "dmd2")},
    },
    FLUX: {
        **_STREAMING,
        "transformers": dict.fromkeys(("CLIPTokenizer", "T5TokenizerFast"), LeftOut),
        f"{LIBRARY}.models.flux_text_encoder_t5": {"FluxTextEncoderT5": LeftOut},
        f"{LIBRARY}.models.step1x_text_encoder": {"Step1xEditEmbedder": LeftOut},
    },
}


def import_diffsynth(*names: str) -> None:
    """Import these modules of DiffSynth without what drawing never uses; all of it if a part is there already.

    To be called before anything else imports the library, by whoever makes an engine. A release that needs more than
    this knows of is imported whole.
    """
    if LIBRARY in sys.modules:
        return
    try:
        with standing_in(STAND_INS):
            for name in names:
                import_module(name)
    except ImportError:
        for name in [name for name in sys.modules if name == LIBRARY or name.startswith(f"{LIBRARY}.")]:
            del sys.modules[name]
