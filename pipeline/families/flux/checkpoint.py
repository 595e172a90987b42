"""A card's files → DiffSynth's `FluxImagePipeline`, through DiffSynth's own loading code.

DiffSynth finds out what a file is by a hash over its tensor names and shapes, looked up in a table;
`register_layouts` adds models that it does not know. Everything is local: this file never lets it download.
Must not know prompts or steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.pipelines.flux_image import FluxImagePipeline, ModelConfig
from torch import Tensor

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.demo.layouts import LAYOUTS as DEMO_LAYOUTS
from pipeline.device.gpu_profile import GpuProfile, packed_path
from pipeline.errors import GenerationFailed, ModelFilesMissing
from pipeline.families.flux.transformer import PooledTextEncoder, Residency, TextEncoder, Transformer
from pipeline.runtime.process_setup import silence_diffsynth
from pipeline.runtime.prompt_cache import PromptEmbeddingCache, PromptFiles, remember_prompts
from pipeline.runtime.prompt_tokenizer import read_tokenizer
from pipeline.streaming.autotune import is_supported, measure_gpu
from pipeline.streaming.packed_cache import fingerprint
from pipeline.streaming.quantization import Format
from pipeline.streaming.streamed_module import StreamedModule

# The same bits, without transformers.
_OWN_CLASSES = {"diffsynth.models.flux_text_encoder_t5.FluxTextEncoderT5": "pipeline.runtime.t5_encoder.T5Encoder"}
_PARTS = {"clip": ["text_encoder_1"], "t5": ["text_encoder_2"], "vae": ["vae_decoder", "vae_encoder"]}
S = TypeVar("S", bound=StreamedModule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """How a model is kept and computed with.

    `is_streamed`: it is larger than the card, so its blocks take turns there; see `Residency`.
    """

    weight_format: Format  # the transformer's weights
    uses_8bit_matmul: bool  # or whether 8 bits are only how they are kept
    dtype: torch.dtype  # of everything else
    device: str
    is_streamed: bool
    speed: GpuProfile | None  # of a card that blocks are streamed to

    def use_in(self, transformer: Transformer) -> None:
        """Have its products made so."""
        transformer.use_8bit_matmul(self.uses_8bit_matmul)
        if self.speed is not None:
            transformer.use_kernels(self.speed.int8_tiles, fuses_rows=self.speed.fuses_rows)


def choose_arithmetic(*, is_offloaded: bool, device: str, precision: str, packed_dir: Path) -> Arithmetic:
    """Decide by the size of the model, the device and the setting.

    `auto`: small models are float32 everywhere, since on a CPU bfloat16 is many times slower and on a GPU it
    does not matter; large ones compute in bfloat16 on the GPU, and their transformer in the 8 bits that this card is
    fastest at. `float8` and `int8` are for the transformer alone.
    """
    is_streamed = is_offloaded and device == "cuda"
    speed = measure_gpu(packed_dir) if is_streamed else None
    uses_8bit_matmul = precision == Format.INT8 or device == "cuda"  # floats of 8 bits are slow on a CPU
    if precision != "auto":
        weight_format = Format(precision)
    elif is_streamed:
        assert speed is not None
        chosen, uses_8bit_matmul = speed.choose_format()
        weight_format = Format(chosen)
    else:
        weight_format = Format.FLOAT32
    if weight_format.is_8bit:
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        uses_8bit_matmul = uses_8bit_matmul and (device == "cpu" or is_supported(weight_format))
    else:
        dtype, uses_8bit_matmul = weight_format.dtype, False
    return Arithmetic(
        weight_format=weight_format,
        uses_8bit_matmul=uses_8bit_matmul,
        dtype=dtype,
        device=device,
        is_streamed=is_streamed,
        speed=speed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model in memory. Where it is streamed, nothing can be drawn before `Residency.fit`."""

    pipe: FluxImagePipeline
    transformer: Transformer
    residency: Residency | None  # of a model that is streamed
    prompts: PromptEmbeddingCache


def register_layouts(layouts: Iterable[Mapping[str, Any]]) -> None:
    """Teach DiffSynth checkpoints that it does not know; again is harmless."""
    MODEL_CONFIGS.extend(dict(layout) for layout in layouts if layout not in MODEL_CONFIGS)
    for config in MODEL_CONFIGS:
        config["model_class"] = _OWN_CLASSES.get(config["model_class"], config["model_class"])


