"""The models that people may ask for, and what is known about them before drawing. No I/O of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.catalog.models import ModelCard
from pipeline.catalog.vocabulary import NOTHING, Unread
from pipeline.device.runtime_estimate import RuntimeEstimate
from pipeline.errors import InvalidSpec
from pipeline.spec import ImageSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models that can draw here.

    others: the models that have to be asked for by name.
    unread: returns what a model cannot read of a prompt.
    estimate_runtime: returns what is expected of a large model on this GPU; None if there is nothing to expect. Blocks.
    check_memory: raises InvalidSpec if the GPU has no room for an image of this size. Blocks.
    """

    usual: ModelCard
    others: tuple[ModelCard, ...] = ()
    unread: Callable[[ImageSpec], Unread] = lambda _spec: NOTHING
    estimate_runtime: Callable[[], RuntimeEstimate | None] = lambda: None
    check_memory: Callable[[ModelCard, ImageSpec], None] = lambda _model, _spec: None

    @property
    def all(self) -> tuple[ModelCard, ...]:
        """Every model, the usual one first."""
        return (self.usual, *self.others)

    def find(self, name: str | None) -> ModelCard | None:
        """Return the model of that name, without one the usual; None if it is not among those that can draw here."""
        return self.usual if name is None else next((model for model in self.all if model.name == name), None)

    def nearest(self, name: str | None) -> ModelCard:
        """Return the model of that name; the usual one if it is not among those that can draw here any more."""
        return self.find(name) or self.usual

    def demand(self, name: str | None) -> ModelCard:
        """Return the model of that name, without one the usual.

        Raises:
            InvalidSpec: it is not among those that can draw here.
        """
        if (model := self.find(name)) is None:
            raise InvalidSpec("model", f"must be one of {', '.join(each.name for each in self.all)}")
        return model
