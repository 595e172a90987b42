"""Whatever stands in a row is read, and never more than the row itself is lost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.jobs import FailureCode
from bot.store import spec_codec
from pipeline import ImageSpec
from pipeline.spec import MAX_STEPS

SPEC = ImageSpec(prompt="a cat", seed=1, steps=20, width=64, height=64, guidance=3.5, cfg_scale=1.0, model="demo")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


def stored(**changes: object) -> str:
    return json.dumps({**json.loads(spec_codec.encode(SPEC)), **changes})


def test_stored_spec_is_read_back() -> None:
    with_source = replace(SPEC, source="ab" * 32, strength=0.5)
    with_settings = replace(SPEC, negative_prompt="rain", sampler="ddim", clip_skip=2)
    upscaled = replace(with_source, width=2 * SPEC.width, height=2 * SPEC.height, upscale=2)
    for spec in (SPEC, with_source, with_settings, upscaled):
        assert spec_codec.decode(spec_codec.encode(spec)) == (spec, None)


def test_spec_of_a_release_without_sources_is_read() -> None:
    fields = json.loads(spec_codec.encode(SPEC))
    del fields["source"], fields["strength"]
    assert spec_codec.decode(json.dumps(fields)) == (SPEC, None)


def test_bounds_are_not_checked_on_reading() -> None:
    spec, flaw = spec_codec.decode(stored(steps=MAX_STEPS + 1, width=100_000, prompt=""))
    assert (spec.steps, spec.width, spec.prompt, flaw) == (MAX_STEPS + 1, 100_000, "", None)


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        (stored(version=2), FailureCode.NEWER_RELEASE),
        (stored(version=2, prompt=["a cat"]), FailureCode.NEWER_RELEASE),
        (stored(lora="of a newer release"), FailureCode.NEWER_RELEASE),
        (stored(lora="", negative=None, weights=[]), None),  # says nothing, so it changes nothing
        (stored(sampler="of a newer release"), FailureCode.NEWER_RELEASE),
        (stored(upscale=4), FailureCode.NEWER_RELEASE),
        (stored(upscale=-(2**62)), FailureCode.NEWER_RELEASE),
        (stored(upscale=0), None),
        (stored(upscale="2"), FailureCode.UNREADABLE),
        (stored(negative_prompt=["rain"]), FailureCode.UNREADABLE),
        (stored(strength=True), FailureCode.UNREADABLE),
        (stored(steps="4"), FailureCode.UNREADABLE),
        (stored(seed=10**30), FailureCode.UNREADABLE),
        (stored(version=True), FailureCode.UNREADABLE),
        (stored(version=0), FailureCode.UNREADABLE),
        (stored(version="1"), FailureCode.UNREADABLE),
        ("{}", FailureCode.UNREADABLE),
        ("[]", FailureCode.UNREADABLE),
        ("null", FailureCode.UNREADABLE),
        ('{"version": 1, "prompt": "a c', FailureCode.UNREADABLE),
        ("[" * 100_000, FailureCode.UNREADABLE),
        ('{"version": 1, "seed": ' + "9" * 5000 + "}", FailureCode.UNREADABLE),
        ("", FailureCode.UNREADABLE),
        (b"\xff\x00", FailureCode.UNREADABLE),
        (None, FailureCode.UNREADABLE),
        (7, FailureCode.UNREADABLE),
    ],
    ids=range(26),
)
def test_what_cannot_be_drawn_is_told_from_what_can(text: object, flaw: FailureCode | None) -> None:
    assert spec_codec.decode(text)[1] is flaw


def test_what_can_be_read_of_a_damaged_row_is_kept() -> None:
    spec, _ = spec_codec.decode(stored(steps=None, prompt="half \ud800 a character"))
    assert (spec.prompt, spec.steps, spec.seed) == ("half ? a character", 0, 1)


def test_rows_of_earlier_versions_are_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(fields: dict[str, object]) -> dict[str, object]:
        return {"cfg_scale": fields.pop("cfg"), **fields}

    monkeypatch.setattr(spec_codec, "SPEC_VERSION", 2)
    monkeypatch.setattr(spec_codec, "_UPGRADES", {1: rename})
    fields = json.loads(stored())
    fields["cfg"] = fields.pop("cfg_scale")
    assert spec_codec.decode(json.dumps(fields)) == (SPEC, None)


@given(st.text() | st.binary() | JSON_VALUES | JSON_VALUES.map(json.dumps))
def test_anything_at_all_is_read_without_an_error(value: object) -> None:
    assert spec_codec.decode(value)[1] is FailureCode.UNREADABLE


@given(st.sampled_from([*json.loads(stored()), "unknown"]), JSON_VALUES)
def test_any_value_in_any_field_leaves_the_others(name: str, value: object) -> None:
    spec, _ = spec_codec.decode(stored(**{name: value}))
    assert {**json.loads(spec.to_json()), name: 0, "version": 1} == {**json.loads(stored()), name: 0, "version": 1}
    spec.to_json().encode()
