"""A card's files → a model, whatever layout they have.

The catalogue (`model_parts.py`) says what each component is read from, `names.py` what its tensors are called here, and
`sizes.py` makes its module. Everything is local. Must not know prompts or steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.model_parts import parts_of
from pipeline.config import PipelineConfig
from pipeline.device.gpu_profile import packed_path
from pipeline.errors import GenerationFailed
from pipeline.families.flux2 import names, sizes
from pipeline.families.flux2.architecture import READING_LAYERS
from pipeline.families.flux2.autoencoder import Decoder, Encoder
from pipeline.families.flux2.model import Flux2Model
from pipeline.families.flux2.prompts import READING, PromptReader
from pipeline.families.flux2.transformer import Transformer
from pipeline.families.qwen3 import Qwen3TextEncoder, make_qwen3, qwen3_weights
from pipeline.runtime.prompt_cache import PromptEmbeddingCache, PromptFiles
from pipeline.runtime.prompt_tokenizer import ReadsPrompts, read_tokenizer
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.conversion import Conversion, Convert, load_whole
from pipeline.streaming.quantization import Format
from pipeline.streaming.residency import Residency
from pipeline.streaming.streamed_module import StreamedModule

DIT_NAME: Final = "dit"
QWEN3_NAME: Final = "qwen3"
TOKENIZER_NAME: Final = "tokenizer"
STREAMED: Final[Mapping[str, type[StreamedModule]]] = {DIT_NAME: Transformer, QWEN3_NAME: Qwen3TextEncoder}
UNPACKED: Final = {kept.dtype: kept for kept in Format if not kept.is_8bit}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The tensors of one component, and how a module is made for them."""

    source: CheckpointFiles
    convert: Convert
    make: Callable[[], nn.Module]

    def whole(self, arithmetic: Arithmetic) -> Any:
        """The module with its weights, where it computes."""
        return load_whole(self.make, self.source, self.convert, dtype=arithmetic.dtype, device=arithmetic.device)


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
        recipe = recipes[name]
        is_kept = arithmetic.is_streamed and card.packed_gb > 0
        return STREAMED[name].read(
            recipe.source,
            recipe.make,
            convert=recipe.convert,
            weight_format=weight_format,
            dtype=arithmetic.dtype,
            device=arithmetic.device,
            cache=packed_path(config.packed_folder, card, name, weight_format) if is_kept else None,
        )

    transformer = read(DIT_NAME, arithmetic.weight_format)
    arithmetic.use_in(transformer)
    encoder_format = reading_format(arithmetic)
    encoder = read(QWEN3_NAME, encoder_format)
    prompt_files = None
    if arithmetic.is_streamed and prompts_dir is not None:
        prompt_files = PromptFiles(
            prompts_dir, _reader_of(card, config.models_dir, recipes[QWEN3_NAME], arithmetic, encoder_format)
        )
    return assemble(
        card,
        transformer,
        encoder,
        (recipes["decoder"].whole(arithmetic), recipes["encoder"].whole(arithmetic)),
        arithmetic,
        tokenizer=read_tokenizer(files.path_of(card.files[TOKENIZER_NAME], config.models_dir)),
        budget=budget,
        prompt_files=prompt_files,
    )


def reading_format(arithmetic: Arithmetic) -> Format:
    """How the text encoder's weights are kept: in 8 bits if the transformer's are, and then as integers."""
    return Format.INT8 if arithmetic.weight_format.is_8bit else UNPACKED[arithmetic.dtype]


def assemble(  # noqa: PLR0913 - the parts of a model
    card: ModelCard,
    transformer: Transformer,
    encoder: Qwen3TextEncoder,
    vae: tuple[Decoder, Encoder],
    arithmetic: Arithmetic,
    *,
    tokenizer: ReadsPrompts,
    budget: VramBudget | None,
    prompt_files: PromptFiles | None = None,
) -> Flux2Model:
    """Make a model of its parts."""
    prompts = PromptEmbeddingCache(prompt_files)
    residency = Residency(
        transformer,
        [encoder],
        budget=budget,
        cost=card.largest_cost() if arithmetic.is_streamed else None,
        fixed_bytes=sum(weight.nbytes for half in vae for weight in half.parameters()),
    )
    decoder, image_encoder = vae
    return Flux2Model(
        transformer,
        PromptReader(encoder, tokenizer, prompts),
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
    files.demand(card, models_dir)
    parts, misfits = parts_of(card, models_dir)
    if misfits:
        raise GenerationFailed("; ".join(map(str, misfits)))
    return recipes_for({name: CheckpointFiles(part, models_dir=models_dir) for name, part in parts.items()})


def recipes_for(sources: Mapping[str, CheckpointFiles]) -> dict[str, Recipe]:
    """How to make the modules of a model, by component; the VAE as its two halves.

    Raises:
        GenerationFailed: no module has their sizes.
    """
    layers = max(READING_LAYERS)
    return {
        DIT_NAME: _recipe(sources[DIT_NAME], names.transformer_weights, sizes.make_transformer),
        QWEN3_NAME: _recipe(sources[QWEN3_NAME], qwen3_weights, partial(make_qwen3, layers=layers)),
        "decoder": _recipe(sources["vae"], names.vae_decoder_weights, sizes.make_decoder),
        "encoder": _recipe(sources["vae"], names.vae_encoder_weights, sizes.make_encoder),
    }


def _recipe(source: CheckpointFiles, convert: Convert, make: sizes.Make) -> Recipe:
    shapes = {name: shape for group in Conversion(source, convert).groups for name, shape in group.makes.items()}
    return Recipe(source=source, convert=convert, make=partial(make, shapes))


def _reader_of(card: ModelCard, models_dir: Path, recipe: Recipe, arithmetic: Arithmetic, weight_format: Format) -> str:
    """What a reading depends on beside the prompt."""
    tokenizer = files.path_of(card.files[TOKENIZER_NAME], models_dir)
    tokens = [(path.name, path.stat().st_size) for path in sorted(tokenizer.iterdir()) if path.is_file()]
    where = torch.cuda.get_device_name() if arithmetic.device == "cuda" else arithmetic.device
    version = recipe.source.fingerprint(weight_format)
    return repr(("klein", READING, READING_LAYERS, version, tokens, arithmetic.dtype, torch.__version__, where))
