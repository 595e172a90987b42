"""Messages are taken back until Discord did it or never will, over restarts, and nothing says whose they were."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from bot.delivery import retractions as module
from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible, MessageGone
from bot.delivery.retractions import GIVE_UP_S, LEAST_TRIES, Retractions, nameless
from bot.jobs import Job, ReplyTo
from bot.store.database import Database
from bot.store.job_store import JobStore
from bot.store.retraction_store import LONGEST_PAUSE_S, RetractionStore
from tests.bot.rests import Rests

ADDRESS = {"channel_id": 1, "message_id": 2, "guild_id": 3, "user_id": 44, "locale": "en-US", "name": "Ann"}


@pytest.fixture
async def job(jobs: JobStore, spec, make_request, no_limits) -> Job:
    job = await jobs.insert(make_request("44"), spec, size_class=0, limits=no_limits, now=1)
    assert job is not None
    return at(job, json.dumps(ADDRESS))


def at(job: Job, address: str, key: str = "2") -> Job:
    return replace(job, reply_to=ReplyTo(frontend="discord", key=key, address=address))


async def look(retractions: Retractions) -> None:
    """Take back what is due; a second look shows that nothing of it is still due."""
    for _ in range(2):
        assert not await retractions.look()


def test_address_says_where_a_message_stands_and_nothing_else(job: Job) -> None:
    assert json.loads(nameless(job)) == {"channel_id": 1, "message_id": 2, "guild_id": 3}


@pytest.mark.parametrize("address", ["", "no json", "[]", "3", "[" * 9999, '{"name": "Ann"}', '{"user_id": 44}'])
async def test_job_without_a_message_is_not_noted(job: Job, database: Database, address: str) -> None:
    store = RetractionStore(database)
    await Retractions(store).add([at(job, address)])
    assert await store.count() == 0


@pytest.mark.parametrize("error", [None, MessageGone(), DeliveryImpossible("never")])
async def test_message_is_taken_back_once(job: Job, database: Database, error: Exception | None) -> None:
    store, asked = RetractionStore(database), []

    async def withdraw(address: str) -> None:
        asked.append(json.loads(address))
        if error is not None:
            raise error

    await Retractions(store).add([job, job])  # the process ends
    retractions = Retractions(store)
    retractions.add_frontend("discord", withdraw)
    await look(retractions)
    assert len(asked) == 1 and asked[0]["message_id"] == 2
    assert await retractions.left() == 0


@pytest.mark.parametrize("error", [DeliveryDelayed(2.0), ValueError("unknown")])
async def test_message_that_cannot_be_taken_back_now_is_tried_again_and_given_up_after_days(
    job: Job, database: Database, clock, error: Exception
) -> None:
    store, tries = RetractionStore(database), []

    async def withdraw(_address: str) -> None:
        tries.append(clock())
        raise error

    retractions = Retractions(store, clock=clock)
    retractions.add_frontend("discord", withdraw)
    await retractions.add([job])
    await look(retractions)
    assert len(tries) == 1 and await retractions.left() == 1
    for number in range(2, LEAST_TRIES):  # one look days later may be that of a clock that is ahead
        clock.advance(GIVE_UP_S + 1)
        await look(retractions)
        assert len(tries) == number and await retractions.left() == 1
    clock.advance(GIVE_UP_S + 1)
    await look(retractions)
    assert len(tries) == LEAST_TRIES and await retractions.left() == 0


@pytest.mark.parametrize("after_s", [2.0, 1e9])
async def test_message_postponed_by_a_clock_that_was_ahead_or_by_discord_for_years_is_tried_again_within_hours(
    job: Job, database: Database, clock, after_s: float
) -> None:
    tries = []

    async def withdraw(_address: str) -> None:
        tries.append(clock())
        raise DeliveryDelayed(after_s)

    retractions = Retractions(RetractionStore(database), clock=clock)
    retractions.add_frontend("discord", withdraw)
    await retractions.add([job])
    clock.advance(91 * 86_400)
    await look(retractions)
    assert len(tries) == 1
    clock.advance(-91 * 86_400)
    await look(retractions)
    assert len(tries) == 2
    clock.advance(LONGEST_PAUSE_S)
    await look(retractions)
    assert len(tries) == 3
    assert await retractions.left() == 1


async def test_one_that_hangs_in_trouble_holds_up_no_other(job: Job, database: Database) -> None:
    store, done = RetractionStore(database), []

    async def withdraw(address: str) -> None:
        if json.loads(address)["message_id"] == 2:
            raise DeliveryDelayed(60)
        done.append(address)

    retractions = Retractions(store)
    retractions.add_frontend("discord", withdraw)
    await retractions.add([job, at(job, json.dumps(ADDRESS | {"message_id": 5}), key="5")])
    await look(retractions)
    assert len(done) == 1


@pytest.mark.parametrize("column", ["added_at", "attempts", "address"])
@pytest.mark.parametrize("value", ["long ago", b"\xff", 1e300, -5])
async def test_damaged_row_holds_up_no_other(job: Job, database: Database, column: str, value) -> None:
    store, done = RetractionStore(database), []

    async def withdraw(address: str) -> None:
        if address == good:
            done.append(address)
        raise DeliveryDelayed(60)

    retractions, good = Retractions(store), json.dumps({"message_id": 5})
    retractions.add_frontend("discord", withdraw)
    await retractions.add([job, at(job, good, key="5")])
    await database.fetch_all(f"UPDATE retractions SET {column} = :value WHERE key = '2'", {"value": value})
    await look(retractions)
    assert len(done) == 1


async def test_front_end_that_is_switched_off_is_waited_for(job: Job, database: Database) -> None:
    retractions = Retractions(RetractionStore(database))
    await retractions.add([job])
    await look(retractions)
    assert await retractions.left() == 1


async def test_loop_takes_back_what_is_added_while_it_rests(
    job: Job, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests, asked = Rests(monkeypatch, module), []

    async def withdraw(address: str) -> None:
        asked.append(address)

    retractions = Retractions(RetractionStore(database))
    retractions.add_frontend("discord", withdraw)
    task = asyncio.create_task(retractions.run())
    await rests.wait(1)
    await retractions.add([job])
    await rests.wait(2)
    assert len(asked) == 1 and await retractions.left() == 0
    task.cancel()
    await asyncio.wait([task])
