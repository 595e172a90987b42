"""The vocabulary of files of weights: what a file is, which parts of a model it holds, and how they are kept.

`layouts.py` finds that out, the loaders of `families/` use it, `check` and `models` say it. Plain data, no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class PartKind(StrEnum):
    """What a part of a model does. A file may hold several."""

    DENOISER = "denoiser"  # a transformer, or a UNet
    CLIP_L = "CLIP-L text encoder"
    CLIP_G = "CLIP-G text encoder"
    T5 = "T5 text encoder"
    QWEN3 = "Qwen3 text encoder"
    VAE = "VAE"


class Naming(StrEnum):
    """Whose names the tensors of a part have, but for a prefix."""

    ORIGINAL = "original"  # of those who published the model: Black Forest Labs, CompVis, OpenCLIP
    DIFFUSERS = "diffusers"
    TRANSFORMERS = "transformers"
    DIFFSYNTH = "DiffSynth"  # the demo's
    LLAMA_CPP = "llama.cpp"  # of text encoders in GGUF files


class Storage(StrEnum):
    """How the values of a part are kept."""

    PLAIN = "plain"  # one number each, of whatever width
    SCALED_FLOAT8 = "scaled float8"
    INT8_CONVROT = "rotated int8"
    NF4 = "NF4"
    GGUF = "GGUF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a model inside a file, or inside several that belong together.

    architecture: the name of the `Architecture` that it is for; text encoders and VAEs that several share name the
        oldest, so ask `kind` first.
    variant: of that, as `flux1-schnell`; "" if the header does not tell.
    prefix: what its tensors' names begin with, the separating dot included.
    precision: how it is kept, for people: `bf16`, `fp8 e4m3, scaled`, `Q4_K`.
    width: of a text encoder: how many numbers it gives for each token; 0 if the header does not tell.
    reads: of a denoiser: the width that each kind of text encoder has to have, as far as the header tells.
    lacks: names of tensors that it should hold and does not, at most some.
    """

    kind: PartKind
    architecture: str
    variant: str = ""
    paths: tuple[Path, ...]
    prefix: str = ""
    naming: Naming
    storage: Storage = Storage.PLAIN
    precision: str = ""
    width: int = 0
    reads: tuple[tuple[PartKind, int], ...] = ()
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a file is of no use here.

    what: what it is, as a noun phrase: "a LoRA for FLUX.1".
    reason: why it cannot be drawn with.
    instead: what to do, or which file to take.
    """

    what: str
    reason: str
    instead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a file, a folder, or several files that belong together are.

    title: for people: "FLUX.1 [schnell] transformer, Q4_K".
    parts: what can be used of it; empty if there is a refusal.
    """

    path: Path
    title: str
    parts: tuple[Part, ...] = ()
    refusal: Refusal | None = None

    def part(self, kind: PartKind) -> Part | None:
        """The part of a kind; None if there is none."""
        return next((part for part in self.parts if part.kind is kind), None)
