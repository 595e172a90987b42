"""The spec: JSON both ways, limits, prompts made clean."""

from __future__ import annotations

import contextlib
import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import InvalidSpec
from pipeline.spec import (
    MAX_CLIP_SKIP,
    MAX_GUIDANCE,
    MAX_PROMPT_CHARS,
    MAX_SEED,
    MAX_SIDE_PX,
    MAX_STEPS,
    Aspect,
    Dimensions,
    ImageOptions,
    ImageSpec,
    Sampler,
    Size,
    Strength,
    clean_prompt,
)

SIDES = st.integers(1, MAX_SIDE_PX // 16).map(lambda patches: 16 * patches)
SCALES = st.floats(0, MAX_GUIDANCE)
SPECS = st.builds(
    ImageSpec,
    prompt=st.text(min_size=1, max_size=MAX_PROMPT_CHARS).map(clean_prompt).filter(bool),
    seed=st.integers(0, MAX_SEED),
    steps=st.integers(1, MAX_STEPS),
    width=SIDES,
    height=SIDES,
    guidance=SCALES,
    cfg_scale=SCALES,
    model=st.text(min_size=1, max_size=20),
    negative_prompt=st.text(max_size=MAX_PROMPT_CHARS).map(clean_prompt),
    sampler=st.sampled_from(["", *map(str, Sampler)]),
    clip_skip=st.integers(0, MAX_CLIP_SKIP),
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


def fields(**changes: object) -> dict[str, object]:
    base: dict[str, object] = {
        "prompt": "a cat",
        "seed": 1,
        "steps": 20,
        "width": 64,
        "height": 64,
        "guidance": 3.5,
        "cfg_scale": 1.0,
        "model": "demo",
    }
    return base | changes


@given(SPECS)
def test_json_round_trip_keeps_every_field(spec: ImageSpec) -> None:
    assert ImageSpec.from_json(spec.to_json()) == spec


@given(SPECS)
def test_json_is_one_line_of_utf_8(spec: ImageSpec) -> None:
    assert "\n" not in spec.to_json()
    spec.to_json().encode()


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")) | JSON_VALUES.map(json.dumps))
def test_foreign_text_is_refused_and_never_crashes(text: str) -> None:
    with pytest.raises(InvalidSpec):
        ImageSpec.from_json(text)


@given(st.sampled_from(sorted(fields())), JSON_VALUES)
def test_any_value_in_any_field_is_read_or_refused(name: str, value: object) -> None:
    text = json.dumps({"version": 1, **fields(), name: value})
    try:
        spec = ImageSpec.from_json(text)
    except InvalidSpec:
        return
    assert getattr(spec, name) == value


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"version": 1, "seed": ' + "9" * 5000 + "}",
        json.dumps({"version": 1, **fields(guidance=10**400)}),
        json.dumps({"version": 1, **fields(seed=True)}),
        json.dumps({"version": 1, **fields(steps=2.0)}),
        json.dumps({"version": 2, **fields()}),
        json.dumps(fields()),
        json.dumps({"version": 1, **fields(extra=1)}),
        json.dumps({"version": 1, "prompt": "a cat"}),
        json.dumps({"version": 1, **fields(prompt="\ud800")}),
        json.dumps({"version": 1, **fields(guidance=float("nan"))}),
    ],
    ids=range(11),
)
def test_hostile_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidSpec):
        ImageSpec.from_json(text)


def test_spec_of_a_release_without_sources_is_read() -> None:
    spec = ImageSpec.from_json(json.dumps({"version": 1, **fields()}))
    assert (spec.source, spec.strength) == ("", 1.0)


def test_settings_that_say_nothing_are_not_written_so_that_earlier_releases_read_the_rest() -> None:
    spec = ImageSpec(**fields())  # type: ignore[arg-type]
    assert json.loads(spec.to_json()) == {"version": 1, **fields(), "source": "", "strength": 1.0}
    asked = ImageSpec(**fields(negative_prompt="rain", sampler="euler", clip_skip=2))  # type: ignore[arg-type]
    assert json.loads(asked.to_json()).keys() - json.loads(spec.to_json()).keys() == {
        "negative_prompt",
        "sampler",
        "clip_skip",
    }
    upscaled = ImageSpec(**fields(source="a" * 64, strength=0.5, upscale=2))  # type: ignore[arg-type]
    assert json.loads(upscaled.to_json()).keys() - json.loads(spec.to_json()).keys() == {"upscale"}
    assert ImageSpec.from_json(upscaled.to_json()) == upscaled


