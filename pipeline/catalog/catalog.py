"""`Catalog`: every model by name, for one config: those of this program and the operator's own.

Own models come from `[[models]]` in the config and from the list of `models add`; a config entry without files gives
other defaults to the model of its name. `models.py` makes and remembers catalogs; it is the one that knows the cards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.catalog.added_models import AddedModels, read_added
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.own_models import OwnModel, make_own, with_defaults
from pipeline.config import ModelEntry, PipelineConfig
from pipeline.errors import ModelUnusable, UnknownModel


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The models of one config. Making it reads the list of added models; files are looked at when they are asked for.

    built_in: the cards of this program, hidden ones too.
    bases: the card that a variant is drawn with, see `own_models.py`.
    """

    config: PipelineConfig
    built_in: Mapping[str, ModelCard]
    bases: Mapping[str, ModelCard]

    @cached_property
    def added(self) -> AddedModels:
        """What `models add` noted."""
        return read_added(self.config.models_dir)

    @cached_property
    def entries(self) -> Mapping[str, ModelEntry]:
        """The operator's own models by name: those of the config first."""
        configured = {entry.name: entry for entry in self.config.models}
        added = {entry.name: entry for entry in self.added.models}
        entries = {}
        for name, entry in configured.items():
            if entry.files:
                entries[name] = entry
            elif name in added:
                entries[name] = entry.model_copy(
                    update={"files": added[name].files, "title": entry.title or added[name].title}
                )
        return {**entries, **{name: entry for name, entry in added.items() if name not in entries}}

    @property
    def own(self) -> list[OwnModel]:
        """The operator's own models, usable or not. Reads heads of files, once each."""
        return [self._own(name) for name in self.entries]

    @property
    def all(self) -> list[ModelCard]:
        """Every model that people may ask for, as far as its card is known; its files may still be missing."""
        cards = [self._built_in(name) for name in self.built_in if name not in self.entries]
        cards += [own.card for own in self.own if own.card is not None]
        return [card for card in cards if not card.is_hidden]

    @property
    def public(self) -> list[ModelCard]:
        """Those of them that the config allows."""
        return [card for card in self.all if self.allows(card)]

    @property
    def names(self) -> list[str]:
        """The names that may stand in the config, whatever becomes of the files behind them."""
        return [*(name for name, card in self.built_in.items() if not card.is_hidden), *self.entries]

    def allows(self, card: ModelCard) -> bool:
        """Whether the licence of a model is one that the config allows."""
        return card.is_commercial or not self.config.commercial_only

    def find(self, name: str) -> ModelCard:
        """Return the card of a model, hidden ones too.

        Raises:
            UnknownModel: no model has this name; it lists the public ones.
            ModelUnusable: its own files are no longer what they were, or the config does not allow its licence, or the
                list of added models is damaged, so that it may have been on it.
        """
        if name in self.entries:
            own = self._own(name)
            if own.card is None:
                raise ModelUnusable(name, self.names, reason=own.reason, way_out=own.way_out)
            card = own.card
        elif name in self.built_in:
            card = self._built_in(name)
        elif self.added.flaws:
            reason, way_out = f"is not known: {self.added.flaws[0]}", f"imagine-bot models add FILE… --name {name}"
            raise ModelUnusable(name, self.names, reason=reason, way_out=way_out)
        else:
            raise UnknownModel(name, self.names)
        if not self.allows(card):
            reason = "is hidden, since [pipeline] commercial_only is set and its licence does not allow commercial use"
            way_out = "choose another model, or set commercial_only = false"
            if name in self.entries and self.entries[name].commercial is None:
                reason = (
                    "is hidden, since [pipeline] commercial_only is set and a file does not tell what it derives from"
                )
                way_out = "set commercial = true in its [[models]] entry if its page allows commercial use"
            raise ModelUnusable(name, [each.name for each in self.public], reason=reason, way_out=way_out)
        return card

    @cached_property
    def _made(self) -> dict[str, OwnModel]:
        return {}

    def _own(self, name: str) -> OwnModel:
        """One of the operator's own. A card that was made stays, so that jobs of a file that vanished fail by name."""
        if (made := self._made.get(name)) is not None:
            return made
        entry = self.entries[name]
        is_configured = any(each.name == name and each.files for each in self.config.models)
        forget = f"forget the model: imagine-bot models remove {name}"
        forget = "correct its [[models]] in the config file" if is_configured else forget
        own = make_own(entry, self.bases, elsewhere=self._elsewhere(name), forget=forget)
        if own.card is not None:
            self._made[name] = own
        return own

    def _elsewhere(self, name: str) -> list[Path]:
        """The files of all other own models, and those that were added by themselves."""
        others = (path for each in self.entries.values() if each.name != name for path in each.files)
        return [*self.added.companions, *others]

    def _built_in(self, name: str) -> ModelCard:
        card = self.built_in[name]
        entry = next((entry for entry in self.config.models if entry.name == name and not entry.files), None)
        return card if entry is None else with_defaults(card, entry)[0]
