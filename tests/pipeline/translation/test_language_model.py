"""The language model on the CPU: that it is a Qwen3 decoder, that 8 bits change little, that answers are English."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pipeline.translation import language_model
from pipeline.translation.instruction import beginning, ending
from pipeline.translation.language_model import LanguageModel, Stopped
from tests.pipeline.translation.miniature_translator import write_translator

TOKENS = list(range(5, 25))
# What Qwen3ForCausalLM of transformers 5.23 says of these weights and tokens: the first logits after the last token.
REFERENCE = (0.36716, 0.07851, -0.25976, -0.43382, -0.33361, -0.0225, 0.30284, 0.43672)


def test_it_computes_what_transformers_computes(tmp_path: Path) -> None:
    model = LanguageModel(write_translator(tmp_path, dtype=torch.float32), is_exact=True)
    with torch.inference_mode():
        logits = model.logits(TOKENS, 0)[0]
    torch.testing.assert_close(logits[:8], torch.tensor(REFERENCE), atol=1e-5, rtol=0)


def test_tokens_in_several_calls_are_tokens_in_one(tmp_path: Path) -> None:
    model = LanguageModel(write_translator(tmp_path, dtype=torch.float32), is_exact=True)
    with torch.inference_mode():
        whole = model.logits(TOKENS, 0)
        model.logits(TOKENS[:12], 0)
        model.logits(TOKENS[12:19], 12)
        torch.testing.assert_close(model.logits(TOKENS[19:], 19), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("has_product", [True, False])
def test_8_bits_change_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_product: bool) -> None:
    paths = write_translator(tmp_path)
    exact, model = LanguageModel(paths, is_exact=True), LanguageModel(paths)
    if not has_product:
        monkeypatch.setattr(language_model, "_can_multiply_int8", False)
    with torch.inference_mode():
        for each in (exact, model):
            each.logits(TOKENS[:-1], 0)
        difference = exact.logits(TOKENS[-1:], 19) - model.logits(TOKENS[-1:], 19)
    assert difference.abs().max() < 0.05


def test_a_head_of_its_own_is_read(tmp_path: Path) -> None:
    paths = write_translator(tmp_path, tie_word_embeddings=False)
    tied = LanguageModel(write_translator(tmp_path / "tied"))
    with torch.inference_mode():
        assert not torch.equal(LanguageModel(paths).logits(TOKENS, 0), tied.logits(TOKENS, 0))


def test_the_same_text_has_the_same_answer_whatever_was_asked_before(tmp_path: Path) -> None:
    model = LanguageModel(write_translator(tmp_path))
    first = model.answer(beginning(), ending("猫"), most_tokens=12)
    model.answer(beginning(), ending("一只熊猫在雪地里" * 3), most_tokens=12)
    model.answer("something else", ending("猫"), most_tokens=3)
    assert model.answer(beginning(), ending("猫"), most_tokens=12) == first


def test_an_answer_is_in_english_letters_whatever_the_weights_say(tmp_path: Path) -> None:
    answer = LanguageModel(write_translator(tmp_path)).answer("", ending("熊猫"), most_tokens=40)
    assert answer.text
    assert answer.text.isascii()
    assert not set(answer.text) & set("<>()[]{}:|\n")


def test_an_answer_ends_with_the_turn(tmp_path: Path) -> None:
    model = LanguageModel(write_translator(tmp_path))
    model._forbidden[:] = True
    model._forbidden[list(model._ends)] = False
    assert model.answer("", ending("熊猫"), most_tokens=40) == ("", True)


def test_it_stops_within_a_token(tmp_path: Path) -> None:
    asked = iter([False, False, True])
    with pytest.raises(Stopped):
        LanguageModel(write_translator(tmp_path)).answer(
            "", ending("熊猫"), most_tokens=40, is_over=lambda: next(asked)
        )
    assert next(asked, None) is None


def test_loading_stops(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        LanguageModel(write_translator(tmp_path), is_over=lambda: True)


def test_a_text_longer_than_its_memory_has_no_end(tmp_path: Path) -> None:
    answer = LanguageModel(write_translator(tmp_path)).answer("", "x" * 5000, most_tokens=4)
    assert answer == ("", False)


def test_wrong_files_raise(tmp_path: Path) -> None:
    paths = write_translator(tmp_path)
    paths.config.write_text(json.dumps({"model_type": "llama"}), "utf-8")
    with pytest.raises(ValueError, match="qwen3"):
        LanguageModel(paths)
