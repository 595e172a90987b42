"""What the card of a model says of an image before any was drawn: pace, steps, sizes. Pure.

A spec may be that of a damaged row, or of a model that is there no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict

from bot.scheduling.eta import Pace, pixels_of
from pipeline import Aspect, ImageSpec, UnknownModel
from pipeline.catalog.models import ModelCard, find_model
from pipeline.spec import last_steps


def card_of(cards: Mapping[str, ModelCard], name: str) -> ModelCard:
    """The card of a model from those found at the start: looking for own files again may take a network disk seconds.

    Raises:
        UnknownModel
    """
    return cards[name] if name in cards else find_model(name)


def assumed_pace(spec: ImageSpec, find: Callable[[str], ModelCard] = find_model) -> Pace:
    """The model's own guess for the first finish times."""
    try:
        card = find(spec.model)
    except UnknownModel:  # of an older release: the job will fail with a clear text when its turn comes
        return Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
    usual = Pace(step_s=card.assumed_step_s, fixed_s=card.assumed_fixed_s, is_rough=True)
    return usual.scaled(pixels_of(spec) / math.prod(card.size(Aspect.SQUARE)))


def steps_taken(spec: ImageSpec, find: Callable[[str], ModelCard] = find_model) -> int:
    """How many of an image's steps its model takes; all of them if the spec is damaged."""
    try:
        architecture = find(spec.model).architecture
    except UnknownModel:
        return spec.steps
    is_cut = isinstance(spec.strength, float) and 0 < spec.strength < 1
    taken = last_steps if spec.upscale else architecture.steps_taken
    return taken(spec.steps, spec.strength) if is_cut else spec.steps


def named_sizes(spec: ImageSpec, find: Callable[[str], ModelCard] = find_model) -> list[ImageSpec]:
    """The same image in the named sizes of its model; of an edit, those that look at no other image as well."""
    try:
        card = find(spec.model)
    except UnknownModel:
        return []
    sizes = [card.size(Aspect.SQUARE, size) for size in card.scales]
    fields = asdict(spec)  # which are not checked again: a damaged row may lie in the database
    looks = [{}, {"references": "", "reference_pixels": 0}] if spec.references else [{}]
    named = ({"width": width, "height": height, "upscale": 0} for width, height in sizes)
    return [ImageSpec.accepted(**fields | size | look) for size in named for look in looks]
