"""Pages of histories: where they go on, what a search finds, and what of a server others may see."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from bot.config import LimitsConfig
from bot.jobs import Job, ReplyTo, Request, UserKey
from bot.requests.histories import PAGE, Histories, Page, Turn
from bot.store import history_query
from bot.store.database import Database
from bot.store.job_store import JobStore
from bot.store.usage_store import Measurement
from pipeline import ImageSpec
from tests.conftest import FrozenClock

ANN, BEN = UserKey(frontend="test", id="ann"), UserKey(frontend="test", id="ben")
MEASURED = Measurement(step_s=1.0, fixed_s=1.0)
DAY_S = 86_400

Draw = Callable[..., Awaitable[Job]]


@pytest.fixture
def histories(jobs: JobStore, clock: FrozenClock) -> Histories:
    return Histories(jobs, clock=clock)


@pytest.fixture
def draw(
    jobs: JobStore, spec: ImageSpec, make_request: Callable[..., Request], no_limits: LimitsConfig, clock: FrozenClock
) -> Draw:
    """Draw a picture."""

    async def draw(
        prompt: str = "a red apple", *, seed: int = 7, user: str = "ann", guild: int | None = 1, **request: object
    ) -> Job:
        reply = ReplyTo(frontend="test", key=f"{user}-{clock.now}", address=json.dumps({"guild_id": guild}))
        asked = replace(make_request(user), reply_to=reply, **request)
        drawn = replace(spec, prompt=prompt, seed=seed)
        job = await jobs.insert(asked, drawn, size_class=0, limits=no_limits, now=int(clock.now))
        assert job is not None
        await jobs.claim(job.id, now=int(clock.now))
        done = await jobs.finish(
            job.id, image_path=f"{job.id}.png", image_bytes=1, ran_s=1.0, measured=MEASURED, now=int(clock.now)
        )
        assert done is not None
        return done

    return draw


def ids(page: Page) -> list[int]:
    return [job.id for job in page.jobs]


async def found(histories: Histories, search: str) -> list[int]:
    return ids(await histories.page(ANN, search=search))


async def test_oldest_of_34_is_one_turn_away_and_every_picture_is_reached_both_ways(
    histories: Histories, draw: Draw
) -> None:
    everything = [(await draw()).id for _ in range(34)]
    newest = await histories.page(ANN)
    assert ids(newest) == everything[:-11:-1] and newest.newer_than is None
    oldest = await histories.page(ANN, Turn.OLDEST)
    assert ids(oldest) == everything[PAGE - 1 :: -1] and oldest.older_than is None

    seen, page = ids(newest), newest
    while page.older_than is not None:
        page = await histories.page(ANN, Turn.OLDER, at=page.older_than)
        seen += ids(page)
    assert seen == everything[::-1]
    back, page = ids(oldest)[::-1], oldest
    while page.newer_than is not None:
        page = await histories.page(ANN, Turn.NEWER, at=page.newer_than)
        back += [number for number in ids(page)[::-1] if number not in back]
    assert back == everything
    assert ids(page) == ids(newest)  # a whole page at the top, not the rest of one


async def test_page_of_a_malformed_or_outdated_button_is_a_page(histories: Histories, draw: Draw) -> None:
    numbers = [(await draw()).id for _ in range(3)]
    newer, older = Turn.NEWER, Turn.OLDER
    for turn, at in ((newer, None), (older, None), (older, 10**15), (newer, 0), (newer, 10**15)):
        assert ids(await histories.page(ANN, turn, at=at)) == numbers[::-1], (turn, at)
    gone = await histories.page(ANN, Turn.OLDER, at=numbers[0])
    assert (ids(gone), gone.older_than) == ([], None) and gone.newer_than == numbers[0] - 1


async def test_words_match_in_any_order_and_case_and_all_of_them(histories: Histories, draw: Draw) -> None:
    prompts = ("a red Fox in a castle", "castle", "fox", "Ein GRÜNER Wald", "кошка и собака", "熊猫在竹林", "50 % _x_")
    for prompt in prompts:
        await draw(prompt)
    assert await found(histories, "castle FOX") == [1]
    assert await found(histories, "fox castle zebra") == []
    assert await found(histories, '"fox in a castle"') == [1] and await found(histories, '"castle fox"') == []
    assert await found(histories, "grüner") == [4] and await found(histories, "GRÜNER wald") == [4]
    assert await found(histories, "КОШКА Собака") == [5]
    assert await found(histories, "竹林 熊猫") == [6]
    assert await found(histories, "%") == await found(histories, "_x_") == [7]
    assert await found(histories, "'; DROP TABLE jobs; --") == []


async def test_seeds_numbers_and_days(histories: Histories, draw: Draw, clock: FrozenClock) -> None:
    await draw("a fox", seed=42)
    clock.advance(2 * DAY_S)
    await draw("42 foxes", seed=1)
    clock.advance(DAY_S)
    await draw("a castle", seed=42)
    assert await found(histories, "42") == [3, 2, 1]  # the seed, or in the prompt
    assert await found(histories, "seed:42") == [3, 1]
    assert await found(histories, "种子 42 fox") == [1]
    assert await found(histories, "#2") == [2] and await found(histories, "#2 castle") == []
    assert await found(histories, "today") == [3] and await found(histories, "昨天") == [2]
    assert await found(histories, "yesterday fox") == [2] and await found(histories, "yesterday castle") == []
    assert await found(histories, "2001-01-01..2001-02-01") == []
    assert await found(histories, "2001-01-01..") == [3, 2, 1]
    assert await found(histories, "9" * 18) == await found(histories, "seed:" + "9" * 18) == []


async def test_days_are_found_although_the_clock_was_wrong_once(
    histories: Histories, draw: Draw, clock: FrozenClock
) -> None:
    now = clock.now
    await draw()
    for wrong in (now + 400 * DAY_S, 5.0):
        clock.now = wrong
        await draw()
    clock.now = now + DAY_S
    await draw()
    assert await found(histories, "yesterday") == [1]
    assert await found(histories, "today") == [4]


async def test_search_goes_on_where_it_was_cut_and_says_so(
    histories: Histories, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.history_query.SEARCHED", 3)
    for number in range(10):
        await draw("a fox" if number in (0, 8) else "a castle", seed=100 + number)
    first = await histories.page(ANN, search="fox")
    assert (ids(first), first.searched_to, first.older_than) == ([9], 8, 8)
    seen, page, turns = ids(first), first, 0
    while page.older_than is not None:
        page = await histories.page(ANN, Turn.OLDER, at=page.older_than, search="fox")
        seen, turns = seen + ids(page), turns + 1
    assert (seen, turns, page.searched_to) == ([9, 1], 3, None)
    upward = await histories.page(ANN, Turn.OLDEST, search="castle")
    assert (ids(upward), upward.searched_to, upward.newer_than) == ([3, 2], 3, 3)
    # The seed of an old picture is known at once.
    assert await found(histories, "101") == [2]
    # Two words pass over half as many, so that they cost no more.
    assert (await histories.page(ANN, search="fox a")).older_than == 10


async def test_removed_pictures_are_listed_with_their_reason_where_nothing_is_searched(
    histories: Histories, draw: Draw, jobs: JobStore, database: Database, clock: FrozenClock
) -> None:
    for prompt in ("a fox", "something rude", "a castle", "their own"):
        await draw(prompt)
    for number in (2, 4):
        await jobs.erase(number, now=int(clock.now))
    await database.fetch_all("UPDATE jobs SET moderated_reason = 'rude' WHERE id = 2")
    page = await histories.page(ANN)
    assert [(job.id, job.moderated_reason) for job in page.jobs] == [(3, None), (2, "rude"), (1, None)]
    assert await found(histories, "today") == [3, 2, 1]
    assert await found(histories, "rude") == []
    assert [job.id for job in await histories.newest(ANN, limit=9)] == [3, 1]  # where there is only room for pictures


async def test_nobody_finds_anything_of_somebody_else(histories: Histories, draw: Draw) -> None:
    await draw(user="ben", seed=42)
    for search in ("", "apple", "seed:42", "#1", "today", "2001-01-01.."):
        assert await found(histories, search) == []


async def test_shared_are_others_public_pictures_of_this_server(
    histories: Histories, draw: Draw, jobs: JobStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await draw("mine")
    public = await draw("a fox", user="ben")
    await draw("of elsewhere", user="ben", guild=2)
    await draw("by direct message", user="ben", guild=None)
    await draw("private", user="ben", is_private=True)
    erased = await draw("erased", user="ben")
    await jobs.erase(erased.id, now=9)
    damaged = await draw("damaged", user="ben")
    await database.fetch_all("UPDATE jobs SET reply_address = '{' WHERE id = :id", {"id": damaged.id})

    async def shared(search: str = "", frontend: str = "test") -> list[int]:
        return [job.id for job in await histories.shared(frontend, 1, apart_from=ANN, limit=25, search=search)]

    assert await shared() == await shared("FOX") == await shared("#2") == [public.id]
    assert await shared("castle") == await shared(frontend="console") == []
    for _ in range(3):
        await draw("new", user="ben")
    assert len(await histories.shared("test", 1, apart_from=ANN, limit=2, search="")) == 2


async def test_list_that_grows_reaches_everything_a_search_that_is_cut_included(
    histories: Histories, draw: Draw, jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [(await draw(f"a {'fox' if number in (0, 11) else 'cat'}")).id for number in range(12)]
    await jobs.keep(numbers[3], limit=9)
    await jobs.keep(numbers[7], limit=9)
    monkeypatch.setattr(history_query, "SEARCHED", 8)  # far fewer than there are

    async def all_of(**wanted: object) -> list[int]:
        seen, page = [], await histories.older(ANN, limit=5, **wanted)  # type: ignore[arg-type]
        for _ in range(50):
            seen += ids(page)
            if page.older_than is None:
                break
            page = await histories.older(ANN, limit=5, before_id=page.older_than, **wanted)  # type: ignore[arg-type]
        return seen

    assert await all_of() == numbers[::-1]
    assert await all_of(search="fox") == [numbers[11], numbers[0]]
    assert await all_of(model="fake") == numbers[::-1] and await all_of(model="nobody's") == []
    assert await all_of(model="fake", search="fox") == [numbers[11], numbers[0]]
    assert await all_of(is_kept=True) == [numbers[7], numbers[3]]
    assert await all_of(is_kept=True, search="cat seed:7", model="fake") == [numbers[7], numbers[3]]
    assert ids(await histories.older(BEN, limit=5, is_kept=True)) == []
    assert ids(await histories.older(ANN, limit=5, before_id=-(10**30))) == []
