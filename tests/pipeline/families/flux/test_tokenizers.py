"""Tokenizers give the ids that transformers gives, whatever stands in a prompt."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, CLIPTokenizer, T5TokenizerFast

import pipeline.demo
from pipeline.runtime.prompt_tokenizer import PromptTokenizer, read_tokenizer
from tests.pipeline.families.flux.random_flux import write_clip_tokenizer

FOLDER = "black-forest-labs/FLUX.1-dev"
DEMO = Path(pipeline.demo.__file__).parent
END = "<|endoftext|>"
START = "<|startoftext|>"
ORDERED = ["<pad>", "</s>", "<unk>", *(f"<extra_id_{number}>" for number in range(99, -1, -1))]
TEXTS = [
    "a red apple",
    "",
    "A cat's house, 2 × 猫",
    "  two  spaces\tand\nlines ",
    "<|endoftext|> x <|startoftext|>",
    " <extra_id_5> </s> <pad> <unk>red",
    "a<extra_id_3>b </s>c",
    "ÀÉ é ﬁ ½ ① Ｆｕｌｌ İstanbul ẞ",
    "🙂 emoji",
    "x" * 900,
    "红苹果 在 桌子 上 12345",
    "they're we'll I'd don't",
    "\u200bzero\x00control",
]


def any_text(seed: int) -> str:
    """Latin letters, whatever lies below the CJK blocks, and Chinese characters."""
    dice = random.Random(seed)
    ranges = [(32, 127), (32, 0x2FFF), (0x4E00, 0x9FFF)]
    return "".join(chr(dice.randrange(*dice.choice(ranges))) for _ in range(dice.randrange(60)))


def added(content: str, **changed: bool) -> dict[str, Any]:
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {"content": content, **plain, **changed}


def write_clip_like_flux(folder: Path) -> None:
    """What `black-forest-labs/FLUX.1-dev` has in `tokenizer/`, with few merges."""
    write_clip_tokenizer(folder)
    merges = ["r e", "re d</w>", "a p", "ap p", "app l", "appl e</w>", "c a", "ca t</w>"]
    pieces = [piece for piece in json.loads((folder / "vocab.json").read_text("utf-8")) if not piece.startswith("<|")]
    pieces += [merge.replace(" ", "") for merge in merges] + [START, END]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(numbers), "utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")
    config = {
        "add_prefix_space": False,
        "added_tokens_decoder": {numbers[START]: added(START, normalized=True), numbers[END]: added(END)},
        "bos_token": START,
        "clean_up_tokenization_spaces": True,
        "do_lower_case": True,
        "eos_token": END,
        "errors": "replace",
        "model_max_length": 77,
        "pad_token": END,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": END,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "special_tokens_map.json").write_text(
        json.dumps({"bos_token": START, **dict.fromkeys(("eos_token", "pad_token", "unk_token"), END)})
    )


def write_t5_like_flux(folder: Path, *, lists_added: bool = True) -> None:
    """What it has in `tokenizer_2/`, over ASCII letters."""
    letters = [(chr(code), -3 - code / 1000) for code in range(33, 127)]
    words = [("▁re", -1.0), ("▁app", -1.5), ("le", -1.2), ("▁cat", -1.0)]
    pieces = [*((each, 0.0) for each in ORDERED[:3]), ("▁", -2.0), *letters, *words]
    pieces += [(each, 0.0) for each in ORDERED[3:]]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.add_special_tokens([AddedToken(each, special=True, normalized=False) for each in ORDERED])
    tokenizer.save(str(folder / "tokenizer.json"))
    config: dict[str, Any] = {
        "add_prefix_space": True,
        "eos_token": "</s>",
        "extra_ids": 100,
        "legacy": True,
        "model_max_length": 512,
        "pad_token": "<pad>",
        "tokenizer_class": "T5Tokenizer",
        "unk_token": "<unk>",
    }
    if lists_added:
        config["additional_special_tokens"] = [f"<extra_id_{number}>" for number in range(100)]
        config["added_tokens_decoder"] = {
            tokenizer.token_to_id(each): added(each, lstrip="extra" in each, rstrip="extra" in each) for each in ORDERED
        }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(("name", "kind"), [("tokenizer", CLIPTokenizer), ("tokenizer_2", T5TokenizerFast)])
def test_folder_of_flux_gives_the_ids_of_the_class_that_diffsynth_takes(
    miniature_dir: Path, name: str, kind: Any
) -> None:
    same_ids(miniature_dir / FOLDER / name, kind.from_pretrained(miniature_dir / FOLDER / name))


@pytest.mark.parametrize("name", ["tokenizer_1", "tokenizer_2"])
def test_word_pieces_of_the_demo_are_those_of_transformers(name: str) -> None:
    same_ids(DEMO / name, AutoTokenizer.from_pretrained(DEMO / name))


@pytest.mark.parametrize(
    "write",
    [write_clip_like_flux, write_t5_like_flux, lambda folder: write_t5_like_flux(folder, lists_added=False)],
    ids=["CLIP", "T5", "T5 of an older release"],
)
def test_files_as_flux_has_them_give_the_same_ids(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    library = AutoTokenizer.from_pretrained(tmp_path)
    same_ids(tmp_path, library)
    mine: Any = read_tokenizer(tmp_path)
    for tokenizer in (mine.tokenizer, library._tokenizer):
        tokenizer.no_truncation()
        tokenizer.no_padding()
    assert json.loads(mine.tokenizer.to_str()) == json.loads(library._tokenizer.to_str())


def same_ids(folder: Path, library: Any) -> None:
    ours = read_tokenizer(folder)
    assert type(ours) is PromptTokenizer
    several = [text for text in TEXTS if len(text) < 100]
    for length in (48, 77, 512):
        for text in (*TEXTS, several, *map(any_text, range(100))):
            mine = ours(text, max_length=length)
            wanted = library(text, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
            assert mine.input_ids.equal(wanted.input_ids), text
            assert mine.attention_mask.equal(wanted.attention_mask), text


def test_folder_of_another_kind_is_left_to_transformers(tmp_path: Path) -> None:
    write_t5_like_flux(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "tokenizer_class": "GPT2Tokenizer"}))
    assert type(read_tokenizer(tmp_path)) is not PromptTokenizer
