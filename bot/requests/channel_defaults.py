"""What moderators chose for a channel: the model, the shape and whether images are private. Knows no front end.

They stand below everything that a person chose and above the defaults of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bot.jobs import USUAL, Allowance
from bot.requests.models import Models
from bot.store.channel_setting_store import ChannelSettingStore
from pipeline.errors import InvalidSpec
from pipeline.spec import Aspect

MODEL: Final = "model"
ASPECT: Final = "aspect"
PRIVATE: Final = "private"
FLAGS: Final = {"1": True, "0": False}


class ChannelDefaults:
    """The defaults of every channel."""

    def __init__(self, store: ChannelSettingStore, models: Models) -> None:
        self._store = store
        self._models = models

    async def of(
        self, frontend: str, channel_id: str, *, parent_id: str | None = None, allowance: Allowance = USUAL
    ) -> Mapping[str, object]:
        """Return the fields that have a default in a channel: `model` (str), `aspect` (Aspect), `private` (bool).

        What another release wrote, or names a model that is gone or that `allowance` does not have, is left out.

        Args:
            parent_id: the channel that a thread belongs to; the thread has its values where it has none itself.

        Raises:
            StoreUnavailable
        """
        stored = dict(await self._store.of(frontend, parent_id)) if parent_id is not None else {}
        stored |= await self._store.of(frontend, channel_id)
        defaults: dict[str, object] = {}
        model = self._models.find(stored.get(MODEL, ""))
        if model is not None and (allowance.models is None or model.name in allowance.models):
            defaults[MODEL] = model.name
        if (aspect := next((each for each in Aspect if each.value == stored.get(ASPECT)), None)) is not None:
            defaults[ASPECT] = aspect
        if (private := FLAGS.get(stored.get(PRIVATE, ""))) is not None:
            defaults[PRIVATE] = private
        return defaults

    async def set(
        self,
        frontend: str,
        channel_id: str,
        *,
        model: str | None = None,
        aspect: str | None = None,
        private: bool | None = None,
    ) -> None:
        """Change the values that are given. For a thread this holds in the thread alone.

        Raises:
            InvalidSpec: there is no such model or shape; nothing changed.
            StoreUnavailable: nothing changed.
        """
        if model is not None:
            model = self._models.demand(model).name
        if aspect is not None and aspect not in {each.value for each in Aspect}:
            raise InvalidSpec("aspect", f"must be one of {', '.join(Aspect)}")
        values = {MODEL: model, ASPECT: aspect, PRIVATE: None if private is None else str(int(private))}
        given = {name: value for name, value in values.items() if value is not None}
        await self._store.set(frontend, channel_id, given)

    async def reset(self, frontend: str, channel_id: str) -> None:
        """Forget what was chosen for one channel.

        Raises:
            StoreUnavailable: nothing changed.
        """
        await self._store.clear(frontend, channel_id)
