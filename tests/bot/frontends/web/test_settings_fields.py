"""The fields for settings that only some models have: what they hold counts if they are shown, and comes back."""

from __future__ import annotations

import json

import pytest

from bot.frontends.web import form
from bot.frontends.web.settings_fields import asked, refilled
from bot.requests.models import Models
from pipeline.catalog.models import DEMO, FAKE
from pipeline.errors import InvalidSpec
from pipeline.spec import ImageOptions, Sampler
from tests.cards import PAINTER
from tests.loras import LORAS

MODELS = Models(usual=FAKE, others=(PAINTER, DEMO), loras=lambda: LORAS)
TYPED = {"negative_prompt": "rain", "cfg_scale": " ４，5", "guidance": "2", "sampler": "ddim", "clip_skip": "2"}


def test_what_stands_in_fields_of_another_model_does_not_count() -> None:
    own = {"negative_prompt": "rain", "cfg_scale": 4.5, "sampler": "ddim", "clip_skip": 2.0}
    assert asked(TYPED, PAINTER, MODELS) == own
    assert asked(TYPED, FAKE, MODELS) == {"guidance": 2.0}
    assert asked(dict.fromkeys(TYPED, ""), PAINTER, MODELS) == asked(dict.fromkeys(TYPED), PAINTER, MODELS) == {}


@pytest.mark.parametrize("typed", ["seven", "7 or 8", "0x7", "--", "9" * 20 + "e"])
def test_what_is_no_number_is_refused_by_name(typed: str) -> None:
    with pytest.raises(InvalidSpec, match="cfg_scale"):
        asked({"cfg_scale": typed}, PAINTER, MODELS)


@pytest.mark.parametrize("typed", ["nan", "inf", "1e400", "31", "0"])
def test_number_out_of_range_is_left_to_the_model_to_refuse(typed: str) -> None:
    options = ImageOptions.read(prompt="x", **asked({"cfg_scale": typed}, PAINTER, MODELS))
    with pytest.raises(InvalidSpec, match="cfg_scale: must be 1 to 30"):
        PAINTER.resolve(options, random_seed=0)


def test_fields_are_filled_with_what_draws_it_again() -> None:
    options = ImageOptions(prompt="x", negative_prompt="rain", cfg_scale=4.5, sampler=Sampler.DDIM, clip_skip=2)
    assert refilled(options) == ["rain", "4.5", "", "ddim", "2", "", ""]
    assert refilled(ImageOptions(prompt="x", guidance=3.0)) == ["", "", "3", "", "", "", ""]
    none = ImageOptions(prompt="x", negative_prompt="")
    assert (refilled(none)[0], refilled(none, "ugly")[0], refilled(ImageOptions(prompt="x"), "ugly")[0]) == (
        "",
        "-",
        "",
    )


def test_slider_for_the_strength_follows_the_chosen_model() -> None:
    script = form.usual_strength([FAKE, DEMO])
    assert script == 'name => ({"fake": 0.6, "demo": 0.85})[name] ?? 0.6'


def test_loras_and_speed_are_offered_where_the_operator_has_some() -> None:
    typed = {"loras": "ink:0.5", "speed": "fast"}
    assert asked(typed, FAKE, MODELS) == typed
    assert asked(typed, DEMO, MODELS) == {}
    assert asked(typed, FAKE, Models(usual=FAKE)) == {}
    offered = json.loads(form.offer_choices(MODELS).partition("offered = ")[2].partition("[name]")[0])
    assert {"loras", "speed"} <= set(offered["fake"]) and not {"loras", "speed"} & set(offered["demo"])


def test_loras_of_an_image_come_back() -> None:
    assert refilled(ImageOptions(prompt="x", loras="film:1,ink:0.5")) == ["", "", "", "", "", "film:1,ink:0.5", ""]
