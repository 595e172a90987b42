"""A card's files → DiffSynth's `FluxImagePipeline`, whatever layout they have.

The catalogue (`model_parts.py`) says what each component is read from, `names.py` what its tensors are called here, and
`sized.py` makes its module. Everything is local. Must not know prompts or steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import torch
from diffsynth.pipelines.flux_image import FluxImagePipeline
from torch import nn

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.model_parts import parts_of
from pipeline.config import PipelineConfig
from pipeline.device.gpu_profile import packed_path
from pipeline.errors import GenerationFailed
from pipeline.families.flux import names
from pipeline.families.flux.model import FluxModel
from pipeline.families.flux.sized import FLUX_MODULES, Make, Modules
from pipeline.families.flux.text_encoders import PooledTextEncoder, TextEncoder
from pipeline.families.flux.transformer import Transformer
from pipeline.runtime.process_setup import silence_diffsynth
from pipeline.runtime.prompt_cache import PromptEmbeddingCache, PromptFiles
from pipeline.runtime.prompt_tokenizer import read_tokenizer
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.conversion import Conversion, Convert, load_whole
from pipeline.streaming.quantization import Format
from pipeline.streaming.residency import Residency
from pipeline.streaming.streamed_module import StreamedModule

S = TypeVar("S", bound=StreamedModule)
_CONVERTS: Final[Mapping[str, Convert]] = {
    "dit": names.transformer_weights,
    "clip": names.clip_weights,
    "t5": names.t5_weights,
    "vae_decoder": names.vae_decoder_weights,
    "vae_encoder": names.vae_encoder_weights,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The tensors of one component, and the module that they are for.

    Raises GenerationFailed if they fit no module.
    """

    source: CheckpointFiles
    convert: Convert
    make: Make

    def new(self) -> nn.Module:
        """A module of the sizes of the tensors."""
        made = (group.makes for group in Conversion(self.source, self.convert).groups)
        return self.make({name: shape for shapes in made for name, shape in shapes.items()})

    def whole(self, arithmetic: Arithmetic) -> nn.Module:
        """The module with its weights, where it computes."""
        return load_whole(self.new, self.source, self.convert, dtype=arithmetic.dtype, device=arithmetic.device)

    def streamed(self, part: type[S], weight_format: Format, arithmetic: Arithmetic, cache: Path | None = None) -> S:
        """The module in our own keeping; see `StreamedModule.read`."""
        return part.read(
            self.source,
            self.new,
            convert=self.convert,
            weight_format=weight_format,
            dtype=arithmetic.dtype,
            device=arithmetic.device,
            cache=cache,
        )


def checkpoint_of(name: str, source: CheckpointFiles, modules: Modules = FLUX_MODULES) -> Checkpoint:
    """The tensors of a component, or of a half of the VAE, by the names of `Modules`."""
    return Checkpoint(source=source, convert=_CONVERTS[name], make=getattr(modules, name))


