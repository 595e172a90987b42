"""What of a prompt T5 cannot read is counted with the model's own tokenizer, if it is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from pipeline.catalog.models import DEMO, FAKE, FLUX1_DEV, MAJICFLUS_V1, unread_of
from pipeline.catalog.vocabulary import Unread, count_unread
from pipeline.config import PipelineConfig
from pipeline.spec import ImageOptions


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


def test_counting_imports_no_torch(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    code = (
        "import sys, pathlib\n"
        "from pipeline.catalog.models import FLUX1_DEV\n"
        "from pipeline.catalog.vocabulary import count_unread\n"
        "print(count_unread(FLUX1_DEV, pathlib.Path(sys.argv[1]), 'x 红').characters, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1", "False"]