def test_size_of_an_upscale_is_what_is_computed() -> None:
    upscaled = ImageSpec(
        **fields(width=2048, height=1536, steps=20, source="a" * 64, strength=0.3, upscale=2)  # type: ignore[arg-type]
    )
    assert (upscaled.source_size, upscaled.tile_size) == ((1024, 768), (1104, 832))
    assert upscaled.step_pixels == 4 * 1104 * 832
    assert upscaled.pixel_steps == 6 * upscaled.step_pixels
    whole = ImageSpec(**fields(width=2048, height=1536, steps=20))  # type: ignore[arg-type]
    assert whole.source_size == whole.tile_size == (2048, 1536)
    assert whole.pixel_steps == 20 * whole.step_pixels == 20 * 2048 * 1536


@pytest.mark.parametrize(
    "changes", [{"upscale": 1}, {"upscale": 3}, {"upscale": -2}, {"source": ""}, {"width": 80}, {"height": 48}]
)
def test_upscale_by_another_number_from_nothing_or_from_half_a_patch_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidSpec, match="upscale"):
        ImageSpec(**fields(**{"source": "a" * 64, "upscale": 2, **changes}))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [10**40, -(10**40), 0])
@pytest.mark.parametrize("name", ["upscale", "width", "height"])
def test_damaged_upscale_has_a_size_all_the_same(name: str, value: int) -> None:
    damaged = {"upscale": 2, "source": "", "strength": 1.0, "reference_pixels": 0, name: value}
    spec = ImageSpec.accepted(**fields(**damaged))  # type: ignore[arg-type]
    assert isinstance(spec.step_pixels, int) and len(spec.source_size) == 2


@pytest.mark.parametrize(
    ("typed", "strength"),
    [
        ("subtle", Strength.SUBTLE),
        (" STRONG ", Strength.STRONG),
        ("0.6", 0.6),
        ("0,6", 0.6),
        (".6", 0.6),
        ("1.", 1.0),
        ("60%", 0.6),
        ("60 %", 0.6),
        ("６０％", 0.6),
        ("", None),
        (" ", None),
    ],
)
def test_strength_is_read_as_people_type_it(typed: str, strength: Strength | float | None) -> None:
    assert ImageOptions.read(prompt="x", strength=typed).strength == strength


@pytest.mark.parametrize(
    "typed", ["half", "-0.5", "0.5.5", "nan", "inf", "1e-3", "%", ".", "0x1", "9" * 100, "5" * 5000]
)
def test_what_is_no_strength_is_refused(typed: str) -> None:
    with pytest.raises(InvalidSpec, match="strength: must be subtle, medium, strong, or a number"):
        ImageOptions.read(prompt="x", strength=typed)


@pytest.mark.parametrize(
    ("typed", "sampler"),
    [
        ("DPM++ 2M Karras", Sampler.DPMPP_2M_KARRAS),
        ("DPM++ 2M", Sampler.DPMPP_2M_KARRAS),
        ("dpmpp_2m_karras", Sampler.DPMPP_2M_KARRAS),
        (" ｄｐｍ＋＋ 2m karras", Sampler.DPMPP_2M_KARRAS),
        ("dpmpp-2m-karras", Sampler.DPMPP_2M_KARRAS),
        ("Euler", Sampler.EULER),
        ("ddim", Sampler.DDIM),
        ("", None),
    ],
)
def test_sampler_is_read_as_other_programs_spell_it(typed: str, sampler: Sampler | None) -> None:
    assert ImageOptions.read(prompt="x", sampler=typed).sampler is sampler


@pytest.mark.parametrize("name", ["Euler a", "DPM++ 2M SDE", "DPM2 Karras", "heun", "x" * 10**5, "é"])
def test_sampler_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidSpec, match="sampler: must be one of dpmpp-2m-karras, euler, ddim"):
        ImageOptions.read(prompt="x", sampler=name)


