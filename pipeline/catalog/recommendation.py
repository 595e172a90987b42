"""Which model suits a machine, its operator's language and the licences that the config allows. No torch.

What draws now stays recommended if it suits; `models.py` chooses it. Must not know sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import (
    DEMO,
    FLUX1_DEV,
    FLUX1_SCHNELL,
    FLUX2_KLEIN_4B,
    MAJICFLUS_V1,
    SD15,
    SDXL,
    Z_IMAGE_TURBO,
    catalog_of,
)
from pipeline.config import LEAST_LIMIT_MIB, PipelineConfig
from pipeline.device.gpu import MIB, Gpu

# Of models that suit alike. MajicFLUX is the usual one wherever it may be.
_PREFERENCE: Final = tuple(
    card.name for card in (MAJICFLUS_V1, Z_IMAGE_TURBO, FLUX2_KLEIN_4B, FLUX1_DEV, FLUX1_SCHNELL, SDXL, SD15, DEMO)
)
BFLOAT16_SINCE: Final = (8, 0)  # compute capability of the first cards that multiply bfloat16
ACTIVATIONS_GB: Final = 0.9  # that an image of one megapixel takes beside weights, at most
PATIENT_GB: Final = 130.0  # streamed per image; about eleven seconds over the link of a card of 8 GB (PCIe 4.0 × 8)
HOST_MIB: Final = 1000  # this program without weights
HOST_SHARE: Final = 0.75  # of the computer's memory; the rest is the system's
CPU_BYTES_PER_WEIGHT: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is drawn on.

    gpu: None if there is none that can be used.
    memory_mib: of the computer, in all; what other programs hold of it changes by the minute.
    """

    gpu: Gpu | None
    memory_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model, and whether its files are here."""

    card: ModelCard
    is_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What to draw with.

    best: what suits; it may be what draws now.
    commercial: what suits best for commercial use, if the licence of `best` does not allow that.
    is_read: whether `best` reads the operator's language by itself.
    """

    used: ModelCard
    best: Choice
    commercial: Choice | None = None
    is_read: bool = True


def recommend(config: PipelineConfig, used: ModelCard, machine: Machine, language: str) -> Recommendation:
    """Choose among all models that the config allows. Looks at heads of files: milliseconds.

    Args:
        used: what draws now.
        language: of prompts, `en` or `zh`.
    """
    catalog = catalog_of(config)
    if _suits(used, config, machine, language):
        best = used
    else:
        best = min(catalog.public, key=lambda card: _order(card, config, machine, language))
    commercial = None
    if not best.is_commercial:
        others = [card for card in catalog.public if card.is_commercial]
        commercial = min(others, key=lambda card: _order(card, config, machine, language))
    return Recommendation(
        used=used,
        best=_choice(best, config),
        commercial=None if commercial is None or commercial.name == DEMO.name else _choice(commercial, config),
        is_read=reads(best, language),
    )


def reads(card: ModelCard, language: str) -> bool:
    """Whether a model reads prompts in a language by itself."""
    return not card.reads or language in card.reads


def runs(card: ModelCard, config: PipelineConfig, machine: Machine) -> bool:
    """Whether a machine has the memory and the arithmetic for a model."""
    if card.name == DEMO.name:
        return True
    host_mib = HOST_SHARE * machine.memory_mib - HOST_MIB
    if (gpu := machine.gpu) is None:
        return not card.needs_gpu and card.step_gb * CPU_BYTES_PER_WEIGHT * 1e9 / MIB <= host_mib
    if gpu.total_mib < LEAST_LIMIT_MIB:
        return False
    if gpu.compute_capability < BFLOAT16_SINCE and card.architecture.half == "bfloat16":
        return False
    return card.step_gb * 1e9 / MIB - config.limit_mib(gpu.total_mib) <= host_mib


def streamed_gb(card: ModelCard, config: PipelineConfig, gpu: Gpu) -> float:
    """How much crosses the link for an image, at least: what of its weights finds no room, at every step."""
    room_gb = config.limit_mib(gpu.total_mib) * MIB / 1e9 - ACTIVATIONS_GB
    return card.default_steps * max(0.0, card.step_gb - room_gb)


def _suits(card: ModelCard, config: PipelineConfig, machine: Machine, language: str) -> bool:
    """Whether there is nothing to find fault with."""
    return card.name != DEMO.name and not any(_faults(card, config, machine, language))


def _faults(card: ModelCard, config: PipelineConfig, machine: Machine, language: str) -> tuple[bool, bool, bool]:
    """What speaks against a model, the gravest first: the machine, the language, the patience that it asks for."""
    is_slow = machine.gpu is not None and streamed_gb(card, config, machine.gpu) > PATIENT_GB
    return not runs(card, config, machine), not reads(card, language), is_slow


def _order(
    card: ModelCard, config: PipelineConfig, machine: Machine, language: str
) -> tuple[bool, bool, bool, bool, bool, int]:
    """Smaller is better. The demo suits everybody and pleases nobody, so it comes before what does not run alone."""
    cannot_run, is_unread, is_slow = _faults(card, config, machine, language)
    place = _PREFERENCE.index(card.name) if card.name in _PREFERENCE else -1  # of the operator's own: before all others
    return cannot_run, card.name == DEMO.name, is_unread, is_slow, not _is_here(card, config), place


def _choice(card: ModelCard, config: PipelineConfig) -> Choice:
    return Choice(card=card, is_here=_is_here(card, config))


def _is_here(card: ModelCard, config: PipelineConfig) -> bool:
    return not files.missing(card, config.models_dir)
