"""A card's files → DiffSynth's `FluxImagePipeline`, through DiffSynth's own loading code.

DiffSynth finds out what a file is by a hash over its tensor names and shapes, looked up in a table;
`register_layouts` adds models that it does not know. Everything is local: this file never lets it download.
Must not know prompts or steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.core.loader import hash_model_file
from diffsynth.pipelines.flux_image import FluxImagePipeline, ModelConfig

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.parts import Naming, Part, PartKind
from pipeline.config import PipelineConfig
from pipeline.demo.layouts import LAYOUTS as DEMO_LAYOUTS
from pipeline.device.gpu_profile import packed_path
from pipeline.errors import GenerationFailed, ModelFilesMissing
from pipeline.families.flux.model import FluxModel
from pipeline.families.flux.text_encoders import PooledTextEncoder, TextEncoder
from pipeline.families.flux.transformer import Transformer
from pipeline.runtime.process_setup import silence_diffsynth
from pipeline.runtime.prompt_cache import PromptEmbeddingCache, PromptFiles
from pipeline.runtime.prompt_tokenizer import read_tokenizer
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.conversion import Convert
from pipeline.streaming.quantization import Format
from pipeline.streaming.residency import Residency
from pipeline.streaming.streamed_module import StreamedModule

# The same bits, without transformers.
_OWN_CLASSES = {"diffsynth.models.flux_text_encoder_t5.FluxTextEncoderT5": "pipeline.runtime.t5_encoder.T5Encoder"}
_PARTS = {"clip": ["text_encoder_1"], "t5": ["text_encoder_2"], "vae": ["vae_decoder", "vae_encoder"]}
S = TypeVar("S", bound=StreamedModule)


def load_pipeline(
    card: ModelCard,
    config: PipelineConfig,
    arithmetic: Arithmetic,
    *,
    budget: VramBudget | None = None,
    prompts_dir: Path | None = None,
) -> FluxModel:
    """Read a model's files into a pipeline at rest. Blocks for seconds, or minutes if weights are packed first.

    Args:
        budget: of a GPU, whose memory the model's owner keeps to.
        prompts_dir: where what streamed encoders read of prompts is kept across restarts.

    Raises:
        ModelFilesMissing: files are absent, empty or not whole.
        GenerationFailed: a file holds something else than its place says.
        DiskFull: no room for the packed weights.
    """
    models_dir = config.models_dir
    if missing := files.missing(card, models_dir):
        raise ModelFilesMissing(card.name, [file.path for file in missing])
    register_layouts(DEMO_LAYOUTS)
    use_own_classes()
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
        cache = packed_path(config.packed_folder, card, kind, weight_format) if card.packed_gb else None
        paths = files.weights_of(card.files[kind], models_dir)
        return read_streamed(part, paths, weight_format=weight_format, dtype=dtype, device=device, cache=cache)

    transformer = read(Transformer, "dit", arithmetic.weight_format)
    arithmetic.use_in(transformer)
    text_encoders: list[TextEncoder] = []
    prompt_files = None
    if arithmetic.is_streamed:
        # The library's T5 would cast activations to 8-bit floats along with weights; integers it leaves alone.
        weight_format = Format.INT8 if arithmetic.weight_format.is_8bit else Format.BFLOAT16
        text_encoders = [read(PooledTextEncoder, "clip", Format.BFLOAT16), read(TextEncoder, "t5", weight_format)]
        if prompts_dir is not None:
            prompt_files = PromptFiles(prompts_dir, _encoders_of(card, models_dir, arithmetic, weight_format))
    residency = make_residency(pipe, card, transformer, text_encoders, budget=budget)
    tokenizers = [files.path_of(card.files[name], models_dir) for name in ("tokenizer_1", "tokenizer_2")]
    return assemble(pipe, transformer, residency, tokenizers=tokenizers, prompt_files=prompt_files)


def read_streamed(
    part: type[S],
    paths: Sequence[Path],
    *,
    weight_format: Format,
    dtype: torch.dtype,
    device: str,
    cache: Path | None = None,
) -> S:
    """Read a component from files that DiffSynth's table knows; see `StreamedModule.read`."""
    make, convert = _recognise(part.COMPONENT.module, paths)
    if part is TextEncoder:  # T5's names are those of our own class
        convert = None
    return part.read(
        source_of(part, paths),
        make,
        convert=convert,
        weight_format=weight_format,
        dtype=dtype,
        device=device,
        cache=cache,
    )