def load_pipeline(
    card: ModelCard,
    config: PipelineConfig,
    arithmetic: Arithmetic,
    *,
    budget: VramBudget | None = None,
    prompts_dir: Path | None = None,
    modules: Modules = FLUX_MODULES,
) -> FluxModel:
    """Read a model's files into a pipeline at rest. Blocks for seconds, or minutes if weights are packed first.

    Args:
        budget: of a GPU, whose memory the model's owner keeps to.
        prompts_dir: where what streamed encoders read of prompts is kept across restarts.
        modules: what the model is made of.

    Raises:
        ModelFilesMissing: files are absent, empty or not whole.
        GenerationFailed: a file holds something else than its place says.
        DiskFull: no room for the packed weights.
    """
    sources = sources_of(card, config.models_dir)
    silence_diffsynth()
    dit, clip, t5 = (checkpoint_of(name, sources[name], modules) for name in ("dit", "clip", "t5"))
    pipe = FluxImagePipeline(torch_dtype=arithmetic.dtype, device=arithmetic.device)
    pipe.vae_decoder, pipe.vae_encoder = (
        checkpoint_of(half, sources["vae"], modules).whole(arithmetic) for half in ("vae_decoder", "vae_encoder")
    )

    def cache(kind: str, weight_format: Format) -> Path | None:
        return packed_path(config.packed_folder, card, kind, weight_format) if card.packed_gb else None

    weight_format = arithmetic.weight_format
    transformer = dit.streamed(Transformer, weight_format, arithmetic, cache("dit", weight_format))
    arithmetic.use_in(transformer)
    text_encoders: list[TextEncoder] = []
    prompt_files = None
    if arithmetic.is_streamed:
        # The library's T5 would cast activations to 8-bit floats along with weights; integers it leaves alone.
        weight_format = Format.INT8 if weight_format.is_8bit else Format.BFLOAT16
        text_encoders = [
            clip.streamed(PooledTextEncoder, Format.BFLOAT16, arithmetic, cache("clip", Format.BFLOAT16)),
            t5.streamed(TextEncoder, weight_format, arithmetic, cache("t5", weight_format)),
        ]
        if prompts_dir is not None:
            encoders = _encoders_of(card, config.models_dir, [clip.source, t5.source], arithmetic, weight_format)
            prompt_files = PromptFiles(prompts_dir, encoders)
    else:
        pipe.text_encoder_1, pipe.text_encoder_2 = clip.whole(arithmetic), t5.whole(arithmetic)
    residency = make_residency(pipe, card, transformer, text_encoders, budget=budget)
    tokenizers = [files.path_of(card.files[name], config.models_dir) for name in ("tokenizer_1", "tokenizer_2")]
    return assemble(pipe, card, transformer, residency, tokenizers=tokenizers, prompt_files=prompt_files)


def sources_of(card: ModelCard, models_dir: Path) -> Mapping[str, CheckpointFiles]:
    """The tensors of a card's components, by name.

    Raises:
        ModelFilesMissing: files are absent, empty or not whole.
        GenerationFailed: a file holds something else than its place says.
    """
    files.demand(card, models_dir)
    parts, misfits = parts_of(card, models_dir)
    if misfits:
        raise GenerationFailed("; ".join(map(str, misfits)))
    return {name: CheckpointFiles(part, models_dir=models_dir) for name, part in parts.items()}


def _encoders_of(
    card: ModelCard,
    models_dir: Path,
    encoders: Iterable[CheckpointFiles],
    arithmetic: Arithmetic,
    weight_format: Format,
) -> str:
    """What a reading depends on beside the prompt."""
    versions = [encoder.fingerprint(weight_format) for encoder in encoders]
    folders = [files.path_of(card.files[name], models_dir) for name in ("tokenizer_1", "tokenizer_2")]
    tokens = [(path.name, path.stat().st_size) for folder in folders for path in sorted(folder.iterdir())]
    where = torch.cuda.get_device_name() if arithmetic.device == "cuda" else arithmetic.device
    return repr((versions, tokens, arithmetic.dtype, torch.__version__, where))


def make_residency(
    pipe: FluxImagePipeline,
    card: ModelCard,
    transformer: Transformer,
    text_encoders: Sequence[TextEncoder],
    *,
    budget: VramBudget | None,
) -> Residency:
    """Make the owner of a model's memory.

    Args:
        pipe: with the autoencoder, which stays on the GPU.
        text_encoders: CLIP and T5 of a model whose blocks are streamed; none otherwise.
    """
    vae = (*pipe.vae_decoder.parameters(), *pipe.vae_encoder.parameters())
    return Residency(
        transformer,
        text_encoders,
        budget=budget,
        cost=card.largest_cost() if text_encoders else None,
        fixed_bytes=sum(weight.nbytes for weight in vae),
    )


def assemble(
    pipe: FluxImagePipeline,
    card: ModelCard,
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
    return FluxModel(pipe, transformer, residency, PromptEmbeddingCache(prompt_files), card.architecture)
