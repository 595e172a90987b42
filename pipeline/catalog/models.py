"""The models that this program can draw with, the choice among them, and the one place that makes engines.

`MODELS` are those of this program; `catalog_of` adds the operator's own. What a card says is explained in
`model_card.py`. Nothing here imports torch until `create_engine` is called for a model that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from pipeline.catalog import files
from pipeline.catalog.added_models import stamp_of
from pipeline.catalog.architecture import Feature, Kind
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.lora_card import LoraCard
from pipeline.catalog.loras import loras_of
from pipeline.catalog.model_card import Bounds, ModelCard, ModelFile
from pipeline.catalog.vocabulary import NOTHING, Unread, find_unread
from pipeline.config import AUTO, PipelineConfig
from pipeline.device.gpu import look_at_gpu
from pipeline.device.gpu_profile import is_packed, is_writable
from pipeline.engine import Engine
from pipeline.errors import GpuUnusable, ModelUnusable, PackedDirReadOnly, UnknownModel
from pipeline.fake import FAKE_ARCHITECTURE
from pipeline.families.flux.cards import DEMO, FLUX1_DEV, FLUX1_SCHNELL, FLUX_SCALES, MAJICFLUS_V1
from pipeline.families.flux.cards import VARIANTS as FLUX_VARIANTS
from pipeline.families.flux2.cards import FLUX2_KLEIN_4B
from pipeline.families.flux2.cards import VARIANTS as FLUX2_VARIANTS
from pipeline.families.stable_diffusion.cards import SD15, SDXL
from pipeline.families.stable_diffusion.cards import VARIANTS as STABLE_DIFFUSION_VARIANTS
from pipeline.families.z_image.cards import VARIANTS as Z_IMAGE_VARIANTS
from pipeline.families.z_image.cards import Z_IMAGE_TURBO
from pipeline.spec import Aspect, ImageSpec

__all__ = [
    "AUTO",
    "DEMO",
    "FLUX1_DEV",
    "FLUX1_SCHNELL",
    "FLUX2_KLEIN_4B",
    "MAJICFLUS_V1",
    "MODELS",
    "SD15",
    "SDXL",
    "Z_IMAGE_TURBO",
    "ModelCard",
    "ModelFile",
    "catalog_of",
    "choose_model",
    "create_engine",
    "demand_files",
    "demand_means",
    "find_model",
    "make_engine",
    "unread_of",
    "usable_models",
]

FAKE: Final = ModelCard(
    name="fake",
    title="Fake: a colour gradient",
    architecture=FAKE_ARCHITECTURE,
    supports=frozenset({Feature.INIT_IMAGE, Feature.UPSCALE, Feature.LANGUAGES, Feature.EDIT, Feature.LORA}),
    licence="Apache-2.0",
    licence_url="https://www.apache.org/licenses/LICENSE-2.0",
    is_commercial=True,
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

_ALL: Final = MappingProxyType(
    {
        card.name: card
        for card in (MAJICFLUS_V1, FLUX1_DEV, FLUX1_SCHNELL, Z_IMAGE_TURBO, FLUX2_KLEIN_4B, SDXL, SD15, DEMO, FAKE)
    }
)
MODELS: Final[Mapping[str, ModelCard]] = MappingProxyType(
    {name: card for name, card in _ALL.items() if not card.is_hidden}
)
_BASES: Final[Mapping[str, ModelCard]] = MappingProxyType(
    {**FLUX_VARIANTS, **FLUX2_VARIANTS, **STABLE_DIFFUSION_VARIANTS, **Z_IMAGE_VARIANTS}
)


def catalog_of(config: PipelineConfig) -> Catalog:
    """Return every model by name, the operator's own too. The same one until the config or their list changes."""
    return _catalog(config, stamp_of(config.models_dir))


@lru_cache(maxsize=16)
def _catalog(config: PipelineConfig, _stamp: object) -> Catalog:
    return Catalog(config=config, built_in=_ALL, bases=_BASES)


def find_model(name: str, config: PipelineConfig | None = None) -> ModelCard:
    """Return the card of a model, hidden ones too; of this program's own if there is no config.

    Raises:
        UnknownModel: no card has this name; it lists the public ones.
        ModelUnusable: the operator's own files are no longer what they were, or the config does not allow its licence.
    """
    if config is not None:
        return catalog_of(config).find(name)
    try:
        return _ALL[name]
    except KeyError:
        raise UnknownModel(name, tuple(MODELS)) from None


