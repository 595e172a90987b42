"""The tokenizers that ship with the program: the numbers of the models' own, for files that bring none."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

import pipeline.catalog
from pipeline.runtime.prompt_tokenizer import PromptTokenizer, read_tokenizer

FOLDER = Path(pipeline.catalog.__file__).parent / "tokenizers"
TEXTS = [
    "a red apple",
    "",
    "A cat's house, 2 × 猫",
    "<|endoftext|> x",
    " <extra_id_5> </s> <pad> <unk>red",
    "x" * 900,
    "🙂",
]


def any_text(seed: int) -> str:
    """Latin letters, whatever lies below the CJK blocks, and Chinese characters."""
    dice = random.Random(seed)
    ranges = [(32, 127), (32, 0x2FFF), (0x4E00, 0x9FFF)]
    return "".join(chr(dice.randrange(*dice.choice(ranges))) for _ in range(dice.randrange(60)))


@pytest.mark.parametrize(
    ("name", "length", "apple", "digest"),
    [
        (
            "clip",
            77,
            [49406, 320, 736, 3055, 49407, 49407],
            "f8efd4da49aed81ea072cc93e6d5ef48ccfe0ff7acba513795c9e8b29ee31206",
        ),
        ("t5", 512, [3, 9, 1131, 8947, 1, 0], "b05c841d0881bb3ce8a71f307b3b60c6578a27c23dff5850646004249efe87af"),
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
