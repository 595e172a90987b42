"""Tokenizers are read by the class that their folder names."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer, CLIPTokenizer, T5TokenizerFast

FOLDER = "black-forest-labs/FLUX.1-dev"


@pytest.mark.parametrize(("name", "kind"), [("tokenizer", CLIPTokenizer), ("tokenizer_2", T5TokenizerFast)])
def test_folder_of_flux_gives_the_class_that_diffsynth_takes(miniature_dir: Path, name: str, kind: type) -> None:
    folder = miniature_dir / FOLDER / name
    ours, theirs = AutoTokenizer.from_pretrained(folder), kind.from_pretrained(folder)
    assert type(ours) is type(theirs)
    text = "A cat's house, 2 × 猫"
    assert ours(text).input_ids == theirs(text).input_ids
