"""The images of a request: read once, brought to the model's sizes, and kept for the worker."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bot.errors import UploadGone
from bot.jobs import Derivation, Request, UserKey, Verb
from bot.requests import derive
from bot.requests.batch import Asker, Batch, StoredInitImage
from bot.requests.inputs import shaped_like
from bot.requests.service import Service
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from pipeline import ImageOptions, InvalidSpec
from pipeline.catalog.models import FAKE
from pipeline.images.reference import read_reference
from pipeline.spec import MAX_REFERENCES, Aspect, Dimensions, Size

MakeService = Callable[..., Service]
WORDS = ImageOptions(prompt="make it night", seed=7, steps=4)


def a_png(colour: str = "red", size: tuple[int, int] = (64, 64)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format="PNG")
    return buffer.getvalue()


def press(make_request: Callable[..., Request], key: str = "press") -> Asker:
    request = make_request()
    return Asker(user=request.user, reply_to=replace(request.reply_to, key=key), key=key)


async def test_images_of_an_edit_are_kept_in_their_order_before_its_job_is_written(
    make_service: MakeService, make_request, images: ImageStore, jobs: JobStore
) -> None:
    files = [a_png("red"), a_png("lime", (100, 40))]
    accepted = await make_service().submit_batch(Batch.of(WORDS, count=2, references=files), press(make_request))
    keys = tuple(read_reference(file).key for file in files)
    assert [job.spec.reference_keys for job in accepted.jobs] == [keys, keys]
    assert accepted.jobs[0].spec.reference_pixels == 64 * 64 + 96 * 32  # of the second one without what is no multiple
    assert [(await images.read_reference(key)).key for key in keys] == list(keys)
    assert await jobs.inputs() == set(keys)


async def test_same_image_twice_is_looked_at_once(make_service: MakeService, make_request) -> None:
    batch = Batch.of(WORDS, references=[a_png(), a_png("lime"), a_png()])
    accepted = await make_service().submit_batch(batch, press(make_request))
    assert len(accepted.jobs[0].spec.reference_keys) == 2


@pytest.mark.parametrize("bad", [b"", b"not a picture", a_png()[:60], b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
async def test_hostile_file_among_them_refuses_all(
    make_service: MakeService, make_request, jobs: JobStore, tmp_path, bad: bytes
) -> None:
    with pytest.raises(InvalidSpec, match="image"):
        await make_service().submit_batch(Batch.of(WORDS, references=[a_png(), bad]), press(make_request))
    assert await jobs.unfinished() == []
    assert list(tmp_path.rglob("sources")) == []


class Unfetched:
    """A file elsewhere that nobody may ask for."""

    async def fetch(self) -> bytes:
        raise AssertionError("it was fetched")


@pytest.mark.parametrize("model", ["fake", "demo"])
async def test_too_many_images_or_a_model_that_cannot_edit_is_refused_before_any_is_fetched(
    make_service: MakeService, make_request, model: str
) -> None:
    count = MAX_REFERENCES + 1 if model == "fake" else 1
    batch = Batch.of(replace(WORDS, model=model), references=[Unfetched()] * count)
    with pytest.raises(InvalidSpec, match="references") as refusal:
        await make_service().submit_batch(batch, press(make_request))
    assert refusal.value.detail == ("too-many" if model == "fake" else "not-offered")


async def test_image_that_is_kept_no_more_is_said_to_be_gone(make_service: MakeService, make_request) -> None:
    with pytest.raises(UploadGone):
        batch = Batch.of(WORDS, references=[a_png(), StoredInitImage(digest="0" * 64)])
        await make_service().submit_batch(batch, press(make_request))


async def test_what_is_drawn_again_from_an_edit_looks_at_the_same_images(
    make_service: MakeService, make_request, images: ImageStore
) -> None:
    service = make_service()
    files = [a_png("red", (300, 200)), a_png("lime")]
    edited = (await service.submit_batch(Batch.of(WORDS, references=files), press(make_request))).jobs[0]
    edited = replace(edited, image_path="1.png")
    batches = {
        "again": derive.reroll(edited, service.models),
        "vary": derive.vary(edited, service.models, strength=0.6, count=2),
        "edit": derive.edit(edited, service.models, options=ImageOptions(prompt="make it day")),
        "steps": derive.more_steps(edited, service.models, steps=6),
    }
    for key, batch in batches.items():
        accepted = await service.submit_batch(batch, press(make_request, key))
        assert {job.spec.references for job in accepted.jobs} == {edited.spec.references}, key
        assert {(job.spec.width, job.spec.height) for job in accepted.jobs} == {(edited.spec.width, edited.spec.height)}
        assert {job.spec.strength for job in accepted.jobs} == {1.0}


async def test_image_of_a_job_is_edited_first_of_all(make_service: MakeService, make_request, images) -> None:
    service = make_service()
    drawn, _ = await service.submit(make_request())
    drawn = replace(drawn, image_path=await images.write(drawn.id, a_png("blue")))
    batch = derive.change(drawn, options=replace(WORDS, strength=0.5), more=[a_png("lime")])
    job = (await service.submit_batch(batch, press(make_request, "change"))).jobs[0]
    assert job.spec.reference_keys == (read_reference(a_png("blue")).key, read_reference(a_png("lime")).key)
    assert job.derived_from == Derivation(job_id=drawn.id, verb=Verb.START_FROM)
    assert job.user == UserKey(frontend="test", id="ann") and job.spec.strength == 1


@given(width=st.integers(16, 4000), height=st.integers(16, 4000))
def test_shape_is_that_of_the_first_image_as_far_as_the_model_has_it(width: int, height: int) -> None:
    made = FAKE.resolve(shaped_like(width, height, WORDS, FAKE), random_seed=1)
    ratio = min(max(width / height, 1 / FAKE.bounds.max_ratio), FAKE.bounds.max_ratio)
    assert abs(math.log(made.width / made.height / ratio)) < 0.45  # sides of 64 px come in steps of 16


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({}, (96, 64)),
        ({"aspect": Aspect.PORTRAIT}, (64, 96)),
        ({"size": Dimensions(width=128, height=16 * 5)}, (128, 80)),
        ({"size": Size.LARGE}, FAKE.size(Aspect.LANDSCAPE, Size.LARGE)),
    ],
)
def test_what_is_asked_for_counts_before_the_shape_of_the_image(
    asked: dict[str, object], size: tuple[int, int]
) -> None:
    options = replace(WORDS, **asked)  # type: ignore[arg-type]
    made = FAKE.resolve(shaped_like(300, 200, options, FAKE), random_seed=1)
    assert (made.width, made.height) == size
