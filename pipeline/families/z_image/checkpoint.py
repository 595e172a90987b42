"""A card's files → a model, whatever layout they have.

The catalogue (`model_parts.py`) says what each component is read from, `names.py` and `qwen3.py` what its tensors are
called here and which module is made for them; the VAE is FLUX.1's. Everything is local. Must not know steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from torch import nn

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.families.flux.names import vae_decoder_weights, vae_encoder_weights
from pipeline.families.flux.sized import FLUX_MODULES
from pipeline.families.qwen3 import Qwen3TextEncoder, make_qwen3, qwen3_weights, reading_format
from pipeline.families.recipes import Recipe, packed_file, reading_key, sources_of
from pipeline.families.z_image.model import ZImageModel
from pipeline.families.z_image.names import make_transformer, transformer_weights
from pipeline.families.z_image.prompts import READING, PromptReader
from pipeline.families.z_image.transformer import Transformer
from pipeline.runtime.process_setup import silence_diffsynth
from pipeline.runtime.prompt_cache import PromptEmbeddingCache, PromptFiles
from pipeline.runtime.prompt_tokenizer import ReadsPrompts, read_tokenizer
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.quantization import Format
from pipeline.streaming.residency import Residency
from pipeline.streaming.streamed_module import StreamedModule

LAYERS: Final = -1  # of Qwen3: all but the last one, which nobody asks
_STREAMED: Final[Mapping[str, type[StreamedModule]]] = {"dit": Transformer, "qwen3": Qwen3TextEncoder}


@dataclass(frozen=True, slots=True)
class LoadedParts:
    """The parts of a model as they were read, and on their device; `vae` is its halves, from and to latents."""

    transformer: Transformer
    encoder: Qwen3TextEncoder
    vae: tuple[nn.Module, nn.Module]
    tokenizer: ReadsPrompts


def load_model(
    card: ModelCard,
    config: PipelineConfig,
    arithmetic: Arithmetic,
    *,
    budget: VramBudget | None = None,
    prompts_dir: Path | None = None,
) -> ZImageModel:
    """Read a model's files. Blocks for seconds, or minutes if weights are packed first.

    Args:
        budget: of a GPU, whose memory the model's owner keeps to.
        prompts_dir: where what a streamed encoder reads of prompts is kept across restarts.

    Raises:
        ModelFilesMissing: files are absent, empty or not whole, or not what belongs there.
        GenerationFailed: a file holds something else than its place says.
        DiskFull: no room for the packed weights.
    """
    recipes = recipes_of(card, config.models_dir)
    silence_diffsynth()

    def read(name: str, weight_format: Format) -> Any:
        cache = packed_file(card, config, arithmetic, name, weight_format)
        return recipes[name].streamed(_STREAMED[name], weight_format, arithmetic, cache)

    transformer = read("dit", arithmetic.weight_format)
    text_format = reading_format(arithmetic)
    encoder = read("qwen3", text_format)
    tokenizer = files.path_of(card.files["tokenizer"], config.models_dir)
    prompt_files = None
    if arithmetic.is_streamed and prompts_dir is not None:
        version = recipes["qwen3"].source.fingerprint(text_format)
        key = reading_key("z-image", READING, version, tokenizers=[tokenizer], arithmetic=arithmetic)
        prompt_files = PromptFiles(prompts_dir, key)
    decoder, encoder_of_images = (recipes[half].whole(arithmetic) for half in ("vae_decoder", "vae_encoder"))
    parts = LoadedParts(transformer, encoder, (decoder, encoder_of_images), read_tokenizer(tokenizer))
    return assemble(card, parts, arithmetic, budget=budget, prompt_files=prompt_files)


def assemble(
    card: ModelCard,
    parts: LoadedParts,
    arithmetic: Arithmetic,
    *,
    budget: VramBudget | None,
    prompt_files: PromptFiles | None = None,
) -> ZImageModel:
    """Make a model of its parts."""
    prompts = PromptEmbeddingCache(prompt_files)
    residency = Residency(
        parts.transformer,
        [parts.encoder],
        budget=budget,
        cost=card.largest_cost() if arithmetic.is_streamed else None,
        fixed_bytes=sum(weight.nbytes for half in parts.vae for weight in half.parameters()),
    )
    decoder, encoder_of_images = parts.vae
    return ZImageModel(
        parts.transformer,
        PromptReader(parts.encoder, parts.tokenizer, prompts, device=arithmetic.device),
        residency,
        prompts,
        decoder=decoder,
        encoder=encoder_of_images,
        architecture=card.architecture,
    )


def recipes_of(card: ModelCard, models_dir: Path) -> dict[str, Recipe]:
    """Find out what a card's files hold, by component and half of the VAE. Reads heads only.

    Raises:
        ModelFilesMissing: files are absent, empty or not whole, or not what belongs there.
        GenerationFailed: a file holds something else than its place says.
    """
    sources = sources_of(card, models_dir)
    return {
        "dit": Recipe(source=sources["dit"], convert=transformer_weights, make=make_transformer),
        "qwen3": Recipe(source=sources["qwen3"], convert=qwen3_weights, make=partial(make_qwen3, layers=LAYERS)),
        "vae_decoder": Recipe(source=sources["vae"], convert=vae_decoder_weights, make=FLUX_MODULES.vae_decoder),
        "vae_encoder": Recipe(source=sources["vae"], convert=vae_encoder_weights, make=FLUX_MODULES.vae_encoder),
    }