def choose_model(config: PipelineConfig) -> tuple[ModelCard, str]:
    """Return the model that `config.model` means, and why, as half a sentence for the log and for `check`.

    `auto` is MajicFLUX if its files are whole and a GPU is there, else the first other model that has what it needs,
    the operator's own before this program's, else the demo. Reads file headers and asks the GPU driver: milliseconds on
    a local disk.

    Raises:
        UnknownModel, ModelUnusable: of a model that is named.
    """
    if config.model != AUTO:
        return find_model(config.model, config), "named in the configuration"
    if config.device == "cpu":
        return DEMO, "the configuration asks for the CPU"
    if not (state := look_at_gpu()).is_usable:
        return DEMO, state.obstacle if state.gpu is None else f"{state.gpu.name} cannot be used: {state.obstacle}"
    catalog = catalog_of(config)
    reason = ""
    if catalog.allows(MAJICFLUS_V1):
        if not (missing := files.missing(MAJICFLUS_V1, config.models_dir)):
            return MAJICFLUS_V1, "its files are whole and there is a GPU"
        reason = f"{len(missing)} file(s) of {MAJICFLUS_V1.name} are missing or not whole"
    for card in sorted(catalog.public, key=lambda card: card.name in MODELS):
        if card.name != DEMO.name and not files.missing(card, config.models_dir):
            return card, f"{reason or 'its licence allows commercial use'}, and all of this one is there"
    return DEMO, reason or "no other model that the configuration allows is there"


def usable_models(config: PipelineConfig) -> list[ModelCard]:
    """The models that can draw on this machine as it is, the configured one first.

    Raises:
        UnknownModel, ModelUnusable
    """
    chosen, _ = choose_model(config)
    has_gpu = config.device != "cpu" and look_at_gpu().is_usable
    others = [
        card
        for card in catalog_of(config).public
        if card.name != chosen.name and (has_gpu or not card.needs_gpu) and not files.missing(card, config.models_dir)
    ]
    return [chosen, *others]


class Obstacle(NamedTuple):
    """Why a model cannot be drawn with as things are, and what to do."""

    reason: str
    way_out: str


def obstacle_of(name: str, config: PipelineConfig) -> Obstacle | None:
    """What stands in the way of drawing with a model; None if nothing does. Reads file headers, asks the GPU driver.

    Raises:
        UnknownModel: there is no such model; others are obstacles.
    """
    try:
        card = find_model(name, config)
    except ModelUnusable as error:
        return Obstacle(error.reason, error.way_out)
    if flaws := files.missing(card, config.models_dir):
        told = _told(flaws) if size_of(card, config) else "its files are not here"
        return Obstacle(told, f"imagine-bot fetch {name}")
    if config.device != "cpu" and card.needs_gpu and not (state := look_at_gpu()).is_usable:
        return Obstacle(f"needs a GPU, and {state.obstacle}", state.way_out)
    return None


def _told(flaws: Sequence[files.MissingFile]) -> str:
    return "; ".join(f"{flaw.path} {flaw.told}" for flaw in flaws)


def size_of(card: ModelCard, config: PipelineConfig) -> int:
    """How many bytes the files of a model take, those that several parts share only once."""
    weights = card.files_of(Kind.TRANSFORMER, Kind.TEXT_ENCODER, Kind.VAE)
    paths = {path for file in weights.values() for path in files.weights_of(file, config.models_dir)}
    return sum(path.stat().st_size for path in paths if path.is_file())


def unread_of(config: PipelineConfig, spec: ImageSpec, find: Callable[[str], ModelCard] | None = None) -> Unread:
    """What the model of a spec cannot read of its prompt; see `vocabulary.py`. `find` finds its card, if one has it."""
    try:
        card = find_model(spec.model, config) if find is None else find(spec.model)
    except UnknownModel:  # of an older release, or gone
        return NOTHING
    return find_unread(card, config.models_dir, spec.text, spec.negative_text)


def demand_files(card: ModelCard, config: PipelineConfig) -> None:
    """See that the files of a model are there, whole, and what belongs in their places. Takes milliseconds.

    Raises:
        ModelFilesMissing
    """
    files.demand(card, config.models_dir)


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
    """Make the engine of a model by its name; see `make_engine`.

    Raises:
        UnknownModel, ModelUnusable: see `find_model`.
        GpuUnusable, PackedDirReadOnly: see `demand_means`.
    """
    return make_engine(find_model(name, config), config, prompts_dir=prompts_dir, loras=partial(loras_of, config))


def make_engine(
    card: ModelCard,
    config: PipelineConfig,
    *,
    prompts_dir: Path | None = None,
    loras: Callable[[], Mapping[str, LoraCard]] | None = None,
) -> Engine:
    """Make the engine that a card's architecture names; imports torch if needed (seconds), loads nothing yet.

    Args:
        prompts_dir: where what large models read of prompts is kept across restarts; None: nowhere.
        loras: says which LoRAs there are, by name; None: the operator's. Asked for each image that wants some.

    Raises:
        GpuUnusable, PackedDirReadOnly: see `demand_means`.
    """
    demand_means(card, config)
    if card.files:  # without files there is nothing to compute with
        from pipeline.runtime.process_setup import prepare_process

        prepare_process(*card.architecture.library)
    takes = {"loras": loras or partial(loras_of, config)} if Feature.LORA in card.supports and card.files else {}
    engine: Engine = card.architecture.load_engine()(card, config, prompts_dir=prompts_dir, **takes)
    return engine
