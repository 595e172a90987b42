"""The operator's LoRAs by name: those of `[[loras]]` in the config and those of `models add`, looked at by their heads.

Nothing is loaded here, and nothing applied. What a head says is read in `layouts/lora.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from pipeline.catalog.added_models import AddedModels, read_added
from pipeline.catalog.added_models import stamp_of as stamp_of_list
from pipeline.catalog.architecture import Feature
from pipeline.catalog.layouts.lora import LoraHead, lora_of
from pipeline.catalog.lora_card import LoraCard
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.parts import Refusal
from pipeline.config import LoraEntry, PipelineConfig
from pipeline.errors import LoraUnusable, UnknownLora
from pipeline.lora_uses import read_uses
from pipeline.spec import ImageSpec

_Stamp = tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLora:
    """A LoRA of the operator's own.

    card: None if it cannot be drawn with; then `reason` goes on after its name.
    base_title: the family that it was made for, for people.
    is_configured: whether it stands in the config, and not on the list of those that were added.
    """

    entry: LoraEntry
    card: LoraCard | None = None
    base_title: str = ""
    reason: str = ""
    is_configured: bool = False

    @property
    def way_out(self) -> str:
        """What to do if it cannot be drawn with."""
        forget = f"forget it: imagine-bot models remove {self.entry.name}"
        return f"bring it back, or {'correct its [[loras]] in the config file' if self.is_configured else forget}"


def own_loras(config: PipelineConfig) -> Sequence[OwnLora]:
    """Every LoRA, usable or not: those of the config first. Reads heads of files, once each until they change."""
    return _looked_at(*_state_of(config))


def loras_of(config: PipelineConfig) -> Mapping[str, LoraCard]:
    """The LoRAs that can be drawn with, by name. Files that vanished or changed since are noticed."""
    return _cards(*_state_of(config))


def find_lora(config: PipelineConfig, name: str) -> LoraCard:
    """Return the card of a LoRA.

    Raises:
        UnknownLora: none has this name; it lists those that can be drawn with.
        LoraUnusable: its file is no longer what it was.
    """
    loras = loras_of(config)
    if (card := loras.get(name)) is not None:
        return card
    own = next((each for each in own_loras(config) if each.entry.name == name), None)
    if own is None:
        raise UnknownLora(name, tuple(loras))
    raise LoraUnusable(name, tuple(loras), reason=own.reason, way_out=own.way_out)


def fits(lora: LoraCard, model: ModelCard) -> bool:
    """Whether a model can draw with a LoRA."""
    return Feature.LORA in model.supports and lora.base == model.architecture.base_of_loras


def demand_loras(spec: ImageSpec, model: ModelCard, config: PipelineConfig) -> None:
    """See that every LoRA of a spec is there and fits its model. Takes milliseconds.

    Raises:
        UnknownLora, LoraUnusable
    """
    for use in read_uses(spec.loras):
        if not fits(card := find_lora(config, use.name), model):
            known = [each.name for each in loras_of(config).values() if fits(each, model)]
            reason = f"was made for {card.base}, and {model.name} is none of that family"
            raise LoraUnusable(use.name, known, reason=reason, way_out="choose another model, or another LoRA")


@lru_cache(maxsize=16)
def _added(models_dir: Path, _stamp: object) -> AddedModels:
    return read_added(models_dir)


def _state_of(config: PipelineConfig) -> tuple[tuple[LoraEntry, ...], int, tuple[_Stamp, ...]]:
    """Entries, how many of them stand in the config, and what changes with their files."""
    added = _added(config.models_dir, stamp_of_list(config.models_dir))
    configured = {entry.name for entry in config.loras}
    entries = (*config.loras, *(entry for entry in added.loras if entry.name not in configured))
    return entries, len(config.loras), tuple(_stamp_of(entry.file) for entry in entries)


@lru_cache(maxsize=16)
def _looked_at(entries: tuple[LoraEntry, ...], configured: int, _stamps: tuple[_Stamp, ...]) -> tuple[OwnLora, ...]:
    return tuple(_look_at(entry, is_configured=number < configured) for number, entry in enumerate(entries))


@lru_cache(maxsize=16)
def _cards(entries: tuple[LoraEntry, ...], configured: int, stamps: tuple[_Stamp, ...]) -> Mapping[str, LoraCard]:
    owned = _looked_at(entries, configured, stamps)
    return MappingProxyType({own.card.name: own.card for own in owned if own.card is not None})


def _look_at(entry: LoraEntry, *, is_configured: bool) -> OwnLora:
    path = entry.file.absolute()
    head = lora_of(path)
    if isinstance(head, LoraHead):
        card = LoraCard(
            name=entry.name,
            title=entry.title or head.title or path.stem,
            file=path,
            base=head.base,
            style=head.style,
            rank=head.rank,
            triggers=head.triggers if entry.triggers is None else entry.triggers,
            weight=entry.weight,
            steps=entry.steps or 0,
        )
        return OwnLora(entry=entry, card=card, base_title=head.base_title, is_configured=is_configured)
    return OwnLora(entry=entry, reason=f"needs {path}, which {flaw_of(head)}", is_configured=is_configured)


def flaw_of(seen: Refusal | None) -> str:
    """Why a file is no LoRA to draw with, as in "is a LoHa: …"."""
    if seen is None:
        return "is no LoRA: its tensors are those of something else"
    return f"is {seen.what}: {seen.reason}; {seen.instead}"


def _stamp_of(path: Path) -> _Stamp:
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return state.st_size, state.st_mtime_ns
