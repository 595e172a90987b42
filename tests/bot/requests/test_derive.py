"""Every verb makes of a job what its name says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import pytest

from bot.errors import AlreadyFinal, JobUnreadable, PictureNotReady
from bot.jobs import Derivation, FailureCode, Job, JobStatus, Verb
from bot.requests import derive
from bot.requests.batch import MAX_BATCH, Batch, StoredInitImage, StoredResult
from bot.requests.models import Models
from pipeline import ImageSpec
from pipeline.catalog.models import find_model
from pipeline.spec import Aspect, Dimensions, ImageOptions, Size
from tests.bot.frontends.discord_app.test_embeds import a_job

MODELS = Models(usual=find_model("fake"), others=(find_model("demo"),))
PORTRAIT = find_model("fake").sizes[Aspect.PORTRAIT]
SPEC = ImageSpec(
    prompt="an apple", seed=7, steps=4, width=PORTRAIT[0], height=PORTRAIT[1], guidance=3.5, cfg_scale=1.0,
    model="fake",
)  # fmt: skip
JOB = replace(a_job(), spec=SPEC, status=JobStatus.DONE, image_path="00000/42.png")
STARTED = replace(JOB, spec=replace(SPEC, source="a" * 64, strength=0.4))
SAME = ImageOptions(prompt="an apple", steps=4, aspect=Aspect.PORTRAIT, model="fake")


def test_reroll_draws_once_more_with_another_seed() -> None:
    batch = derive.reroll(JOB, MODELS)
    assert batch == Batch(images=(SAME,), derived_from=Derivation(job_id=42, verb=Verb.REROLL))


def test_vary_draws_several_each_with_a_seed_of_its_own() -> None:
    batch = derive.vary(JOB, MODELS, count=9)
    assert batch.images == (SAME,) * MAX_BATCH
    assert (batch.init_image, batch.derived_from) == (None, Derivation(job_id=42, verb=Verb.VARY))


def test_vary_with_a_strength_starts_from_the_picture_itself() -> None:
    batch = derive.vary(STARTED, MODELS, strength=0.2)
    assert batch.images == (replace(SAME, strength=0.2),)
    assert batch.init_image == StoredResult(path="00000/42.png")


def test_job_without_a_picture_has_none_to_start_from() -> None:
    with pytest.raises(PictureNotReady):
        derive.vary(replace(JOB, image_path=None), MODELS, strength=0.2)


def test_edit_changes_what_is_named_and_keeps_the_rest_with_the_seed() -> None:
    assert derive.edit(JOB, MODELS, prompt="a pear").images == (replace(SAME, prompt="a pear", seed=7),)
    edited = derive.edit(JOB, MODELS, prompt="a pear", seed=0, steps=9, aspect=Aspect.SQUARE)
    assert edited.images == (replace(SAME, prompt="a pear", seed=0, steps=9, aspect=Aspect.SQUARE),)
    assert edited.derived_from == Derivation(job_id=42, verb=Verb.EDIT)


def test_more_steps_keeps_the_seed() -> None:
    batch = derive.more_steps(JOB, MODELS, steps=30)
    assert batch.images == (replace(SAME, seed=7, steps=30),)
    assert batch.derived_from == Derivation(job_id=42, verb=Verb.MORE_STEPS)


def sized(width: int, height: int, **changes: object) -> Job:
    return replace(JOB, spec=ImageSpec.accepted(**{**asdict(SPEC), "width": width, "height": height, **changes}))


def test_final_enlarges_a_draft_with_its_seed_and_from_the_draft_itself() -> None:
    width, height = MODELS.usual.size(Aspect.PORTRAIT, Size.DRAFT)
    batch = derive.final(sized(width, height), MODELS)
    strength = MODELS.usual.final_strength
    assert batch.images == (replace(SAME, seed=7, size=Size.NORMAL, strength=strength),)
    assert batch.init_image == StoredResult(path="00000/42.png")
    assert batch.derived_from == Derivation(job_id=42, verb=Verb.FINAL)
    assert MODELS.usual.pixels_of(batch.images[0]) == PORTRAIT


def test_final_of_a_draft_that_started_from_an_image_starts_from_the_draft() -> None:
    batch = derive.final(sized(32, 48, source="a" * 64, strength=0.2), MODELS)
    assert batch.init_image == StoredResult(path="00000/42.png")


def test_final_of_an_exact_size_keeps_its_shape() -> None:
    (options,) = derive.final(sized(48, 16), MODELS).images
    width, height = MODELS.usual.pixels_of(options)
    assert width / height == pytest.approx(3, rel=0.2) and width * height == pytest.approx(64 * 64, rel=0.3)


def test_final_strength_is_that_of_the_model() -> None:
    demo = find_model("demo")
    (options,) = derive.final(sized(160, 160, model="demo"), MODELS).images
    assert (options.model, options.strength) == ("demo", demo.final_strength)


def test_picture_that_is_no_draft_has_no_final() -> None:
    for width, height in (PORTRAIT, MODELS.usual.size(Aspect.PORTRAIT, Size.LARGE), (128, 128)):
        with pytest.raises(AlreadyFinal):
            derive.final(sized(width, height), MODELS)


def test_draft_without_a_picture_has_no_final() -> None:
    with pytest.raises(PictureNotReady):
        derive.final(replace(sized(32, 48), image_path=None), MODELS)


@pytest.mark.parametrize(
    ("pixels", "aspect", "size"),
    [
        ((64, 96), Aspect.PORTRAIT, None),
        ((48, 32), Aspect.LANDSCAPE, Size.DRAFT),
        ((96, 96), Aspect.SQUARE, Size.LARGE),
        ((448, 320), None, Dimensions(width=448, height=320)),
        ((96, 16), Aspect.LANDSCAPE, None),  # which the model cannot draw any more
        ((0, -7), Aspect.SQUARE, None),  # damaged
    ],
)
def test_every_verb_keeps_the_size(
    pixels: tuple[int, int], aspect: Aspect | None, size: Size | Dimensions | None
) -> None:
    job = sized(*pixels)
    for verb in VERBS:
        assert {(each.aspect, each.size) for each in verb(job).images} == {(aspect, size)}
    if MODELS.usual.can_draw(*pixels):
        assert MODELS.usual.pixels_of(derive.options_of(job, MODELS)) == pixels


def test_another_shape_replaces_an_exact_size_and_keeps_a_named_one() -> None:
    (exact,) = derive.edit(sized(448, 320), MODELS, prompt="x", aspect=Aspect.SQUARE).images
    assert (exact.aspect, exact.size) == (Aspect.SQUARE, None)
    (named,) = derive.edit(sized(48, 32), MODELS, prompt="x", aspect=Aspect.SQUARE).images
    assert (named.aspect, named.size) == (Aspect.SQUARE, Size.DRAFT)


VERBS: list[Callable[[Job], Batch]] = [
    lambda job: derive.reroll(job, MODELS),
    lambda job: derive.vary(job, MODELS, count=2),
    lambda job: derive.edit(job, MODELS, prompt="a pear"),
    lambda job: derive.more_steps(job, MODELS, steps=30),
]


@pytest.mark.parametrize("verb", VERBS)
def test_job_that_started_from_an_image_is_followed_by_one_that_does(verb: Callable[[Job], Batch]) -> None:
    batch = verb(STARTED)
    assert batch.init_image == StoredInitImage(digest="a" * 64)
    assert {options.strength for options in batch.images} == {0.4}


@pytest.mark.parametrize("verb", [*VERBS, lambda job: derive.final(job, MODELS)])
def test_nothing_is_made_of_settings_that_cannot_be_read(verb: Callable[[Job], Batch]) -> None:
    with pytest.raises(JobUnreadable):
        verb(replace(JOB, flaw=FailureCode.UNREADABLE))


@pytest.mark.parametrize("verb", VERBS)
def test_model_that_is_gone_gives_way_to_the_usual_one(verb: Callable[[Job], Batch]) -> None:
    batch = verb(replace(JOB, spec=replace(SPEC, model="long-gone")))
    assert {(options.model, options.aspect) for options in batch.images} == {(None, Aspect.PORTRAIT)}
