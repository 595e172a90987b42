"""A card's files → DiffSynth's `FluxImagePipeline`, whatever layout they have.

The catalogue (`model_parts.py`) says what each component is read from, `names.py` what its tensors are called here, and
`sized.py` makes its module. Everything is local. Must not know prompts or steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from diffsynth.pipelines.flux_image import FluxImagePipeline

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.device.gpu_profile import packed_path
from pipeline.families.flux import names
from pipeline.families.flux.model import FluxModel
from pipeline.families.flux.sized import FLUX_MODULES, Modules
from pipeline.families.flux.text_encoders import PooledTextEncoder, TextEncoder
from pipeline.families.flux.transformer import Transformer
from pipeline.families.recipes import Recipe, reading_key, sources_of
from pipeline.runtime.process_setup import silence_diffsynth
from pipeline.runtime.prompt_cache import PromptEmbeddingCache, PromptFiles
from pipeline.runtime.prompt_tokenizer import read_tokenizer
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.conversion import Convert
from pipeline.streaming.quantization import Format
from pipeline.streaming.residency import Residency

_CONVERTS: Final[Mapping[str, Convert]] = {
    "dit": names.transformer_weights,
    "clip": names.clip_weights,
    "t5": names.t5_weights,
    "vae_decoder": names.vae_decoder_weights,
    "vae_encoder": names.vae_encoder_weights,
}


def recipe_of(name: str, source: CheckpointFiles, modules: Modules = FLUX_MODULES) -> Recipe:
    """How a component, or a half of the VAE, is made; by the names of `Modules`."""
    return Recipe(source=source, convert=_CONVERTS[name], make=getattr(modules, name))


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
    dit, clip, t5 = (recipe_of(name, sources[name], modules) for name in ("dit", "clip", "t5"))
    pipe = FluxImagePipeline(torch_dtype=arithmetic.dtype, device=arithmetic.device)
    pipe.vae_decoder, pipe.vae_encoder = (
        recipe_of(half, sources["vae"], modules).whole(arithmetic) for half in ("vae_decoder", "vae_encoder")
    )

    def cache(kind: str, weight_format: Format) -> Path | None:
        return packed_path(config.packed_folder, card, kind, weight_format) if card.packed_gb else None

    weight_format = arithmetic.weight_format
    transformer = dit.streamed(Transformer, weight_format, arithmetic, cache("dit", weight_format))
    tokenizers = [files.path_of(card.files[name], config.models_dir) for name in ("tokenizer_1", "tokenizer_2")]
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
            versions = [encoder.source.fingerprint(weight_format) for encoder in (clip, t5)]
            prompt_files = PromptFiles(prompts_dir, reading_key(versions, tokenizers=tokenizers, arithmetic=arithmetic))
    else:
        pipe.text_encoder_1, pipe.text_encoder_2 = clip.whole(arithmetic), t5.whole(arithmetic)
    residency = make_residency(pipe, card, transformer, text_encoders, budget=budget)
    return assemble(pipe, card, transformer, residency, tokenizers=tokenizers, prompt_files=prompt_files)


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
