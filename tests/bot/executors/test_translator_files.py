"""What the operator is told of the translator, and when there is one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bot.config import TranslatorConfig
from bot.executors.translator_files import look_at_translator, open_translator
from bot.findings import Mark
from pipeline.config import PipelineConfig
from pipeline.translation.translator_card import REPO
from tests.pipeline.translation.miniature_translator import write_translator


@pytest.fixture
def pipeline(tmp_path: Path) -> PipelineConfig:
    return PipelineConfig(models_dir=tmp_path)


def test_whole_files_are_used(pipeline: PipelineConfig) -> None:
    write_translator(pipeline.models_dir / REPO)
    [finding] = look_at_translator(TranslatorConfig(), pipeline)
    assert finding.mark is Mark.OK
    assert open_translator(TranslatorConfig(), pipeline) is not None


def test_nothing_is_there(pipeline: PipelineConfig, caplog: pytest.LogCaptureFixture) -> None:
    [finding] = look_at_translator(TranslatorConfig(), pipeline)
    assert finding.mark is Mark.NOTE
    assert "imagine-bot fetch translator" in finding.way_out
    with caplog.at_level(logging.INFO):
        assert open_translator(TranslatorConfig(), pipeline) is None
    assert "imagine-bot fetch translator" in caplog.text


def test_it_is_turned_off(pipeline: PipelineConfig) -> None:
    write_translator(pipeline.models_dir / REPO)
    [finding] = look_at_translator(TranslatorConfig(enabled=False), pipeline)
    assert finding.mark is Mark.NOTE
    assert open_translator(TranslatorConfig(enabled=False), pipeline) is None


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_damaged_files_are_no_promise(pipeline: PipelineConfig, name: str, caplog: pytest.LogCaptureFixture) -> None:
    paths = write_translator(pipeline.models_dir / REPO)
    path = paths.weights.with_name(name)
    path.write_bytes(path.read_bytes()[:200])
    [finding] = look_at_translator(TranslatorConfig(), pipeline)
    assert finding.mark is Mark.NOTE
    assert str(path) in finding.text
    assert open_translator(TranslatorConfig(), pipeline) is None
    assert caplog.records[0].levelno == logging.WARNING


def test_a_folder_of_ones_own(pipeline: PipelineConfig, tmp_path: Path) -> None:
    config = TranslatorConfig(path=tmp_path / "mine")
    findings = look_at_translator(config, pipeline)
    assert {finding.mark for finding in findings} == {Mark.NOTE}
    assert "[translator] path" in findings[0].way_out
    write_translator(tmp_path / "mine")
    assert open_translator(config, pipeline) is not None
