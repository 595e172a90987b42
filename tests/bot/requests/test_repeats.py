"""Whoever asks for one certain image that is there gets it at once and for nothing, if it is theirs to see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.config import LimitsConfig
from bot.errors import Banned, FileNotDeleted, NotAccepting
from bot.jobs import Delivery, Job, JobStatus, ReplyTo, Request, UserKey
from bot.requests.batch import Asker, Batch
from bot.requests.service import Service
from bot.scheduling.job_queue import JobQueue
from bot.store.database import Database
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.usage_store import Measurement
from pipeline.spec import ImageOptions

ANN, BOB = UserKey(frontend="test", id="ann"), UserKey(frontend="test", id="bob")
DRAWN = Measurement(step_s=0.5, fixed_s=0.0, drawn_with="as now")
HERE, ELSEWHERE = '{"guild_id": 1}', '{"guild_id": 2}'
ADULTS = '{"guild_id": 1, "is_age_restricted": true}'
FOR_ALL = '{"guild_id": 1, "is_age_restricted": false}'
Draw = Callable[..., Awaitable[Job]]


@pytest.fixture
def no_limits() -> LimitsConfig:
    """Limits that are soon reached."""
    return LimitsConfig(max_waiting=5, max_active_per_user=2, max_images_per_day=2, cooldown_s=60)


@pytest.fixture
def service(make_service) -> Service:
    service: Service = make_service()
    service.repeats.drawn_with = lambda _spec: "as now"
    return service


@pytest.fixture
def ask(service: Service, make_request) -> Callable[..., Awaitable[Job]]:
    async def ask(user: str = "ann", *, address: str = HERE, seed: int | None = 7, **fields: Any) -> Job:
        request: Request = make_request(user, seed=seed)
        request = replace(request, reply_to=replace(request.reply_to, address=address), **fields)
        job, _ = await service.submit(request)
        return job

    return ask


@pytest.fixture
def draw(ask, service: Service, jobs: JobStore, images: ImageStore) -> Draw:
    """Ask for an image, and draw it."""

    async def draw(*args: Any, measured: Measurement = DRAWN, **kwargs: Any) -> Job:
        job = await ask(*args, **kwargs)
        assert job.status is JobStatus.QUEUED
        await jobs.claim(job.id, now=1)
        path = await images.write(job.id, f"png {job.id}".encode())
        done = await jobs.finish(job.id, image_path=path, image_bytes=5, ran_s=1.0, measured=measured, now=2)
        assert done is not None
        await jobs.delivered(job.id, job.reply_to)
        return done

    return draw


async def content(images: ImageStore, job: Job) -> bytes:
    assert job.image_path is not None
    file = await images.find(job.image_path)
    return b"" if file is None else file.read_bytes()


async def test_identical_request_is_answered_at_once_and_delivered_like_any_other(
    ask, draw: Draw, jobs: JobStore, images: ImageStore
) -> None:
    first = await draw()
    again = await ask()
    assert (again.status, again.delivery, again.repeat_of) == (JobStatus.DONE, Delivery.PENDING, first.id)
    assert [job.id for job in await jobs.due(now=10**12, limit=5)] == [again.id]
    assert again.image_path != first.image_path and await content(images, again) == f"png {first.id}".encode()
    assert again.image_path is not None and Path(again.image_path).name.startswith(f"{again.id}-")
    assert (again.ran_s, again.step_s) == (0.0, None), "forecasts do not count it"


async def test_it_costs_nothing_and_no_limit_stands_in_its_way(ask, draw: Draw, service: Service) -> None:
    await draw()
    await draw(seed=8)  # the second and last of the day
    for _ in range(5):
        assert (await ask()).status is JobStatus.DONE
    quota = await service.quota(ANN)
    assert (quota.used, quota.active) == (2, 0)


async def test_same_request_twice_is_one_job(ask, draw: Draw, jobs: JobStore) -> None:
    await draw()
    assert (await ask(key="press")).id == (await ask(key="press")).id


@pytest.mark.parametrize("change", ["seed", "no seed", "random seed", "fresh", "steps", "machine", "unknown machine"])
async def test_anything_else_is_drawn(change: str, ask, draw: Draw, service: Service) -> None:
    await draw()
    changes: dict[str, Any] = {
        "seed": {"seed": 8},
        "no seed": {"seed": None},
        "random seed": {"seed": -1},
        "fresh": {"is_fresh": True},
        "steps": {"options": ImageOptions(prompt="a red apple", seed=7, steps=5)},
    }
    if "machine" in change:
        hash_now = "another" if change == "machine" else ""
        service.repeats.drawn_with = lambda _spec: hash_now
    assert (await ask(**changes.get(change, {}))).status is JobStatus.QUEUED


async def test_image_whose_origin_is_not_known_is_never_taken(ask, draw: Draw) -> None:
    """Of an earlier release, say."""
    await draw(measured=Measurement(step_s=0.5, fixed_s=0.0))
    assert (await ask()).status is JobStatus.QUEUED


@pytest.mark.parametrize(
    ("asker", "address", "fields", "is_answered"),
    [
        ("ann", ELSEWHERE, {}, True),
        ("ann", HERE, {"is_private": True}, True),
        ("bob", HERE, {}, True),
        ("bob", HERE, {"is_private": True}, True),
        ("bob", ELSEWHERE, {}, False),
        ("bob", "{}", {}, False),
        ("bob", "no json", {}, False),
        ("bob", '{"guild_id": null}', {}, False),
        ("bob", '{"guild_id": [1]}', {}, False),
    ],
)
async def test_image_of_somebody_else_is_for_those_of_its_server(
    ask, draw: Draw, asker: str, address: str, fields: dict[str, bool], is_answered: bool
) -> None:
    await draw("ann")
    assert ((await ask(asker, address=address, **fields)).status is JobStatus.DONE) is is_answered


async def test_private_image_of_somebody_else_is_for_nobody(ask, draw: Draw) -> None:
    await draw("ann", is_private=True)
    assert (await ask("bob")).status is JobStatus.QUEUED
    assert (await ask("ann")).status is JobStatus.DONE


async def test_image_that_shows_nowhere_on_a_server_is_its_persons_alone(ask, draw: Draw) -> None:
    """As those of the page."""
    await draw("ann", address="{}")
    assert (await ask("bob", address="{}")).status is JobStatus.QUEUED
    assert (await ask("ann", address="{}")).status is JobStatus.DONE


@pytest.mark.parametrize("asker", ["ann", "bob"])
@pytest.mark.parametrize("address", [HERE, FOR_ALL, '{"guild_id": 1, "is_age_restricted": "yes"}'])
async def test_image_of_a_place_for_adults_stays_in_such_places(ask, draw: Draw, asker: str, address: str) -> None:
    """For the person who asked for it, too."""
    await draw("ann", address=ADULTS)
    assert (await ask(asker, address=address)).status is JobStatus.QUEUED
    assert (await ask(asker, address=ADULTS)).status is JobStatus.DONE


async def test_image_of_a_place_for_all_may_be_shown_to_adults(ask, draw: Draw) -> None:
    await draw("ann", address=FOR_ALL)
    assert (await ask("bob", address=ADULTS)).status is JobStatus.DONE


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_removing_one_removes_every_one_that_shows_it(
    ask, draw: Draw, service: Service, images: ImageStore, jobs: JobStore, database: Database, which: int
) -> None:
    """Whoever asked for it, also if rows are damaged so that they name each other."""
    shown = [await draw("ann"), await ask("bob"), await ask("ann", address=ELSEWHERE)]
    other = await draw("ann", seed=8)
    await database.fetch_all("UPDATE jobs SET repeat_of = id WHERE id = 1")
    await service.moderation.remove(shown[which].id, "rude", may=lambda job: job.id == shown[which].id)
    for job in shown:
        left = await jobs.get(job.id)
        assert left is not None and left.is_erased and left.moderated_reason == "rude"
        assert await content(images, job) == b""
    assert await content(images, other) == f"png {other.id}".encode()
    assert {job.user for who in (ANN, BOB) for job in await service.moderation.untold(who)} == {ANN, BOB}


async def test_removal_that_could_not_delete_every_file_can_be_repeated(
    ask, draw: Draw, service: Service, images: ImageStore, jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again = await draw("ann"), await ask("bob")
    delete = images.delete

    async def refuse(path: str) -> bool:
        return path != again.image_path and await delete(path)

    with monkeypatch.context() as patch, pytest.raises(FileNotDeleted):
        patch.setattr(images, "delete", refuse)
        await service.moderation.remove(first.id, "rude", may=lambda _job: True)
    await service.moderation.remove(first.id, "rude", may=lambda _job: True)
    for job in (first, again):
        left = await jobs.get(job.id)
        assert left is not None and left.is_erased


async def test_repeat_that_is_being_answered_during_the_removal_is_never_shown(
    ask, draw: Draw, service: Service, images: ImageStore, jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, copy = await draw("ann"), images.copy

    async def slow(relative: str, number: int) -> str:
        path = await copy(relative, number)
        await service.moderation.remove(first.id, "rude", may=lambda _job: True)
        return path

    monkeypatch.setattr(images, "copy", slow)
    again = await ask("bob")
    assert (again.status, again.image_path) == (JobStatus.CANCELLED, None)
    assert not list(images._folder.rglob("*.png"))


async def test_spoiler_stays_one(ask, draw: Draw) -> None:
    await draw("ann", is_spoiler=True)
    assert (await ask("bob")).is_spoiler


@pytest.mark.parametrize("which", ["deleted", "removed", "its repeat was removed", "file gone"])
async def test_image_that_is_gone_is_not_brought_back(
    which: str, ask, draw: Draw, jobs: JobStore, images: ImageStore, database: Database
) -> None:
    first = await draw("ann")
    again = await ask("ann")
    other = await ask("bob")
    if which == "file gone":
        for job in (first, again, other):
            await images.delete(str(job.image_path))
    elif which == "deleted":
        for job in (first, again, other):
            await jobs.erase(job.id, now=9)
    else:
        gone = first if which == "removed" else other
        sql = "UPDATE jobs SET moderated_reason = '', erased_at = 9, image_path = 'x' WHERE id = :id"
        await database.fetch_all(sql, {"id": gone.id})
    assert (await ask("ann", is_fresh=False)).status is JobStatus.QUEUED


async def test_deleting_one_leaves_the_other(ask, draw: Draw, images: ImageStore) -> None:
    first = await draw()
    again = await ask()
    await images.delete(str(first.image_path))
    assert await content(images, again) == f"png {first.id}".encode()


async def test_repeat_of_a_repeat_names_the_first(ask, draw: Draw, images: ImageStore) -> None:
    first = await draw()
    await ask()
    await images.delete(str(first.image_path))
    third = await ask()
    assert third.repeat_of == first.id
    fourth = await ask()
    assert (fourth.status, fourth.repeat_of) == (JobStatus.DONE, first.id)


async def test_kill_before_it_is_done_leaves_a_job_that_is_drawn_once(
    ask, draw: Draw, jobs: JobStore, images: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await draw()

    class Killed(BaseException):
        pass

    async def kill(*_args: object) -> str:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(images, "copy", kill)
        await ask(key="press")
    (recovered,) = await jobs.recover(max_attempts=1, now=9)
    assert (recovered.status, recovered.attempts, recovered.repeat_of) == (JobStatus.QUEUED, 0, None)
    assert await jobs.due(now=10**12, limit=5) == []
    assert (await ask(key="press")).id == recovered.id


@pytest.mark.parametrize("moment", ["put", "copied"])
async def test_whoever_goes_away_meanwhile_leaves_nothing_that_seems_to_run(
    ask, draw: Draw, queue: JobQueue, jobs: JobStore, images: ImageStore, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """As a browser that is closed: erasing that person would wait for it for ever."""
    await draw()
    holder, method = (queue, "put_repeat") if moment == "put" else (images, "copy")
    original, is_there = getattr(holder, method), asyncio.Event()

    async def slow(*args: Any, **kwargs: Any) -> Any:
        is_there.set()
        await asyncio.sleep(0.05)
        return await original(*args, **kwargs)

    monkeypatch.setattr(holder, method, slow)
    asking = asyncio.create_task(ask(key="press"))
    await is_there.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    for _ in range(200):
        if (job := await jobs.by_request_key("press")) is not None and job.status.is_final:
            break
        await asyncio.sleep(0.01)
    assert job is not None and job.status is JobStatus.DONE and await content(images, job) != b""


async def test_runner_takes_no_job_that_is_about_to_be_answered(
    ask, draw: Draw, service: Service, images: ImageStore, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await draw()
    copy, seen = images.copy, []

    async def look(relative: str, number: int) -> str:
        seen.extend([job.status for job, _ in await service.unfinished()])
        return await copy(relative, number)

    monkeypatch.setattr(images, "copy", look)
    await ask()
    assert seen == [JobStatus.RUNNING]


async def test_image_that_cannot_be_copied_is_drawn(
    ask, draw: Draw, images: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await draw()

    async def fail(*_args: object) -> str:
        raise OSError("full")

    monkeypatch.setattr(images, "copy", fail)
    job = await ask()
    assert (job.status, job.repeat_of, job.started_at) == (JobStatus.QUEUED, None, None)


async def test_file_system_without_links_gets_a_copy(
    ask, draw: Draw, images: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await draw()

    def refuse(*_args: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", refuse)
    assert await content(images, await ask()) == f"png {first.id}".encode()


async def test_there_is_an_end_to_what_is_free(ask, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.requests.repeats.MOST_PER_DAY", 3)
    await draw()
    states = [(await ask()).status for _ in range(4)]
    assert states == [JobStatus.DONE] * 3 + [JobStatus.QUEUED]


async def test_banned_people_and_a_service_that_stops_get_nothing(ask, draw: Draw, service: Service) -> None:
    await draw()
    await service.moderation.ban(ANN, "enough", until_at=None)
    with pytest.raises(Banned):
        await ask()
    service.stop_accepting()
    with pytest.raises(NotAccepting):
        await ask("bob")


async def test_several_images_of_one_seed_are_answered_one_by_one(draw: Draw, service: Service) -> None:
    await draw(address="{}")
    asker = Asker(user=ANN, reply_to=ReplyTo(frontend="test", key="m", address="{}"), key="press")
    batch = Batch.of(ImageOptions(prompt="a red apple", seed=7, steps=4), count=2)
    accepted = await service.submit_batch(batch, asker)
    assert [job.status for job in accepted.jobs] == [JobStatus.DONE, JobStatus.QUEUED]


async def test_images_of_random_seeds_are_never_looked_for(draw: Draw, service: Service) -> None:
    await draw()
    service.repeats.drawn_with = lambda _spec: pytest.fail("nobody asked for a certain image")
    asker = Asker(user=BOB, reply_to=ReplyTo(frontend="test", key="m", address="{}"), key="press")
    accepted = await service.submit_batch(Batch.of(ImageOptions(prompt="a red apple", steps=4), count=2), asker)
    assert [job.status for job in accepted.jobs] == [JobStatus.QUEUED] * 2
