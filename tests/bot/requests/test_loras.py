"""What people write of LoRAs becomes what a spec holds, or a refusal with the reason; hostile texts included."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.presentation.phrases import Voice
from bot.presentation.wording import LANGUAGES, wording_for
from bot.requests.loras import check, find, fitting, read_for_any, read_option, read_tag, search, shown_name, tags
from bot.requests.models import Models
from bot.requests.prompt_flags import ReadPrompt, read_prompt
from pipeline.catalog.models import find_model
from pipeline.errors import InvalidSpec
from pipeline.lora_uses import read_uses
from pipeline.spec import MAX_PROMPT_CHARS, ImageOptions
from tests.loras import FILM, INK, LORAS, OLD

FAKE, DEMO = find_model("fake"), find_model("demo")
# A model of Stable Diffusion 1.5 that draws with LoRAs, beside one that does not.
SKETCH = replace(
    FAKE, name="sketch", title="Sketch", architecture=replace(FAKE.architecture, name="sd15", loras="sd15")
)
MODELS = Models(usual=FAKE, others=(DEMO, SKETCH), loras=lambda: LORAS)
ENGLISH = Voice(wording=wording_for("en"), write_moment=str)


def read(text: str, **given: object) -> ReadPrompt:
    return read_prompt(text, MODELS, given=given)


def loras_of(text: str, **given: object) -> object:
    return read(text, **given).options.get("loras")


def refusal(text: str = "a fox", **given: object) -> str:
    with pytest.raises(InvalidSpec) as caught:
        read(text, **given)
    told = {language: wording_for(language).invalid(caught.value) for language in LANGUAGES}
    assert len(set(told.values())) == len(LANGUAGES)
    return told["en"]


TYPED = {
    "ink": "ink:0.8",
    "ink:0.5, film": "film:1,ink:0.5",
    " INK : 1.25 ;; Film grain": "film:1,ink:1.25",
    "ink：0.5，film、lace": "film:1,ink:0.5,lace:1",
    "Ink: wash": "ink:0.8",
    "Ink: wash:0.3": "ink:0.3",
    "ink-wash-v2.safetensors:.5": "ink:0.5",
    "<lora:ink:0.4>": "ink:0.4",
    "<lora:Film grain:0.4:0.7>, ink": "film:0.4,ink:0.8",
    "ink:-1": "ink:-1",
    "ink:+2.00004": "ink:2",
    "ink:1, ink:0.5": "ink:0.5",
    "ink:0,5": "ink:0.5",
    "ink:0,5,film:1,25": "film:1.25,ink:0.5",
    "ink：0。5、film": "film:1,ink:0.5",
    "ink:1, film": "film:1,ink:1",
    "《lora：ink：0.4》，film": "film:1,ink:0.4",
    "  ": None,
}


@pytest.mark.parametrize("typed", TYPED)
def test_option_is_read_however_it_is_written(typed: str) -> None:
    found = read("a fox", loras=typed)
    assert found.options.get("loras") == TYPED[typed]
    assert found.prompt == "a fox" and "speed" not in found.options
    options = ImageOptions.read(**found.options)
    assert FAKE.resolve(options, random_seed=1).loras == (TYPED[typed] or "")


REFUSED = {
    "inc": "There is no LoRA “inc” here. With Fake: a colour gradient you can use: film, ink, lace, turbo",
    "old": "The LoRA “old” was made for other models than Fake: a colour gradient. It works with: Sketch",
    "ink, film, lace, turbo": "An image can use at most 3 LoRAs.",
    ", ,": "A LoRA is written as its name",
    "ink:0": "The strength of a LoRA must be a number from -4 to 4 other than 0, as in `ink:0.8`.",
    "film, ink:0.00001": "The strength of a LoRA must be a number",
    "<lora:ink:0>": "The strength of a LoRA must be a number",
    "ink:5": "The strength of a LoRA must be a number from -4 to 4 other than 0, as in `ink:0.8`.",
    "ink:-4.1": "The strength of a LoRA must be a number",
    "ink:1e308": "The strength of a LoRA must be a number",
    "ink:nan": "The strength of a LoRA must be a number",
    "ink:inf": "The strength of a LoRA must be a number",
    "ink:999999": "The strength of a LoRA must be a number",
    "ink:": "The strength of a LoRA must be a number",
    "../../etc/passwd:1": "There is no LoRA “..?..?etc?passwd” here.",
    "@everyone": "There is no LoRA “?everyone” here.",
    "<@123> **x**": "There is no LoRA “??123? ??x??” here.",
    "https://a.b/c": "There is no LoRA “https” here.",
    "x" * 301: "A LoRA is written as its name",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_option_that_cannot_be_followed_is_refused_with_the_reason(typed: str) -> None:
    assert refusal(loras=typed).startswith(REFUSED[typed])


@pytest.mark.parametrize("value", [7, ["ink"], {"ink": 1}, True, b"ink"])
def test_option_of_another_type_is_refused(value: Any) -> None:
    assert refusal(loras=value).startswith("A LoRA is written as its name")


def test_model_without_loras_refuses_them() -> None:
    assert refusal(loras="ink", model="demo") == (
        f"{DEMO.title} cannot use LoRAs. Please leave them out, or choose another model."
    )


def test_lora_that_fits_no_model_here_is_refused() -> None:
    with pytest.raises(InvalidSpec) as caught:
        read_option("old", replace(MODELS, others=(DEMO,)), FAKE)
    assert caught.value.detail == "no-base"
    with pytest.raises(InvalidSpec) as caught:
        read_option("x", replace(MODELS, loras=dict), FAKE)
    assert caught.value.detail == "none-here"


def test_other_model_takes_other_loras() -> None:
    assert loras_of("a fox", loras="old", model="sketch") == "old:1"
    assert "was made for other models than Sketch" in refusal(loras="ink", model="sketch")
    assert [lora.name for lora in fitting(MODELS, FAKE)] == ["film", "ink", "lace", "turbo"]
    assert fitting(MODELS, SKETCH) == [OLD] and fitting(MODELS, DEMO) == []


# --- tags ---------------------------------------------------------------------------------------------------


def test_tags_are_taken_out_of_the_prompt() -> None:
    found = read("a fox <lora:ink:0.5>, at night, <lora:Film grain>")
    assert (found.prompt, found.options["loras"]) == ("a fox, at night", "film:1,ink:0.5")
    assert [ENGLISH.say(phrase) for phrase in found.phrases()] == [
        "Taken from your prompt: LoRA ink 0.5, film 1",
        "💡 Ink: wash was trained on these words. Put one into your prompt to see more of it: inkstyle",
    ]


def test_trigger_words_that_are_there_are_not_told() -> None:
    assert read("an InkStyle fox", loras="ink").notes.triggers == ()
    assert read("a fox", loras="ink").notes.triggers == ((INK.title, INK.triggers),)


TAGS = {
    "a <LORA:ink:1> fox": ("a fox", "ink:1"),
    "a ＜lora：ink：0.5＞ fox": ("a fox", "ink:0.5"),
    "a fox<lora:ink:0.5><lora:film:0.25>": ("a fox", "film:0.25,ink:0.5"),
    "a fox <lora:ink:0.5> <lora:ink:0.7>": ("a fox", "ink:0.7"),
    "a fox <lora:ink:0.5:0.9:lbw=ALL>": ("a fox", "ink:0.5"),
    "a fox <lora:ink:0>": ("a fox", None),
    "a fox <lora:ink:0,5>": ("a fox", "ink:0.5"),
    "一只狐狸《lora：ink：0.5》": ("一只狐狸", "ink:0.5"),
    "a fox〈lora:ink:0。5〉": ("a fox", "ink:0.5"),
    "a fox < LoRA : ink : 0.5 >": ("a fox", "ink:0.5"),
    "一位读者在看《红楼梦》": ("一位读者在看《红楼梦》", None),
    "a fox --lora ink:0.4": ("a fox", "ink:0.4"),
    "/imagine prompt:a fox seed:3 lora:film:0.5,ink:0.8": ("a fox", "film:0.5,ink:0.8"),
    "a fox <lora:ink:0.5>\nSteps: 9, Sampler: Euler, Seed: 7, Size: 64x64": ("a fox", "ink:0.5"),
}


@pytest.mark.parametrize("text", TAGS)
def test_tags_and_flags_are_read_as_other_programs_write_them(text: str) -> None:
    found = read(text)
    assert (found.prompt, found.options.get("loras")) == TAGS[text]
    assert not found.notes.unknown


UNKNOWN = (
    "<lora:../../x:1>",
    "<lora:snow:0.8>",
    "<lora:ink:nan>",
    "<lora:ink:1e308>",
    "<lora:ink:0,8,1>",
    "<lora::1>",
    "<lora:@everyone:1>",
    "<lyco:ink:1>",
    "<hypernet:ink:1>",
)


@pytest.mark.parametrize("tag", UNKNOWN)
def test_tag_that_means_nothing_here_is_told_and_never_drawn(tag: str) -> None:
    found = read(f"a fox {tag}")
    assert found.prompt == "a fox" and "loras" not in found.options
    assert found.notes.unknown == (tag,)


def test_tag_for_another_model_is_told() -> None:
    found = read("a fox <lora:old:1>")
    assert found.notes.unsupported == ("<lora:old:1>",) and "loras" not in found.options
    assert read("a fox <lora:old:1> --model sketch").options["loras"] == "old:1"
    assert read("a fox <lora:ink:1>", model="demo").notes.unsupported == ("<lora:ink:1>",)


def test_tags_of_loras_that_are_here_keep_the_bounds() -> None:
    assert "at most 3" in refusal("a fox <lora:ink:1><lora:film:1><lora:lace:1><lora:turbo:1>")
    assert "from -4 to 4" in refusal("a fox <lora:ink:40>")
    assert "at most 3" in refusal("a fox <lora:ink:1>", loras="film, lace, turbo")


def test_option_wins_over_a_tag_of_the_same_name() -> None:
    found = read("a fox <lora:ink:0.3> <lora:film:0.5>", loras="ink:0.9")
    assert found.options["loras"] == "film:0.5,ink:0.9"
    assert found.notes.taken["loras"] == "film 0.5"


def test_hashes_of_tags_that_were_taken_are_no_news() -> None:
    pasted = 'a fox <lora:ink:0.5>\nSteps: 9, Seed: 1, Size: 64x64, Lora hashes: "ink: 0123456789"'
    assert read(pasted).notes.unused == ()
    assert read(pasted.replace("ink", "snow")).notes.unused == ("Lora hashes",)


def test_thousands_of_tags_are_read_in_no_time() -> None:
    begin = time.process_time()
    found = read("a fox " + "<lora:ink:1>" * 150)
    assert (found.prompt, found.options["loras"]) == ("a fox", "ink:1")
    assert read("<lora:x:1>" * 10_000).prompt == "<lora:x:1>" * 10_000  # too long: refused as any such prompt
    assert len(read("<lora:x" * (MAX_PROMPT_CHARS // 7)).prompt) > 1000
    assert time.process_time() - begin < 1


@settings(max_examples=150, deadline=None)
@given(
    st.text(alphabet="<>loraLRA:：,，ink film.0189-_@ \n", max_size=80), st.sampled_from([None, "", "ink", "film:2"])
)
def test_whatever_is_typed_is_read_or_refused(text: str, option: str | None) -> None:
    try:
        found = read_prompt(text, MODELS, given={"loras": option})
    except InvalidSpec as error:
        assert error.field == "loras"
    else:
        read_uses(str(found.options.get("loras", "")))


# --- fewer steps --------------------------------------------------------------------------------------------


def test_fast_draws_with_the_lora_of_few_steps_and_its_steps() -> None:
    found = read("a fox", speed="fast", loras="ink")
    assert found.options == {"prompt": "a fox", "loras": "ink:0.8,turbo:0.125", "steps": 8}
    assert read("a fox", speed=" FAST ").options["loras"] == "turbo:0.125"


def test_steps_that_were_said_win() -> None:
    assert read("a fox", speed="fast", steps=4).options["steps"] == 4
    assert read("a fox --steps 5", speed="fast").options["steps"] == 5
    untouched = read_prompt("x", MODELS, given={"speed": "fast", "steps": 20}, untouched={"steps": 20})
    assert untouched.options["steps"] == 8
    assert read("a fox", loras="turbo").options["steps"] == 8
    assert read("a fox <lora:turbo:0>").options == {"prompt": "a fox"}


def test_weight_of_the_fast_lora_that_was_said_wins() -> None:
    assert loras_of("a fox", speed="fast", loras="turbo:0.3") == "turbo:0.3"


def test_model_without_a_fast_mode_refuses_it() -> None:
    assert refusal(speed="fast", model="sketch") == "Sketch has no fast mode here. Please leave out the speed."
    for speed in ("slow", "turbo", 3, ["fast"]):
        assert refusal(speed=speed) == "The speed can only be `fast`. Leave it out for the usual one."


# --- pieces -------------------------------------------------------------------------------------------------


def test_request_is_checked_whatever_it_came_from() -> None:
    check("", MODELS, DEMO)
    check("film:1,ink:0.8", MODELS, FAKE)
    for text, card, detail in (
        ("gone:1", FAKE, "unknown"), ("old:1", FAKE, "other-base"), ("ink:1", DEMO, "not-offered"), ("x", FAKE, "")
    ):  # fmt: skip
        with pytest.raises(InvalidSpec) as caught:
            check(text, MODELS, card)
        assert caught.value.detail == detail


def test_lora_is_found_by_name_title_and_file() -> None:
    assert [find(name, LORAS) for name in ("ink", "INK", "film GRAIN", "ink-wash-v2", "Ink-Wash-V2.safetensors")] == [
        INK, INK, FILM, INK, INK,
    ]  # fmt: skip
    assert find("", LORAS) is None and find("in", LORAS) is None


def test_search_looks_at_trigger_words_too() -> None:
    assert search(MODELS, FAKE, "inkst") == [INK]
    assert search(MODELS, FAKE, "grain film") == [FILM]
    assert search(MODELS, FAKE, "old") == []


def test_tags_are_written_as_they_are_read() -> None:
    text = "film:1,ink:-0.25"
    assert tags(text) == "<lora:film:1> <lora:ink:-0.25>" and tags("") == ""
    assert loras_of(f"a fox {tags(text)}") == text
    assert read_tag("<b>") is None


def test_name_is_shown_without_markup() -> None:
    assert shown_name("`@here` <b>\u202e") == "??here? ?b?"


def test_lora_is_found_by_a_file_name_of_any_letters() -> None:
    """Full-width brackets and accents in two characters, as files have them that came from a Mac."""
    for stem, typed in (("水墨（一）", "水墨（一）"), ("cafe\u0301 Noir_v2 (SDXL)", "Caf\u00e9 noir_v2 （SDXL）")):
        lora = replace(FILM, file=FILM.file.with_name(f"{stem}.safetensors"))
        assert find(typed, {lora.name: lora}) is lora
        assert read_option(f"<lora:{typed}:0.5>", replace(MODELS, loras=lambda: {"film": lora}), FAKE)["film"].weight  # noqa: B023


def test_what_is_for_any_model_is_read_for_the_first_that_can() -> None:
    assert read_for_any("old:0.5", MODELS, MODELS.all) == "old:0.5"
    with pytest.raises(InvalidSpec) as caught:
        read_for_any("gone", MODELS, MODELS.all)
    assert caught.value.detail == "unknown"