def test_whole_number_is_accepted_where_a_float_belongs() -> None:
    assert ImageSpec.from_json(json.dumps({"version": 1, **fields(guidance=3)})).guidance == 3.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", ""),
        ("prompt", "x" * (MAX_PROMPT_CHARS + 1)),
        ("prompt", "a\x00b"),
        ("seed", -1),
        ("seed", MAX_SEED + 1),
        ("steps", 0),
        ("steps", MAX_STEPS + 1),
        ("width", 0),
        ("width", 72),
        ("height", MAX_SIDE_PX + 16),
        ("guidance", float("inf")),
        ("cfg_scale", -1.0),
        ("model", ""),
        ("source", "../../etc/passwd"),
        ("source", "A" * 64),
        ("strength", 0.5),  # without a source
        ("strength", 0.0),
        ("negative_prompt", "x" * (MAX_PROMPT_CHARS + 1)),
        ("negative_prompt", "a\x00b"),
        ("sampler", "heun"),
        ("clip_skip", MAX_CLIP_SKIP + 1),
    ],
)
def test_value_out_of_range_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidSpec) as raised:
        ImageSpec(**fields(**{field: value}))  # type: ignore[arg-type]
    assert raised.value.field == field


ENGLAND, SCOTLAND, WALES = (
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in code) + "\U000e007f"
    for code in ("gbeng", "gbsct", "gbwls")
)
TRICKY = st.lists(
    st.sampled_from(
        [
            *"a e\u0301\u200b\u200c\u200d\u202e\u0645\u06cc\u064e\u0915\u093c\u0958\ufb1d\U0001f3f4",
            ENGLAND[1],
            ENGLAND[-1],
            ENGLAND,
        ]
    )
).map("".join)


@given(TRICKY)
@example("\u05d9\u093c\u05b4\u200c\u05de")  # normalized, its marks change places
def test_cleaning_joiners_and_flags_twice_changes_nothing(text: str) -> None:
    clean = clean_prompt(text)
    assert clean_prompt(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)
    assert "\u200b" not in clean and "\u202e" not in clean
    assert clean.strip("\u200c\u200d") == clean


@given(
    st.lists(
        st.sampled_from([ENGLAND, SCOTLAND, WALES, "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "a cat"]),
        min_size=1,
    )
)
def test_what_shows_survives_cleaning(words: list[str]) -> None:
    assert clean_prompt("  ".join(words)) == " ".join(words)


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean_prompt(clean_prompt(text)) == clean_prompt(text)


@given(st.text(min_size=1))
def test_clean_prompt_is_accepted_or_empty(text: str) -> None:
    if prompt := clean_prompt(text)[:MAX_PROMPT_CHARS]:
        ImageSpec(**fields(prompt=prompt))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        ("  a \t red\n\napple ", "a red apple"),
        ("一只　熊猫", "一只 熊猫"),
        ("cat\u200b\u202e\ufeff", "cat"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("\u200d", ""),
        ("cafe\u0301", "café"),
        ("e\u200c\u0301", "é"),
        ("a\ud800b", "ab"),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),  # Persian: I want
        ("\u0645\u06cc\u200c\u200c\u062e\u200c", "\u0645\u06cc\u200c\u062e"),
        ("\u200ca\u200cb\u200c", "ab"),  # shows nowhere
        (f"the flag of {WALES}", f"the flag of {WALES}"),
        (f"{SCOTLAND}\u200b!", f"{SCOTLAND}!"),
        (f"cat{SCOTLAND[1:]}", "cat"),  # tags that belong to no flag say things that nobody sees
        (SCOTLAND[:-1], "\U0001f3f4"),  # nor do those that do not end
    ],
)
def test_prompt_is_cleaned(typed: str, clean: str) -> None:
    assert clean_prompt(typed) == clean


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", None),
        ("prompt", ["a cat"]),
        ("prompt", b"a cat"),
        ("seed", True),
        ("seed", "7"),
        ("seed", 7.5),
        ("seed", float("nan")),
        ("steps", float("inf")),
        ("steps", [4]),
        ("steps", {}),
        ("aspect", "round"),
        ("aspect", 3),
        ("aspect", ["square"]),
        ("model", 7),
        ("model", {"name": "demo"}),
        ("strength", True),
        ("strength", "half"),
        ("strength", []),
    ],
)
def test_value_of_another_type_is_refused_at_the_door(field: str, value: object) -> None:
    with pytest.raises(InvalidSpec) as raised:
        ImageOptions.read(**{"prompt": "a cat", field: value})
    assert raised.value.field == field


