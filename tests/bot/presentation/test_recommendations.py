"""What operators are told about which model suits their computer."""

from __future__ import annotations

from typing import Any

import pytest

from bot.presentation.recommendations import told
from bot.presentation.wording import LANGUAGES, wording_for
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import DEMO, MAJICFLUS_V1, SD15, SDXL, Z_IMAGE_TURBO
from pipeline.catalog.recommendation import Choice, Machine, Recommendation
from tests.bot.findings import CARD

WITH_GPU, WITHOUT = Machine(gpu=CARD, memory_mib=32_000), Machine(gpu=None, memory_mib=32_000)


def found(used: ModelCard, best: ModelCard, *, is_here: bool, **more: Any) -> Recommendation:
    return Recommendation(used=used, best=Choice(card=best, is_here=is_here), **more)


def test_what_is_to_be_fetched_is_said_with_its_size_and_licence_and_the_command() -> None:
    other = Choice(card=Z_IMAGE_TURBO, is_here=False)
    advice = told(found(DEMO, MAJICFLUS_V1, is_here=False, commercial=other), WITH_GPU, wording_for("en"))
    assert advice.text == (
        "Demo: emoji scenes draws now; MajicFLUX v1.34 (majicflus-v1) would suit this computer better, and its 34 GB "
        "have to be fetched: it reads English, takes 20 steps per image, and its licence does not allow commercial "
        "use. For commercial use, take Z-Image-Turbo (z-image-turbo), whose 21 GB have to be fetched."
    )
    assert (advice.way_out, advice.is_fine) == ("imagine-bot fetch majicflus-v1", False)


def test_what_is_here_is_said_with_the_line_of_the_config() -> None:
    advice = told(found(MAJICFLUS_V1, Z_IMAGE_TURBO, is_here=True), WITH_GPU, wording_for("zh-CN"))
    assert "现在用的是 MajicFLUX v1.34；Z-Image-Turbo (z-image-turbo) 更适合这台电脑" in advice.text
    assert "看得懂中文和英文，每张图 8 步，许可证允许商用。" in advice.text
    assert advice.way_out == '[pipeline] model = "z-image-turbo"'


def test_what_draws_now_and_suits_needs_nothing() -> None:
    advice = told(found(Z_IMAGE_TURBO, Z_IMAGE_TURBO, is_here=True), WITH_GPU, wording_for("zh-TW"))
    assert advice.text.startswith("Z-Image-Turbo (z-image-turbo) 適合這台電腦：看得懂中文和英文，每張圖 8 步")
    assert (advice.way_out, advice.is_fine) == ("", True)


def test_machine_without_gpu_hears_how_long_an_image_takes_and_of_the_translator() -> None:
    text = told(found(DEMO, SD15, is_here=False, is_read=False), WITHOUT, wording_for("en")).text
    assert "no GPU" in text and "4 GB to fetch" in text and "minutes" in text and "imagine-bot fetch translator" in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("machine", [WITH_GPU, WITHOUT])
@pytest.mark.parametrize("best", [DEMO, SD15, SDXL, MAJICFLUS_V1])
@pytest.mark.parametrize("is_here", [True, False])
def test_there_are_two_sentences_at_most(language: str, machine: Machine, best: ModelCard, is_here: bool) -> None:
    other = Choice(card=Z_IMAGE_TURBO, is_here=is_here)
    for used in (DEMO, best):
        for is_read in (True, False):
            advice = told(
                found(used, best, is_here=is_here, is_read=is_read, commercial=other), machine, wording_for(language)
            )
            ends = advice.text.count("。") if language != "en" else advice.text.count(". ") + 1
            assert 1 <= ends <= 2 and advice.is_fine == (used is best) == (not advice.way_out)
