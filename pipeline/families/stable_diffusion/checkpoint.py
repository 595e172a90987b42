"""A card's files → a model, whatever layout they have.

The catalogue (`model_parts.py`) says what each component is read from, `names.py` what its tensors are called here, and
`sizes.py` makes its module. Everything is local. Must not know prompts or steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.device.memory_plan import Weights, plan_blocks
from pipeline.errors import OutOfMemory
from pipeline.families.recipes import UNPACKED, Make, Recipe, packed_file, reading_key, sources_of
from pipeline.families.stable_diffusion import names, sizes
from pipeline.families.stable_diffusion.autoencoder import SCALES, Decoder, Encoder
from pipeline.families.stable_diffusion.conditioning import READING, PromptReader
from pipeline.families.stable_diffusion.model import StableDiffusionModel
from pipeline.families.stable_diffusion.text_encoders import GELU, QUICK_GELU, PooledTextEncoder, TextEncoder
from pipeline.families.stable_diffusion.unet import UNet
from pipeline.runtime.prompt_cache import PromptEmbeddingCache, PromptFiles
from pipeline.runtime.prompt_tokenizer import ReadsPrompts, read_tokenizer
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.block_packing import layout, prepare
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.conversion import Convert
from pipeline.streaming.quantization import Format
from pipeline.streaming.residency import Residency
from pipeline.streaming.streamed_module import StreamedModule

CLIP_L_NAME: Final = "clip_l"
CLIP_G_NAME: Final = "clip_g"
ENCODERS: Final = (CLIP_L_NAME, CLIP_G_NAME)  # in the order in which their embeddings stand side by side
STREAMED: Final[Mapping[str, type[StreamedModule]]] = {
    "unet": UNet,
    CLIP_L_NAME: TextEncoder,
    CLIP_G_NAME: PooledTextEncoder,
}


@dataclass(frozen=True, slots=True)
class LoadedParts:
    """The parts of a model as they were read, and on their device; `encoders` stand in the order of `ENCODERS`."""

    unet: UNet
    encoders: Sequence[TextEncoder]
    vae: nn.Module
    tokenizer: ReadsPrompts


def load_model(
    card: ModelCard,
    config: PipelineConfig,
    arithmetic: Arithmetic,
    *,
    budget: VramBudget | None = None,
    prompts_dir: Path | None = None,
) -> StableDiffusionModel:
    """Read a model's files. Blocks for seconds, or a minute if weights are packed first.

    Args:
        budget: of a GPU, whose memory the model's owner keeps to.
        prompts_dir: where what streamed encoders read of prompts is kept across restarts.

    Raises:
        ModelFilesMissing: files are absent, empty or not whole, or not what belongs there.
        GenerationFailed: a file holds something else than its place says.
        DiskFull: no room for the packed weights.
    """
    recipes = recipes_of(card, config.models_dir)

    def read(name: str, weight_format: Format) -> Any:
        cache = packed_file(card, config, arithmetic, name, weight_format)
        return recipes[name].streamed(STREAMED[name], weight_format, arithmetic, cache)

    unet = read("unet", arithmetic.weight_format)
    encoders = [read(name, UNPACKED[arithmetic.dtype]) for name in ENCODERS if name in recipes]
    prompt_files = None
    if arithmetic.is_streamed and prompts_dir is not None:
        prompt_files = PromptFiles(prompts_dir, readers_of(card, config.models_dir, recipes, arithmetic))
    tokenizer = read_tokenizer(files.path_of(card.files["tokenizer_1"], config.models_dir))
    parts = LoadedParts(unet, encoders, recipes["vae"].whole(arithmetic), tokenizer)
    return assemble(card, parts, arithmetic, budget=budget, prompt_files=prompt_files)


def assemble(
    card: ModelCard,
    parts: LoadedParts,
    arithmetic: Arithmetic,
    *,
    budget: VramBudget | None,
    prompt_files: PromptFiles | None = None,
) -> StableDiffusionModel:
    """Make a model of its parts."""
    prompts = PromptEmbeddingCache(prompt_files, at_once=1)
    residency = Residency(
        parts.unet,
        parts.encoders,
        budget=budget,
        cost=card.largest_cost() if arithmetic.is_streamed else None,
        fixed_bytes=sum(weight.nbytes for weight in parts.vae.parameters()),
    )
    return StableDiffusionModel(
        parts.unet,
        PromptReader(parts.encoders, parts.tokenizer, prompts, device=arithmetic.device),
        residency,
        prompts,
        decoder=Decoder(parts.vae),
        encoder=Encoder(parts.vae),
        latent_scale=SCALES[card.architecture.name],
        architecture=card.architecture,
    )


def in_16_bits_if_all_fits(
    card: ModelCard, config: PipelineConfig, arithmetic: Arithmetic, budget: VramBudget
) -> Arithmetic:
    """Keep weights in 16 bits if that leaves no block to be streamed, since 8 bits are then only a loss.

    Told by the limit, not by what other programs leave of it now: the same seed has to give the same image after a
    restart. While others take much, blocks are streamed in 16 bits.

    Raises:
        ModelFilesMissing, GenerationFailed: see `load_model`.
    """
    half = Format(card.architecture.half)
    recipes = recipes_of(card, config.models_dir)
    weights = {name: weights_of(name, recipes[name].new, half, half.dtype) for name in STREAMED if name in recipes}
    try:
        plan = plan_blocks(
            weights.pop("unet"),
            weights.values(),
            fixed_bytes=sum(component.fixed_bytes for component in card.architecture.components.values()),
            free_bytes=budget.limit - budget.context(),
            cost=card.largest_cost(),
        )
    except OutOfMemory:
        return arithmetic
    if plan.streamed_bytes:
        return arithmetic
    return replace(arithmetic, weight_format=half, uses_8bit_matmul=False)


def weights_of(name: str, make: Callable[[], nn.Module], weight_format: Format, dtype: torch.dtype) -> Weights:
    """What the blocks of a component take, found out without values; `dtype` is of all that is in no block."""
    component = STREAMED[name].COMPONENT
    with torch.device("meta"):
        module = make()
    prepare(module, component, weight_format, dtype)
    return Weights(component=component, sizes={block.name: block.size for block in layout(module, component).values()})


def recipes_of(card: ModelCard, models_dir: Path) -> dict[str, Recipe]:
    """Find out what a card's files hold, by component. Reads heads only.

    Raises:
        ModelFilesMissing: files are absent, empty or not whole, or not what belongs there.
        GenerationFailed: a file holds something else than its place says.
    """
    return recipes_for(sources_of(card, models_dir))


def recipes_for(sources: Mapping[str, CheckpointFiles]) -> dict[str, Recipe]:
    """How to make the modules of a model, by component.

    Raises:
        GenerationFailed: no module has their sizes.
    """
    recipes, pooled_width = {}, None
    for name, activation in ((CLIP_L_NAME, QUICK_GELU), (CLIP_G_NAME, GELU)):
        if name in sources:
            make_clip = partial(sizes.make_clip, activation=activation)
            recipes[name] = _recipe(sources[name], names.clip_converter, make_clip)
            pooled_width = sizes.pooled_width(recipes[name].shapes) if name == CLIP_G_NAME else None
    make_unet = partial(sizes.make_unet, pooled_width=pooled_width)
    recipes["unet"] = _recipe(sources["unet"], names.unet_converter, make_unet)
    recipes["vae"] = _recipe(sources["vae"], names.vae_converter, sizes.make_vae)
    return recipes


def _recipe(source: CheckpointFiles, converter: Callable[[Iterable[str]], Convert], make: Make) -> Recipe:
    return Recipe(source=source, convert=converter(source.names), make=make)


def readers_of(card: ModelCard, models_dir: Path, recipes: Mapping[str, Recipe], arithmetic: Arithmetic) -> str:
    """What a reading depends on beside the prompt."""
    encoders = [recipes[name].source.fingerprint("") for name in ENCODERS if name in recipes]
    tokenizer = files.path_of(card.files["tokenizer_1"], models_dir)
    return reading_key(READING, encoders, tokenizers=[tokenizer], arithmetic=arithmetic)
