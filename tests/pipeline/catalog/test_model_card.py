"""What people may ask of a model, and what becomes of settings that it does not have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import DEMO, FLUX1_DEV, MODELS
from pipeline.errors import InvalidSpec
from pipeline.spec import ImageOptions, ImageSpec, Sampler, Strength
from tests.cards import PAINTER


def resolved(card: ModelCard, **asked: object) -> ImageSpec:
    return card.resolve(ImageOptions.read(prompt="a cat", **asked), random_seed=0)


def test_settings_that_are_left_out_are_those_of_the_model() -> None:
    card = replace(PAINTER, negative_prompt=" rain\n", clip_skip=2)
    spec = resolved(card)
    assert (spec.negative_prompt, spec.cfg_scale, spec.sampler, spec.clip_skip) == ("rain", 7.0, "dpmpp-2m-karras", 2)
    assert resolved(card, negative_prompt="").negative_prompt == ""
    flux = resolved(FLUX1_DEV)
    assert (flux.negative_prompt, flux.cfg_scale, flux.sampler, flux.clip_skip) == ("", 1.0, "", 0)


def test_settings_that_are_asked_for_are_taken() -> None:
    spec = resolved(PAINTER, negative_prompt=" rain \u200b", cfg_scale=4, sampler="DDIM", clip_skip=2.0)
    assert (spec.negative_prompt, spec.cfg_scale, spec.sampler, spec.clip_skip) == ("rain", 4.0, "ddim", 2)
    assert type(spec.sampler) is str
    assert resolved(FLUX1_DEV, guidance=2).guidance == 2.0


@pytest.mark.parametrize(
    ("card", "asked", "detail"),
    [
        (PAINTER, {"negative_prompt": "x" * 2001}, ""),
        (PAINTER, {"cfg_scale": 0.5}, ""),
        (PAINTER, {"cfg_scale": float("nan")}, ""),
        (PAINTER, {"cfg_scale": 10**400}, ""),
        (PAINTER, {"cfg_scale": "7"}, ""),
        (PAINTER, {"clip_skip": 0}, ""),
        (PAINTER, {"clip_skip": 13}, ""),
        (PAINTER, {"clip_skip": 1.5}, ""),
        (PAINTER, {"sampler": Sampler.EULER}, "other"),
        (PAINTER, {"guidance": 3.5}, "not-offered"),
        (FLUX1_DEV, {"guidance": 31}, ""),
        (FLUX1_DEV, {"negative_prompt": "rain"}, "not-offered"),
        (FLUX1_DEV, {"cfg_scale": 7}, "not-offered"),
        (FLUX1_DEV, {"sampler": "euler"}, "not-offered"),
        (FLUX1_DEV, {"clip_skip": 2}, "not-offered"),
    ],
    ids=lambda value: value.name if isinstance(value, ModelCard) else str(value)[:40],
)
def test_settings_that_a_model_lacks_or_that_are_out_of_range_are_refused_by_name(
    card: ModelCard, asked: dict[str, object], detail: str
) -> None:
    with pytest.raises(InvalidSpec) as raised:
        resolved(card, **asked)
    assert (raised.value.field, raised.value.detail) == (next(iter(asked)), detail)


def test_asking_for_what_a_model_does_anyway_is_no_mistake() -> None:
    assert resolved(DEMO, negative_prompt=" \u200b", cfg_scale=1, guidance=3.5, clip_skip=0) == resolved(DEMO)


@pytest.mark.parametrize("card", MODELS.values(), ids=lambda card: card.name)
def test_named_strength_is_the_number_of_the_model(card: ModelCard) -> None:
    def strength(asked: str | float | None) -> float:
        options = ImageOptions.read(prompt="a cat", strength=asked)
        return card.resolve(options, random_seed=0, source="a" * 64).strength

    assert [strength(name.value) for name in Strength] == [card.strengths[name] for name in Strength]
    assert strength(None) == card.default_strength == strength("medium")
    assert strength(0.33) == 0.33


@pytest.mark.parametrize(
    "strengths", [{}, {"subtle": 0.2, "medium": 0.2, "strong": 0.3}, {"subtle": 0.2, "medium": 0.4, "strong": 1.0}]
)
def test_strengths_that_do_not_rise_are_an_error(strengths: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="do not rise"):
        replace(DEMO, strengths={Strength(name): value for name, value in strengths.items()})


def test_strength_without_an_image_and_an_image_without_a_model_for_it_are_refused_by_name() -> None:
    with pytest.raises(InvalidSpec) as raised:
        resolved(DEMO, strength="subtle")
    assert (raised.value.field, raised.value.detail) == ("strength", "without-image")
    with pytest.raises(InvalidSpec) as raised:
        replace(DEMO, supports=frozenset()).resolve(ImageOptions(prompt="x"), random_seed=0, source="a" * 64)
    assert (raised.value.field, raised.value.detail) == ("image", "not-offered")


@pytest.mark.parametrize("changes", [{"samplers": ()}, {"clip_skip": 0}], ids=str)
def test_card_that_contradicts_itself_is_an_error(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="the other way round"):
        replace(PAINTER, **changes)  # type: ignore[arg-type]
