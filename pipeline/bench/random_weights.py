"""FLUX.1 without its files: arbitrary weights in real shapes, kept as ours or as DiffSynth's examples have them.

Speed and memory do not depend on what the weights are. For timing only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Final, TypeVar

import torch
from diffsynth.configs.vram_management_module_maps import VRAM_MANAGEMENT_MODULE_MAPS
from diffsynth.core.vram.initialization import skip_model_initialization
from diffsynth.core.vram.layers import enable_vram_management
from diffsynth.models.flux_dit import FluxDiT
from diffsynth.models.flux_text_encoder_clip import FluxTextEncoderClip
from diffsynth.models.flux_vae import FluxVAEDecoder, FluxVAEEncoder
from diffsynth.pipelines.flux_image import FluxImagePipeline
from torch import Tensor, nn

import pipeline.demo
from pipeline.bench.tenants import Tenant
from pipeline.catalog.architecture import Component
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.families.flux.cards import FLUX1_DEV, FLUX1_SCHNELL
from pipeline.families.flux.checkpoint import assemble, make_residency
from pipeline.families.flux.engine import FluxEngine
from pipeline.families.flux.model import FluxModel
from pipeline.families.flux.text_encoders import PooledTextEncoder, TextEncoder
from pipeline.families.flux.transformer import Transformer
from pipeline.families.torch_engine import ReadModel
from pipeline.runtime.prompt_tokenizer import read_tokenizer
from pipeline.runtime.t5_encoder import T5Encoder
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.block_packing import Block, layout, prepare
from pipeline.streaming.quantization import FLOAT8, Format
from pipeline.streaming.streamed_module import StreamedModule

RANGES: Final = {torch.int8: (36.0, 127.0), FLOAT8: (100.0, 448.0)}  # spread of 8-bit weights, and the most they hold
PATTERN: Final = 2**24 - 3  # shares no factor with the widths of FLUX.1, so that no two rows of a weight are equal
_VRAM: Final = "diffsynth.core.vram.layers"
_T5: Final = T5Encoder.__module__
# What DiffSynth wraps, by the class of a model; its own T5 is wrapped in the same places.
MAPS: Final[Mapping[str, Mapping[str, str]]] = {
    **VRAM_MANAGEMENT_MODULE_MAPS,
    f"{_T5}.T5Encoder": {
        "torch.nn.Linear": f"{_VRAM}.AutoWrappedLinear",
        **dict.fromkeys(("torch.nn.Embedding", f"{_T5}.RmsNorm", f"{_T5}.FeedForward"), f"{_VRAM}.AutoWrappedModule"),
    },
}
TOKENIZERS: Final = tuple(Path(pipeline.demo.__file__).parent / name for name in ("tokenizer_1", "tokenizer_2"))

S = TypeVar("S", bound=StreamedModule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """What makes the parts; a test wants smaller ones."""

    dit: Callable[[], Any]
    clip: Callable[[], Any]
    t5: Callable[[], Any]
    vae_decoder: Callable[[], Any]
    vae_encoder: Callable[[], Any]


FLUX1: Final = Classes(
    dit=FluxDiT,
    clip=FluxTextEncoderClip,
    t5=T5Encoder,
    vae_decoder=FluxVAEDecoder,
    vae_encoder=FluxVAEEncoder,
)
SCHNELL: Final = replace(FLUX1, dit=partial(FluxDiT, disable_guidance_embedder=True))


class RandomBlocks(Mapping[str, Tensor]):
    """Blocks of a prepared module with arbitrary weights of the usual size, made when they are asked for."""

    def __init__(self, module: nn.Module, component: Component) -> None:
        self._blocks = layout(module, component)
        self._patterns = Patterns()

    def __getitem__(self, name: str) -> Tensor:
        block: Block = self._blocks[name]
        data = torch.zeros(block.size, dtype=torch.uint8)
        for entry_name, view in block.views(data).items():
            if view.dim() >= 2:
                gain, most = RANGES.get(view.dtype, (view[0].numel() ** -0.5, torch.inf))
                self._patterns.cover(view, gain, most)
            elif entry_name.endswith(".scale"):
                weight = next(
                    entry for entry in block.entries if entry.name == entry_name.removesuffix("scale") + "weight"
                )
                view.fill_(weight.shape[1] ** -0.5 / RANGES[weight.dtype][0])
            elif not entry_name.endswith(".bias"):
                view.fill_(1)
        return data

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)


class Patterns:
    """One pattern of random numbers, brought to each spread and type once: after that, weights are only copied."""

    def __init__(self) -> None:
        self._values = torch.randn(PATTERN, generator=torch.Generator().manual_seed(1))
        self._made: dict[tuple[torch.dtype, float], Tensor] = {}

    def cover(self, weight: Tensor, gain: float, most: float = torch.inf) -> None:
        """Fill a weight with the pattern, again and again."""
        key = weight.dtype, gain
        if key not in self._made:
            self._made[key] = (self._values * gain).clamp_(-most, most).to(weight.dtype)
        for part in weight.view(-1).split(len(self._values)):
            part.copy_(self._made[key][: len(part)])


def random_transformer(make: Callable[[], Any], weight_format: Format, dtype: torch.dtype, device: str) -> Transformer:
    """A transformer of ours; nothing is placed yet."""
    return random_part(Transformer, make, weight_format, dtype, device)


def random_model(classes: Classes = FLUX1) -> ReadModel:
    """What makes a model of ours in place of `load_pipeline`; its text encoders are streamed with it."""

    def read(
        card: ModelCard,
        config: PipelineConfig,
        arithmetic: Arithmetic,
        *,
        budget: VramBudget | None,
        prompts_dir: Path | None,
    ) -> FluxModel:
        return _random_model(card, arithmetic, budget, classes)

    return read


def _random_model(card: ModelCard, arithmetic: Arithmetic, budget: VramBudget | None, classes: Classes) -> FluxModel:
    dtype, device = arithmetic.dtype, arithmetic.device
    transformer = random_transformer(classes.dit, arithmetic.weight_format, dtype, device)
    weight_format = Format.INT8 if arithmetic.weight_format.is_8bit else arithmetic.weight_format
    text_encoders = [
        random_part(
            PooledTextEncoder, classes.clip, Format.BFLOAT16 if weight_format.is_8bit else weight_format, dtype, device
        ),
        random_part(TextEncoder, classes.t5, weight_format, dtype, device),
    ]
    pipe = FluxImagePipeline(torch_dtype=dtype, device=device)
    for name, make in (("vae_decoder", classes.vae_decoder), ("vae_encoder", classes.vae_encoder)):
        with skip_model_initialization():
            module = make()
        fill(module, dtype)
        setattr(pipe, name, module.to(device))
    residency = make_residency(pipe, card, transformer, text_encoders, budget=budget)
    return assemble(pipe, card, transformer, residency, tokenizers=TOKENIZERS)


def stock_module(make: Callable[[], Any], device: str, limit_gib: float | None) -> Any:
    """A module in 8-bit floats in host memory, as DiffSynth's examples of FLUX.1 for small cards have it."""
    return moving_module(make, device=device, limit_gib=limit_gib, kept_as=FLOAT8, dtype=torch.bfloat16)


