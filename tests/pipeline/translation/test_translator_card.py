"""The files of the language model: where they lie, and that nothing damaged is called good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.translation.translator import translator_of
from pipeline.translation.translator_card import QWEN3, REPO, flaws_of, is_there, paths_of, read_shape
from tests.pipeline.translation.miniature_translator import SIZES, write_translator

HOSTILE_CONFIGS = [
    "",
    "[]",
    "[" * 5000,
    "null",
    '{"model_type": "qwen3"}',
    json.dumps({**SIZES, "num_hidden_layers": 10**12}),
    json.dumps({**SIZES, "hidden_size": "64"}),
    json.dumps({**SIZES, "hidden_size": True}),
    json.dumps({**SIZES, "num_key_value_heads": 3}),
    json.dumps({**SIZES, "rope_theta": None}),
    json.dumps({**SIZES, "model_type": "llama"}),
    json.dumps({**SIZES, "rope_parameters": {"rope_type": "default"}}),
]


def test_its_files_lie_where_they_are_fetched_to(tmp_path: Path) -> None:
    write_translator(tmp_path / REPO)
    assert flaws_of(QWEN3, tmp_path) == {}
    assert paths_of(QWEN3, tmp_path).weights == tmp_path / "Qwen" / "Qwen3-0.6B" / "model.safetensors"
    assert translator_of(QWEN3, tmp_path) is not None


def test_a_folder_of_the_operators_own_is_used_in_place(tmp_path: Path) -> None:
    write_translator(tmp_path / "mine")
    card = QWEN3.in_folder(tmp_path / "mine")
    assert flaws_of(card, tmp_path / "elsewhere") == {}
    assert is_there(card, tmp_path / "elsewhere")


def test_nothing_is_there(tmp_path: Path) -> None:
    assert not is_there(QWEN3, tmp_path)
    assert len(flaws_of(QWEN3, tmp_path)) == 3
    assert translator_of(QWEN3, tmp_path) is None


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_file_that_is_cut_is_found(tmp_path: Path, name: str, share: float) -> None:
    write_translator(tmp_path / REPO)
    path = tmp_path / REPO / name
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert set(flaws_of(QWEN3, tmp_path)) == {path}
    assert translator_of(QWEN3, tmp_path) is None


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    write_translator(tmp_path / REPO)
    path = tmp_path / REPO / "model.safetensors"
    path.write_bytes(b"\x80\x02}q\x00." + b"x" * 100)
    assert set(flaws_of(QWEN3, tmp_path)) == {path}


@pytest.mark.parametrize("text", HOSTILE_CONFIGS)
def test_a_config_of_something_else_is_found(tmp_path: Path, text: str) -> None:
    write_translator(tmp_path / REPO)
    path = tmp_path / REPO / "config.json"
    path.write_text(text, "utf-8")
    assert set(flaws_of(QWEN3, tmp_path)) == {path}


def test_weights_of_another_size_than_the_config_says_are_found(tmp_path: Path) -> None:
    write_translator(tmp_path / REPO)
    config = tmp_path / REPO / "config.json"
    for changed in ({"num_hidden_layers": 3}, {"intermediate_size": 128}):
        config.write_text(json.dumps({**SIZES, **changed}), "utf-8")
        assert set(flaws_of(QWEN3, tmp_path)) == {tmp_path / REPO / "model.safetensors"}


def test_a_tokenizer_of_something_else_is_found(tmp_path: Path) -> None:
    write_translator(tmp_path / REPO)
    path = tmp_path / REPO / "tokenizer.json"
    for text in ("{}", path.read_text("utf-8").replace("<|im_end|>", "<|eom|>")):
        path.write_text(text, "utf-8")
        assert set(flaws_of(QWEN3, tmp_path)) == {path}


def test_the_sizes_of_the_real_one_are_read(tmp_path: Path) -> None:
    real = {
        "model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
        "rms_norm_eps": 1e-06, "rope_theta": 1000000, "tie_word_embeddings": True, "rope_scaling": None,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(real), "utf-8")
    tensors = read_shape(tmp_path / "config.json").tensors()
    weights = sum(size[0] * (size[1] if len(size) == 2 else 1) for size in tensors.values())
    assert 590e6 < weights < 600e6
