"""The models this program can draw with, and the one place that makes engines.

`MODELS` is the list people see; what a card says is explained in `model_card.py`. Nothing here imports torch
until `create_engine` is called for a model that needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pipeline.catalog import files
from pipeline.catalog.model_card import Bounds, ModelCard, ModelFile
from pipeline.catalog.vocabulary import NOTHING, Unread, find_unread
from pipeline.config import PipelineConfig
from pipeline.device.gpu import look_at_gpu
from pipeline.device.gpu_profile import is_packed, is_writable
from pipeline.engine import Engine
from pipeline.errors import GpuUnusable, PackedDirReadOnly, UnknownModel
from pipeline.fake import FAKE_ARCHITECTURE
from pipeline.families.flux.cards import DEMO, FLUX1_DEV, FLUX1_SCHNELL, FLUX_SCALES, MAJICFLUS_V1
from pipeline.spec import Aspect, ImageSpec

__all__ = [
    "DEMO",
    "FLUX1_DEV",
    "FLUX1_SCHNELL",
    "MAJICFLUS_V1",
    "MODELS",
    "ModelCard",
    "ModelFile",
    "choose_model",
    "create_engine",
    "demand_means",
    "find_model",
    "make_engine",
    "unread_of",
]

AUTO: Final = "auto"
FAKE: Final = ModelCard(
    name="fake",
    title="Fake: a colour gradient",
    architecture=FAKE_ARCHITECTURE,
    supports=FAKE_ARCHITECTURE.features,
    licence="Apache-2.0",
    licence_url="https://www.apache.org/licenses/LICENSE-2.0",
    sizes=MappingProxyType({Aspect.SQUARE: (64, 64), Aspect.PORTRAIT: (64, 96), Aspect.LANDSCAPE: (96, 64)}),
    examples=MappingProxyType(
        {"en": ("a gradient", "two gradients", "three gradients"), "zh-CN": ("一个渐变", "两个渐变", "三个渐变")}
    ),
    scales=FLUX_SCALES,
    bounds=Bounds(min_side=16, max_pixels=2**20, max_ratio=4.0),
    is_hidden=True,
    assumed_step_s=0.01,
    assumed_fixed_s=0.01,
    assumed_load_s=0.0,
)

_ALL: Final = {card.name: card for card in (MAJICFLUS_V1, FLUX1_DEV, FLUX1_SCHNELL, DEMO, FAKE)}
MODELS: Final[Mapping[str, ModelCard]] = MappingProxyType(
    {name: card for name, card in _ALL.items() if not card.is_hidden}
)


def find_model(name: str) -> ModelCard:
    """Return the card of a model, hidden ones too.

    Raises:
        UnknownModel: no card has this name; it lists the public ones.
    """
    try:
        return _ALL[name]
    except KeyError:
        raise UnknownModel(name, tuple(MODELS)) from None


def choose_model(config: PipelineConfig) -> tuple[ModelCard, str]:
    """Return the model that `config.model` means, and why, as half a sentence for the log and for `check`.

    `auto` is MajicFLUX where its files are whole and a GPU is there, else the demo. Reads file headers and
    asks the GPU driver: milliseconds on a local disk.

    Raises:
        UnknownModel
    """
    if config.model != AUTO:
        return find_model(config.model), "named in the configuration"
    if config.device == "cpu":
        return DEMO, "the configuration asks for the CPU"
    if not (state := look_at_gpu()).is_usable:
        return DEMO, state.obstacle if state.gpu is None else f"{state.gpu.name} cannot be used: {state.obstacle}"
    if missing := files.missing(MAJICFLUS_V1, config.models_dir):
        return DEMO, f"{len(missing)} file(s) of {MAJICFLUS_V1.name} are missing or not whole"
    return MAJICFLUS_V1, "its files are whole and there is a GPU"


def usable_models(config: PipelineConfig) -> list[ModelCard]:
    """The models that can draw on this machine as it is, the configured one first.

    Raises:
        UnknownModel
    """
    chosen, _ = choose_model(config)
    has_gpu = config.device != "cpu" and look_at_gpu().is_usable
    others = [
        card
        for card in MODELS.values()
        if card is not chosen and (has_gpu or not card.needs_gpu) and not files.missing(card, config.models_dir)
    ]
    return [chosen, *others]


def unread_of(models_dir: Path, spec: ImageSpec) -> Unread:
    """What the model of a spec cannot read of its prompt; see `vocabulary.py`."""
    try:
        return find_unread(find_model(spec.model), models_dir, spec.prompt)
    except UnknownModel:  # of an older release
        return NOTHING


def demand_means(card: ModelCard, config: PipelineConfig) -> None:
    """See that a large model has what it needs beside its files. Takes milliseconds.

    Raises:
        GpuUnusable: there is no card to draw on, and nobody asked for the CPU by name.
        PackedDirReadOnly: its packed weights cannot be written, and have not been before.
    """
    if config.device == "cpu":
        return
    if card.needs_gpu and not (state := look_at_gpu()).is_usable:
        gpu = "" if state.gpu is None else state.gpu.description
        raise GpuUnusable(card.name, gpu=gpu, obstacle=state.obstacle, way_out=state.way_out)
    if card.packed_gb and not is_writable(config.packed_folder) and not is_packed(config.packed_folder, card):
        raise PackedDirReadOnly(card.name, config.packed_folder, card.packed_gb)


def create_engine(name: str, config: PipelineConfig, *, prompts_dir: Path | None = None) -> Engine:
    """Make the engine of a model that `MODELS` names; see `make_engine`.

    Raises:
        UnknownModel
        GpuUnusable, PackedDirReadOnly: see `demand_means`.
    """
    return make_engine(find_model(name), config, prompts_dir=prompts_dir)


def make_engine(card: ModelCard, config: PipelineConfig, *, prompts_dir: Path | None = None) -> Engine:
    """Make the engine that a card's architecture names; imports torch if needed (seconds), loads nothing yet.

    Args:
        prompts_dir: where what large models read of prompts is kept across restarts; None: nowhere.

    Raises:
        GpuUnusable, PackedDirReadOnly: see `demand_means`.
    """
    demand_means(card, config)
    if card.files:  # without files there is nothing to compute with
        from pipeline.runtime.process_setup import prepare_process

        prepare_process(*card.architecture.library)
    engine: Engine = card.architecture.load_engine()(card, config, prompts_dir=prompts_dir)
    return engine