@given(st.sampled_from(["prompt", "seed", "steps", "aspect", "size", "model", "strength"]), JSON_VALUES)
def test_any_value_at_the_door_is_read_or_refused(field: str, value: object) -> None:
    with contextlib.suppress(InvalidSpec):
        ImageOptions.read(**{"prompt": "a cat", field: value})


def test_values_as_json_and_forms_write_them_are_understood() -> None:
    read = ImageOptions.read(prompt="a cat", seed=7.0, steps=4.0, aspect="wide", model="", strength=1)
    assert read == ImageOptions(prompt="a cat", seed=7, steps=4, aspect=Aspect.WIDE, strength=1.0)
    assert ImageOptions.read(prompt="a cat", aspect="", seed=None) == ImageOptions(prompt="a cat")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", 7),
        ("seed", True),
        ("seed", 1.0),
        ("steps", "4"),
        ("strength", True),
        ("guidance", "3"),
        ("model", None),
    ],
)
def test_spec_holds_no_value_of_another_type(field: str, value: object) -> None:
    with pytest.raises(InvalidSpec) as raised:
        ImageSpec(**fields(**{field: value}))  # type: ignore[arg-type]
    assert raised.value.field == field


def test_pixel_steps_measure_the_job() -> None:
    assert ImageSpec(**fields(steps=2)).pixel_steps == 64 * 64 * 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("draft", Size.DRAFT),
        (" Large ", Size.LARGE),
        ("448x448", Dimensions(width=448, height=448)),
        ("448X512", Dimensions(width=448, height=512)),
        (" 448 × 448 ", Dimensions(width=448, height=448)),
        ("448*512", Dimensions(width=448, height=512)),
        ("４４８ｘ５１２", Dimensions(width=448, height=512)),
        ("0x99999", Dimensions(width=0, height=99999)),  # for the model's card to refuse, with what it can draw
        ("", None),
        (" \u3000", None),
        (None, None),
    ],
)
def test_size_is_read_as_people_type_it(text: str | None, size: object) -> None:
    assert ImageOptions.read(prompt="a cat", size=text).size == size


@pytest.mark.parametrize("text", ["huge", "448", "x", "-4x4", "448x", "1e3x1e3", "4.5x4", "4x4x4", "9" * 5000, "٤x٤"])
def test_text_that_names_no_size_is_answered_with_what_does(text: str) -> None:
    with pytest.raises(InvalidSpec, match="must be draft, normal, large, or a width and a height like 448x448"):
        ImageOptions.read(prompt="a cat", size=text)


@given(st.integers(0, 999_999), st.integers(0, 999_999))
def test_exact_size_is_read_as_it_is_written(width: int, height: int) -> None:
    size = Dimensions(width=width, height=height)
    assert ImageOptions.read(prompt="a cat", size=str(size)).size == size


def spec_with(**changes: object) -> ImageSpec:
    return ImageSpec.from_json(json.dumps({"version": 1} | fields(**changes)))


def test_what_later_releases_know_is_written_only_if_it_says_something() -> None:
    assert not {"loras", "references", "translated"} & json.loads(spec_with().to_json()).keys()
    full = spec_with(
        loras="ink:0.8", references=",".join(["a" * 64] * 3), reference_pixels=2**20, translated="a red apple"
    )
    assert ImageSpec.from_json(full.to_json()) == full
    assert full.text == "a red apple" and len(full.reference_keys) == 3
    assert spec_with().text == spec_with().prompt and spec_with().reference_keys == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"loras": "ink"}, {"loras": None}, {"references": "a"}, {"references": ",".join(["a" * 64] * 4)},
        {"references": "a" * 64 + ","}, {"references": "a" * 64, "source": "b" * 64},
        {"reference_pixels": 1}, {"reference_pixels": -1, "references": "a" * 64}, {"reference_pixels": 1.5},
        {"reference_pixels": 2**62, "references": "a" * 64}, {"translated": "x" * 2001},
        {"translated": "a\nb"},
    ],
)  # fmt: skip
def test_what_later_releases_know_is_checked(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidSpec):
        spec_with(**changes)
