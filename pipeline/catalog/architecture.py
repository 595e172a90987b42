"""`Architecture`: what a model family declares about itself, for everything that must not know families.

The memory plan, the estimate of speed, the streamed modules, the preview and `create_engine` ask it and never a name.
A family declares one in `pipeline/families/<name>/architecture.py`. Must not know files, prompts or tensors. No torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from importlib import import_module
from typing import Any, Final, NamedTuple

from pipeline.catalog.parts import PartKind

REST: Final = ""  # the name of the block that holds what belongs to none, and always stays on the GPU
MODULATION: Final = "#modulation"  # how the names of blocks end that are used once per image


class Feature(StrEnum):
    """What a person may ask of a model beyond a prompt, a seed and a size."""

    NEGATIVE_PROMPT = "negative prompt"
    CFG = "cfg"  # a second pass per step, whose scale is `cfg_scale`
    SAMPLER = "sampler"  # which of `ModelCard.samplers`
    CLIP_SKIP = "clip skip"
    INIT_IMAGE = "init image"
    UPSCALE = "upscale"  # draw an image anew at twice its size, in tiles
    LORA = "lora"
    EDIT = "edit"
    LANGUAGES = "languages"  # prompts in any; without it, people are told of text that the model cannot read


class Kind(StrEnum):
    """What a component does."""

    TRANSFORMER = "transformer"
    TEXT_ENCODER = "text encoder"
    VAE = "vae"
    TOKENIZER = "tokenizer"


class Latent(NamedTuple):
    """What a VAE makes of an image: so many channels, each side divided by `factor`.

    alike: how many channels in a row are the same one at neighbouring places, which were packed into one.
    """

    channels: int
    factor: int
    alike: int = 1


@dataclass(frozen=True, kw_only=True)
class Component:
    """One part of a model.

    part: what a file has to hold of it; None if its files are no weights.
    architecture: what `Part.architecture` has to be; "" if it is the same for all.
    block_pattern: matches the start of a tensor's name. Group `block` is the block that the tensor belongs to; where a
        group `once` matches as well, the tensor is used once per image and gets a block of its own.
    streamable: whether its blocks may pass through the ring.
    tables: modules that stay in host memory, of which a few rows are needed per prompt.
    is_8bit: whether its weights may be kept in 8 bits, if the transformer's are.
    fixed_bytes: on the GPU, of a component that is not streamed; for estimates made before it is loaded.
    """

    kind: Kind
    part: PartKind | None = None
    architecture: str = ""
    block_pattern: str = ""
    streamable: bool = False
    tables: tuple[str, ...] = ()
    is_8bit: bool = True
    fixed_bytes: int = 0

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.block_pattern or r"(?!)")

    def block_of(self, name: str) -> str:
        """The block of a tensor: `blocks.3`, `blocks.3#modulation`, one of `tables`, or `REST`."""
        found = self._pattern.match(name)
        if found is None:
            owner = name.partition(".")[0]
            return owner if owner in self.tables else REST
        return found["block"] + (MODULATION if found.groupdict().get("once") else "")

    def is_running(self, block: str) -> bool:
        """Whether a block is used each time the component runs."""
        return block not in (REST, *self.tables) and not block.endswith(MODULATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """What denoising and decoding one image take, but for the weights.

    passes: how often the transformer runs in all steps.
    tokens: of image and text, which every pass computes on.
    token_shares: by what the name of a block begins with, a whole number of words (`blocks` of `blocks.3`), which share
        of the tokens meets each of its weights; the longest counts, and 1 if none does.
    attention: operations per block that no weight takes part in.
    fixed_operations: of a pass, by what is in no block.
    """

    passes: int
    tokens: int
    token_shares: Mapping[str, float] = field(default_factory=dict)
    attention: int
    fixed_operations: int = 0
    activation_bytes: int  # of one block at its widest
    decode_bytes: int  # of the VAE for the whole image
    tile_bytes: int  # of the VAE for its largest tile

    def operations(self, weights: Mapping[str, float]) -> float:
        """Of a pass through blocks with so many weights each, by name."""
        met = sum(count * self.share_of(name) for name, count in weights.items())
        return 2 * met * self.tokens + len(weights) * self.attention + self.fixed_operations

    def share_of(self, block: str) -> float:
        """Which share of the tokens meets each weight of a block."""
        while block:
            if block in self.token_shares:
                return self.token_shares[block]
            block = block.rpartition(".")[0]
        return 1.0


def all_steps(steps: int, _strength: float) -> int:
    """Take every step, however much noise there is at first."""
    return steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A model family.

    engine: what makes its engine, `module:name`, imported on demand since it imports torch.
    components: by the names that `ModelCard.files` uses; the transformer first, then text encoders in the order in
        which they are read.
    cost: of (width, height, steps).
    edit_cost: of (width, height, steps, pixels of all references), of a family with `Feature.EDIT`.
    steps_taken: of (steps, strength): how many of the steps that a person asks for are taken from an init image.
    schedule: DiffSynth's name of the noise schedule.
    variant: the only one that its transformer may be, as `Part.variant` says it, if the header tells; "" if any.
    schedule_shift: how far it is bent towards much noise; None as DiffSynth bends it.
    text_tokens: what a prompt is padded to; 0 if that is not for the family to say.
    library: the modules of DiffSynth that its engine needs.
    features: what its engine can do; a card says which of them its model was trained for.
    half: the format of 16 bits that it computes with on a GPU; of the two, float16 is the more exact one and overflows
        where models were not made for it.
    prefers_half: whether its weights stay in 16 bits as well if none has to be streamed then.
    bears_float8: whether floats of 8 bits may be chosen for its transformer on GPUs that multiply them faster than
        integers; people who name them in the configuration get them anyway.
    loras: `LoraCard.base` of the LoRAs that its models take; "" if that is its own name.
    prompt_tokenizer: the component whose vocabulary says what of a prompt can be read.
    cuts: says of (tokenizer, prompt) whether a prompt is longer than is read, `module:name`; without torch. "" if it is
        beyond `text_tokens` of `prompt_tokenizer`.
    """

    name: str
    engine: str
    components: Mapping[str, Component] = field(default_factory=dict)
    cost: Callable[[int, int, int], StepCost]
    edit_cost: Callable[[int, int, int, int], StepCost] | None = None
    steps_taken: Callable[[int, float], int] = all_steps
    latent: Latent
    schedule: str
    features: frozenset[Feature]
    variant: str = ""
    schedule_shift: float | None = None
    text_tokens: int = 0
    library: tuple[str, ...] = ()
    half: str = "bfloat16"
    prefers_half: bool = False
    bears_float8: bool = True
    loras: str = ""
    prompt_tokenizer: str = ""
    cuts: str = ""

    @property
    def base_of_loras(self) -> str:
        """What `LoraCard.base` says of the LoRAs that its models take."""
        return self.loras or self.name

    def of_kind(self, kind: Kind) -> dict[str, Component]:
        """The components of a kind by name."""
        return {name: component for name, component in self.components.items() if component.kind is kind}

    def cost_of(self, width: int, height: int, steps: int, *, reference_pixels: int = 0) -> StepCost:
        """What an image takes that looks at so many pixels of reference images."""
        if not reference_pixels or self.edit_cost is None:
            return self.cost(width, height, steps)
        return self.edit_cost(width, height, steps, reference_pixels)

    @property
    def transformer(self) -> str:
        """The name of the component that every step runs."""
        return next(iter(self.of_kind(Kind.TRANSFORMER)))

    @property
    def streamable(self) -> dict[str, Component]:
        """The components whose blocks may pass through the ring, by name."""
        return {name: component for name, component in self.components.items() if component.streamable}

    def load_engine(self) -> Callable[..., Any]:
        """Import what makes the engine, which takes seconds."""
        module, _, name = self.engine.partition(":")
        made: Callable[..., Any] = getattr(import_module(module), name)
        return made