def source_of(part: type[StreamedModule], paths: Sequence[Path]) -> CheckpointFiles:
    """The tensors of files that hold nothing but one component."""
    kind = part.COMPONENT.part or PartKind.DENOISER
    return CheckpointFiles(Part(kind=kind, architecture="flux", paths=tuple(paths), naming=Naming.ORIGINAL))


def _recognise(kind: str, paths: Sequence[Path]) -> tuple[Any, Convert | None]:
    """How to make the module that a checkpoint is for, and how to convert its names."""
    model_hash = hash_model_file([str(path) for path in paths])
    for config in MODEL_CONFIGS:
        if config["model_hash"] == model_hash and config["model_name"] == kind:
            make = partial(imported(config["model_class"]), **(config.get("extra_kwargs") or {}))
            convert = config.get("state_dict_converter")
            return make, None if convert is None else imported(convert)
    raise GenerationFailed(f"{paths[0].name} is no {kind} that DiffSynth knows")


def register_layouts(layouts: Iterable[Mapping[str, Any]]) -> None:
    """Teach DiffSynth checkpoints that it does not know; again is harmless."""
    MODEL_CONFIGS.extend(dict(layout) for layout in layouts if layout not in MODEL_CONFIGS)


def imported(path: str) -> Any:
    """What DiffSynth's tables name by a dotted path."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def use_own_classes() -> None:
    """Have DiffSynth make our own classes in place of those that need more of its dependencies."""
    for config in MODEL_CONFIGS:
        config["model_class"] = _OWN_CLASSES.get(config["model_class"], config["model_class"])


def _encoders_of(card: ModelCard, models_dir: Path, arithmetic: Arithmetic, weight_format: Format) -> str:
    """What a reading depends on beside the prompt."""
    encoders = [
        source_of(part, files.weights_of(card.files[name], models_dir)).fingerprint(weight_format)
        for part, name in ((PooledTextEncoder, "clip"), (TextEncoder, "t5"))
    ]
    folders = [files.path_of(card.files[name], models_dir) for name in ("tokenizer_1", "tokenizer_2")]
    tokens = [(path.name, path.stat().st_size) for folder in folders for path in sorted(folder.iterdir())]
    where = torch.cuda.get_device_name() if arithmetic.device == "cuda" else arithmetic.device
    return repr((encoders, tokens, arithmetic.dtype, torch.__version__, where))


def make_residency(
    pipe: FluxImagePipeline,
    card: ModelCard,
    transformer: Transformer,
    text_encoders: Sequence[TextEncoder],
    *,
    budget: VramBudget | None,
    link_repeat: int = 1,
) -> Residency:
    """Make the owner of a model's memory.

    Args:
        pipe: with the autoencoder, which stays on the GPU.
        text_encoders: CLIP and T5 of a model whose blocks are streamed; none otherwise.
        link_repeat: see `BlockRing`.
    """
    vae = (*pipe.vae_decoder.parameters(), *pipe.vae_encoder.parameters())
    return Residency(
        transformer,
        text_encoders,
        budget=budget,
        cost=card.largest_cost() if text_encoders else None,
        fixed_bytes=sum(weight.nbytes for weight in vae),
        link_repeat=link_repeat,
    )


def assemble(
    pipe: FluxImagePipeline,
    transformer: Transformer,
    residency: Residency,
    *,
    tokenizers: Iterable[Path],
    prompt_files: PromptFiles | None = None,
) -> FluxModel:
    """Make a model of its parts.

    Args:
        pipe: with the parts that the library keeps: the autoencoder and, if they are not streamed, its text encoders.
        tokenizers: folders, of CLIP and of T5.
    """
    if len(residency.parts) > 1:
        pipe.text_encoder_1, pipe.text_encoder_2 = (part.module for part in residency.parts[1:])
    pipe.tokenizer_1, pipe.tokenizer_2 = map(read_tokenizer, tokenizers)
    return FluxModel(pipe, transformer, residency, PromptEmbeddingCache(prompt_files))
