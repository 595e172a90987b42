"""What a person may, where that differs from `[limits]`: by the roles that they have, and by what was set for them.

*Roles*: of every value, the highest among the roles of a member that have a section in the config holds; a role whose
section leaves a value out counts with that of everybody. Models add up, and a role that names none allows all.
*One person*: the images per day that a moderator set for somebody win over their roles.

The front end says which roles somebody has. How many images and requests there may be is decided by the insert
(`bot/store/job_store.py`); steps and models by `permitted`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bot.config import LimitsConfig, RoleConfig
from bot.errors import ModelNotAllowed, StepsNotAllowed
from bot.jobs import USUAL, Allowance, Request, UserKey
from bot.requests.models import MAX_TOLD, Models
from bot.store.user_quota_store import UserQuotaStore
from pipeline.catalog.model_card import ModelCard
from pipeline.errors import InvalidSpec
from pipeline.spec import MAX_STEPS, ImageOptions, last_steps

log = logging.getLogger(__name__)

NO_ROLES: Final[Mapping[int, RoleConfig]] = {}


class Allowances:
    """The allowances of everybody."""

    def __init__(self, store: UserQuotaStore, limits: LimitsConfig, roles: Mapping[int, RoleConfig] = NO_ROLES) -> None:
        self._store = store
        self._limits = limits
        self._roles = roles

    def of_roles(self, role_ids: Collection[int]) -> Allowance:
        """Return what members with these roles may; one that the config does not name changes nothing."""
        roles = [config for role_id, config in self._roles.items() if role_id in role_ids]
        if not roles:
            return USUAL
        limits = self._limits
        steps = _highest((role.max_steps for role in roles), MAX_STEPS)
        return Allowance(
            max_images_per_day=_highest((role.max_images_per_day for role in roles), limits.max_images_per_day),
            max_active=_highest((role.max_active for role in roles), limits.max_active_per_user),
            max_steps=None if steps == MAX_STEPS else steps,
            models=_together([role.models for role in roles]),
        )

    async def of(self, user: UserKey, role_ids: Collection[int] = ()) -> Allowance:
        """Return what a person with these roles may.

        Raises:
            StoreUnavailable
        """
        allowance, own = self.of_roles(role_ids), await self._store.get(user)
        return allowance if own is None else replace(allowance, max_images_per_day=own)

    async def own_images(self, user: UserKey) -> int | None:
        """Return how many images a day a moderator set for this person; None if none did.

        Raises:
            StoreUnavailable
        """
        return await self._store.get(user)

    async def set_own_images(self, user: UserKey, images: int | None) -> None:
        """Set how many images a day this person may, whatever their roles say; None leaves it to those again.

        Raises:
            StoreUnavailable: nothing changed.
        """
        if images is None:
            await self._store.forget(user)
        else:
            await self._store.set(user, images)
        log.info("the images per day of %s were set to %s", self._store.pseudonyms.short(user), images or "the usual")


def permitted(request: Request, models: Models) -> Request:
    """Return the request with what its person left open chosen among what they may.

    That is the first of their models, if the usual one is none of them, and as many steps as they may, if the model
    usually takes more.

    Raises:
        ModelNotAllowed, StepsNotAllowed: they asked for something else.
        InvalidSpec: there is no such model.
    """
    allowance, options = request.allowance, request.options
    card = _permitted_model(allowance, options.model, models)
    if allowance.models is not None:
        options = replace(options, model=card.name)
    if allowance.max_steps is not None:
        if options.steps is not None and _drawn(options) > allowance.max_steps:
            raise StepsNotAllowed(steps=options.steps, limit=allowance.max_steps)
        if options.steps is None and card.default_steps > allowance.max_steps:
            options = replace(options, steps=allowance.max_steps)
    return request if options is request.options else replace(request, options=options)


def _drawn(options: ImageOptions) -> int:
    """Return how many steps count: of an upscaled image, whose steps nobody chooses, the last ones that are drawn."""
    steps = options.steps or 0
    return last_steps(steps, options.strength) if options.upscale and isinstance(options.strength, float) else steps


def may_use(allowance: Allowance, card: ModelCard) -> bool:
    """Whether somebody may draw with a model."""
    return allowance.models is None or card.name in allowance.models


def led_by_permitted(models: Models, allowance: Allowance) -> Models:
    """Return the same models, led by the first that somebody may draw with: what they draw with if they name none."""
    mine = (card for card in models.all if may_use(allowance, card))
    return models.led_by(next(mine, models.usual))


def _permitted_model(allowance: Allowance, name: str | None, models: Models) -> ModelCard:
    mine = [card for card in models.all if may_use(allowance, card)]
    if name is None and mine:
        return led_by_permitted(models, allowance).usual
    card = models.demand(name) if allowance.models is None else models.find(name)
    if card is not None and card in mine:
        return card
    names = [each.name for each in mine] or list(allowance.models or ())
    told = ", ".join(names[:MAX_TOLD]) + (", …" if len(names) > MAX_TOLD else "")
    if card is None:
        raise InvalidSpec("model", f"must be one of {told}", detail="other", models=told)
    raise ModelNotAllowed(model=card.title, allowed=told)


def _highest(values: Iterable[int | None], usual: int) -> int:
    return max(usual if value is None else value for value in values)


def _together(models: Sequence[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    """Return the names in all of these, each once; None, for all models, if one of these is that."""
    named = [names for names in models if names is not None]
    return tuple(dict.fromkeys(name for names in named for name in names)) if len(named) == len(models) else None