def load_pipeline(
    card: ModelCard,
    models_dir: Path,
    arithmetic: Arithmetic,
    *,
    packed_dir: Path | None = None,
    prompts_dir: Path | None = None,
) -> Loaded:
    """Read a model's files into a pipeline at rest. Blocks for seconds, or minutes where weights are packed first.

    Args:
        packed_dir: where packed weights of a large model are kept; None: beside its files.
        prompts_dir: where what streamed encoders read of prompts is kept across restarts.

    Raises:
        ModelFilesMissing: files are absent, empty or not whole.
        GenerationFailed: a file holds something else than its place says.
        DiskFull: no room for the packed weights.
    """
    if missing := files.missing(card, models_dir):
        raise ModelFilesMissing(card.name, [file.path for file in missing])
    register_layouts(DEMO_LAYOUTS)
    silence_diffsynth()
    dtype, device = arithmetic.dtype, arithmetic.device
    by_the_library = ("vae",) if arithmetic.is_streamed else ("t5", "clip", "vae")
    configs = [
        ModelConfig(
            path=[str(path) for path in files.weights_of(card.files[kind], models_dir)],
            skip_download=True,
            computation_dtype=dtype,
            computation_device=device,
        )
        for kind in by_the_library
    ]
    try:
        pipe = FluxImagePipeline.from_pretrained(
            torch_dtype=dtype, device=device, model_configs=configs, tokenizer_1_config=None, tokenizer_2_config=None
        )
    except ValueError as error:  # a layout that is not in DiffSynth's table; its message names the file
        raise GenerationFailed(str(error)) from error

    expected = [part for kind in by_the_library for part in _PARTS[kind]]
    if absent := [part for part in expected if getattr(pipe, part) is None]:
        raise GenerationFailed(f"the files of {card.name} hold no {', '.join(absent)}")

    def read(part: type[S], kind: str, weight_format: Format) -> S:
        cache = (
            packed_path(packed_dir or models_dir / "packed", card, kind, weight_format) if card.is_offloaded else None
        )
        paths = files.weights_of(card.files[kind], models_dir)
        return part.read(paths, weight_format=weight_format, dtype=dtype, device=device, cache=cache)

    transformer = read(Transformer, "dit", arithmetic.weight_format)
    arithmetic.use_in(transformer)
    text_encoders: list[TextEncoder] = []
    prompt_files = None
    if arithmetic.is_streamed:
        # The library's T5 would cast activations to 8-bit floats along with weights; integers it leaves alone.
        weight_format = Format.INT8 if arithmetic.weight_format.is_8bit else Format.BFLOAT16
        text_encoders = [read(PooledTextEncoder, "clip", Format.BFLOAT16), read(TextEncoder, "t5", weight_format)]
        if prompts_dir is not None:
            encoders = [path for name in ("clip", "t5") for path in files.weights_of(card.files[name], models_dir)]
            folders = [files.path_of(card.files[name], models_dir) for name in ("tokenizer_1", "tokenizer_2")]
            tokens = [(path.name, path.stat().st_size) for folder in folders for path in sorted(folder.iterdir())]
            where = torch.cuda.get_device_name() if device == "cuda" else device
            depends_on = (fingerprint(encoders, weight_format), tokens, dtype, torch.__version__, where)
            prompt_files = PromptFiles(prompts_dir, repr(depends_on))
    return assemble(
        pipe,
        transformer,
        text_encoders,
        sizes=card.sizes.values(),
        tokenizers=[files.path_of(card.files[name], models_dir) for name in ("tokenizer_1", "tokenizer_2")],
        prompt_files=prompt_files,
    )


def assemble(
    pipe: FluxImagePipeline,
    transformer: Transformer,
    text_encoders: Sequence[TextEncoder],
    *,
    sizes: Iterable[tuple[int, int]],
    tokenizers: Iterable[Path],
    prompt_files: PromptFiles | None = None,
    link_repeat: int = 1,
) -> Loaded:
    """Make a model of its parts.

    Args:
        pipe: with the parts that the library keeps: the autoencoder and, if there are no others, its text encoders.
        text_encoders: CLIP and T5 of a model whose blocks are streamed; none otherwise.
        sizes: of pictures (width, height), in px.
        tokenizers: folders, of CLIP and of T5.
        link_repeat: see `BlockRing`.
    """
    pipe.dit, residency = transformer.module, None
    predict: Callable[..., Tensor] = transformer.predict
    if text_encoders:
        pipe.text_encoder_1, pipe.text_encoder_2 = (part.module for part in text_encoders)
        vae = (*pipe.vae_decoder.parameters(), *pipe.vae_encoder.parameters())
        fixed_bytes = sum(weight.nbytes for weight in vae)
        residency = Residency(transformer, text_encoders, sizes=sizes, fixed_bytes=fixed_bytes, link_repeat=link_repeat)
        predict = residency.predict
    else:
        transformer.place()
    pipe.model_fn = lambda **inputs: predict(schedule=pipe.scheduler.timesteps, **inputs)
    pipe.tokenizer_1, pipe.tokenizer_2 = map(read_tokenizer, tokenizers)
    prompts = remember_prompts(pipe, prompt_files)
    pipe.eval().requires_grad_(False)
    return Loaded(pipe=pipe, transformer=transformer, residency=residency, prompts=prompts)