def stock_pipeline(classes: Classes, device: str, limit_gib: float | None) -> FluxImagePipeline:
    """DiffSynth's own pipeline of such modules."""
    pipe = FluxImagePipeline(torch_dtype=torch.bfloat16, device=device)
    pipe.dit, pipe.text_encoder_1, pipe.text_encoder_2, pipe.vae_decoder, pipe.vae_encoder = (
        stock_module(make, device, limit_gib)
        for make in (classes.dit, classes.clip, classes.t5, classes.vae_decoder, classes.vae_encoder)
    )
    pipe.tokenizer_1, pipe.tokenizer_2 = map(read_tokenizer, TOKENIZERS)
    pipe.vram_management_enabled = pipe.check_vram_management_state()
    return pipe


def moving_module(
    make: Callable[[], Any],
    *,
    device: str,
    limit_gib: float | None,
    dtype: torch.dtype,
    kept_as: torch.dtype | None = None,
) -> Any:
    """A module of DiffSynth's in host memory, whose layers move to the device, as its examples for small cards have it.

    Args:
        limit_gib: that the device may hold of it.
        dtype: of what is computed.
        kept_as: the type until then; None: the same.
    """
    kept_as = kept_as or dtype
    module = filled_module(make, kept_as)
    kind = next(kind for each in type(module).__mro__ if (kind := f"{each.__module__}.{each.__name__}") in MAPS)
    return enable_vram_management(
        module,
        {resolve_name(source): resolve_name(target) for source, target in MAPS[kind].items()},
        vram_config={
            "offload_dtype": kept_as,
            "offload_device": "cpu",
            "onload_dtype": kept_as,
            "onload_device": "cpu",
            "preparing_dtype": kept_as,
            "preparing_device": device,
            "computation_dtype": dtype,
            "computation_device": device,
        },
        vram_limit=limit_gib,
    )


def filled_module(make: Callable[[], Any], dtype: torch.dtype) -> nn.Module:
    """A module with arbitrary weights in host memory."""
    with skip_model_initialization():
        module: nn.Module = make()
    fill(module, dtype)
    for child in module.modules():  # buffers that are counted, not learnt
        for name, buffer in child._buffers.items():
            if buffer is not None and buffer.is_meta:
                child._buffers[name] = torch.arange(buffer.numel()).view(buffer.shape)
    return module.eval().requires_grad_(False)


def fill(module: nn.Module, dtype: torch.dtype) -> None:
    """Give a module on the meta device arbitrary weights in host memory."""
    patterns = Patterns()
    for child in module.modules():
        for name, parameter in child._parameters.items():
            if parameter is None:
                continue
            value = torch.empty(parameter.shape, dtype=dtype)
            if value.dim() <= 1:
                value.fill_(float(name == "weight"))
            else:
                patterns.cover(value, value[0].numel() ** -0.5)
            child._parameters[name] = nn.Parameter(value, requires_grad=False)


def random_part(part: type[S], make: Callable[[], Any], weight_format: Format, dtype: torch.dtype, device: str) -> S:
    """A streamed part of a model, for any family; nothing is placed yet."""
    with torch.device("meta"):
        module = make()
    part.simplify(module)
    prepare(module, part.COMPONENT, weight_format, dtype)
    return part(module, RandomBlocks(module, part.COMPONENT), device)


def tenant(name: str) -> Tenant:
    """The tenant of a model of the family; see `tenants.py`."""
    classes = SCHNELL if name == FLUX1_SCHNELL.name else FLUX1
    card = {card.name: card for card in (FLUX1_DEV, FLUX1_SCHNELL)}[name]

    def stock(_card: ModelCard, device: str, limit_gib: float | None) -> FluxImagePipeline:
        return stock_pipeline(classes, device, limit_gib)

    return Tenant(card=card, engine=FluxEngine, read=random_model(classes), stock=stock)
