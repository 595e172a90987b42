"""What a family brings to be timed without its files: `Tenant`, and where each model's is made.

A module of random weights has a function `tenant` of a model's name. Imported on demand: each imports its family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from pipeline.catalog.model_card import ModelCard
from pipeline.errors import UnknownModel
from pipeline.families.torch_engine import ReadModel, TorchEngine

MAKERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "flux1-dev": "pipeline.bench.random_weights",
        "flux1-schnell": "pipeline.bench.random_weights",
        "sd15": "pipeline.bench.random_stable_diffusion",
        "sdxl": "pipeline.bench.random_stable_diffusion",
        "z-image-turbo": "pipeline.bench.random_z_image",
        "flux2-klein-4b": "pipeline.bench.random_flux2",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A model with arbitrary weights in real shapes.

    engine: of its family.
    read: makes ours, in place of reading files.
    stock: makes DiffSynth's own pipeline as its example for small GPUs has it, of (card, device, GiB or None).
    """

    card: ModelCard
    engine: Callable[..., TorchEngine]
    read: ReadModel
    stock: Callable[[ModelCard, str, float | None], Any]


def find_tenant(name: str) -> Tenant:
    """The tenant of a model.

    Raises:
        UnknownModel: none is made of it; it lists those that are.
    """
    if name not in MAKERS:
        raise UnknownModel(name, tuple(MAKERS))
    found: Tenant = import_module(MAKERS[name]).tenant(name)
    return found
