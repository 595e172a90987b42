"""Which parts of a prompt are translated, and that all others stay as they were typed."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from pipeline.catalog.architecture import Feature
from pipeline.catalog.models import DEMO, FLUX1_DEV, MAJICFLUS_V1, SD15, SDXL
from pipeline.translation.foreign_text import MAX_RUN_CHARS, has_foreign, needs_translation, replaced, runs_of

ARTICLE = "赛博朋克风格的未来城市街道，雨夜，霓虹灯"


def foreign(text: str) -> list[str]:
    return [run.text for run in runs_of(text) if run.is_foreign]


@pytest.mark.parametrize(
    ("prompt", "translated"),
    [
        (ARTICLE, [ARTICLE]),
        ("一只熊猫 in the snow", ["一只熊猫"]),
        ("русский лес at night", ["русский лес"]),
        ("桜の下の猫, masterpiece", ["桜の下の猫"]),
        ("눈 속의 판다", ["눈 속의 판다"]),
        ("שלום עולם", ["שלום עולם"]),
        ("2只猫 and 4k画质", ["2只猫", "画质"]),
        ("(熊猫:1.2), <lora:名字:0.8> BREAK [雪|rain]", ["熊猫", "雪"]),
        ("（熊猫：1.2）", ["熊猫"]),
        ("pаnda", []),  # a single Cyrillic letter is a misprint, or a joke
        ("π, Δv, 5 µm, № 3, Ω", []),
        ("café Grüße, naïve façade", []),
        ("🐼🐼 🎨", []),
        ("", []),
    ],
)
def test_only_words_in_other_scripts_are_translated(prompt: str, translated: list[str]) -> None:
    assert foreign(prompt) == translated
    assert "".join(run.text for run in runs_of(prompt)) == prompt


@pytest.mark.parametrize("prompt", ["a red apple", "café Grüße", "🐼", "(fox:1.3) <lora:ink:0.8> BREAK 4k", ""])
def test_what_is_english_needs_no_translation(prompt: str) -> None:
    assert not needs_translation(MAJICFLUS_V1, prompt)


def test_models_that_read_english_alone_need_it_and_the_others_do_not() -> None:
    assert all(needs_translation(card, ARTICLE) for card in (MAJICFLUS_V1, FLUX1_DEV, SD15, SDXL))
    assert not needs_translation(DEMO, ARTICLE)
    reads_all = replace(SD15, supports=SD15.supports - {Feature.LANGUAGES}, reads=())
    assert not needs_translation(reads_all, ARTICLE)
    reads_both = replace(SD15, reads=("en", "zh"))
    assert not needs_translation(reads_both, ARTICLE)
    assert needs_translation(reads_both, "桜の下の猫")
    assert needs_translation(reads_both, "старый маяк")


@pytest.mark.parametrize(
    ("prompt", "english"),
    [
        ("一只熊猫 in the snow", "<一只熊猫> in the snow"),
        ("(熊猫:1.2)，<lora:名字：甲:0.8> BREAK 雪", "(<熊猫>:1.2), <lora:名字：甲:0.8> BREAK <雪>"),
        ("4k画质cat", "4k<画质>cat"),
        ("（熊猫：1.2）", "(<熊猫>:1.2)"),
    ],
)
def test_everything_else_stays_where_it_is(prompt: str, english: str) -> None:
    assert replaced(prompt, lambda text: f"<{text}>") == english


def test_words_do_not_run_together() -> None:
    assert replaced("4k画质cat，雪，", lambda _text: "word") == "4k word cat, word,"


def test_two_thousand_characters_are_given_in_pieces_in_linear_time() -> None:
    began = time.perf_counter()
    for text in ("猫" * 2000, "雨夜，" * 666, "猫a" * 1000, "<" * 2000, "1" * 2000, "1猫" * 1000, "　" * 2000):
        runs = runs_of(text)
        assert "".join(run.text for run in runs) == text
        assert all(len(run.text) <= MAX_RUN_CHARS for run in runs if run.is_foreign)
    assert time.perf_counter() - began < 1


def test_what_is_cut_at_a_comma_keeps_it() -> None:
    assert replaced("一只很大的猫，" * 20, lambda _text: "cats") == "cats, cats,"


def test_marks_belong_to_the_letters_before_them() -> None:
    assert foreign("й и\u0306ок fox") == ["й и\u0306ок"]
    assert has_foreign("हिन्दी")
