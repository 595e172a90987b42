"""What people type behind two hyphens, or paste from other programs, becomes options or notes, and is never drawn."""

from __future__ import annotations

import contextlib
import dataclasses
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import InvalidFlag
from bot.presentation.phrases import Voice
from bot.presentation.wording import LANGUAGES, wording_for
from bot.requests import prompt_flags
from bot.requests.models import Models
from bot.requests.prompt_flags import ReadPrompt, read_prompt
from pipeline.catalog.models import find_model
from pipeline.errors import InvalidSpec
from pipeline.images.png_metadata import parameters
from pipeline.spec import MAX_PROMPT_CHARS, MAX_SEED, Aspect, ImageOptions, ImageSpec
from tests.cards import PAINTER

FLUX, DEMO = find_model("flux1-dev"), find_model("demo")
MODELS = Models(usual=FLUX, others=(DEMO,))
ENGLISH = Voice(wording=wording_for("en"), write_moment=str)


def read(text: str, **more: object) -> ReadPrompt:
    return read_prompt(text, MODELS, **more)  # type: ignore[arg-type]


def set_by(text: str, **more: object) -> dict[str, object]:
    """The options apart from the prompt."""
    return {name: value for name, value in read(text, **more).options.items() if name != "prompt"}


def said(text: str, **more: object) -> list[str]:
    return [ENGLISH.say(phrase) for phrase in read(text, **more).phrases()]


