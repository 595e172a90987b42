"""What becomes of a person's finished images at the page, on a real database, without Gradio."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image

from bot.errors import CannotUpscale, JobNotFound, PictureErased, PictureNotReady, Refusal
from bot.frontends.web import own_images
from bot.frontends.web.examples import EXAMPLES, welcome
from bot.frontends.web.fragments import LABEL_TIME
from bot.frontends.web.handlers import PageHandlers
from bot.frontends.web.help_page import help_page
from bot.frontends.web.own_files import FOLDER, own_files
from bot.frontends.web.own_images import Looked
from bot.frontends.web.page_words import page_words
from bot.frontends.web.security import paths
from bot.frontends.web.zip_stream import BLOCK_BYTES, zipped
from bot.jobs import Derivation, Job, Verb
from bot.presentation.job_view import Action
from bot.presentation.wording import LANGUAGES, wording_for
from bot.requests.verbs import VERBS
from bot.store.image_store import ImageStore
from pipeline.catalog.models import DEMO, find_model
from pipeline.spec import ImageOptions, Size
from tests.bot.frontends.web.test_handlers import ANN, BEN, config, finish, handlers, queue  # noqa: F401 - fixtures

Finish = Callable[..., Awaitable[Job]]
ANY = Looked()


async def drawn(handlers: PageHandlers, finish: Finish, prompt: str = "a fox", **options: object) -> Job:  # noqa: F811
    await handlers.draw(ANN, ImageOptions.read(prompt=prompt, seed=7, steps=4, **options))
    return await finish()


async def test_verbs_mean_what_they_mean_on_discord(handlers: PageHandlers, finish: Finish, images: ImageStore) -> None:  # noqa: F811
    job = await drawn(handlers, finish, size=Size.DRAFT)
    path = await images.find(job.image_path or "")
    assert path is not None
    Image.new("RGB", (job.spec.width, job.spec.height), "green").save(path, format="PNG")
    shown = await handlers.images.large(ANN, job.id)
    offered = {verb for verb in VERBS if f'data-do="{verb}"' in shown}
    assert offered == {*VERBS} - {Action.FINAL} or offered == {*VERBS}
    made = {}
    for verb in sorted(offered):
        (made[verb],) = (await handlers.draw_again(ANN, job.id, verb)).jobs
        await finish()
    assert made[Action.REROLL].spec.seed != 7 and not made[Action.REROLL].spec.source
    assert made[Action.VARY].spec.source and made[Action.VARY].spec.strength == 0.6
    assert (made[Action.MORE_STEPS].spec.seed, made[Action.MORE_STEPS].spec.steps) == (7, 8)
    assert made[Action.UPSCALE].spec.upscale == 2
    assert {each.derived_from for each in made.values()} == {
        Derivation(job_id=job.id, verb=Verb(verb)) for verb in offered
    }
    with pytest.raises(CannotUpscale):
        await handlers.draw_again(ANN, made[Action.UPSCALE].id, Action.UPSCALE)
    for verb in VERBS:
        with pytest.raises(JobNotFound):
            await handlers.draw_again(BEN, job.id, verb)


def test_addresses_of_verbs_are_those_that_there_are() -> None:
    for verb in Action:
        found = paths.find("POST", f"/console/jobs/7/{verb}")
        is_own = verb in VERBS or verb in (Action.CANCEL, Action.DISMISS)
        assert (found is not None) == is_own, verb


async def test_images_are_kept_found_again_and_let_go_by_their_own_person(
    handlers: PageHandlers,  # noqa: F811
    finish: Finish,  # noqa: F811
) -> None:
    first, second, third = [await drawn(handlers, finish, prompt) for prompt in ("a fox", "a cat", "a red fox")]
    images = handlers.images
    assert await images.keep(ANN, [first.id, third.id, first.id], is_kept=True) == "2 images are kept."
    assert await images.keep(ANN, [first.id], is_kept=True) == "The image is kept."  # twice is harmless
    kept = await images.page(ANN, Looked(is_kept=True))
    assert [str(third.id) in html or str(first.id) in html for html in kept["pictures"]] == [True, True]  # type: ignore[attr-defined]
    assert 'data-is-kept="yes"' in await images.large(ANN, first.id) and "Stop keeping" in await images.large(
        ANN, first.id
    )
    both = await images.page(ANN, Looked(search="red", is_kept=True, model="fake"))
    assert len(both["pictures"]) == 1  # type: ignore[arg-type]
    nothing = await images.page(ANN, Looked(model="nobody' OR 1=1 --"))
    assert (
        nothing["pictures"] == [] and nothing["empty"] == "None of your images is like that." and not nothing["welcome"]
    )
    for stranger in ([first.id], [second.id, 10**18 - 1]):
        with pytest.raises(JobNotFound):
            await images.keep(BEN, stranger, is_kept=False)
    assert await images.keep(ANN, [first.id, third.id], is_kept=False) == "2 images are no longer kept."
    assert (await images.page(ANN, Looked(is_kept=True)))["pictures"] == []


async def test_images_are_deleted_for_good_by_their_own_person(
    handlers: PageHandlers,  # noqa: F811
    finish: Finish,  # noqa: F811
    images: ImageStore,
) -> None:
    first, second = [await drawn(handlers, finish, prompt) for prompt in ("a fox", "a cat")]
    with pytest.raises(JobNotFound):
        await handlers.images.erase(BEN, [first.id])
    with pytest.raises(JobNotFound):
        await handlers.images.erase(ANN, [10**18 - 1])
    address = await handlers.addresses.of(first, "png")
    assert await handlers.images.erase(ANN, [first.id, first.id]) == "The image is deleted."
    assert await images.find(first.image_path or "") is None and address is not None
    assert await handlers.images.erase(ANN, [first.id, second.id]) == "2 images are deleted."  # twice is harmless
    assert (await handlers.images.page(ANN, ANY))["pictures"] == []
    for refused in (
        handlers.images.large(ANN, first.id),
        handlers.images.keep(ANN, [first.id], is_kept=True),
        handlers.draw_again(ANN, first.id, Action.REROLL),
        handlers.addresses.file(address.split("/")[2], first.id),
    ):
        with pytest.raises(PictureErased):
            await refused
    waiting = (await handlers.draw(ANN, ImageOptions(prompt="a dog"))).jobs[0]
    with pytest.raises(PictureNotReady):
        await handlers.images.erase(ANN, [waiting.id])
    assert handlers._service._jobs is not None


async def test_zip_file_holds_the_own_images_that_are_there_and_no_others(
    handlers: PageHandlers,  # noqa: F811
    finish: Finish,  # noqa: F811
    images: ImageStore,
) -> None:
    first, second, gone = [await drawn(handlers, finish, prompt) for prompt in ("a fox", "../a: cat", "a dog")]
    large = b"\x89PNG" + bytes(2 * BLOCK_BYTES)
    path = await images.find(second.image_path or "")
    assert path is not None
    path.write_bytes(large)
    await handlers.images.erase(ANN, [gone.id])
    await handlers.draw(BEN, ImageOptions(prompt="of Ben"))
    other = await finish()
    wanted = [first.id, second.id, gone.id, other.id, first.id, 10**18 - 1]
    files = await handlers.images.files(ANN, wanted)
    blocks = list(zipped([*files, ("vanished.png", Path("/nowhere/x.png"))]))
    assert max(map(len, blocks)) < 2 * BLOCK_BYTES  # it is never held whole
    with zipfile.ZipFile(io.BytesIO(b"".join(blocks))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{first.id}-a-fox-7.png", f"{second.id}-a-cat-7.png"]
        assert archive.read(archive.namelist()[1]) == large
    for nobody in ([other.id], [gone.id]):
        with pytest.raises(Refusal):
            await handlers.images.files(ANN, nobody)


async def test_gallery_grows_to_its_end_and_is_welcomed_when_there_is_nothing(
    handlers: PageHandlers,  # noqa: F811
    finish: Finish,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_images, "GALLERY_PAGE", 2)
    empty = await handlers.images.page(ANN, ANY)
    assert "a gradient" in str(empty["welcome"]) and "<img" not in str(empty["welcome"])
    jobs = [await drawn(handlers, finish, f"fox {number} <b>") for number in range(5)]
    found, before_id = [], None
    while True:
        page = await handlers.images.page(ANN, Looked(search="fox"), before_id=before_id)
        found += page["pictures"]  # type: ignore[operator]
        if (before_id := page["older_than"]) is None:  # type: ignore[assignment]
            break
    assert [f'data-id="{job.id}"' in html for job, html in zip(reversed(jobs), found, strict=True)] == [True] * 5
    assert f'aria-label="fox 4 &lt;b&gt;, number {jobs[4].id}, {LABEL_TIME}"' in found[0]
    assert (await handlers.images.page(ANN, ANY, before_id=0))["welcome"] == ""


def test_examples_of_the_demo_have_their_images_and_words_that_it_knows() -> None:
    from pipeline.catalog.unknown_words import unknown_words

    for language in LANGUAGES:
        shown = welcome(DEMO, wording_for(language), root_path="/below")
        assert shown.count("<img") == shown.count("data-do=") == len(EXAMPLES) and "/below/console/assets/" in shown
    for example in EXAMPLES:
        assert own_files()[f"example-{example.name}.webp"].content[:4] == b"RIFF"
        assert unknown_words(DEMO, example.english) == unknown_words(DEMO, example.chinese) == ()
    assert {path.stem for path in FOLDER.glob("*.webp")} == {f"example-{example.name}" for example in EXAMPLES}


def test_scripts_have_every_word_that_they_say_and_no_other() -> None:
    scripts = "".join(file.content.decode() for name, file in own_files().items() if name.endswith(".js"))
    said = set(re.findall(r"\bwords\.(?!js\b)([a-z_]+)", scripts))
    for language in LANGUAGES:
        assert page_words(language).keys() == said and all(page_words(language).values())


def test_help_names_everything_that_the_demo_draws() -> None:
    text = help_page(DEMO, wording_for("en"), days=30)
    assert "431 things" in text and "hedgehog" in text and "30 days" in text and "Ctrl" in text
    assert "刺猬" in help_page(DEMO, wording_for("zh-CN"), days=1)
    assert "<details" not in help_page(find_model("fake"), wording_for("en"), days=1)
