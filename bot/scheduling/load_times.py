"""How long it takes until a model is ready to draw: measured at its last load, kept across restarts.

The first load of a process takes longer than a later one, because it imports libraries too; so both are kept. Before
any was measured, the model's own guess stands in. Knows no runner and no job.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from bot.errors import StoreUnavailable
from bot.store.key_value_store import SettingStore
from pipeline import UnknownModel
from pipeline.catalog.models import ModelCard, find_model

log = logging.getLogger(__name__)

SETTING: Final = "load_seconds:"  # and the name of the model
MAX_LOAD_S: Final = 3600.0  # packing weights takes minutes; what took longer is no measure of the next load
OVERDUE_SHARE: Final = 0.1  # of what a load took so far: expected on top, once it takes longer than the last one
FIRST: Final = "first"
LATER: Final = "later"


@dataclass(frozen=True, slots=True)
class Load:
    """How long a load is expected to take; rough before one like it was measured."""

    seconds: float
    is_rough: bool


NO_LOAD: Final = Load(0.0, is_rough=False)


def no_load(_model: str, _is_first: bool) -> Load:
    """Expect no model to take any time."""
    return NO_LOAD


@dataclass(frozen=True, slots=True)
class Loading:
    """A load under way, begun at `since` on the monotonic clock; `is_first`: of the process."""

    since: float
    expected: Load
    is_first: bool

    def left_s(self, now: float) -> float:
        """How long it still takes."""
        ran_s = max(0.0, now - self.since)
        return max(self.expected.seconds - ran_s, OVERDUE_SHARE * ran_s)


def assumed_load_s(model: str, find: Callable[[str], ModelCard] = find_model) -> float:
    """The guess on a model's card; 0 for models that are not known, whose jobs fail at once."""
    try:
        return find(model).assumed_load_s
    except UnknownModel:
        return 0.0


class LoadTimes:
    """What loads of every model took."""

    def __init__(self, settings: SettingStore, *, assumed_s: Callable[[str], float] = assumed_load_s) -> None:
        self._settings = settings
        self._assumed_s = assumed_s
        self._measured: dict[str, dict[str, float]] = {}

    async def recall(self, models: Iterable[str]) -> None:
        """Read what earlier processes measured, once per model; damaged and absurd values count as not measured.

        Raises:
            StoreUnavailable
        """
        for model in set(models) - self._measured.keys():
            stored = await self._settings.get_json(SETTING + model)
            found = stored if isinstance(stored, dict) else {}
            measured = {kind: float(found[kind]) for kind in (FIRST, LATER) if is_plausible(found.get(kind))}
            self._measured.setdefault(model, measured)  # a load may have ended meanwhile

    def expected(self, model: str, is_first: bool) -> Load:
        """How long the next load takes; `is_first`: nothing was loaded in this process before."""
        measured = self._measured.get(model, {})
        kind, other = (FIRST, LATER) if is_first else (LATER, FIRST)
        if kind in measured:
            return Load(measured[kind], is_rough=False)
        guess_s = self._assumed_s(model)
        if other in measured:  # no later load takes longer than the first, with its imports, did
            guess_s = max(guess_s, measured[other]) if is_first else min(guess_s, measured[other])
        return Load(guess_s, is_rough=guess_s > 0)

    def begin(self, model: str, *, is_first: bool, now: float) -> Loading:
        """Note that a load begins; `now` is on the monotonic clock."""
        return Loading(now, self.expected(model, is_first), is_first)

    async def note(self, model: str, loading: Loading, *, took_s: float) -> None:
        """Remember how long a load took. If the database is not there, this process remembers it alone."""
        if not is_plausible(took_s):
            return
        measured = self._measured.setdefault(model, {})
        measured[FIRST if loading.is_first else LATER] = round(took_s, 2)
        try:
            await self._settings.set(SETTING + model, json.dumps(measured))
        except StoreUnavailable as error:
            log.warning("how long %s took to load cannot be stored: %s", model, error)


def is_plausible(seconds: object) -> bool:
    """Whether a load can have taken so long."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return False
    return math.isfinite(seconds) and 0 <= seconds <= MAX_LOAD_S
