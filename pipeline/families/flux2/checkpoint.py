"""A card's files → a model, whatever layout they have.

The catalogue (`model_parts.py`) says what each component is read from, `names.py` what its tensors are called here, and
`sizes.py` makes its module. Everything is local. Must not know prompts or steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.families.flux2 import names, sizes
from pipeline.families.flux2.architecture import READING_LAYERS
from pipeline.families.flux2.autoencoder import Decoder, Encoder
from pipeline.families.flux2.model import Flux2Model
from pipeline.families.flux2.prompts import READING, PromptReader
from pipeline.families.flux2.transformer import Transformer
from pipeline.families.qwen3 import Qwen3TextEncoder, make_qwen3, qwen3_weights, reading_format
from pipeline.families.recipes import Recipe, packed_file, reading_key, sources_of
from pipeline.runtime.prompt_cache import PromptEmbeddingCache, PromptFiles
from pipeline.runtime.prompt_tokenizer import ReadsPrompts, read_tokenizer
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.quantization import Format
from pipeline.streaming.residency import Residency
from pipeline.streaming.streamed_module import StreamedModule

DIT_NAME: Final = "dit"
QWEN3_NAME: Final = "qwen3"
TOKENIZER_NAME: Final = "tokenizer"
STREAMED: Final[Mapping[str, type[StreamedModule]]] = {DIT_NAME: Transformer, QWEN3_NAME: Qwen3TextEncoder}


@dataclass(frozen=True, slots=True)
class LoadedParts:
    """The parts of a model as they were read, and on their device."""

    transformer: Transformer
    encoder: Qwen3TextEncoder
    vae: tuple[Decoder, Encoder]
    tokenizer: ReadsPrompts


def load_model(
    card: ModelCard,
    config: PipelineConfig,
    arithmetic: Arithmetic,
    *,
    budget: VramBudget | None = None,
    prompts_dir: Path | None = None,
) -> Flux2Model:
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

    def read(name: str, weight_format: Format) -> Any:
        cache = packed_file(card, config, arithmetic, name, weight_format)
        return recipes[name].streamed(STREAMED[name], weight_format, arithmetic, cache)

    transformer = read(DIT_NAME, arithmetic.weight_format)
    encoder_format = reading_format(arithmetic)
    encoder = read(QWEN3_NAME, encoder_format)
    tokenizer = files.path_of(card.files[TOKENIZER_NAME], config.models_dir)
    prompt_files = None
    if arithmetic.is_streamed and prompts_dir is not None:
        facts = ("klein", READING, READING_LAYERS, recipes[QWEN3_NAME].source.fingerprint(encoder_format))
        prompt_files = PromptFiles(prompts_dir, reading_key(*facts, tokenizers=[tokenizer], arithmetic=arithmetic))
    vae: Any = (recipes["decoder"].whole(arithmetic), recipes["encoder"].whole(arithmetic))
    parts = LoadedParts(transformer, encoder, vae, read_tokenizer(tokenizer))
    return assemble(card, parts, arithmetic, budget=budget, prompt_files=prompt_files)


def assemble(
    card: ModelCard,
    parts: LoadedParts,
    arithmetic: Arithmetic,
    *,
    budget: VramBudget | None,
    prompt_files: PromptFiles | None = None,
) -> Flux2Model:
    """Make a model of its parts."""
    prompts = PromptEmbeddingCache(prompt_files)
    residency = Residency(
        parts.transformer,
        [parts.encoder],
        budget=budget,
        cost=card.largest_cost() if arithmetic.is_streamed else None,
        fixed_bytes=sum(weight.nbytes for half in parts.vae for weight in half.parameters()),
    )
    decoder, image_encoder = parts.vae
    return Flux2Model(
        parts.transformer,
        PromptReader(parts.encoder, parts.tokenizer, prompts),
        residency,
        prompts,
        decoder=decoder,
        encoder=image_encoder,
        architecture=card.architecture,
    )


def recipes_of(card: ModelCard, models_dir: Path) -> dict[str, Recipe]:
    """Find out what a card's files hold, by component; the VAE as its two halves. Reads heads only.

    Raises:
        ModelFilesMissing: files are absent, empty or not whole, or not what belongs there.
        GenerationFailed: a file holds something else than its place says.
    """
    sources = sources_of(card, models_dir)
    layers = max(READING_LAYERS)
    return {
        DIT_NAME: Recipe(source=sources[DIT_NAME], convert=names.transformer_weights, make=sizes.make_transformer),
        QWEN3_NAME: Recipe(source=sources[QWEN3_NAME], convert=qwen3_weights, make=partial(make_qwen3, layers=layers)),
        "decoder": Recipe(source=sources["vae"], convert=names.vae_decoder_weights, make=sizes.make_decoder),
        "encoder": Recipe(source=sources["vae"], convert=names.vae_encoder_weights, make=sizes.make_encoder),
    }
