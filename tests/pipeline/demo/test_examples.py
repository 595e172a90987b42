"""Everything that is offered to be tried first shows what it names, not the face of a model that does not know it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.presentation.wording import LANGUAGES, wording_for
from pipeline.bench.image_scoring import Side, picture_of, references
from pipeline.catalog.models import DEMO, create_engine
from pipeline.config import PipelineConfig
from pipeline.engine import Engine
from pipeline.spec import ImageOptions

ROOT = Path(__file__).parents[3]
EXAMPLE = re.compile(
    r'/imagine (?!prompt|image strength|preset private)(.+?)`|imagine-bot draw "(.+?)"|write "(.+?)"|写下“(.+?)”'
    r'|"data": \["(.+?)"'
)
DOCUMENTS = ("README.md", "README.zh-CN.md", "docs/page.md")
ROCKET_AND_MOON: dict[Side | None, str] = {"left": "rocket", "right": "crescent moon"}
PANDA_AND_WATERMELON: dict[Side | None, str] = {"left": "panda", "right": "watermelon"}
SHOWN: dict[str, dict[Side | None, str]] = {
    "a fox on a blue background": {None: "fox"},
    "蓝色背景上的狐狸": {None: "fox"},
    "紫色背景上的狐狸": {None: "fox"},
    "a rocket and the moon on a dark blue background": ROCKET_AND_MOON,
    "火箭和月亮，深蓝色背景": ROCKET_AND_MOON,
    "火箭和月亮，黑色背景": ROCKET_AND_MOON,
    "a panda next to a watermelon": PANDA_AND_WATERMELON,
    "一只熊猫在西瓜旁边": PANDA_AND_WATERMELON,
    "雪人和南瓜": {"left": "snowman", "right": "jack-o-lantern"},
    "a red apple": {None: "red apple"},
    "一个红苹果": {None: "red apple"},
    "一只熊猫": {None: "panda"},
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = create_engine("demo", PipelineConfig(device="cpu", models_dir=tmp_path_factory.mktemp("models")))
    engine.load()
    yield engine
    engine.close()


def test_examples_are_those_of_the_model_and_of_the_documents() -> None:
    placeholders = {prompt for language in LANGUAGES for prompt in DEMO.examples[language]}
    texts = [ROOT.joinpath(name).read_text("utf-8") for name in DOCUMENTS]
    written = {example for text in texts for match in EXAMPLE.findall(text) for example in match if example}
    assert placeholders | written == set(SHOWN)


@pytest.mark.parametrize("prompt", SHOWN)
def test_demo_draws_every_example(engine: Engine, prompt: str) -> None:
    spec = DEMO.resolve(ImageOptions(prompt=prompt, seed=7, steps=8), random_seed=0)
    image = engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False)
    picture = picture_of(image.pixels, image.width, image.height)
    seen = {side: references().nearest(picture, side)[0].key for side in SHOWN[prompt]}
    assert seen == SHOWN[prompt]


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_says_how_many_things_the_demo_knows(language: str) -> None:
    assert f" {len(references().concepts)} " in wording_for(language).say("console-prompt-demo")
