"""What of a prompt T5 cannot read is counted with the model's own tokenizer, if it is there."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import DEMO, FAKE, FLUX1_DEV, FLUX1_SCHNELL, MAJICFLUS_V1, SD15, SDXL, unread_of
from pipeline.catalog.vocabulary import Unread, count_unread, find_unread, is_cut
from pipeline.config import PipelineConfig
from pipeline.spec import ImageOptions
from pipeline.translation.foreign_text import needs_translation


def write_tokenizer(models_dir: Path) -> Path:
    """A unigram tokenizer of the kind that T5 has, over ASCII letters, where that of FLUX.1 lies."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((chr(n), -3.0) for n in range(97, 123))]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.enable_truncation(8)
    file = FLUX1_DEV.files["tokenizer_2"]
    path = models_dir / str(file.repo) / file.path / "tokenizer.json"
    path.parent.mkdir(parents=True)
    path.with_name("tokenizer_config.json").write_text("{}")
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red apple", (0, 9)),
        ("一只红苹果", (5, 5)),
        ("a red 苹果 on a table", (2, 14)),
        ("苹果", (2, 2)),
        ("a {red} apple", (0, 9)),  # braces are no news
        ("a red apple 🍎", (1, 10)),
        ("红" * 2000, (2000, 2000)),  # far beyond what is read at all
        ("!?", (0, 0)),
    ],
)
@pytest.mark.parametrize("card", [FLUX1_DEV, MAJICFLUS_V1], ids=lambda card: card.name)
def test_what_has_no_word_pieces_is_counted(
    card: object, prompt: str, expected: tuple[int, int], tmp_path: Path
) -> None:
    write_tokenizer(tmp_path)
    assert isinstance(card, type(FLUX1_DEV))
    assert count_unread(card, tmp_path, prompt) == Unread(*expected)


def test_demo_reads_chinese_and_is_not_told_of(tmp_path: Path) -> None:
    assert count_unread(DEMO, tmp_path, "红苹果 qqqq") == Unread(0, 0)
    assert count_unread(FAKE, tmp_path, "红苹果") == Unread(0, 0)


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b"\xff\xfe"])
def test_tokenizer_that_is_damaged_costs_nothing(tmp_path: Path, content: bytes) -> None:
    write_tokenizer(tmp_path).write_bytes(content)
    spec = FLUX1_DEV.resolve(ImageOptions(prompt="红苹果"), random_seed=1)
    assert unread_of(PipelineConfig(models_dir=tmp_path), spec) == Unread(0, 0)


def test_shipped_tokenizer_counts_until_the_models_own_is_there(tmp_path: Path) -> None:
    assert count_unread(FLUX1_DEV, tmp_path, "红苹果 é").characters == 3
    write_tokenizer(tmp_path)
    assert count_unread(FLUX1_DEV, tmp_path, "红苹果 é").characters == 4


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red apple, 42 cafés", (0, 16)),
        ("一只红苹果", (5, 5)),
        ("a red 苹果 on a table", (2, 14)),
        ("a red apple 🍎 ❤️", (0, 12)),
        ("яблоко सेब", (9, 9)),  # with its vowel sign
        ("m\u0303 ñ", (0, 3)),
        ("", (0, 0)),
    ],
)
def test_letters_of_other_scripts_are_counted_for_models_that_read_english_bytes(
    prompt: str, expected: tuple[int, int], tmp_path: Path
) -> None:
    for card in (SD15, SDXL):
        assert count_unread(card, tmp_path, prompt) == Unread(*expected)
    assert count_unread(FAKE, tmp_path, prompt) == Unread(0, 0)


@pytest.mark.parametrize(
    ("prompt", "is_long"),
    [
        ("", False),
        ("a red apple", False),
        ("apple, " * 285, False),
        ("a BREAK " * 16, False),
        ("a BREAK " * 220, True),
        ("红" * 1998, True),
        ("🦩" * 1000, True),
    ],
)
def test_prompt_beyond_what_clip_is_given_is_cut(prompt: str, is_long: bool, tmp_path: Path) -> None:
    for card in (SD15, SDXL):
        assert is_cut(card, tmp_path, prompt) is is_long
        assert find_unread(card, tmp_path, "a red apple", prompt) == Unread(0, 9, is_negative_cut=is_long)


def test_negative_prompt_of_a_spec_is_looked_at_too(tmp_path: Path) -> None:
    spec = SDXL.resolve(ImageOptions(prompt="红苹果", negative_prompt="🦩" * 1000), random_seed=1)
    assert unread_of(PipelineConfig(models_dir=tmp_path), spec) == Unread(3, 3, is_negative_cut=True)


def test_prompt_beyond_the_tokens_of_t5_is_cut(tmp_path: Path) -> None:
    assert not is_cut(FLUX1_SCHNELL, tmp_path, "apple " * 200)
    assert is_cut(FLUX1_SCHNELL, tmp_path, "apple " * 300)
    assert not is_cut(FLUX1_DEV, tmp_path, "apple " * 300)
    assert is_cut(DEMO, tmp_path, "红" * 2000) and not is_cut(FAKE, tmp_path, "红" * 2000)


def test_counting_imports_no_torch(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    code = (
        "import sys, pathlib\n"
        "from pipeline.catalog.models import FLUX1_DEV, SD15\n"
        "from pipeline.catalog.vocabulary import count_unread, is_cut\n"
        "is_cut(SD15, pathlib.Path(sys.argv[1]), 'x')\n"
        "print(count_unread(FLUX1_DEV, pathlib.Path(sys.argv[1]), 'x 红').characters, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1", "False"]


ARTICLE = "赛博朋克风格的未来城市街道，雨夜，霓虹灯"


@pytest.mark.parametrize("card", [MAJICFLUS_V1, FLUX1_DEV, FLUX1_SCHNELL, SDXL, SD15], ids=lambda card: card.name)
@pytest.mark.parametrize(
    ("prompt", "translated"),
    [
        (ARTICLE, "a cyberpunk street of the future, rainy night, neon lights"),
        ("一只熊猫 in the snow", "a panda in the snow"),
        ("старый маяк", "an old lighthouse"),
        ("桜の下の猫", "a cat under cherry blossoms"),
    ],
)
def test_what_is_translated_is_read_by_every_model_of_english(
    card: ModelCard, prompt: str, translated: str, tmp_path: Path
) -> None:
    config = PipelineConfig(models_dir=tmp_path)
    spec = card.resolve(ImageOptions(prompt=prompt), random_seed=0)
    assert needs_translation(card, prompt)
    assert unread_of(config, spec).characters > 0
    assert unread_of(config, replace(spec, translated=translated)).characters == 0


@pytest.mark.parametrize("card", [MAJICFLUS_V1, SDXL, SD15], ids=lambda card: card.name)
def test_latin_letters_of_other_languages_are_left_alone(card: ModelCard, tmp_path: Path) -> None:
    assert not needs_translation(card, "café Grüße")
    spec = card.resolve(ImageOptions(prompt="café Grüße"), random_seed=0)
    assert unread_of(PipelineConfig(models_dir=tmp_path), spec).characters == 0
