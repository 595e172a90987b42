"""The tokenizers that ship with the program: the numbers of the models' own, for files that bring none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import pipeline.catalog
from pipeline.runtime.prompt_tokenizer import PromptTokenizer, read_tokenizer
from tests.pipeline.families.flux.test_tokenizers import TEXTS, any_text

FOLDER = Path(pipeline.catalog.__file__).parent / "tokenizers"


@pytest.mark.parametrize(
    ("name", "length", "apple", "digest"),
    [
        (
            "clip",
            77,
            [49406, 320, 736, 3055, 49407, 49407],
            "d0f961422651678e265f038ed231e0dc3d4f4b451282c2af887c52636ed13b60",
        ),
        ("t5", 512, [3, 9, 1131, 8947, 1, 0], "a41e4b9fb8aba30a6196c070a631b7f367b6028cecbea40ef71b91f0f566c57d"),
    ],
)
def test_shipped_tokenizers_number_text_as_the_originals_do(
    name: str, length: int, apple: list[int], digest: str
) -> None:
    """The digests were made by transformers 5.23 from the files that NOTICE names."""
    tokenizer = read_tokenizer(FOLDER / name)
    assert isinstance(tokenizer, PromptTokenizer)  # or transformers would be imported, which takes seconds
    ids = tokenizer([*TEXTS, *map(any_text, range(200))], max_length=length).input_ids
    assert ids[0, :6].tolist() == apple
    assert hashlib.sha256(ids.numpy().tobytes()).hexdigest() == digest
