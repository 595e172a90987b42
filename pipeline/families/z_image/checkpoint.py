"""A card's files → a model, whatever layout they have.

The catalogue (`model_parts.py`) says what each component is read from, `names.py` and `qwen3.py` what its tensors are
called here and which module is made for them; the VAE is FLUX.1's. Everything is local. Must not know steps.
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
from pipeline.families.flux.names import vae_decoder_weights, vae_encoder_weights
from pipeline.families.flux.sized import FLUX_MODULES
from pipeline.families.qwen3 import Qwen3TextEncoder, make_qwen3, qwen3_weights
from pipeline.families.z_image.model import ZImageModel
from pipeline.families.z_image.names import make_transformer, transformer_weights
from pipeline.families.z_image.prompts import READING, PromptReader
from pipeline.families.z_image.transformer import Transformer
from pipeline.runtime.process_setup import silence_diffsynth
from pipeline.runtime.prompt_cache import PromptEmbeddingCache, PromptFiles
from pipeline.runtime.prompt_tokenizer import ReadsPrompts, read_tokenizer
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.conversion import Conversion, Convert, load_whole
from pipeline.streaming.quantization import Format
from pipeline.streaming.residency import Residency
from pipeline.streaming.streamed_module import StreamedModule

LAYERS: Final = -1  # of Qwen3: all but the last one, which nobody asks
_UNPACKED: Final = {kept.dtype: kept for kept in Format if not kept.is_8bit}
_STREAMED: Final[Mapping[str, type[StreamedModule]]] = {"dit": Transformer, "qwen3": Qwen3TextEncoder}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The tensors of one component, or of a half of the VAE, and how a module is made for them."""

    source: CheckpointFiles
    convert: Convert
    make: Callable[[], nn.Module]

    def whole(self, arithmetic: Arithmetic) -> nn.Module:
        """The module with its weights, where it computes."""
        return load_whole(self.make, self.source, self.convert, dtype=arithmetic.dtype, device=arithmetic.device)


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
        recipe = recipes[name]
        is_kept = arithmetic.is_streamed and card.packed_gb > 0
        return _STREAMED[name].read(
            recipe.source,
            recipe.make,
            convert=recipe.convert,
            weight_format=weight_format,
            dtype=arithmetic.dtype,
            device=arithmetic.device,
            cache=packed_path(config.packed_folder, card, name, weight_format) if is_kept else None,
        )

    transformer = read("dit", arithmetic.weight_format)
    text_format = text_format_of(arithmetic)
    encoder = read("qwen3", text_format)
    tokenizer = files.path_of(card.files["tokenizer"], config.models_dir)
    prompt_files = None
    if arithmetic.is_streamed and prompts_dir is not None:
        version = recipes["qwen3"].source.fingerprint(text_format)
        prompt_files = PromptFiles(prompts_dir, _reader_of(version, tokenizer, arithmetic))
    decoder, encoder_of_images = (recipes[half].whole(arithmetic) for half in ("vae_decoder", "vae_encoder"))
    return assemble(
        card,
        transformer,
        encoder,
        vae=(decoder, encoder_of_images),
        arithmetic=arithmetic,
        tokenizer=read_tokenizer(tokenizer),
        budget=budget,
        prompt_files=prompt_files,
    )


def text_format_of(arithmetic: Arithmetic) -> Format:
    """How the text encoder is kept beside such a transformer. Integers, since floats of 8 bits are the less exact."""
    return Format.INT8 if arithmetic.weight_format.is_8bit else _UNPACKED[arithmetic.dtype]


def assemble(  # noqa: PLR0913 - the parts of a model
    card: ModelCard,
    transformer: Transformer,
    encoder: Qwen3TextEncoder,
    *,
    vae: tuple[nn.Module, nn.Module],
    arithmetic: Arithmetic,
    tokenizer: ReadsPrompts,
    budget: VramBudget | None,
    prompt_files: PromptFiles | None = None,
) -> ZImageModel:
    """Make a model of its parts.

    Args:
        vae: its halves, from latents and to latents.
    """
    prompts = PromptEmbeddingCache(prompt_files)
    residency = Residency(
        transformer,
        [encoder],
        budget=budget,
        cost=card.largest_cost() if arithmetic.is_streamed else None,
        fixed_bytes=sum(weight.nbytes for half in vae for weight in half.parameters()),
    )
    decoder, encoder_of_images = vae
    return ZImageModel(
        transformer,
        PromptReader(encoder, tokenizer, prompts, device=arithmetic.device),
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
    files.demand(card, models_dir)
    parts, misfits = parts_of(card, models_dir)
    if misfits:
        raise GenerationFailed("; ".join(map(str, misfits)))
    sources = {name: CheckpointFiles(part, models_dir=models_dir) for name, part in parts.items()}
    return {
        "dit": _recipe(sources["dit"], transformer_weights, make_transformer),
        "qwen3": _recipe(sources["qwen3"], qwen3_weights, partial(make_qwen3, layers=LAYERS)),
        "vae_decoder": _recipe(sources["vae"], vae_decoder_weights, FLUX_MODULES.vae_decoder),
        "vae_encoder": _recipe(sources["vae"], vae_encoder_weights, FLUX_MODULES.vae_encoder),
    }


def _recipe(source: CheckpointFiles, convert: Convert, make: Callable[[Any], nn.Module]) -> Recipe:
    shapes = {name: shape for group in Conversion(source, convert).groups for name, shape in group.makes.items()}
    return Recipe(source=source, convert=convert, make=partial(make, shapes))


def _reader_of(version: str, tokenizer: Path, arithmetic: Arithmetic) -> str:
    """What a reading depends on beside the prompt."""
    tokens = [(path.name, path.stat().st_size) for path in sorted(tokenizer.iterdir())]
    where = torch.cuda.get_device_name() if arithmetic.device == "cuda" else arithmetic.device
    return repr(("z-image", READING, version, tokens, arithmetic.dtype, torch.__version__, where))
