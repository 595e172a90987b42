"""Everything that is offered to be tried first shows what it names, not the face of a model that does not know it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.presentation.wording import LANGUAGES, wording_for
from pipeline.bench.image_scoring import picture_of, references
from pipeline.catalog.models import DEMO, create_engine
from pipeline.config import PipelineConfig
from pipeline.engine import Engine
from pipeline.spec import ImageOptions

ROOT = Path(__file__).parents[3]
EXAMPLE = re.compile(r'/imagine (?!prompt)(.+?)`|imagine-bot draw "(.+?)"|write "(.+?)"|写下“(.+?)”|"data": \["(.+?)"')
DOCUMENTS = ("README.md", "README.zh-CN.md", "docs/page.md")
SHOWN = {
    "a fox in the snow": "fox",
    "蓝色背景上的狐狸": "fox",
    "狐狸": "fox",
    "a red apple": "red apple",
    "一个红苹果": "red apple",
    "一只熊猫": "panda",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = create_engine("demo", PipelineConfig(device="cpu", models_dir=tmp_path_factory.mktemp("models")))
    engine.load()
    yield engine
    engine.close()


def test_examples_are_those_of_the_page_and_of_the_documents() -> None:
    placeholders = {wording_for(language).say("console-prompt-hint") for language in LANGUAGES}
    texts = [ROOT.joinpath(name).read_text("utf-8") for name in DOCUMENTS]
    written = {example for text in texts for match in EXAMPLE.findall(text) for example in match if example}
    assert placeholders | written == set(SHOWN)


@pytest.mark.parametrize("prompt", SHOWN)
def test_demo_draws_every_example(engine: Engine, prompt: str) -> None:
    for seed in (7, 8):
        spec = DEMO.resolve(ImageOptions(prompt=prompt, seed=seed, steps=8), random_seed=0)
        image = engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False)
        seen = references().nearest(picture_of(image.pixels, image.width, image.height))
        assert seen[0].key == SHOWN[prompt]


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_says_how_many_things_the_demo_knows(language: str) -> None:
    assert f" {len(references().concepts)} " in wording_for(language).say("console-prompt-demo")
