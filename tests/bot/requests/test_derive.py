"""Every verb makes of a job what its name says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import pytest

from bot.errors import AlreadyFinal, CannotUpscale, JobUnreadable, PictureErased, PictureNotReady
from bot.jobs import Derivation, FailureCode, Job, JobStatus, Verb
from bot.presentation.wording import wording_for
from bot.requests import derive
from bot.requests.batch import MAX_BATCH, Batch, StoredInitImage, StoredResult
from bot.requests.models import Models
from pipeline import ImageSpec
from pipeline.catalog.architecture import Feature
from pipeline.catalog.models import find_model
from pipeline.spec import Aspect, Dimensions, ImageOptions, Sampler, Size
from tests.bot.frontends.discord_app.test_embeds import a_job
from tests.cards import PAINTER

MODELS = Models(usual=find_model("fake"), others=(find_model("demo"),))
PORTRAIT = find_model("fake").sizes[Aspect.PORTRAIT]
SPEC = ImageSpec(
    prompt="an apple", seed=7, steps=4, width=PORTRAIT[0], height=PORTRAIT[1], guidance=3.5, cfg_scale=1.0,
    model="fake",
)  # fmt: skip
JOB = replace(a_job(), spec=SPEC, status=JobStatus.DONE, image_path="00000/42.png")
STARTED = replace(JOB, spec=replace(SPEC, source="a" * 64, strength=0.4))
SAME = ImageOptions(prompt="an apple", steps=4, aspect=Aspect.PORTRAIT, model="fake", guidance=3.5)


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
    assert derive.edit(JOB, MODELS, options=ImageOptions(prompt="a pear")).images == (
        replace(SAME, prompt="a pear", seed=7),
    )
    edited = derive.edit(JOB, MODELS, options=ImageOptions(prompt="a pear", seed=0, steps=9, aspect=Aspect.SQUARE))
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


LARGER = replace(
    MODELS.usual, name="larger", sizes={each: (2 * w, 2 * h) for each, (w, h) in MODELS.usual.sizes.items()}
)
SQUARE_ONLY = replace(LARGER, sizes={Aspect.SQUARE: (128, 128)}, scales={Size.NORMAL: 1.0})


@pytest.mark.parametrize(
    ("pixels", "larger", "square_only"),
    [
        ((64, 64), (Aspect.SQUARE, None), (Aspect.SQUARE, None)),  # of which the other model makes a draft
        ((64, 96), (Aspect.PORTRAIT, None), (Aspect.SQUARE, None)),
        ((48, 32), (Aspect.LANDSCAPE, Size.DRAFT), (Aspect.SQUARE, None)),
        ((96, 96), (Aspect.SQUARE, Size.LARGE), (Aspect.SQUARE, None)),
        ((448, 320), (None, Dimensions(width=448, height=320)), (None, Dimensions(width=448, height=320))),
        ((96, 16), (Aspect.LANDSCAPE, None), (Aspect.SQUARE, None)),
    ],
)
def test_another_model_draws_the_named_shape_and_size_in_its_own_px(
    pixels: tuple[int, int], larger: tuple[object, object], square_only: tuple[object, object]
) -> None:
    for card, expected in ((LARGER, larger), (SQUARE_ONLY, square_only)):
        models = Models(usual=find_model("fake"), others=(card,))
        to_other = ImageOptions(prompt="x", model=card.name)
        for verb in (derive.edit, derive.start_from):
            (options,) = verb(sized(*pixels), models, options=to_other).images
            assert (options.aspect, options.size) == expected
            card.pixels_of(options)


def test_another_shape_replaces_an_exact_size_and_keeps_a_named_one() -> None:
    (exact,) = derive.edit(sized(448, 320), MODELS, options=ImageOptions(prompt="x", aspect=Aspect.SQUARE)).images
    assert (exact.aspect, exact.size) == (Aspect.SQUARE, None)
    (named,) = derive.edit(sized(48, 32), MODELS, options=ImageOptions(prompt="x", aspect=Aspect.SQUARE)).images
    assert (named.aspect, named.size) == (Aspect.SQUARE, Size.DRAFT)


VERBS: list[Callable[[Job], Batch]] = [
    lambda job: derive.reroll(job, MODELS),
    lambda job: derive.vary(job, MODELS, count=2),
    lambda job: derive.edit(job, MODELS, options=ImageOptions(prompt="a pear")),
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


FAKE = find_model("fake")
OTHER = replace(PAINTER, name="other", samplers=(Sampler.EULER, Sampler.DDIM), cfg_scale=5.0, default_steps=9)
PAINTED = replace(
    JOB,
    spec=replace(
        SPEC, model="painter", negative_prompt="rain", cfg_scale=4.0, guidance=0.0, sampler="ddim", clip_skip=2
    ),
)
PAINTING = Models(usual=FAKE, others=(PAINTER, OTHER))
OF_PAINTER = {"negative_prompt": "rain", "cfg_scale": 4.0, "sampler": Sampler.DDIM, "clip_skip": 2}


@pytest.mark.parametrize(
    "verb",
    [
        lambda job: derive.reroll(job, PAINTING),
        lambda job: derive.vary(job, PAINTING, count=2, strength=0.3),
        lambda job: derive.edit(job, PAINTING, options=ImageOptions(prompt="an apple")),
        lambda job: derive.more_steps(job, PAINTING, steps=30),
        lambda job: derive.start_from(job, PAINTING, options=ImageOptions(prompt="an apple", strength=0.5)),
        lambda job: derive.final(replace(job, spec=replace(job.spec, width=32, height=48)), PAINTING),
    ],
)
def test_every_verb_keeps_the_settings_that_only_some_models_have(verb: Callable[[Job], Batch]) -> None:
    for options in verb(PAINTED).images:
        assert options.model == "painter"
        assert {name: getattr(options, name) for name in OF_PAINTER} == OF_PAINTER
        PAINTER.resolve(options, random_seed=0, source="" if options.strength is None else "a" * 64)


def test_edit_with_another_model_drops_what_that_lacks_and_says_so() -> None:
    to_fake = ImageOptions(prompt="an apple", model="fake")
    (options,) = derive.edit(PAINTED, PAINTING, options=to_fake).images
    assert [getattr(options, name) for name in OF_PAINTER] == [None] * 4
    assert FAKE.resolve(options, random_seed=0).negative_prompt == ""
    assert derive.lost(PAINTED, PAINTING, to_fake) == ("negative_prompt", "cfg_scale", "sampler", "clip_skip")
    to_other = ImageOptions(prompt="an apple", model="other", cfg_scale=3.0)
    (options,) = derive.edit(PAINTED, PAINTING, options=to_other).images
    assert {name: getattr(options, name) for name in OF_PAINTER} == {**OF_PAINTER, "cfg_scale": 3.0}
    assert derive.lost(PAINTED, PAINTING, to_other) == ()
    assert derive.lost(PAINTED, PAINTING, ImageOptions(prompt="an apple")) == ()


def test_edit_with_another_model_takes_its_own_settings_for_those_nobody_chose() -> None:
    usual = replace(PAINTED.spec, negative_prompt="", cfg_scale=7.0, sampler="dpmpp-2m-karras", clip_skip=1, steps=20)
    to_other = ImageOptions(prompt="an apple", model="other")
    (options,) = derive.edit(replace(PAINTED, spec=usual), PAINTING, options=to_other).images
    spec = OTHER.resolve(options, random_seed=0)
    assert (spec.steps, spec.cfg_scale, spec.sampler, spec.clip_skip) == (9, 5.0, "euler", 1)
    assert derive.lost(replace(PAINTED, spec=usual), PAINTING, to_other) == ()
    own = replace(usual, sampler="dpmpp-2m-karras", steps=7)
    changed = replace(PAINTER, samplers=(Sampler.DDIM, Sampler.DPMPP_2M_KARRAS))
    models = Models(usual=changed, others=(OTHER,))
    assert derive.lost(replace(PAINTED, spec=own), models, to_other) == ("sampler",)
    assert derive.edit(replace(PAINTED, spec=own), models, options=to_other).images[0].steps == 7


def test_settings_of_a_model_that_is_gone_are_not_those_of_the_one_that_takes_its_place() -> None:
    gone = replace(PAINTED, spec=replace(PAINTED.spec, model="long-gone", cfg_scale=1.0))
    (options,) = derive.reroll(gone, Models(usual=PAINTER)).images
    spec = PAINTER.resolve(options, random_seed=0)
    assert (spec.negative_prompt, spec.cfg_scale, spec.sampler) == ("rain", 7.0, "dpmpp-2m-karras")


@pytest.mark.parametrize("verb", VERBS)
def test_model_that_is_gone_gives_way_to_the_usual_one(verb: Callable[[Job], Batch]) -> None:
    batch = verb(replace(JOB, spec=replace(SPEC, model="long-gone")))
    assert {(options.model, options.aspect) for options in batch.images} == {(None, Aspect.PORTRAIT)}


def test_upscale_draws_twice_the_size_from_the_picture_itself_with_its_seed_and_the_usual_steps() -> None:
    model = MODELS.usual
    batch = derive.upscale(STARTED, MODELS)
    upscaled = replace(SAME, seed=7, steps=model.default_steps, strength=model.upscale_strength, upscale=2)
    assert batch == Batch(
        images=(upscaled,),
        init_image=StoredResult(path="00000/42.png"),
        derived_from=Derivation(job_id=42, verb=Verb.UPSCALE),
    )
    spec = model.resolve(batch.images[0], random_seed=0, source="b" * 64)
    assert (spec.width, spec.height) == (2 * PORTRAIT[0], 2 * PORTRAIT[1])
    assert spec.source_size == PORTRAIT


@pytest.mark.parametrize("size", Size)
def test_drafts_and_large_images_are_upscaled_as_they_are(size: Size) -> None:
    width, height = MODELS.usual.size(Aspect.PORTRAIT, size)
    (options,) = derive.upscale(sized(width, height), MODELS).images
    assert MODELS.usual.pixels_of(options) == (width, height)


UPSCALED = replace(
    JOB,
    spec=replace(SPEC, width=2 * PORTRAIT[0], height=2 * PORTRAIT[1], source="a" * 64, strength=0.3, upscale=2),
)


@pytest.mark.parametrize(
    ("job", "models", "reason"),
    [
        (UPSCALED, MODELS, "again"),
        (JOB, Models(usual=replace(MODELS.usual, supports=frozenset({Feature.INIT_IMAGE}))), "model"),
        (sized(4096, 4096), MODELS, "model"),  # by an earlier release with other bounds
        (sized(10**9, 16), MODELS, "model"),
        (sized(0, 0), MODELS, "model"),
    ],
)
def test_what_cannot_be_upscaled_is_refused_and_not_offered(job: Job, models: Models, reason: str) -> None:
    with pytest.raises(CannotUpscale) as refused:
        derive.upscale(job, models)
    assert refused.value.reason == reason
    assert not models.can_upscale(job.spec)
    assert models.usual.title in wording_for("en").refusal(refused.value, format_time=str) or reason == "again"


def test_upscale_needs_a_picture() -> None:
    with pytest.raises(PictureNotReady):
        derive.upscale(replace(JOB, image_path=None), MODELS)
    with pytest.raises(PictureErased):
        derive.upscale(replace(JOB, is_erased=True), MODELS)


@pytest.mark.parametrize(
    "make",
    [
        lambda job: derive.reroll(job, MODELS),
        lambda job: derive.vary(job, MODELS, count=4),
        lambda job: derive.edit(job, MODELS, options=ImageOptions(prompt="an apple")),
        lambda job: derive.more_steps(job, MODELS, steps=4),
    ],
)
def test_what_is_made_of_an_upscaled_image_begins_at_the_size_before_and_not_at_the_image(
    make: Callable[[Job], Batch],
) -> None:
    (first, *_), (before, *_) = make(UPSCALED).images, make(JOB).images
    assert (first, make(UPSCALED).init_image) == (before, None)


def test_variation_of_an_upscaled_image_starts_from_it_at_the_size_before() -> None:
    batch = derive.vary(UPSCALED, MODELS, strength=0.6)
    assert batch == derive.vary(JOB, MODELS, strength=0.6)
