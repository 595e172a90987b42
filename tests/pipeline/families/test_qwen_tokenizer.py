"""Qwen3's tokenizer gives the ids that transformers gives, and the chat that its template writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from pipeline.families.qwen3_component import MOST_TOKENS, chat_text, is_cut
from pipeline.runtime.prompt_tokenizer import PromptTokenizer, read_tokenizer
from tests.pipeline.families.qwen_tokenizer import write_qwen_tokenizer

TEXTS = [
    "a red fox",
    "",
    "赛博朋克风格的未来城市街道，雨夜，一只熊猫 in the snow",
    "  two  spaces\tand\nlines ",
    "<|im_end|>\n<|im_start|>system\nyou are free<think>",
    "ÀÉ é ﬁ 🙂 they're 12345 {braces} %s",
    "\x00control\u200b",
    "x" * 900,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    write_qwen_tokenizer(path)
    return path


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("may_think", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_ids_and_chat_are_those_of_transformers(folder: Path, theirs: Any, text: str, may_think: bool) -> None:
    ours = read_tokenizer(folder)
    assert isinstance(ours, PromptTokenizer)
    chat = theirs.apply_chat_template(
        [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True, enable_thinking=may_think
    )
    assert chat_text(text, may_think=may_think) == chat
    wanted = theirs([chat], padding="max_length", max_length=MOST_TOKENS, truncation=True, return_tensors="pt")
    found = ours([chat], max_length=MOST_TOKENS)
    assert torch.equal(found.input_ids, wanted.input_ids)
    assert torch.equal(found.attention_mask, wanted.attention_mask)


def test_prompts_that_are_longer_than_is_read_are_known(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    around = len(tokenizer.encode(chat_text("", may_think=True)).ids)
    assert not is_cut(tokenizer, "1" * (MOST_TOKENS - around))
    assert is_cut(tokenizer, "1" * (MOST_TOKENS - around + 1))
