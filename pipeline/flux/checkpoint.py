"""A card's files → DiffSynth's `FluxImagePipeline`, through DiffSynth's own loading code.

DiffSynth finds out what a file is by a hash over its tensor names and shapes, looked up in a table;
`register_layouts` adds models that it does not know. Everything is local: this file never lets it download.
Its prints are silenced here. Must not know prompts or steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.core.loader import config as diffsynth_config
from diffsynth.core.vram import layers as diffsynth_layers
from diffsynth.diffusion import base_pipeline as diffsynth_pipeline
from diffsynth.models import model_loader as diffsynth_loader
from diffsynth.pipelines.flux_image import FluxImagePipeline, ModelConfig
from transformers import AutoTokenizer

from pipeline import files
from pipeline.cards import ModelCard
from pipeline.demo.layouts import LAYOUTS as DEMO_LAYOUTS
from pipeline.errors import GenerationFailed, ModelFilesMissing
from pipeline.flux.formats import Format
from pipeline.flux.prompts import remember_prompts
from pipeline.flux.streamed import Streamed
from pipeline.flux.transformer import TextEncoder, Transformer, place_within
from pipeline.hardware import MIB

_WEIGHT_KINDS = ("dit", "t5", "clip", "vae")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
S = TypeVar("S", bound=Streamed)
_PARTS = ("dit", "text_encoder_1", "text_encoder_2", "vae_decoder", "vae_encoder", "tokenizer_1", "tokenizer_2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a part's weights are, and in which precision, in DiffSynth's four states of VRAM management.

    offload: at rest; onload: their part runs; preparing: kept on the GPU while it runs; computation: in use.
    """

    offload_dtype: torch.dtype | None = None
    offload_device: str | None = None
    onload_dtype: torch.dtype | None = None
    onload_device: str | None = None
    preparing_dtype: torch.dtype | None = None
    preparing_device: str | None = None
    computation_dtype: torch.dtype
    computation_device: str

    @classmethod
    def resident(cls, dtype: torch.dtype, device: str) -> Self:
        """Weights stay on the device that computes with them."""
        return cls(computation_dtype=dtype, computation_device=device)

    @classmethod
    def offloaded(cls, stored: torch.dtype, computed: torch.dtype, device: str) -> Self:
        """DiffSynth's recipe for small cards: weights rest in host memory as `stored`; while their part runs,
        as many as fit under the limit stay on the device, and the others are copied over for each use.
        """
        return cls(
            offload_dtype=stored,
            offload_device="cpu",
            onload_dtype=stored,
            onload_device="cpu",
            preparing_dtype=stored,
            preparing_device=device,
            computation_dtype=computed,
            computation_device=device,
        )


def placements(*, is_offloaded: bool, device: str, precision: str = "auto") -> dict[str, Placement]:
    """The placement of each part, by kind of file.

    `auto`: small models are float32 everywhere, since on a CPU bfloat16 is many times slower and on a GPU it
    does not matter; large ones compute in bfloat16 on the GPU and rest in host memory, the transformer in 8
    bits. `float32` and `bfloat16` store and compute alike; `float8` and `int8` are for the transformer alone.
    """
    is_streamed = is_offloaded and device != "cpu"
    if precision == "auto":
        precision = "float8" if is_streamed else "float32"
    computed = _DTYPES.get(precision, torch.float32 if device == "cpu" else torch.bfloat16)
    if is_streamed:
        by_kind = dict.fromkeys(_WEIGHT_KINDS, Placement.offloaded(computed, computed, device))
    else:
        by_kind = dict.fromkeys(_WEIGHT_KINDS, Placement.resident(computed, device))
    if is_streamed and precision == "float8":
        by_kind["dit"] = Placement.offloaded(torch.float8_e4m3fn, computed, device)
    return by_kind


def transformer_format(*, is_offloaded: bool, device: str, precision: str) -> Format | None:
    """How the transformer is kept; None where DiffSynth's own recipe for small cards is still the default."""
    if is_offloaded and device != "cpu" and precision != Format.INT8:
        return None
    return Format.FLOAT32 if precision == "auto" else Format(precision)


def register_layouts(layouts: Iterable[Mapping[str, Any]]) -> None:
    """Teach DiffSynth checkpoints that it does not know; again is harmless."""
    MODEL_CONFIGS.extend(dict(layout) for layout in layouts if layout not in MODEL_CONFIGS)


