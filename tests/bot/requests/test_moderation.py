"""What moderators decide holds for every front end, after a crash too, and is told to whom it concerns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from bot.errors import (
    Banned,
    BannedUntil,
    BlockedWord,
    FileNotDeleted,
    InvalidWord,
    JobNotFound,
    NotYourJob,
    PictureRemoved,
    RestrictedWord,
    StoreUnavailable,
)
from bot.jobs import Delivery, Derivation, FailureCode, Job, JobStatus, ReplyTo, Request, UserKey, Verb
from bot.requests import derive
from bot.requests.archive import Archive
from bot.requests.models import Models
from bot.requests.moderation import MAX_REASON, Moderation
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.store.history_query import Stretch, Wanted
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.moderation_store import ModerationStore
from bot.store.usage_store import Measurement
from pipeline import ImageSpec
from pipeline.catalog.models import find_model

ANN, BOB = UserKey(frontend="test", id="ann"), UserKey(frontend="test", id="bob")
MODELS = Models(usual=find_model("fake"))
REMOVED = Wanted(with_removed=True)
MEASURED = Measurement(step_s=1.0, fixed_s=1.0)

Put = Callable[..., Awaitable[Job]]


def anybody(_job: Job) -> bool:
    return True


@pytest.fixture
def queue(jobs: JobStore, settings, no_limits, clock) -> JobQueue:
    pace = Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
    return JobQueue(jobs, settings, no_limits, assumed_pace=lambda _spec: pace, clock=clock)


@pytest.fixture
def start(
    moderation_store: ModerationStore, jobs: JobStore, queue: JobQueue, images: ImageStore, pseudonyms, clock
) -> Callable[[], Awaitable[Moderation]]:
    """Begin as a process does that finds this database."""

    async def start() -> Moderation:
        return await Moderation.open(moderation_store, jobs, queue, images, pseudonyms, clock=clock)

    return start


@pytest.fixture
async def moderation(start: Callable[[], Awaitable[Moderation]]) -> Moderation:
    return await start()


@pytest.fixture
def waiting(queue: JobQueue, spec: ImageSpec, make_request: Callable[..., Request]) -> Put:
    async def waiting(user: str = "ann", source: str = "", references: str = "", **fields: object) -> Job:
        wanted = replace(spec, source=source, references=references)
        return await queue.put(replace(make_request(user), **fields), wanted)

    return waiting


@pytest.fixture
def drawn(waiting: Put, queue: JobQueue, images: ImageStore, jobs: JobStore) -> Put:
    """Draw a picture and show it."""

    async def drawn(*args: object, **fields: object) -> Job:
        await waiting(*args, **fields)
        running = await queue.claim()
        assert running is not None
        path = await images.write(running.job.id, b"png")
        done = await queue.finish(running.job.id, image_path=path, image_bytes=3, ran_s=1.0, measured=MEASURED)
        assert done is not None
        await jobs.delivered(done.id, done.reply_to)
        return await get(jobs, done.id)

    return drawn


async def get(jobs: JobStore, job_id: int) -> Job:
    job = await jobs.get(job_id)
    assert job is not None
    return job


# ── removed images ──────────────────────────────────────────────────────────────────────────────────


async def test_removed_image_leaves_nothing_but_the_reason(
    moderation: Moderation, drawn: Put, images: ImageStore, jobs: JobStore
) -> None:
    job = await drawn()
    assert job.image_path is not None
    path = await images.find(job.image_path)
    assert path is not None
    removed = await moderation.remove(job.id, " not\nfunny\u200b ", may=anybody)
    assert not path.exists()
    assert (removed.is_erased, removed.moderated_reason, removed.image_path) == (True, "not funny", None)
    row = (await jobs._database.fetch_all("SELECT * FROM jobs"))[0]
    assert job.spec.prompt not in "".join(map(str, tuple(row)))
    assert await jobs.history(job.user, Stretch(limit=9)) == []
    assert removed.delivery is Delivery.PENDING  # its message is to be taken back
    assert len((await jobs.usage(job.user, now=int(1.8e9))).counted) == 1  # it still counts toward its day


async def test_removed_image_makes_no_other(moderation: Moderation, drawn: Put, jobs: JobStore, images, clock) -> None:
    job = await moderation.remove((await drawn()).id, "rude", may=anybody)
    archive = Archive(jobs, images, clock=clock)
    for verb in (
        lambda: derive.reroll(job, MODELS),
        lambda: derive.vary(job, MODELS),
        lambda: derive.more_steps(job, MODELS, steps=9),
        lambda: derive.start_from(job, MODELS, options=derive.ImageOptions(prompt="x")),
        lambda: derive.final(job, MODELS),
    ):
        with pytest.raises(PictureRemoved) as raised:
            verb()
        assert raised.value.reason == "rude"
    with pytest.raises(PictureRemoved):
        await archive.set_kept(job.id, is_kept=True, by=job.user)


async def test_who_may_not_removes_nothing(moderation: Moderation, drawn: Put, jobs: JobStore) -> None:
    job = await drawn()
    with pytest.raises(NotYourJob):
        await moderation.remove(job.id, "", may=lambda _job: False)
    assert await get(jobs, job.id) == job
    for number in (99, 2**70, -1):
        with pytest.raises(JobNotFound):
            await moderation.remove(number, "", may=anybody)


async def test_first_reason_stays(moderation: Moderation, drawn: Put, jobs: JobStore) -> None:
    job = await drawn()
    await moderation.remove(job.id, "x" * 999, may=anybody)
    with pytest.raises(PictureRemoved) as raised:
        await moderation.remove(job.id, "another", may=anybody)
    assert raised.value.reason == "x" * MAX_REASON
    assert (await get(jobs, job.id)).moderated_reason == "x" * MAX_REASON


async def test_image_whose_file_cannot_be_deleted_stays_as_it_is(
    moderation: Moderation, drawn: Put, jobs: JobStore, images: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await drawn()

    async def refuse(_relative: str) -> bool:
        return False

    monkeypatch.setattr(images, "delete", refuse)
    with pytest.raises(FileNotDeleted):
        await moderation.remove(job.id, "", may=anybody)
    assert await get(jobs, job.id) == job


async def test_crash_between_file_and_row_can_be_repeated(
    moderation: Moderation, drawn: Put, images: ImageStore
) -> None:
    job = await drawn()
    assert job.image_path is not None
    await images.delete(job.image_path)
    assert (await moderation.remove(job.id, "", may=anybody)).is_erased


async def test_row_that_names_a_file_in_bytes_is_no_endless_loop(
    moderation: Moderation, drawn: Put, jobs: JobStore
) -> None:
    job = await drawn()
    await jobs._database.fetch_all("UPDATE jobs SET image_path = x'ff00'")
    with pytest.raises(StoreUnavailable):
        await moderation.remove(job.id, "", may=anybody)


async def test_waiting_image_is_cancelled_and_forgotten(moderation: Moderation, waiting: Put, jobs: JobStore) -> None:
    removed = await moderation.remove((await waiting()).id, "no", may=anybody)
    assert (removed.status, removed.spec.prompt, removed.delivery) == (JobStatus.CANCELLED, "", Delivery.PENDING)
    assert removed.started_at is None  # so it costs nothing
    assert (await jobs.usage(ANN, now=int(1.8e9))).counted == ()


async def test_running_image_is_stopped_and_never_shown(
    moderation: Moderation, waiting: Put, queue: JobQueue, images: ImageStore
) -> None:
    job = await waiting()
    running = await queue.claim()
    assert running is not None
    removed = await moderation.remove(job.id, "no", may=anybody)
    assert running.stop.is_set() and removed.status is JobStatus.RUNNING and removed.spec.prompt == ""
    # It was in its last step: the engine was faster than the stop.
    ended = await queue.finish(job.id, image_path="a.png", image_bytes=3, ran_s=1.0, measured=MEASURED)
    assert ended is not None
    assert (ended.status, ended.image_path, ended.moderated_reason) == (JobStatus.CANCELLED, None, "no")


async def test_running_image_that_was_removed_does_not_come_back_after_a_crash(
    moderation: Moderation, waiting: Put, queue: JobQueue, jobs: JobStore
) -> None:
    job = await waiting()
    await queue.claim()
    await moderation.remove(job.id, "no", may=anybody)
    await queue.recover(max_attempts=2)
    assert (await get(jobs, job.id)).status is JobStatus.CANCELLED


async def test_image_that_ends_during_the_removal_loses_its_file_too(
    moderation: Moderation, waiting: Put, queue: JobQueue, images: ImageStore, jobs: JobStore, monkeypatch
) -> None:
    job = await waiting()
    await queue.claim()
    path = await images.write(job.id, b"png")
    look, looks = jobs.get, 0

    async def slow(job_id: int) -> Job | None:
        nonlocal looks
        looks += 1
        seen = await look(job_id)
        if looks == 1:
            await queue.finish(job.id, image_path=path, image_bytes=3, ran_s=1.0, measured=MEASURED)
        return seen

    monkeypatch.setattr(jobs, "get", slow)
    removed = await moderation.remove(job.id, "", may=anybody)
    assert removed.image_path is None and looks == 2
    assert await images.find(path) is None


async def test_what_starts_from_a_removed_image_starts_no_more(
    moderation: Moderation, drawn: Put, waiting: Put, images: ImageStore, jobs: JobStore
) -> None:
    own, copy = "a" * 64, "b" * 64
    for source in (own, copy):
        await images.write_source(source, b"png")
    job = await drawn(source=own)
    varied = Derivation(job_id=job.id, verb=Verb.VARY)
    child = await drawn(source=copy, derived_from=varied)
    grandchild = await waiting("bob", source=copy, derived_from=Derivation(job_id=child.id, verb=Verb.REROLL))
    again = await waiting("bob", source=own, derived_from=Derivation(job_id=job.id, verb=Verb.REROLL))
    await moderation.remove(job.id, "rude", may=anybody)
    assert await images.find_source(copy) is None  # a copy of the image itself
    assert await images.find_source(own) is not None  # another image, that it started from
    assert (await get(jobs, grandchild.id)).status is JobStatus.CANCELLED
    assert (await get(jobs, grandchild.id)).moderated_reason == "rude"
    assert (await get(jobs, again.id)).status is JobStatus.QUEUED
    assert not (await get(jobs, child.id)).is_erased  # an image of its own


async def test_edits_of_a_removed_image_are_edited_no_more(
    moderation: Moderation, drawn: Put, waiting: Put, images: ImageStore, jobs: JobStore
) -> None:
    own, copy, beside = "a" * 64, "b" * 64, "c" * 64
    for key in (own, copy, beside):
        await images.write_source(key, b"png")
    job = await drawn(references=own)
    edited = Derivation(job_id=job.id, verb=Verb.START_FROM)
    child = await drawn("bob", references=f"{copy},{beside}", derived_from=edited)
    again = Derivation(job_id=child.id, verb=Verb.REROLL)
    grandchild = await waiting("bob", references=f"{copy},{beside}", derived_from=again)
    kept = await waiting("bob", references=own, derived_from=Derivation(job_id=job.id, verb=Verb.REROLL))
    await moderation.remove(job.id, "rude", may=anybody)
    found = [await images.find_source(key) is not None for key in (own, copy, beside)]
    assert found == [True, False, True]
    assert (await get(jobs, grandchild.id)).moderated_reason == "rude"
    assert (await get(jobs, kept.id)).status is JobStatus.QUEUED
    assert not (await get(jobs, child.id)).is_erased  # an image of its own


@pytest.mark.parametrize("verb", [Verb.UPSCALE, Verb.FINAL])
async def test_same_image_larger_goes_with_it(
    moderation: Moderation, drawn: Put, waiting: Put, images: ImageStore, jobs: JobStore, verb: Verb
) -> None:
    await images.write_source("b" * 64, b"png")
    job = await drawn()
    larger = await drawn("bob", source="b" * 64, derived_from=Derivation(job_id=job.id, verb=verb))
    again = await waiting(source="c" * 64, derived_from=Derivation(job_id=larger.id, verb=verb))
    assert larger.image_path is not None
    path = await images.find(larger.image_path)
    assert path is not None
    await moderation.remove(job.id, "rude", may=lambda each: each.id == job.id)
    assert not path.exists() and await images.find_source("b" * 64) is None
    assert [(await get(jobs, each.id)).moderated_reason for each in (job, larger, again)] == ["rude"] * 3
    assert (await get(jobs, again.id)).status is JobStatus.CANCELLED
    assert [each.id for each in await moderation.untold(BOB)] == [larger.id]


async def test_same_image_larger_goes_though_it_was_asked_for_during_the_removal(
    moderation: Moderation, drawn: Put, waiting: Put, images: ImageStore, jobs: JobStore, monkeypatch
) -> None:
    """After those that there were had been looked up, and before its row said so."""
    job, delete = await drawn(), images.delete
    await images.write_source("b" * 64, b"png")

    async def slow(path: str) -> bool:
        monkeypatch.setattr(images, "delete", delete)
        await waiting("bob", source="b" * 64, derived_from=Derivation(job_id=job.id, verb=Verb.UPSCALE))
        return await delete(path)

    monkeypatch.setattr(images, "delete", slow)
    await moderation.remove(job.id, "rude", may=anybody)
    late = await get(jobs, job.id + 1)
    assert (late.status, late.moderated_reason) == (JobStatus.CANCELLED, "rude")
    assert await images.find_source("b" * 64) is None


async def test_image_that_is_said_to_be_made_from_itself_is_removed(
    moderation: Moderation, drawn: Put, jobs: JobStore
) -> None:
    job = await drawn(source="a" * 64)
    await jobs._database.fetch_all("UPDATE jobs SET derived_from = id, derived_by = 'upscale'")
    assert (await moderation.remove(job.id, "rude", may=anybody)).is_erased


# ── telling ─────────────────────────────────────────────────────────────────────────────────────────


async def test_image_that_was_read_before_its_removal_starts_nothing(
    moderation: Moderation, drawn: Put, waiting: Put, jobs: JobStore
) -> None:
    """The file was in memory already when it was removed."""
    job = await drawn()
    origin = Derivation(job_id=job.id, verb=Verb.VARY)
    await moderation.remove(job.id, "not here", may=anybody)
    for user in ("ann", "bob"):
        with pytest.raises(PictureRemoved, match="job 1"):
            await waiting(user, "f" * 64, derived_from=origin)
    assert await jobs.get(job.id + 1) is None
    again = await waiting("bob", derived_from=origin)  # of its words alone, which it has no more: not from the image
    assert again.spec.source == ""


async def test_author_is_told_once_also_after_a_restart(
    moderation: Moderation, start, drawn: Put, jobs: JobStore
) -> None:
    job = await drawn()
    await jobs.mark_told([job.id], now=5)  # of something before
    await moderation.remove(job.id, "rude", may=anybody)
    assert [each.id for each in await (await start()).untold(ANN)] == [job.id]
    assert await moderation.untold(BOB) == []
    await jobs.mark_told([job.id], now=9)
    assert await (await start()).untold(ANN) == []
    assert [each.id for each in await jobs.history(ANN, Stretch(limit=9), REMOVED)] == [job.id]


async def test_author_of_a_cancelled_image_reads_it_on_the_message_or_is_told(
    moderation: Moderation, waiting: Put, jobs: JobStore
) -> None:
    first, second = await waiting(), await waiting()
    for job in (first, second):
        await moderation.remove(job.id, "no", may=anybody)
    assert await moderation.untold(ANN) == []  # the messages will say it
    await jobs.delivered(first.id, first.reply_to)
    await jobs.close_delivery(second.id, Delivery.UNDELIVERABLE)
    assert [job.id for job in await moderation.untold(ANN)] == [second.id]


# ── deleted messages ────────────────────────────────────────────────────────────────────────────────


async def test_deleting_the_message_removes_an_image_that_it_showed(
    moderation: Moderation, drawn: Put, jobs: JobStore
) -> None:
    job = await drawn()
    await moderation.message_deleted("test", job.reply_to.key)
    await moderation.message_deleted("test", job.reply_to.key)  # reported twice
    assert (await get(jobs, job.id)).moderated_reason == "" and (await get(jobs, job.id)).is_erased


async def test_deleting_the_message_of_a_waiting_image_only_cancels(
    moderation: Moderation, waiting: Put, jobs: JobStore
) -> None:
    job = await waiting()
    await moderation.message_deleted("test", job.reply_to.key)
    ended = await get(jobs, job.id)
    assert (ended.status, ended.moderated_reason, ended.is_erased) == (JobStatus.CANCELLED, None, False)


async def test_image_that_no_message_showed_yet_is_not_judged(
    moderation: Moderation, drawn: Put, jobs: JobStore
) -> None:
    job = await drawn()
    await jobs._database.fetch_all("UPDATE jobs SET delivery = 'pending'")
    await moderation.message_deleted("test", job.reply_to.key)
    ended = await get(jobs, job.id)
    assert (ended.delivery, ended.is_erased) == (Delivery.DROPPED, False)


@pytest.mark.parametrize("how", ["purge", "off", "unknown"])
async def test_message_alone_goes(moderation: Moderation, drawn: Put, jobs: JobStore, how: str) -> None:
    job = await drawn()
    moderation.removes_with_message = how != "off"
    key = "another" if how == "unknown" else job.reply_to.key
    await moderation.message_deleted("test", key, is_purge=how == "purge")
    assert not (await get(jobs, job.id)).is_erased


async def test_image_that_its_person_erased_is_not_removed_by_its_message(
    moderation: Moderation, drawn: Put, jobs: JobStore, images, clock
) -> None:
    job = await drawn()
    await Archive(jobs, images, clock=clock).erase(job.id, by=ANN)
    await moderation.message_deleted("test", job.reply_to.key)
    assert (await get(jobs, job.id)).moderated_reason is None


async def test_copies_are_known_and_count_like_the_message(moderation: Moderation, drawn: Put, jobs: JobStore) -> None:
    job = await drawn()
    copies = [ReplyTo(frontend="test", key=key, address="{}") for key in ("copy 1", "copy 2")]
    for copy in (*copies, copies[0]):
        await moderation.note_copy(job, copy)
    assert await moderation.copies_of(job) == copies
    await moderation.message_deleted("test", "copy 1")
    assert (await get(jobs, job.id)).is_erased
    assert await moderation.copies_of(job) == copies[1:]
    await moderation.copy_deleted(copies[1])
    assert await moderation.copies_of(job) == []
    await moderation.note_copy(replace(job, id=10**6), copies[0])  # a job that is gone has none


async def test_copies_go_with_their_row(moderation: Moderation, drawn: Put, jobs: JobStore) -> None:
    job = await drawn()
    await moderation.note_copy(job, ReplyTo(frontend="test", key="copy", address="{}"))
    await jobs.delete([job.id])
    assert await moderation.copies_of(job) == []


# ── bans ────────────────────────────────────────────────────────────────────────────────────────────


async def test_banned_person_is_refused_with_reason_and_end(moderation: Moderation, clock) -> None:
    now = int(clock())
    await moderation.ban(ANN, " spam\n ", until_at=now + 60)
    with pytest.raises(BannedUntil) as raised:
        await moderation.check(ANN, ["a cat"], is_age_restricted=True)
    assert (raised.value.reason, raised.value.until_at) == ("spam", now + 60)
    await moderation.check(BOB, ["a cat"], is_age_restricted=False)
    clock.advance(60)
    await moderation.check(ANN, ["a cat"], is_age_restricted=False)
    assert moderation.bans.all == []


async def test_ban_that_ended_leaves_nothing_after_a_start(moderation: Moderation, start, clock) -> None:
    now = int(clock())
    await moderation.ban(ANN, "spam", until_at=now + 60)
    await moderation.ban(BOB, "spam", until_at=now + 61)
    clock.advance(60)
    later = await start()
    await later.bans.forget_ended(now + 60)  # which the service does at its start, and once an hour
    rows = await moderation._store._database.fetch_all("SELECT user_id FROM bans")
    assert [row["user_id"] for row in rows] == ["bob"]
    assert [ban.user_id for ban in later.bans.all] == ["bob"]
    clock.advance(-60)
    later.bans.check(ANN)


async def test_ban_outlives_a_start_with_the_clock_ahead(moderation: Moderation, start, clock) -> None:
    await moderation.ban(ANN, "spam", until_at=int(clock()) + 3600)
    clock.advance(91 * 86_400)
    later = await start()
    later.bans.check(ANN)
    assert later.bans.all == []
    clock.advance(-91 * 86_400)
    for each in (later, await start()):
        with pytest.raises(BannedUntil):
            each.bans.check(ANN)


async def test_ban_without_end_survives_a_restart_and_holds_for_an_erased_id(
    moderation: Moderation, start, moderation_store: ModerationStore, clock
) -> None:
    await moderation.ban(ANN, "", until_at=None)
    await moderation_store._database.fetch_all("UPDATE bans SET user_id = NULL")
    clock.advance(10**8)
    later = await start()
    with pytest.raises(Banned):
        later.bans.check(ANN)
    assert [ban.user_id for ban in later.bans.all] == [None]
    moderation.bans.forget_id(ANN)
    assert [ban.user_id for ban in moderation.bans.all] == [None]
    assert await later.bans.lift(ANN)
    assert not await later.bans.lift(ANN)
    later.bans.check(ANN)
    (await start()).bans.check(ANN)


@pytest.mark.parametrize("column", ["until_at", "banned_at", "reason", "user_id", "user_frontend"])
@pytest.mark.parametrize("value", ["some day", b"\xff", 1e300, float("inf"), 2**62])
async def test_damaged_ban_still_holds_and_stops_no_start(
    moderation: Moderation, start, moderation_store: ModerationStore, column: str, value
) -> None:
    await moderation.ban(ANN, "spam", until_at=None)
    await moderation.ban(BOB, "spam", until_at=None)
    await moderation_store._database.fetch_all(
        f"UPDATE bans SET {column} = :value WHERE user_id = 'ann'", {"value": value}
    )
    later = await start()
    assert len(later.bans.all) == 2
    for user in (ANN, BOB):
        with pytest.raises((Banned, BannedUntil)):
            later.bans.check(user)


async def test_second_ban_takes_the_place_of_the_first(moderation: Moderation, clock) -> None:
    await moderation.ban(ANN, "first", until_at=None)
    await moderation.ban(ANN, "second", until_at=int(clock()) + 5)
    assert [ban.reason for ban in moderation.bans.all] == ["second"]
    clock.advance(5)
    assert not await moderation.bans.lift(ANN)  # it was over


async def test_ban_cancels_what_waits_and_stops_what_runs(
    moderation: Moderation, waiting: Put, queue: JobQueue, jobs: JobStore
) -> None:
    first, second, other = await waiting(), await waiting(), await waiting("bob")
    running = await queue.claim()
    assert running is not None and running.job.id == first.id
    _, stopped = await moderation.ban(ANN, "spam", until_at=None)
    assert {job.id for job in stopped} == {first.id, second.id}
    assert running.stop.is_set()
    assert (await get(jobs, second.id)).status is JobStatus.CANCELLED
    await queue.cancelled(first.id, ran_s=1.0)
    for job in (first, second):
        ended = await get(jobs, job.id)
        assert (ended.moderated_reason, ended.is_erased, ended.delivery) == ("spam", False, Delivery.PENDING)
    assert (await get(jobs, other.id)).status is JobStatus.QUEUED


async def test_start_carries_out_a_ban_that_a_crash_interrupted(
    moderation: Moderation, start, waiting: Put, jobs: JobStore
) -> None:
    job = await waiting()
    await moderation.bans.put(ANN, "spam", until_at=None)  # and then kill -9
    await start()
    ended = await get(jobs, job.id)
    assert (ended.status, ended.moderated_reason) == (JobStatus.CANCELLED, "spam")


async def test_failure_of_a_stopped_job_is_a_failure(moderation: Moderation, waiting: Put, queue: JobQueue) -> None:
    job = await waiting()
    await queue.claim()
    await moderation.ban(ANN, "", until_at=None)
    ended = await queue.fail(job.id, FailureCode.GENERATION_FAILED, ran_s=1.0)
    assert ended is not None and ended.status is JobStatus.FAILED


# ── words ───────────────────────────────────────────────────────────────────────────────────────────


async def test_words_are_refused_where_they_are_listed(moderation: Moderation, start) -> None:
    assert await moderation.words.add("Nude,  裸体、 nude ", is_restricted=True) == ["nude", "裸体"]
    assert await moderation.words.add("ＧＯＲＥ", is_restricted=False) == ["ＧＯＲＥ"]
    for each in (moderation, await start()):
        with pytest.raises(RestrictedWord) as raised:
            await each.check(ANN, ["a cat", "a n.u.d.e woman"], is_age_restricted=False)
        assert (raised.value.word, raised.value.found, raised.value.is_disguised) == ("nude", "n.u.d.e", "yes")
        await each.check(ANN, ["a nude woman"], is_age_restricted=True)
        with pytest.raises(BlockedWord) as blocked:
            await each.check(ANN, ["gore"], is_age_restricted=True)
        assert not isinstance(blocked.value, RestrictedWord)
        assert "gore" not in str(blocked.value) and "n.u.d.e" not in str(raised.value)  # which are logged


async def test_word_that_is_there_moves_to_where_it_is_said_now(moderation: Moderation) -> None:
    await moderation.words.add("nude", is_restricted=True)
    assert await moderation.words.add("NUDE", is_restricted=False) == ["nude"]
    assert [(listed.word, listed.is_restricted) for listed in moderation.words.all] == [("nude", False)]


async def test_word_is_taken_off_in_any_spelling(moderation: Moderation, start) -> None:
    await moderation.words.add("裸體, child abuse", is_restricted=False)
    assert await moderation.words.remove("裸体") == ["裸體"]
    assert await moderation.words.remove("Child  Abuse; cat") == ["child abuse"]
    assert await moderation.words.remove("cat") == []
    assert moderation.words.all == () and (await start()).words.all == ()


@pytest.mark.parametrize("word", ["", " ", ",", "!!!", "\u200b", "a", "é", "x" * 101, "good, !", "\u0301"])
async def test_word_that_no_list_can_have_is_refused(moderation: Moderation, word: str) -> None:
    with pytest.raises(InvalidWord):
        await moderation.words.add(word, is_restricted=False)
    assert moderation.words.all == ()


async def test_long_find_is_cut_in_the_refusal(moderation: Moderation) -> None:
    await moderation.words.add("nude", is_restricted=False)
    with pytest.raises(BlockedWord) as raised:
        await moderation.check(ANN, ["n" * 900 + "u" * 900 + "de"], is_age_restricted=False)
    assert len(raised.value.found) <= 60
