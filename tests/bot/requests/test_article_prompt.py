"""The Chinese prompt that an article tried, on a miniature of every model: what is read, told and drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch

from bot.jobs import Request
from bot.presentation.job_view import translation_phrase, unread_notes
from bot.presentation.phrases import Voice
from bot.presentation.wording import wording_for
from bot.requests.batch import Asker, Batch
from bot.requests.models import Models
from bot.requests.service import Service
from bot.requests.translations import Translations
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import DEMO, create_engine, unread_of
from pipeline.config import PipelineConfig
from pipeline.engine import Engine
from pipeline.spec import ImageOptions, ImageSpec, Size
from tests.dictionary import ENGLISH, Dictionary

ARTICLE = "赛博朋克风格的未来城市街道，雨夜，霓虹灯"
VOICE = Voice(wording=wording_for("en"), write_moment=str)
READS = f"The model reads: {ENGLISH[ARTICLE]}"


@dataclass(frozen=True)
class Subject:
    """A miniature that draws."""

    card: ModelCard
    config: PipelineConfig
    engine: Engine

    def draw(self, spec: ImageSpec) -> bytes:
        return self.engine.generate(spec, on_progress=lambda _: None, should_stop=lambda: False).pixels


def flux(folder: Path, config: PipelineConfig) -> tuple[ModelCard, Engine]:
    from pipeline.families.flux.cards import FLUX1_DEV
    from pipeline.families.flux.engine import FluxEngine
    from tests.pipeline.families.flux.random_flux import Sizes, miniature_card, write_random_flux

    write_random_flux(folder, FLUX1_DEV, Sizes())
    return miniature_card(), FluxEngine(miniature_card(), config)


def z_image(folder: Path, config: PipelineConfig) -> tuple[ModelCard, Engine]:
    from pipeline.families.z_image.engine import ZImageEngine
    from tests.pipeline.families.z_image.random_z_image import make_miniature, write_folder

    card = write_folder(make_miniature(), folder)
    return card, ZImageEngine(card, config)


def klein(folder: Path, config: PipelineConfig) -> tuple[ModelCard, Engine]:
    from pipeline.families.flux2.engine import Flux2Engine
    from tests.pipeline.families.flux2.random_flux2 import make_miniature, write_folder

    card = write_folder(make_miniature(), folder)
    return card, Flux2Engine(card, config)


def stable_diffusion(name: str, folder: Path, config: PipelineConfig) -> tuple[ModelCard, Engine]:
    from pipeline.families.stable_diffusion.engine import StableDiffusionEngine
    from tests.pipeline.families.stable_diffusion.random_sd import make_sd15, make_sdxl, write_folder

    card = replace(write_folder({"sd15": make_sd15, "sdxl": make_sdxl}[name](), folder), needs_gpu=False)
    return card, StableDiffusionEngine(card, config)


def demo(_folder: Path, config: PipelineConfig) -> tuple[ModelCard, Engine]:
    return DEMO, create_engine(DEMO.name, config)


@dataclass(frozen=True)
class Told:
    """What a person is told, with the translator and without it: a piece of each sentence, in its order."""

    make: Callable[[Path, PipelineConfig], tuple[ModelCard, Engine]]
    translated: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()


TOLD = {
    "sdxl": Told(partial(stable_diffusion, "sdxl"), (READS,), ("18 of 18 characters",)),
    "sd15": Told(partial(stable_diffusion, "sd15"), (READS,), ("18 of 18 characters",)),
    "flux": Told(flux, (READS,), ("18 of 18 characters",)),
    "z-image": Told(z_image),
    "klein": Told(klein),
    "demo": Told(demo, ("赛博朋克",), ("赛博朋克",)),  # which names the words that mean nothing to it
}


@pytest.fixture(scope="module", params=TOLD)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    folder = tmp_path_factory.mktemp("models")
    config = PipelineConfig(device="cpu", models_dir=folder, cpu_threads=1)
    threads = torch.get_num_threads()
    card, engine = TOLD[request.param].make(folder, config)
    yield Subject(card, config, engine)
    engine.close()
    torch.set_num_threads(threads)


@pytest.mark.timeout(180)  # the first of them imports torch and DiffSynth
async def test_article_prompt_is_read_drawn_and_told_of(
    subject: Subject,
    request: pytest.FixtureRequest,
    make_service: Callable[..., Service],
    make_request: Callable[..., Request],
) -> None:
    expected = TOLD[request.node.callspec.params["subject"]]
    asked = make_request()
    specs = []
    for number, (translations, sentences) in enumerate(
        ((Translations(Dictionary().translator()), expected.translated), (Translations(), expected.alone))
    ):
        unread = partial(unread_of, subject.config, find=lambda _name: subject.card)
        models = Models(usual=subject.card, unread=unread, is_translated=translations.are_there)
        service = make_service(models=models)
        service.translations = translations
        size = Size.DRAFT if subject.card is DEMO else None  # whose weights are the real ones
        batch = Batch.of(ImageOptions(prompt=ARTICLE, seed=1, steps=1, size=size))
        asker = Asker(user=asked.user, reply_to=asked.reply_to, key=f"k{number}")
        (job,) = (await service.submit_batch(batch, asker)).jobs
        phrases = [translation_phrase(job), *unread_notes(service.unread(job.spec), subject.card.name)]
        said = [VOICE.say(phrase) for phrase in phrases if phrase is not None]
        assert len(said) == len(sentences) and all(map(str.__contains__, said, sentences)), said
        specs.append(job.spec)
    with_translator, alone = specs
    assert (with_translator.prompt, alone.text) == (ARTICLE, ARTICLE)
    drawn = subject.draw(with_translator)
    if with_translator.translated:  # as if a person had written it in English
        assert drawn == subject.draw(replace(alone, prompt=ENGLISH[ARTICLE]))
    else:
        assert with_translator == alone
        assert drawn != subject.draw(replace(alone, prompt="一只熊猫"))