def load_pipeline(
    card: ModelCard,
    models_dir: Path,
    *,
    placements: Mapping[str, Placement],
    kept_as: Format | None,
    vram_limit_mib: int | None,
) -> tuple[FluxImagePipeline, Transformer | None]:
    """Read a model's files into a pipeline at rest. Blocks for seconds to minutes.

    `kept_as` is the format of the transformer; None leaves it to DiffSynth, where its placement says.

    Returns:
        The pipeline, and its transformer if that is in our own keeping.

    Raises:
        ModelFilesMissing: files are absent, empty or not whole.
        GenerationFailed: a file holds something else than its place says.
    """
    if missing := files.missing(card, models_dir):
        raise ModelFilesMissing(card.name, [file.path for file in missing])
    register_layouts(DEMO_LAYOUTS)
    _silence_diffsynth()
    _give_the_cpu_a_cache()
    ours = set() if kept_as is None else {"dit", "t5"} if card.is_offloaded and kept_as is Format.INT8 else {"dit"}
    configs = [
        ModelConfig(
            path=[str(path) for path in files.weights_of(card.files[kind], models_dir)],
            skip_download=True,
            **asdict(placements[kind]),
        )
        for kind in _WEIGHT_KINDS
        if kind not in ours
    ]
    dtype, device = placements["dit"].computation_dtype, placements["dit"].computation_device
    try:
        pipe = FluxImagePipeline.from_pretrained(
            torch_dtype=dtype,
            device=device,
            model_configs=configs,
            tokenizer_1_config=None,
            tokenizer_2_config=None,
            vram_limit=None if vram_limit_mib is None else vram_limit_mib / 1024,
        )
    except ValueError as error:  # a layout that is not in DiffSynth's table; its message names the file
        raise GenerationFailed(str(error)) from error
    transformer = None
    if kept_as is not None:

        def read(part: type[S], kind: str) -> S:
            cache = models_dir / "packed" / f"{card.name}.{kind}.{kept_as}.safetensors" if card.is_offloaded else None
            paths = files.weights_of(card.files[kind], models_dir)
            return part.read(paths, kept_as=kept_as, dtype=dtype, device=device, cache=cache)

        transformer = read(Transformer, "dit")
        text_encoder = read(TextEncoder, "t5") if "t5" in ours else None
        if card.is_offloaded and vram_limit_mib is not None:
            place_within(transformer, text_encoder, vram_limit_mib * MIB, sizes=card.sizes.values())
        else:
            transformer.place()
            if text_encoder is not None:
                text_encoder.place()
        pipe.dit = transformer.module
        predict = transformer.predict
        pipe.model_fn = lambda **inputs: predict(schedule=pipe.scheduler.timesteps, **inputs)
        if text_encoder is not None:
            pipe.text_encoder_2 = text_encoder.module
    # The class is read from the folder: CLIPTokenizer and T5Tokenizer for FLUX.1, as DiffSynth would take
    # them, but the demo's word pieces belong to neither.
    for name in ("tokenizer_1", "tokenizer_2"):
        folder = files.path_of(card.files[name], models_dir)
        setattr(pipe, name, AutoTokenizer.from_pretrained(folder, local_files_only=True))
    if absent := [part for part in _PARTS if getattr(pipe, part) is None]:
        raise GenerationFailed(f"the files of {card.name} hold no {', '.join(absent)}")
    remember_prompts(pipe)
    pipe.eval().requires_grad_(False)
    return pipe, transformer


def _silence_diffsynth() -> None:
    """Shadow `print` in the modules of DiffSynth that we drive; it has no switch for it.

    Only there: redirecting standard output would swallow what other threads print meanwhile.
    """
    for module in (diffsynth_config, diffsynth_layers, diffsynth_loader, diffsynth_pipeline):
        module.print = _discard


def _give_the_cpu_a_cache() -> None:
    """Let weights that rest in 8 bits be used on a CPU too.

    DiffSynth empties `torch.<device>`'s cache whenever parts change places, and `torch.cpu` has none.
    """
    if not hasattr(torch.cpu, "empty_cache"):
        torch.cpu.empty_cache = lambda: None  # type: ignore[attr-defined]


def _discard(*_values: object, **_options: object) -> None:
    """Print nothing."""
