"""What was typed wins; whatever else holds becomes part of the request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.requests.defaults import Filled, Levels, Wish, fill
from bot.requests.models import Models
from bot.requests.preferences import Personal
from bot.requests.presets import Preset
from pipeline.catalog.models import DEMO, FAKE
from pipeline.spec import MAX_PROMPT_CHARS, Aspect, ImageOptions
from tests.cards import PAINTER
from tests.loras import LORAS

MODELS = Models(usual=FAKE, others=(PAINTER,))
PERSONAL = Personal(aspect=Aspect.PORTRAIT, steps=9, suffix="in ink", model=PAINTER.name, is_private=True)


def filled(prompt: str = "a cat", levels: Levels = Levels(), *, has_image: bool = False, **typed: Any) -> Filled:  # noqa: B008 - frozen
    return fill(Wish(values={"prompt": prompt, **typed}, has_image=has_image), levels, MODELS)


def drawn(found: Filled) -> ImageOptions:
    return ImageOptions.read(**found.options)


def keys(found: Filled) -> list[str]:
    return [note.key for note in found.notes]


def test_nothing_chosen_leaves_everything_to_the_model() -> None:
    assert drawn(filled()) == ImageOptions(prompt="a cat", model=FAKE.name)


def test_every_level_gives_way_to_the_one_above() -> None:
    channel = {"aspect": "landscape", "model": FAKE.name, "private": False}
    levels = Levels(channel=channel)
    assert drawn(filled(levels=levels)).aspect is Aspect.LANDSCAPE
    levels = replace(levels, personal=PERSONAL)
    found = filled(levels=levels)
    assert drawn(found) == ImageOptions(prompt="a cat, in ink", model=PAINTER.name, aspect=Aspect.PORTRAIT, steps=9)
    assert found.is_private
    levels = replace(levels, preset=Preset(options={"steps": 11, "aspect": "square"}))
    assert drawn(filled(levels=levels)).steps == 11
    assert drawn(filled("a cat --steps 12", levels)).steps == 12
    assert drawn(filled("a cat --steps 12", levels, steps=13)).steps == 13
    assert drawn(filled(levels=levels)).aspect is Aspect.SQUARE
    assert drawn(filled(levels=levels, model=FAKE.name)).model == FAKE.name


@pytest.mark.parametrize(
    ("typed", "personal", "channel", "is_private"),
    [
        (None, None, {}, False),
        (None, None, {"private": True}, True),
        (None, False, {"private": True}, False),
        (False, True, {"private": True}, False),
        (True, False, {}, True),
        (None, None, {"private": "yes"}, False),
    ],
)
def test_who_sees_it_is_decided_by_the_first_who_says(
    typed: bool | None, personal: bool | None, channel: dict[str, object], is_private: bool
) -> None:
    levels = Levels(personal=Personal(is_private=personal, is_spoiler=personal), channel=channel)
    found = fill(Wish(values={"prompt": "x"}, is_private=typed), levels, MODELS)
    assert found.is_private is is_private
    assert found.is_spoiler is (personal or False)


def test_words_become_part_of_the_prompt_once() -> None:
    preset = Preset(prefix="a photo of", suffix="at night")
    levels = Levels(preset=preset, personal=PERSONAL)
    first = filled(levels=levels).options["prompt"]
    assert first == "a photo of, a cat, at night, in ink"
    assert filled(str(first), Levels(personal=PERSONAL)).options["prompt"] == first


def test_seed_asks_for_one_certain_image_and_gets_no_words_of_the_person() -> None:
    """So that the command line of an image draws it again for somebody who has words of their own."""
    levels = Levels(personal=PERSONAL)
    assert filled(levels=levels, seed=7).options["prompt"] == "a cat"
    assert filled("a cat --seed 7", levels).options["prompt"] == "a cat"
    assert filled(levels=levels, seed=-1).options["prompt"] == "a cat, in ink"


def test_words_for_which_there_is_no_room_are_left_out_and_it_is_said() -> None:
    prompt = "x" * (MAX_PROMPT_CHARS - 3)
    found = filled(prompt, Levels(personal=PERSONAL))
    assert found.options["prompt"] == prompt and keys(found) == ["defaults-words-left-out"]


def test_words_alone_make_no_prompt() -> None:
    assert filled("--steps 3", Levels(personal=PERSONAL)).options["prompt"] == ""


def test_flags_are_read_for_the_model_that_will_draw() -> None:
    found = filled("a cat --no rain", Levels(personal=PERSONAL))
    assert drawn(found).negative_prompt == "rain" and "flags-unsupported" not in keys(found)


def test_model_that_is_gone_is_said_and_the_next_choice_counts() -> None:
    personal, preset = replace(PERSONAL, model="long-gone"), Preset(options={"model": "older"})
    found = filled(levels=Levels(preset=preset, personal=personal, channel={"model": PAINTER.name}))
    assert drawn(found).model == PAINTER.name and keys(found) == ["defaults-model-gone"] * 2


def test_values_that_the_model_cannot_follow_are_left_out_and_said() -> None:
    preset = Preset(
        options={"negative_prompt": "rain", "sampler": "ddim", "steps": 5, "aspect": "phone", "strength": 0.4}
    )
    found = filled(levels=Levels(preset=preset))
    assert drawn(found) == ImageOptions(prompt="a cat", model=FAKE.name, steps=5)
    (note,) = found.notes
    names = note.values["names"]
    assert isinstance(names, tuple) and len(names) == 3
    FAKE.resolve(drawn(found), random_seed=1)


def test_exact_size_and_shape_replace_each_other() -> None:
    exact = Levels(preset=Preset(options={"size": "96x96"}), personal=PERSONAL)
    assert drawn(filled(levels=exact, model=FAKE.name)).aspect is None
    assert drawn(filled(levels=exact, model=FAKE.name, aspect="landscape")).size is None
    assert drawn(filled(levels=Levels(personal=PERSONAL), model=FAKE.name, size="96x96")).aspect is None


def test_shape_of_a_starting_image_counts_before_that_of_the_person() -> None:
    preset = Preset(options={"strength": 0.4})
    found = filled(
        levels=Levels(preset=preset, personal=PERSONAL, channel={"aspect": "wide"}), has_image=True, model=FAKE.name
    )
    assert drawn(found).aspect is None
    assert drawn(found).strength == (0.4 if FAKE.offers("strength") else None)


@pytest.mark.parametrize(
    "channel", [{"model": 7, "aspect": 3, "private": 1}, {"model": "", "aspect": "", "private": None}]
)
def test_damaged_choice_of_a_channel_counts_as_none(channel: dict[str, object]) -> None:
    found = filled(levels=Levels(channel=channel))
    assert drawn(found).aspect is None and not found.is_private


def test_loras_of_a_preset_are_drawn_with_if_the_model_can() -> None:
    models = Models(usual=FAKE, others=(DEMO,), loras=lambda: LORAS)
    levels = Levels(preset=Preset.of({"loras": "ink:0.5,turbo:0.125"}))

    def draw(**typed: object) -> Filled:
        return fill(Wish(values={"prompt": "a cat", **typed}), levels, models)

    assert (drawn(draw()).loras, drawn(draw()).steps) == ("ink:0.5,turbo:0.125", 8)
    assert (drawn(draw(loras="film")).loras, drawn(draw(loras="film")).steps) == ("film:1", None)
    other = draw(model="demo")
    assert drawn(other).loras is None and keys(other) == ["defaults-unfit"]
    gone = fill(Wish(values={"prompt": "a cat"}), levels, Models(usual=FAKE))
    assert drawn(gone).loras is None and keys(gone) == ["defaults-unfit"]


@pytest.mark.parametrize("value", ["ink", "ink:9", "../x:1", "", 3, None, ["ink:1"], "b:1,a:1"])
def test_preset_with_loras_that_make_no_sense_has_none(value: object) -> None:
    assert Preset.of({"loras": value}).is_empty
