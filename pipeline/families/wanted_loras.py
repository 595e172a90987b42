"""The LoRAs that an image wants, and what of a model they may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from pipeline.catalog.architecture import Feature
from pipeline.catalog.lora_card import LoraCard
from pipeline.catalog.model_card import ModelCard
from pipeline.errors import InvalidSpec, LoraMisfit
from pipeline.lora_uses import read_uses
from pipeline.spec import ImageSpec
from pipeline.streaming.lora_names import LoraParts
from pipeline.streaming.lora_placement import LoraPlacement, Wanted

FindLoras = Callable[[], Mapping[str, LoraCard]]


@runtime_checkable
class TakesLoras(Protocol):
    """What a `TorchModel` has beside, if its architecture has `Feature.LORA`."""

    def lora_parts(self) -> LoraParts:
        """What LoRAs may change of it; asked once, after its blocks were compiled."""

    def forget_steps(self) -> None:
        """Drop what was computed with the layers of the transformer and is kept across images."""


def wanted_loras(spec: ImageSpec, card: ModelCard, find: FindLoras) -> Wanted:
    """The LoRAs that an image wants; `find` is asked if it wants any.

    Raises:
        InvalidSpec: the model takes none.
        LoraMisfit: there is none of that name, or it was made for another architecture.
    """
    uses = read_uses(spec.loras)
    if not uses:
        return ()
    if Feature.LORA not in card.supports:
        raise InvalidSpec("loras", f"cannot be used with {card.name}")
    known, wanted = find(), []
    for use in uses:
        if use.name not in known:
            raise LoraMisfit(use.name, "is not here any more")
        lora = known[use.name]
        if lora.base != card.architecture.base_of_loras:
            raise LoraMisfit(
                use.name, f"was made for {lora.base}, and {card.name} takes {card.architecture.base_of_loras}"
            )
        wanted.append((lora, use.weight))
    return wanted


def placement_for(model: Any) -> LoraPlacement:
    """What puts LoRAs on a `TorchModel`, whose blocks were compiled before."""
    residency, prompts = model.residency, model.prompts
    if not isinstance(model, TakesLoras):
        return LoraPlacement(None, residency, prompts)
    return LoraPlacement(model.lora_parts(), residency, prompts, forget=model.forget_steps)
