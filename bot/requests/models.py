"""The models that people may ask for, and what is known about them before drawing. No I/O of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pipeline.catalog.lora_card import LoraCard
from pipeline.catalog.models import ModelCard
from pipeline.catalog.vocabulary import NOTHING, Unread
from pipeline.device.runtime_estimate import RuntimeEstimate
from pipeline.errors import InvalidSpec
from pipeline.spec import ImageSpec

MAX_TOLD: Final = 20  # names of models in one refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models that can draw here.

    others: the models that have to be asked for by name.
    unread: returns what a model cannot read of a prompt.
    estimate_runtime: returns what is expected of a large model on this GPU; None if there is nothing to expect. Blocks.
    loras: returns the LoRAs that are here, by name; looks whether their files changed.
    check_memory: raises InvalidSpec if the GPU has no room for an image of this size. Blocks.
    """

    usual: ModelCard
    others: tuple[ModelCard, ...] = ()
    unread: Callable[[ImageSpec], Unread] = lambda _spec: NOTHING
    estimate_runtime: Callable[[], RuntimeEstimate | None] = lambda: None
    loras: Callable[[], Mapping[str, LoraCard]] = dict
    check_memory: Callable[[ModelCard, ImageSpec], None] = lambda _model, _spec: None

    @property
    def all(self) -> tuple[ModelCard, ...]:
        """Every model, the usual one first."""
        return (self.usual, *self.others)

    def find(self, name: str | None) -> ModelCard | None:
        """Return the model of that name, without one the usual; None if it is not among those that can draw here."""
        return self.usual if name is None else next((model for model in self.all if model.name == name), None)

    @property
    def titles(self) -> Mapping[str, str]:
        """Name → title."""
        return {model.name: model.title for model in self.all}

    def named(self, typed: str) -> ModelCard | None:
        """Return the model of that name or title, however it is written; None if there is none here."""
        wanted = typed.strip().casefold()
        exact = (model for model in self.all if model.name == typed)
        return next(exact, None) or next((model for model in self.all if wanted in _names_of(model)), None)

    def search(self, typed: str) -> list[ModelCard]:
        """Return the models that have all these words in name or title: the usual one first, others by title."""
        words = typed.casefold().split()
        usual, *others = self.all
        ordered = [usual, *sorted(others, key=lambda model: model.title.casefold())]
        return [model for model in ordered if all(word in " ".join(_names_of(model)) for word in words)]

    def led_by(self, card: ModelCard) -> Models:
        """Return the same models with another one as the usual, for what is asked of a picture of that model."""
        if card.name == self.usual.name:
            return self
        return replace(self, usual=card, others=tuple(each for each in self.all if each.name != card.name))

    def nearest(self, name: str | None) -> ModelCard:
        """Return the model of that name; the usual one if it is not among those that can draw here any more."""
        return self.find(name) or self.usual

    def can_upscale(self, spec: ImageSpec) -> bool:
        """Whether its model, or the one that takes its place, draws such an image anew at twice its size."""
        return self.nearest(spec.model).upscales(spec)

    def demand(self, name: str | None) -> ModelCard:
        """Return the model of that name, without one the usual.

        Raises:
            InvalidSpec: it is not among those that can draw here.
        """
        if (model := self.find(name)) is None:
            names = [each.name for each in self.all]
            told = ", ".join(names[:MAX_TOLD]) + (", …" if len(names) > MAX_TOLD else "")
            raise InvalidSpec("model", f"must be one of {told}", detail="other", models=told)
        return model

    def demand_typed(self, typed: str) -> ModelCard:
        """Return the model of that name or title, however it is written.

        Raises:
            InvalidSpec: it is not among those that can draw here.
        """
        return self.named(typed) or self.demand(typed)


def _names_of(card: ModelCard) -> tuple[str, str]:
    return card.name.casefold(), card.title.casefold()
