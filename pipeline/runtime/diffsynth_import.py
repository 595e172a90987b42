"""Imports of DiffSynth what drawing with one family needs, a sixth of the time that the whole library takes.

Left out are its training half, its hubs, its own streaming, flex attention, and transformers: our tokenizers, our T5
and torch's attention stand in for what it is asked for (`prompt_tokenizer.py`, `t5_encoder.py`, `attention.py`).
Nothing happens before `import_diffsynth` is called; how stand-ins are seen is `pipeline/partial_import.py`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import TracebackType
from typing import Final

from pipeline.partial_import import Later, LeftOut, Names, StandIns, standing_in

LIBRARY: Final = "diffsynth"
FLUX: Final = "diffsynth.pipelines.flux_image"
FLUX2: Final = "diffsynth.pipelines.flux2_image"
STABLE_DIFFUSION: Final = ("diffsynth.pipelines.stable_diffusion", "diffsynth.pipelines.stable_diffusion_xl")
ATTENDING: Final = ("diffsynth.models.z_image_dit", "diffsynth.models.flux2_dit")
PART: Final = "imported_in_part"  # an attribute of the library, if it was imported here


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
    **{name: {f"{LIBRARY}.core.attention": Later("pipeline.runtime.attention")} for name in ATTENDING},
    # Only what measures and compares runs them; the engine has the modules of their models.
    **{name: {"transformers": dict.fromkeys(("AutoTokenizer", "CLIPTextModel"), LeftOut)} for name in STABLE_DIFFUSION},
    FLUX2: {
        "transformers": dict.fromkeys(("AutoTokenizer", "AutoProcessor"), LeftOut),
        f"{LIBRARY}.models.flux2_text_encoder": {"Flux2TextEncoder": LeftOut},
        f"{LIBRARY}.models.z_image_text_encoder": {"ZImageTextEncoder": LeftOut},
    },
}


def import_diffsynth(*names: str) -> None:
    """Import these modules of DiffSynth without what drawing never uses; all of it if others imported a part already.

    To be called before anything else imports the library, by whoever makes an engine; again for an engine of another
    family. A release that needs more than this knows of is imported whole.
    """
    before = {name for name in sys.modules if name == LIBRARY or name.startswith(f"{LIBRARY}.")}
    if before and not hasattr(sys.modules[LIBRARY], PART):
        return
    try:
        with standing_in(STAND_INS):
            for name in names:
                import_module(name)
        setattr(sys.modules[LIBRARY], PART, True)
    except ImportError:
        for name in [name for name in sys.modules if name == LIBRARY or name.startswith(f"{LIBRARY}.")]:
            if name not in before:
                del sys.modules[name]
