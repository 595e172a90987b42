"""What an image counts for in a quota."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.config import LimitsConfig
from bot.requests.quotas import cost_in_images
from bot.scheduling.limits import LEAST_COST, check_cost, check_size
from pipeline.catalog.models import DEMO, FAKE, FLUX1_DEV, MODELS, ModelCard
from pipeline.spec import MAX_STEPS, Aspect, ImageOptions, Size, last_steps

UPSCALING = [card for card in MODELS.values() if card.can_upscale]


@pytest.mark.parametrize("card", [FLUX1_DEV, DEMO, FAKE], ids=lambda card: card.name)
def test_image_of_usual_size_and_steps_counts_as_one(card) -> None:
    for aspect in card.sizes:
        assert cost_in_images(card.resolve(ImageOptions(prompt="x", aspect=aspect), random_seed=0), card) == 1


@pytest.mark.parametrize(
    ("size", "steps", "cost"),
    [
        ("draft", 20, 0.25),
        ("draft", 10, 0.25),
        ("normal", 1, 1),
        ("normal", 50, 2.5),
        ("large", 20, 2.02),
        ("448x448", 20, 0.19),
        ("256x256", 1, 0.06),
    ],
)
def test_other_sizes_and_steps_count_in_proportion(size: str, steps: int, cost: float) -> None:
    options = ImageOptions.read(prompt="x", aspect="wide", size=size, steps=steps)
    assert cost_in_images(FLUX1_DEV.resolve(options, random_seed=0), FLUX1_DEV) == pytest.approx(cost, abs=0.011)


def test_more_pixels_or_steps_never_count_less() -> None:
    def cost(aspect: Aspect, size: Size, steps: int) -> float:
        options = ImageOptions(prompt="x", aspect=aspect, size=size, steps=steps)
        return cost_in_images(FLUX1_DEV.resolve(options, random_seed=0), FLUX1_DEV)

    sizes = (Size.DRAFT, Size.NORMAL, Size.LARGE)
    for aspect in Aspect:
        for size in sizes:
            costs = [cost(aspect, size, steps) for steps in range(1, MAX_STEPS + 1)]
            assert costs == sorted(costs)
        for steps in (1, 20, MAX_STEPS):
            costs = [cost(aspect, size, steps) for size in sizes]
            assert costs == sorted(set(costs))


def test_size_of_an_earlier_release_counts_in_proportion_to_a_square() -> None:
    spec = FLUX1_DEV.resolve(ImageOptions(prompt="x"), random_seed=0)
    assert cost_in_images(replace(spec, width=512, height=16), FLUX1_DEV) == LEAST_COST
    assert cost_in_images(replace(spec, width=1024, height=2048), FLUX1_DEV) == 2


@pytest.mark.parametrize("card", UPSCALING, ids=lambda card: card.name)
def test_default_limits_let_everybody_upscale_an_image_of_any_usual_shape(card: ModelCard) -> None:
    limits = LimitsConfig()
    for aspect in card.sizes:
        options = ImageOptions(prompt="x", aspect=aspect, upscale=2, strength=card.upscale_strength)
        spec = card.resolve(options, random_seed=0, source="a" * 64)
        check_size(spec, limits)
        cost = cost_in_images(spec, card)
        check_cost(spec, cost, limits)
        assert cost == pytest.approx(4.65 * last_steps(spec.steps, spec.strength) / card.default_steps, rel=0.1)
        assert 0.5 < cost < 2.5
