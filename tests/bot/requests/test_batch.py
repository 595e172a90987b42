"""A batch becomes one request per image, each with its place."""

from __future__ import annotations

import pytest

from bot.jobs import BatchPlace, Derivation, ReplyTo, UserKey, Verb
from bot.requests.batch import MAX_BATCH, Asker, Batch
from pipeline.spec import MAX_SEED, RANDOM_SEED, ImageOptions

ANN = Asker(
    user=UserKey(frontend="test", id="ann"),
    reply_to=ReplyTo(frontend="test", key="1", address="{}"),
    key="test:press",
)


def test_given_seed_is_the_first_of_a_row_that_begins_anew_after_the_largest() -> None:
    batch = Batch.of(ImageOptions(prompt="x", seed=MAX_SEED), count=3)
    assert [options.seed for options in batch.images] == [MAX_SEED, 0, 1]


@pytest.mark.parametrize("seed", [MAX_SEED + 1, -2])
def test_seed_out_of_range_stays_for_the_check_to_find(seed: int) -> None:
    assert Batch.of(ImageOptions(prompt="x", seed=seed), count=2).images[0].seed == seed


@pytest.mark.parametrize("seed", [None, RANDOM_SEED])
def test_random_seeds_stay_random(seed: int | None) -> None:
    assert [options.seed for options in Batch.of(ImageOptions(prompt="x", seed=seed), count=3).images] == [seed] * 3


@pytest.mark.parametrize(("count", "images"), [(-1, 1), (0, 1), (1, 1), (MAX_BATCH, MAX_BATCH), (99, MAX_BATCH)])
def test_count_is_kept_within_its_bounds(count: int, images: int) -> None:
    assert len(Batch.of(ImageOptions(prompt="x"), count=count).images) == images


def test_every_request_knows_its_place_and_only_the_first_needs_a_pause_before_it() -> None:
    derived_from = Derivation(job_id=7, verb=Verb.VARY)
    batch = Batch.of(ImageOptions(prompt="x"), count=3, derived_from=derived_from)
    requests = list(batch.requests(ANN, source=b"file"))
    assert [request.key for request in requests] == ["test:press", "test:press:1", "test:press:2"]
    assert [request.batch for request in requests] == [BatchPlace(batch_id="test:press", index=n) for n in range(3)]
    assert [request.is_more for request in requests] == [False, True, True]
    assert {(request.derived_from, request.source, request.user) for request in requests} == {
        (derived_from, b"file", ANN.user)
    }


def test_single_image_is_no_batch() -> None:
    (request,) = Batch.of(ImageOptions(prompt="x")).requests(ANN)
    assert (request.batch, request.is_more, request.key) == (None, False, "test:press")
