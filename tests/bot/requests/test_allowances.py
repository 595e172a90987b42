"""What a person may: the highest of their roles, or what was set for them alone, and never more at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bot.config import LimitsConfig, RoleConfig
from bot.errors import DailyLimit, JobTooLarge, ModelNotAllowed, StepsNotAllowed, TooManyJobs
from bot.jobs import USUAL, Allowance, Request, UserKey
from bot.requests.allowances import Allowances, permitted
from bot.requests.batch import Asker, Batch
from bot.requests.models import Models
from bot.requests.quotas import personal_quota
from bot.store.database import Database
from bot.store.usage_store import Usage
from bot.store.user_quota_store import UserQuotaStore
from pipeline import ImageOptions, InvalidSpec
from pipeline.catalog.models import find_model
from tests.cards import PAINTER

ANN, BOB = UserKey(frontend="test", id="ann"), UserKey(frontend="test", id="bob")
LIMITS = LimitsConfig(max_images_per_day=10, max_active_per_user=3)
FEW, MANY, HALF = 1, 2, 3
ROLES = {
    FEW: RoleConfig(max_images_per_day=2, max_active=1, max_steps=8, models=("fake",)),
    MANY: RoleConfig(max_images_per_day=40, max_active=2, max_steps=20, models=("demo", "fake")),
    HALF: RoleConfig(max_active=9),
}
MODELS = Models(usual=find_model("fake"), others=(find_model("demo"), PAINTER))


@pytest.fixture
def allowances(user_quotas: UserQuotaStore) -> Allowances:
    return Allowances(user_quotas, LIMITS, ROLES)


def allowance(images: int | None, active: int | None, steps: int | None, *models: str) -> Allowance:
    return Allowance(max_images_per_day=images, max_active=active, max_steps=steps, models=models or None)


# ── roles ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ((), USUAL),
        ((99,), USUAL),
        ((FEW,), allowance(2, 1, 8, "fake")),
        ((FEW, 99), allowance(2, 1, 8, "fake")),
        ((FEW, MANY), allowance(40, 2, 20, "fake", "demo")),
        ((HALF,), allowance(10, 9, None)),
        ((FEW, HALF), allowance(10, 9, None)),  # what a role leaves out is as for everybody
        ((MANY, HALF), allowance(40, 9, None)),
        ((FEW, MANY, HALF), allowance(40, 9, None)),
    ],
)
def test_highest_of_all_roles_wins_value_by_value(
    allowances: Allowances, roles: tuple[int, ...], expected: Allowance
) -> None:
    assert allowances.of_roles(roles) == expected


# ── one person ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("images", [1, 100])
async def test_what_was_set_for_one_person_wins_over_their_roles(
    allowances: Allowances, user_quotas: UserQuotaStore, images: int
) -> None:
    await allowances.set_own_images(ANN, 7)
    await allowances.set_own_images(ANN, images)
    again = Allowances(user_quotas, LIMITS, ROLES)
    assert await again.of(ANN, {FEW}) == allowance(images, 1, 8, "fake")
    assert await again.own_images(ANN) == images
    assert await again.of(BOB, {FEW}) == allowance(2, 1, 8, "fake")
    assert await again.own_images(BOB) is None
    await allowances.set_own_images(ANN, None)
    await allowances.set_own_images(ANN, None)
    assert await again.of(ANN, {FEW}) == allowance(2, 1, 8, "fake")


async def test_damaged_row_counts_as_none(allowances: Allowances, database: Database) -> None:
    await allowances.set_own_images(ANN, 7)
    for value in ("'many'", "-1", "0", "2.5", "x'00'"):
        await database.fetch_all(f"UPDATE user_quotas SET max_images_per_day = {value}")
        assert await allowances.of(ANN) == USUAL


async def test_row_names_its_person_by_a_pseudonym(allowances: Allowances, database: Database, caplog) -> None:
    caplog.set_level("INFO")
    await allowances.set_own_images(ANN, 7)
    row = await database.fetch_one("SELECT person FROM user_quotas")
    assert row is not None and "ann" not in row["person"]
    assert "ann" not in caplog.text and "were set to 7" in caplog.text


# ── steps and models ────────────────────────────────────────────────────────────────────────────────


def asked(make_request, own: Allowance, **options: object) -> Request:
    return replace(make_request(**options), allowance=own)


def test_without_an_allowance_a_request_stays_as_it_is(make_request) -> None:
    request = make_request(model="painter", steps=50)
    assert permitted(request, MODELS) is request


def test_model_that_is_not_allowed_is_refused_with_those_that_are(make_request) -> None:
    own = allowance(None, None, None, "demo", "fake", "gone")
    assert permitted(asked(make_request, own, model="demo"), MODELS).options.model == "demo"
    with pytest.raises(ModelNotAllowed) as refused:
        permitted(asked(make_request, own, model="painter"), MODELS)
    assert (refused.value.model, refused.value.allowed) == ("Painter", "fake, demo")
    with pytest.raises(InvalidSpec) as unknown:  # nobody learns of a model that is not theirs
        permitted(asked(make_request, own, model="@everyone"), MODELS)
    assert unknown.value.values["models"] == "fake, demo"


def test_who_may_not_use_the_usual_model_draws_with_their_first(make_request) -> None:
    own = allowance(None, None, None, "painter", "demo")
    assert permitted(asked(make_request, own, model=None), MODELS).options.model == "demo"
    both = allowance(None, None, None, "painter", "fake")
    assert permitted(asked(make_request, both, model=None), MODELS).options.model == "fake"


def test_who_has_no_model_that_is_here_is_told_which_it_would_be(make_request) -> None:
    with pytest.raises(ModelNotAllowed) as refused:
        permitted(asked(make_request, allowance(None, None, None, "gone"), model="fake"), MODELS)
    assert refused.value.allowed == "gone"
    with pytest.raises(ModelNotAllowed):
        permitted(asked(make_request, allowance(None, None, None, "gone"), model=None), MODELS)


def test_more_steps_than_allowed_are_refused_and_left_out_ones_are_fewer(make_request) -> None:
    usual = find_model("fake").default_steps
    own = allowance(None, None, usual - 1)
    with pytest.raises(StepsNotAllowed) as refused:
        permitted(asked(make_request, own, steps=usual), MODELS)
    assert (refused.value.steps, refused.value.limit) == (usual, usual - 1)
    assert permitted(asked(make_request, own, steps=usual - 1), MODELS).options.steps == usual - 1
    assert permitted(asked(make_request, own, steps=None), MODELS).options.steps == usual - 1
    assert permitted(asked(make_request, allowance(None, None, usual), steps=None), MODELS).options.steps is None


# ── the queue keeps them ────────────────────────────────────────────────────────────────────────────


def press(make_request, own: Allowance, user: str = "ann", **options: object) -> tuple[Batch, Asker]:
    request = make_request(user, **options)
    asker = Asker(user=request.user, reply_to=request.reply_to, key=request.key, allowance=own)
    return Batch.of(request.options), asker


@pytest.mark.parametrize(
    ("own", "most", "refusal"),
    [(allowance(4, None, None), 4, DailyLimit), (allowance(None, 2, None), 2, TooManyJobs)],
)
async def test_ten_presses_at_once_make_no_more_than_ones_own_cap(
    make_service, make_request, own: Allowance, most: int, refusal: type[Exception]
) -> None:
    service = make_service()
    presses = [service.submit_batch(*press(make_request, own)) for _ in range(10)]
    ended = await asyncio.gather(*presses, return_exceptions=True)
    refused = [each for each in ended if isinstance(each, BaseException)]
    assert len(ended) - len(refused) == most == len(await service.unfinished())
    assert {type(each) for each in refused} == {refusal} and {each.limit for each in refused} == {most}
    await service.submit_batch(*press(make_request, USUAL, "bob"))  # whom it does not concern


async def test_role_may_allow_more_than_everybody_has(make_service, make_request, no_limits: LimitsConfig) -> None:
    more = no_limits.max_images_per_day + 1
    service = make_service()
    quota = await service.quota(ANN, allowance(more, more, None))
    assert (quota.limit, quota.active_limit) == (more, more)
    await service.submit_batch(*press(make_request, allowance(more, more, None)))


def test_steps_that_count_for_an_upscaled_image_are_those_that_are_drawn(make_request) -> None:
    usual = find_model("fake").default_steps
    upscaled = {"steps": usual, "strength": 0.25, "upscale": 2}
    for limit in (1, usual // 4):
        own = allowance(None, None, limit)
        request = asked(make_request, own, **upscaled)
        if limit == usual // 4:
            assert permitted(request, MODELS).options.steps == usual
        else:
            with pytest.raises(StepsNotAllowed):
                permitted(request, MODELS)
    with pytest.raises(StepsNotAllowed):  # only of those: what is chosen by hand stays bound
        permitted(asked(make_request, allowance(None, None, usual // 4), steps=usual, strength=0.25), MODELS)


async def test_several_images_of_one_request_count_as_one_of_ones_own(make_service, make_request) -> None:
    request = make_request()
    asker = Asker(user=ANN, reply_to=request.reply_to, key="k", allowance=allowance(3, 1, None))
    accepted = await make_service().submit_batch(Batch.of(request.options, count=4), asker)
    assert len(accepted.jobs) == 3 and isinstance(accepted.refusal, DailyLimit)


async def test_steps_and_model_are_checked_before_a_file_is_read(make_service, make_request) -> None:
    request = make_request(steps=9, strength=0.5)
    asker = Asker(user=ANN, reply_to=request.reply_to, key="k", allowance=allowance(None, None, 8))
    with pytest.raises(StepsNotAllowed):
        await make_service().submit_batch(Batch.of(request.options, init_image=b"no picture"), asker)


async def test_image_larger_than_ones_own_day_is_refused_for_good(make_service, make_request) -> None:
    batch, asker = press(make_request, allowance(1, None, None), steps=50, size=None)
    with pytest.raises(JobTooLarge):
        await make_service().submit_batch(batch, asker)


def test_quota_says_ones_own_bounds() -> None:
    usage = Usage(waiting=0, active=0, counted=())
    quota = personal_quota(usage, LIMITS, allowance(2, 1, 8, "fake"))
    assert (quota.limit, quota.active_limit, quota.max_steps, quota.models) == (2, 1, 8, ("fake",))
    assert personal_quota(usage, LIMITS).limit == 10


def test_options_are_those_of_the_request_apart_from_what_was_open(make_request) -> None:
    request = asked(make_request, allowance(None, None, 3, "painter"), steps=None, model=None, seed=5)
    assert permitted(request, MODELS).options == ImageOptions(
        prompt=request.options.prompt, seed=5, steps=3, model="painter"
    )