@pytest.fixture
def has_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that these tests do not depend on: of 512 × 768 px at most."""
    monkeypatch.setattr(prompt_flags, "_can_draw", lambda _card, size: size in ("512x768", "512x512"))


def test_only_the_words_are_left_to_draw() -> None:
    found = read("cat --ar 16:9 --seed 3 --v 6 --no dog")
    assert (found.prompt, found.count) == ("cat", 1)
    assert found.options == {"prompt": "cat", "aspect": Aspect.WIDE, "seed": 3}
    assert [ENGLISH.say(phrase) for phrase in found.phrases()] == [
        "Taken from your prompt: shape wide, seed 3",
        "Not known here: --v 6",
        "Not possible here with flux1-dev: --no dog",
    ]
    assert ImageOptions.read(**found.options) == ImageOptions(prompt="cat", aspect=Aspect.WIDE, seed=3)


@pytest.mark.parametrize(
    "text",
    [
        "a red apple",
        "  two  spaces\nand a line ",
        "rock—paper",
        "well -- you know",
        "state--of--art",
        "-5 degrees",
        "- one\n- two",
        "a cat -ar 16:9",
        "a --fluffy-- cat",
        "---------",
        "--5",
        "--",
        "—",
        "a cat—ar 16:9",
        "he waits — no news",
        "“Enough” —No, he said",
        "a poet —no one knows him— at sea",
        "a temple —steps of stone",
        "a car —fast and red",
        "dawn —suddenly a bird",
        "一只猫——非常可爱",
        'a sign that says "--ar 16:9" in red',
        "a sign “draw --seed 3” in red",
        "一块牌子，写着「--seed 3」",
        "a screen with `--seed 3` on it",
        "seven Steps: 20 men",
        "Size: large, Model: girl in a hat",
        "seed: 5, steps: 3",
        "(a fox:1.2), [snow]",
        "'; DROP TABLE jobs; -- x",
        "<!--comment-->",
        "prompt: a cat",
        "a cat /imagine prompt: a dog",
        "```a cat```",
        "“a cat”",
    ],
)
def test_text_that_is_no_flag_stays_as_it_was_typed(text: str) -> None:
    assert read(text) == ReadPrompt(prompt=text, options={"prompt": text}, count=1, notes=read("x").notes)


@pytest.mark.parametrize(
    "text",
    [
        "cat --seed 3",
        "cat —seed 3",
        "cat –seed 3",
        "cat ——seed 3",
        "cat -—seed 3",
        "cat ――seed 3",
        "cat −−seed 3",
        "cat －－seed　３",
        "cat --SEED 3",
        "cat --seed=3",
        "cat --seed:3",
        "cat －－seed：3",
        "cat --seed3",
        "--seed 3 cat",
        "cat,--seed 3,",
        "cat\n--seed 3",
        "cat --seed\u200b 3",
        "cat --seed 3.",
        "cat —seed 3。",
        '"cat --seed 3"',
        "“cat --seed 3”",
        "```\ncat --seed 3\n```",
        "```text\ncat --seed 3\n```",
        "/imagine prompt:cat seed:3",
        "/imagine prompt: cat --seed 3",
        "/imagine cat --seed 3",
        "cat\nSeed: 3",
        "cat --seed abc --seed 3",
        "cat --seed '3'",
        "cat --seed ‘3’",
        'cat --seed="3"',
        "cat ––seed 9 ——seed ３",
    ],
)
def test_flag_is_understood_however_it_is_typed(text: str) -> None:
    assert (read(text).prompt, set_by(text)) == ("cat", {"seed": 3})


@pytest.mark.parametrize(
    ("ratio", "aspect"),
    [
        ("16:9", Aspect.WIDE), ("16x9", Aspect.WIDE), ("16/9", Aspect.WIDE), ("1.78", Aspect.WIDE),
        ("16∶9", Aspect.WIDE), ("1:1 --ar 16:9", Aspect.WIDE),
        ("16 : 9", Aspect.WIDE), ("１６：９", Aspect.WIDE), ("21:9", Aspect.WIDE), ("99999:1", Aspect.WIDE),
        ("9:16", Aspect.PHONE), ("1:99999", Aspect.PHONE), ("0.00001", Aspect.PHONE), ("2:3", Aspect.PORTRAIT),
        ("3:2", Aspect.LANDSCAPE), ("1", Aspect.SQUARE), ("1024x1024", Aspect.SQUARE), ("Portrait", Aspect.PORTRAIT),
    ],
)  # fmt: skip
def test_ratio_becomes_the_nearest_shape_of_the_model(ratio: str, aspect: Aspect) -> None:
    assert set_by(f"cat --ar {ratio}") == set_by(f"cat --aspect {ratio}, in a hat") == {"aspect": aspect}


def test_shapes_are_those_of_the_model_that_draws() -> None:
    assert said("cat --ar 16:9 --model demo") == [
        "Taken from your prompt: model demo",
        "Not possible here with demo: --ar 16:9",
    ]
    assert set_by("cat --ar 1:1 --model Demo") == {"aspect": Aspect.SQUARE, "model": "demo"}
    assert set_by("cat --ar 16:9", given={"model": "demo"}) == {"model": "demo"}
    fake = Models(usual=find_model("fake"))
    assert read_prompt("cat --ar wide", fake).notes.unsupported == ("--ar wide",)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--seed", "“--seed” in the prompt: the seed must be a whole number from 0 to 4294967295, or -1"),
        ("—seed", "“--seed” in the prompt: the seed must"),
        ("--seed --ar 1:1", "“--seed” in the prompt: the seed must"),
        ("--seed abc", "“--seed abc” in the prompt: the seed must"),
        ("--seed 99999999999", "“--seed 99999999999” in the prompt: the seed must"),
        ("--seed 1.5", "“--seed 1.5” in the prompt: the seed must"),
        ("--seed -2", "“--seed -2” in the prompt: the seed must"),
        ("--seed ٣", "“--seed ٣” in the prompt: the seed must"),
        ("--seed " + "9" * 900, "“--seed 999999999999999999999999…” in the prompt: the seed must"),
        ("--steps 0", "“--steps 0” in the prompt: the number of steps must be from 1 to 50."),
        ("--steps 51", "“--steps 51” in the prompt: the number of steps must be from 1 to 50."),
        ("--ar 0:0", "“--ar 0:0” in the prompt: a shape is written like 16:9"),
        ("--ar 1:0", "“--ar 1:0” in the prompt: a shape is written like 16:9"),
        ("--ar 1e309:1", "“--ar 1e309:1” in the prompt: a shape is written like 16:9"),
        ("--ar nan", "“--ar nan” in the prompt: a shape is written like 16:9"),
        ("--ar 16:9--seed 3", "“--ar 16:9--seed” in the prompt: a shape is written like 16:9"),
        ("--ar", "“--ar” in the prompt: a shape is written like 16:9"),
        ("--repeat 0", "“--repeat 0” in the prompt: the number of images must be from 1 to 4."),
        ("--r many", "“--r many” in the prompt: the number of images must be from 1 to 4."),
        ("--size", "“--size” in the prompt: a size is draft, normal, large, or written like 448x448."),
        ("--model", "“--model” in the prompt: the name of a model is missing."),
        ("--no", "“--no” in the prompt: the value is missing."),
        ("/imagine prompt:geheim seed:x", "“seed:x” in the prompt: the seed must"),
    ],
)
def test_wrong_value_is_refused_with_the_name_of_the_flag(flags: str, says: str) -> None:
    text = flags if flags.startswith("/") else f"geheim {flags}"
    with pytest.raises(InvalidFlag) as caught:
        read(text)
    assert wording_for("en").refusal(caught.value, format_time=str).startswith(says)
    assert not {"geheim", "9", "abc"} & set(str(caught.value).split())  # which may be logged


OPTIONS_WITH_SENTENCES = (
    "seed", "steps", "count", "aspect", "size", "model", "cfg_scale", "guidance", "sampler", "clip_skip",
)  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_wrong_value_is_explained_in_every_language(language: str) -> None:
    for name in (*OPTIONS_WITH_SENTENCES, "negative_prompt"):
        error = InvalidFlag(flag="--x 7", name=name, most=9)
        assert "--x 7" in wording_for(language).refusal(error, format_time=str)


def test_repeat_asks_for_several_images_and_no_more_than_there_are() -> None:
    assert (read("cat --repeat 3").count, read("cat --r 4").count, read("cat", count=2).count) == (3, 4, 2)
    assert read(f"cat --repeat {'9' * 90}").count == 4
    assert said("cat --repeat 9") == ["Taken from your prompt: 4 images", "At most 4 images at a time."]
    alone = read("cat --repeat 2", most=1)
    assert (alone.count, alone.notes.unsupported) == (1, ("--repeat 2",))


def test_flag_without_words_leaves_the_prompt_to_be_refused() -> None:
    with pytest.raises(InvalidSpec) as caught:
        FLUX.resolve(ImageOptions.read(**read("--ar 16:9 --v 6").options), random_seed=0)
    assert caught.value.field == "prompt"


@pytest.mark.parametrize(
    ("text", "prompt", "unknown"),
    [
        ("a cat --fluffy with a hat", "a cat with a hat", ("--fluffy",)),
        ("a cat --fluffy 7 with a hat", "a cat with a hat", ("--fluffy 7",)),
        ("a cat --fluffy=very with a hat", "a cat with a hat", ("--fluffy very",)),
        ('a cat --fluffy "very much" with a hat', "a cat with a hat", ("--fluffy very much",)),
        ("a cat --fluffy 35mm lens", "a cat 35mm lens", ("--fluffy",)),
        ("a cat --fluffy https://a.b/c?d=--e", "a cat", ("--fluffy https://a.b/c?d=--e",)),
        ("a cat --tile with a hat", "a cat with a hat", ("--tile",)),
        ("a cat --chaos 20 with a hat", "a cat with a hat", ("--chaos 20",)),
        ("a cat --niji with a hat", "a cat with a hat", ("--niji",)),
        ("a cat --q .25 --iw 0.5, with a hat", "a cat with a hat", ("--q .25", "--iw 0.5")),
        ("a cat --style raw with a hat", "a cat with a hat", ("--style raw",)),
        ("a cat --v6.1 —s 250 —tile", "a cat", ("--v 6.1", "--s 250", "--tile")),
        ("a cat --sref https://a/1.png 42 random --cref http://b with a hat", "a cat with a hat",
         ("--sref https://a/1.png 42 random", "--cref http://b")),
        ("a cat --v 6 --v 6 --v 7", "a cat", ("--v 6", "--v 7")),
        ("a <lora:pixel art:0.8>, (red:1.2) cat <hypernet:x>", "a, (red:1.2) cat",
         ("<lora:pixel art:0.8>", "<hypernet:x>")),
    ],
)  # fmt: skip
def test_unknown_flag_is_named_and_takes_no_word_of_the_prompt_with_it(
    text: str, prompt: str, unknown: tuple[str, ...]
) -> None:
    assert (read(text).prompt, read(text).notes.unknown, set_by(text)) == (prompt, unknown, {})


def test_what_the_model_cannot_follow_is_named() -> None:
    found = read("cat --no a dog, two dogs --model nothing")
    assert (found.prompt, found.options) == ("cat", {"prompt": "cat"})
    assert found.notes.unsupported == ("--model nothing", "--no a dog, two dogs")


PAINTING = Models(usual=PAINTER, others=(FLUX,))


def test_settings_of_stable_diffusion_go_to_a_model_that_has_them() -> None:
    text = "cat --no dog, hat --cfg 7,5 --sampler DPM++ 2M Karras --clip-skip 2 --seed 1"
    found = read_prompt(text, PAINTING)
    assert found.options == {
        "prompt": "cat",
        "negative_prompt": "dog, hat",
        "cfg_scale": 7.5,
        "sampler": "dpmpp-2m-karras",
        "clip_skip": 2,
        "seed": 1,
    }
    assert [ENGLISH.say(phrase) for phrase in found.phrases()] == [
        "Taken from your prompt: seed 1, without dog, hat, CFG 7.5, sampler DPM++ 2M Karras, CLIP skip 2"
    ]
    other = read_prompt(f"{text} --guidance 2 --model flux1-dev", PAINTING)
    assert other.options == {"prompt": "cat", "model": "flux1-dev", "guidance": 2.0, "seed": 1}
    assert other.notes.unsupported == (
        "--no dog, hat", "--cfg 7,5", "--sampler DPM++ 2m karras", "--clip-skip 2",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "rest", "sampler"),
    [
        ("--sampler ddim a hat", "cat a hat", "ddim"),
        ("--sampler=DPM++ 2M Karras, a hat", "cat a hat", "dpmpp-2m-karras"),
        ("--sampler “dpmpp_2m_karras” a hat", "cat a hat", "dpmpp-2m-karras"),
        ("--sampler Euler a", "cat", None),
        ("--sampler dpm++ 2m sde heun exponential, a hat", "cat a hat", None),
        ("--sampler nothing a hat", "cat a hat", None),
    ],
)
def test_name_of_a_sampler_may_have_several_words(typed: str, rest: str, sampler: str | None) -> None:
    found = read_prompt(f"cat {typed}", PAINTING)
    assert (found.prompt, found.options.get("sampler")) == (rest, sampler)
    assert bool(found.notes.unsupported) == (sampler is None)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--cfg 31", "“--cfg 31” in the prompt: the CFG scale must be a number from 1 to 30."),
        ("--cfg 0.5", "“--cfg 0.5” in the prompt: the CFG scale must be a number from 1 to 30."),
        ("--cfg 1e1", "“--cfg” in the prompt: the CFG scale must be a number from 1 to 30."),
        ("--cfg=nan", "“--cfg nan” in the prompt: the CFG scale must be a number from 1 to 30."),
        ("--clip-skip 13", "“--clip-skip 13” in the prompt: CLIP skip must be a whole number from 1 to 12."),
        ("--clipskip 1.5", "“--clipskip 1.5” in the prompt: CLIP skip must be a whole number from 1 to 12."),
        ("--sampler", "“--sampler” in the prompt: the name of a sampler is missing."),
    ],
)
def test_setting_out_of_range_is_refused_with_the_name_of_the_flag(flags: str, says: str) -> None:
    with pytest.raises(InvalidFlag) as caught:
        read_prompt(f"cat {flags}", PAINTING)
    assert wording_for("en").refusal(caught.value, format_time=str) == says


@pytest.mark.parametrize(
    ("pasted", "sampler", "unused"),
    [
        ("Sampler: DPM++ 2M Karras", "dpmpp-2m-karras", ()),
        ("Sampler: DPM++ 2M, Schedule type: Karras", "dpmpp-2m-karras", ()),
        ("Sampler: DPM++ 2M, Schedule type: Automatic", "dpmpp-2m-karras", ()),
        ("Sampler: DPM++ 2M Karras, Schedule type: Karras", "dpmpp-2m-karras", ()),
        ("Sampler: DPM++ 2M, Schedule type: Simple", None, ("Sampler",)),
        ("Sampler: DPM++ 2M Karras, Schedule type: Uniform", None, ("Sampler",)),
        ("Schedule type: Exponential, Sampler: DPM++ 2M", None, ("Sampler",)),
        ("Sampler: DDIM, Schedule type: DDIM", "ddim", ()),
        ("Sampler: Euler a, Schedule type: Automatic", None, ("Sampler",)),
        ("Schedule type: Karras", None, ("Schedule type",)),
        ("CFG scale: 45, Clip skip: x, Distilled CFG Scale: 3.5", None,
         ("CFG scale", "Clip skip", "Distilled CFG Scale")),
    ],
)  # fmt: skip
def test_pasted_settings_take_effect_where_the_model_has_them(
    pasted: str, sampler: str | None, unused: tuple[str, ...]
) -> None:
    found = read_prompt(f"cat\nNegative prompt: dog,\nhat\nSteps: 9, {pasted}, Seed: 1", PAINTING)
    assert (found.options.get("sampler"), found.notes.unused) == (sampler, unused)
    assert found.options["negative_prompt"] == "dog, hat"


def test_flag_that_the_model_has_no_setting_for_is_named_whatever_its_value() -> None:
    flags = ("--cfg 45", "--clip-skip 99", "--sampler", "--cfg")
    for flag in flags:
        assert read(f"cat {flag}").notes.unsupported == (flag,)
    assert read_prompt("cat --guidance 99 --cfg 5", PAINTING).notes.unsupported == ("--guidance 99",)
    assert read("cat --repeat many", most=1).notes.unsupported == ("--repeat many",)
    with pytest.raises(InvalidFlag):
        read("cat --guidance 99")


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("cat\nNegative prompt: dog, <lora:x:1>\nSteps: 9, Seed: 1", {}),
        ("cat --no dog <lora:x:1>", {}),
        ("/imagine prompt:cat negative:<lora:x:1> dog", {}),
        ("cat", {"negative_prompt": "<lora:x:1>, dog"}),
        ("cat <lora:x:1>", {"negative_prompt": "dog <lora:x:1>"}),
    ],
)
def test_lora_tags_are_no_part_of_a_negative_prompt_either(text: str, given: dict[str, object]) -> None:
    found = read_prompt(text, PAINTING, given=given)
    assert (found.prompt, found.options["negative_prompt"]) == ("cat", "dog")
    assert found.notes.unknown == ("<lora:x:1>",)


def test_negative_prompt_of_lora_tags_alone_is_none() -> None:
    found = read_prompt("cat --no <lora:x:1>", PAINTING, given={"negative_prompt": "<lyco:y>"})
    assert found.options.get("negative_prompt") is None
    assert found.notes.unknown == ("<lora:x:1>", "<lyco:y>")
    assert read_prompt("cat", PAINTING, given={"negative_prompt": 7}).options["negative_prompt"] == 7


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("cat --no -", {}),
        ("cat --no - --seed 3", {}),
        ("cat --negative=-", {}),
        ("cat --no —", {}),
        ("/imagine prompt:cat negative:- cfg:4", {}),
        ("cat\nNegative prompt: -\nSteps: 9, Seed: 1", {}),
        ("cat", {"negative_prompt": " - "}),
        ("cat --no dog", {"negative_prompt": "-"}),
    ],
)
def test_hyphen_is_no_negative_prompt_at_all(text: str, given: dict[str, object]) -> None:
    card = dataclasses.replace(PAINTER, negative_prompt="ugly")
    found = read_prompt(text, Models(usual=card), given=given)
    assert (found.prompt, card.resolve(ImageOptions.read(**found.options), random_seed=0).negative_prompt) == (
        "cat",
        "",
    )
    taken = [ENGLISH.say(phrase) for phrase in found.phrases() if phrase.key == "flags-taken"]
    assert given or "no negative prompt" in taken[0]
    assert read_prompt("cat", Models(usual=card)).options == {"prompt": "cat"}


def test_cfg_of_a_pasted_model_with_embedded_guidance_is_not_that_of_one_without() -> None:
    pasted = "cat\nSteps: 9, Sampler: DDIM, CFG scale: 1, Distilled CFG Scale: 3.5, Seed: 1"
    found = read_prompt(pasted, PAINTING)
    assert found.notes.unused == ("CFG scale", "Distilled CFG Scale")
    assert "cfg_scale" not in found.options and found.options["sampler"] == "ddim"
    assert read(pasted).options["guidance"] == 3.5


@pytest.mark.parametrize("text", ["a cat --fresh", "--fresh a cat", "a cat —fresh", "a cat --fresh --fresh"])
def test_fresh_draws_what_is_there_and_is_no_word_of_the_prompt(text: str) -> None:
    found = read_prompt(text, PAINTING)
    assert (found.is_fresh, found.prompt) == (True, "a cat")
    assert found.options.keys() == {"prompt"}


def test_fresh_is_told_and_nothing_else_sets_it() -> None:
    assert said("cat --fresh --seed 5") == ["Taken from your prompt: seed 5, drawn anew"]
    assert not read_prompt("fresh bread", PAINTING).is_fresh
    assert not read_prompt('a sign "--fresh"', PAINTING).is_fresh
    assert not read_prompt("a loaf —fresh and warm", PAINTING).is_fresh


def test_pasted_settings_that_hold_anyway_are_no_news() -> None:
    text = "cat\nSteps: 9, Sampler: Euler, CFG scale: 1, Distilled CFG Scale: 3.5, Seed: 1"
    assert read(text).notes.unused == ()


def test_size_is_passed_on_and_an_exact_one_replaces_the_shape(has_sizes: None) -> None:
    form = {"given": {"aspect": "square"}, "untouched": {"aspect": "square"}}
    assert set_by("cat --size Draft", **form) == {"aspect": "square", "size": "draft"}
    assert set_by("cat --draft with a hat") == {"size": "draft"}
    assert set_by("cat --size 448×320", **form) == {"aspect": None, "size": "448x320"}
    for typed in ("448 x 320", "448 × 320", "448*320", "４４８ｘ３２０", "448X320, with a hat", "draft --size 448x320"):
        assert set_by(f"cat --size {typed}", **form) == {"aspect": None, "size": "448x320"}
    assert read("cat --size 448 x men").prompt == "cat x men"
    assert set_by("cat --ar 2:3 --size 448x448") == {"aspect": None, "size": "448x448"}
    assert set_by("cat --size 448x448 --ar 2:3") == {"aspect": Aspect.PORTRAIT}
    assert set_by("cat --size draft --ar 2:3") == {"aspect": Aspect.PORTRAIT, "size": "draft"}
    assert said("cat --size draft --seed -1") == ["Taken from your prompt: size draft, random seed"]
    assert read("cat --size 64x64", given={"aspect": "wide"}).notes.overridden == ("--size 64x64",)
    assert read("cat --ar 1:1", given={"size": "64x64"}).notes.overridden == ("--ar 1:1",)
    assert read("cat --ar 1:1", given={"size": "draft"}).notes.overridden == ()


def test_what_was_set_elsewhere_wins_and_that_is_said() -> None:
    given = {"seed": 7, "steps": 4.0, "aspect": "square", "strength": 0.5, "model": None}
    found = read("cat --seed 3 --steps 4 --ar 1:1 --repeat 2 --model demo", given=given, count=3)
    assert found.options == {**given, "prompt": "cat", "model": "demo"}
    assert found.count == 3
    assert found.notes.overridden == ("--seed 3", "--repeat 2")
    assert said("cat --seed 3 --v 6", given={"seed": 7}) == [
        "Not known here: --v 6",
        "Not taken from the prompt, because you set it elsewhere: --seed 3",
    ]


def test_what_a_form_holds_untouched_does_not_win() -> None:
    form: dict[str, object] = {"seed": -1, "steps": 20, "aspect": "square", "model": "flux1-dev"}
    found = read("cat --seed 3 --steps 4 --ar 16:9 --model flux1-dev", given=form, untouched=form)
    assert found.options == {"prompt": "cat", "seed": 3, "steps": 4, "aspect": Aspect.WIDE, "model": "flux1-dev"}
    assert read("cat", given=form, untouched=form).options == {**form, "prompt": "cat"}
    touched = {**form, "steps": 9, "seed": None, "aspect": ""}
    assert set_by("cat --seed 3 --steps 4 --ar 16:9", given=touched, untouched=form)["steps"] == 9


@pytest.mark.parametrize(
    ("text", "negative"),
    [
        ("cat --no dog --no bird, fish", "dog, bird, fish"),
        ("cat --no dog, --seed 3 --neg bird", "dog, bird"),
        ("cat —no dog ——no bird", "dog, bird"),
        ("cat --no dog --no dog", "dog, dog"),
        ("cat --no dog --no -", ""),
        ("cat --no - --no bird", "bird"),
        ("cat\nNegative prompt: dog,\nNegative prompt: bird\nSteps: 9, Seed: 1", "dog, bird"),
        ("cat Negative prompt: dog Negative prompt: Steps: 9, Seed: 1", "dog"),
        ("cat\nNegative prompt: fish\nSteps: 9, Seed: 1 --no dog --no bird", "dog, bird"),
    ],
)
def test_what_to_avoid_may_be_said_in_several_parts(text: str, negative: str) -> None:
    found = read_prompt(text, PAINTING)
    assert (found.prompt, found.options["negative_prompt"]) == ("cat", negative)
    if "--no" in text:
        assert read("cat --no dog --no bird").notes.unsupported == ("--no dog, bird",)
        with pytest.raises(InvalidFlag):
            read("cat --no dog --no")


PASTED = """a fox (red:1.2), <lora:snow:0.8>, in the snow,
at night
Negative prompt: blurry, (bad:1.3),
ugly
Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 123, Size: 500x770, Model hash: 6ce0, Model: dream, Clip skip: 2, \
Hashes: {"vae": "a, b", "model": "y"}, Lora hashes: "snow: 1, x: 2", Civitai resources: [{"type":"lora","w":1}], \
Version: v1.6"""


def test_pasted_settings_of_another_program_are_understood() -> None:
    found = read(PASTED)
    assert found.prompt == "a fox (red:1.2), in the snow, at night"
    assert found.options == {"prompt": found.prompt, "steps": 20, "seed": 123, "aspect": Aspect.PORTRAIT}
    assert found.notes.unknown == ("<lora:snow:0.8>",)
    assert found.notes.unused == (
        "Model", "Negative prompt", "Sampler", "CFG scale", "Clip skip", "Model hash", "Hashes", "Lora hashes",
        "Civitai resources", "Version",
    )  # fmt: skip
    assert [ENGLISH.say(phrase) for phrase in found.phrases()][-1] == (
        "Not used here: Model, Negative prompt, Sampler, CFG scale, Clip skip, Model hash, Hashes, Lora hashes, "
        "and 2 more"
    )


def test_pasted_settings_are_understood_on_one_line() -> None:
    # Discord's field for an option holds no ends of lines.
    on_one_line, on_several = read(" ".join(PASTED.split())), read(PASTED)
    assert on_one_line == on_several


@pytest.mark.parametrize(
    ("text", "prompt", "options"),
    [
        ("a cat\nNegative prompt: a dog", "a cat", {}),
        ("a cat Negative prompt: a dog", "a cat", {}),
        ("一只猫\n负面提示词：狗", "一只猫", {}),
        ("Prompt: a cat\nNegative prompt: a dog\nSteps: 9", "a cat", {"steps": 9}),
        ("a cat\nSteps: 9, Seed: 5", "a cat", {"steps": 9, "seed": 5}),
        ("a cat\r\nSteps: 9, Seed: 5\r\n", "a cat", {"steps": 9, "seed": 5}),
        ("a cat, Sampler: Euler a, Seed: 5", "a cat,", {"seed": 5}),
        ("a cat Negative prompt: Steps: 23, Sampler: x, Civitai metadata: {}, Seed: 5", "a cat",
         {"steps": 23, "seed": 5}),
        ("a cat\nSteps: 9\nSeed: 5\nin a hat", "a cat in a hat", {"steps": 9, "seed": 5}),
        ("a cat\nSteps: 9, Seed: -1", "a cat", {"steps": 9}),
        ("a cat\nSteps: 150, Seed: 12346789098, Size: 0x0", "a cat", {}),
        ("a cat\nSteps: 9, Seed: 5 --seed 6", "a cat", {"steps": 9, "seed": 6}),
        ("a cat --ar 9:16\nSteps: 9, Size: 512x512", "a cat", {"steps": 9, "aspect": Aspect.PHONE}),
        ("a cat\nSteps: 9, Model: DEMO", "a cat", {"steps": 9, "model": "demo"}),
        ('a cat\nSteps: 9, Hashes: {"a": "b, Seed: 7', "a cat", {"steps": 9}),
        ("Steps: 9, Seed: 5", "", {"steps": 9, "seed": 5}),
        ("PROMPT: a cat\nNEGATIVE PROMPT: a dog\nSTEPS: 9, SEED: 5", "a cat", {"steps": 9, "seed": 5}),
        ("a cat\nnegative prompt: a dog\nsteps: 9", "a cat", {"steps": 9}),
    ],
)  # fmt: skip
def test_parts_of_pasted_settings_are_understood_too(text: str, prompt: str, options: dict[str, object]) -> None:
    assert (read(text).prompt, set_by(text)) == (prompt, options)


def test_pasted_values_of_no_use_here_are_named_not_refused() -> None:
    assert read("a cat\nSteps: 150, Seed: 12346789098, Size: 0x0, Model: x").notes.unused == (
        "Model",
        "Steps",
        "Seed",
        "Size",
    )


def test_pasted_size_is_kept_where_it_can_be_drawn(has_sizes: None) -> None:
    assert set_by("a cat\nSteps: 9, Size: 512x768") == {"steps": 9, "size": "512x768", "aspect": None}
    assert set_by("a cat\nSteps: 9, Size: 500x770") == {"steps": 9, "aspect": Aspect.PORTRAIT}
    assert set_by("a cat --ar 1:1\nSteps: 9, Size: 512x768") == {"steps": 9, "aspect": Aspect.SQUARE}


def test_our_own_pictures_and_messages_paste_back_as_the_same_image() -> None:
    spec = ImageSpec(
        prompt="a fox, seed of doubt", seed=9, steps=7, width=1344, height=768, guidance=3.5, cfg_scale=1.0,
        model="flux1-dev",
    )  # fmt: skip
    again = FLUX.resolve(ImageOptions.read(**read(parameters(spec)).options), random_seed=0)
    assert again == spec
    painted = PAINTER.resolve(
        ImageOptions.read(
            prompt="a fox, Steps: 3", negative_prompt="rain: heavy,\nsnow", cfg_scale=4.5, sampler="ddim", clip_skip=2
        ),
        random_seed=7,
    )
    read_back = read_prompt(parameters(painted), PAINTING).options
    assert PAINTER.resolve(ImageOptions.read(**read_back), random_seed=0) == painted
    line = "/imagine prompt:a fox seed\u200b:3 seed:9 steps:7 aspect:wide"
    assert read(line).options == {"prompt": "a fox seed:3", "seed": 9, "steps": 7, "aspect": Aspect.WIDE}
    assert read("/imagine prompt:a fox seed: 3").prompt == "a fox seed: 3"
    line = "/imagine prompt:a fox seed:9 negative:heavy rain, seed\u200b:less cfg:4.5 sampler:ddim clip_skip:2"
    assert read_prompt(line, PAINTING).options == {
        "prompt": "a fox",
        "seed": 9,
        "negative_prompt": "heavy rain, seed:less",
        "cfg_scale": 4.5,
        "sampler": "ddim",
        "clip_skip": 2,
    }


def test_prompt_that_is_no_text_is_refused_as_such() -> None:
    with pytest.raises(InvalidSpec) as caught:
        read_prompt(["x"], MODELS)
    assert str(caught.value).startswith("prompt")


def test_text_too_long_for_a_prompt_is_left_to_be_refused() -> None:
    text = "x" * MAX_PROMPT_CHARS + " --seed 3"
    assert read(text).options == {"prompt": text}


@pytest.mark.parametrize(
    "piece",
    [
        "--sampler dpm ", "--sampler ", "2m ", "negative:", "negative:a ",
        "-", "—", "--", "--a ", "—s ", ",—s", "--no ", '"', "`", "“", "Steps: 1 ", "Seed: 1,", "Negative prompt:", "{",
        "<lora:", "a,", "seed:1 ", "\n", "- ", "Sampler: a ", "'", "\\", " ", "9", "--ar 1:", "\u200b",
    ],
)  # fmt: skip
def test_hostile_prompts_take_milliseconds(piece: str) -> None:
    for text in (piece * (MAX_PROMPT_CHARS // len(piece)), f"/imagine prompt:{piece * 300}", f"Steps: 1,{piece * 300}"):
        begun = time.process_time()
        with contextlib.suppress(InvalidFlag):
            read(text)
        assert time.process_time() - begun < 0.5


words = st.text(alphabet="abcdefg ,.()é猫", max_size=30)
flags = st.sampled_from(
    ["--seed 3", "--steps 5", "--ar 16:9", "--v 6", "--no dog", "--tile", "--fluffy", "—seed 4", "--repeat 2", "--x=1"]
)


@given(parts=st.lists(st.tuples(words, flags), min_size=1, max_size=6), last=words)
@settings(max_examples=150, deadline=None)
def test_flags_between_words_leave_no_trace_in_the_prompt(parts: list[tuple[str, str]], last: str) -> None:
    text = " ".join(f"{word} {flag}" for word, flag in parts) + "\n" + last
    found = read(text)
    assert "-" not in found.prompt and "—" not in found.prompt and "16:9" not in found.prompt
    again = read(found.prompt)
    assert again.notes == read("x").notes and again.prompt == found.prompt


@given(text=st.text(alphabet=st.characters(exclude_characters="-–—―─−‐‑﹣－<:：/"), max_size=80))
@settings(max_examples=150, deadline=None)
def test_text_without_dashes_and_colons_is_never_changed(text: str) -> None:
    assert read(text).options == {"prompt": text}


@given(seed=st.integers(0, MAX_SEED), steps=st.integers(1, 50), count=st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_every_value_in_range_is_taken(seed: int, steps: int, count: int) -> None:
    found = read(f"cat --seed {seed} --steps {steps} --repeat {count}")
    assert (found.options, found.count) == ({"prompt": "cat", "seed": seed, "steps": steps}, count)


@pytest.mark.parametrize(
    ("typed", "strength"),
    [("subtle", "subtle"), ("STRONG", "strong"), ("0.4", 0.4), (".4", 0.4), ("0,4", 0.4), ("40%", 0.4), ("1", 1.0)],
)
def test_strength_is_a_name_or_a_part(typed: str, strength: str | float) -> None:
    found = read(f"a cat --strength {typed}")
    assert (found.prompt, found.options["strength"]) == ("a cat", strength)
    assert found.with_image(is_given=True) is found


@pytest.mark.parametrize("typed", ["", "0", "1.5", "150%", "half", "-0.5"])
def test_strength_that_is_none_is_refused_by_name(typed: str) -> None:
    with pytest.raises(InvalidFlag) as raised:
        read(f"a cat --strength {typed}")
    assert raised.value.name == "strength"


def test_strength_without_an_image_is_of_no_use_and_no_mistake() -> None:
    found = read("a cat --strength 0.4 --seed 3").with_image(is_given=False)
    assert found.options["strength"] is None
    assert (found.notes.taken, found.notes.unused) == ({"seed": 3}, ("--strength",))
    given = read("a cat", given={"strength": "0.4"}).with_image(is_given=False)
    assert given.options["strength"] == "0.4"  # `ImageSpec` says why not


def test_strength_set_elsewhere_wins_and_models_without_it_cannot_follow() -> None:
    assert read("a cat --strength 0.4", given={"strength": "subtle"}).notes.overridden == ("--strength 0.4",)
    deaf = dataclasses.replace(DEMO, supports=frozenset())
    assert read_prompt("a cat --strength 0.4", Models(usual=deaf)).notes.unsupported == ("--strength 0.4",)


def test_weight_of_an_image_is_not_known_here() -> None:
    assert read("a cat --iw 2").notes.unknown == ("--iw 2",)
