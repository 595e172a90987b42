"""What a front end may ask for, and what it may not."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from bot.config import HoursConfig, LimitsConfig, StorageConfig
from bot.errors import (
    AlreadyUnpacking,
    BlockedWord,
    CoolingDown,
    DailyLimit,
    JobNotFound,
    NotAccepting,
    NotYourJob,
    QueueFull,
    StorageFull,
    StoreUnavailable,
    TooManyJobs,
    UploadGone,
)
from bot.jobs import BatchPlace, Delivery, Derivation, Job, JobStatus, RemoteImage, ReplyTo, Request, UserKey, Verb
from bot.requests import derive, init_images, inputs
from bot.requests.batch import Asker, Batch
from bot.requests.models import Models
from bot.requests.service import Service
from bot.requests.translations import Translations
from bot.requests.unpacking import MAX_UNPACKING
from bot.scheduling.hours import QuietHours
from bot.scheduling.job_queue import JobQueue
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.usage_store import Measurement
from pipeline import ImageSpec, InvalidSpec, Size
from pipeline.catalog.architecture import Feature
from pipeline.catalog.models import ModelCard, find_model
from pipeline.images.init_image import SourceFile
from pipeline.spec import ImageOptions
from tests.cards import PAINTER
from tests.dictionary import READS_ENGLISH, Dictionary

ANN, BOB = UserKey(frontend="test", id="ann"), UserKey(frontend="test", id="bob")


async def draw(queue: JobQueue, images: ImageStore, png: bytes = b"png") -> None:
    running = await queue.claim()
    assert running is not None
    path = await images.write(running.job.id, png)
    await queue.finish(
        running.job.id, image_path=path, image_bytes=3, ran_s=2.0, measured=Measurement(step_s=0.5, fixed_s=0.0)
    )


async def test_accepted_job_is_on_disk_with_a_seed_of_its_own(make_service, make_request, jobs: JobStore) -> None:
    service = make_service()
    first, standing = await service.submit(make_request(seed=None))
    second, _ = await service.submit(make_request(seed=-1))
    assert await jobs.get(first.id) == first
    assert standing.position == 1
    assert first.spec.seed != second.spec.seed
    third, _ = await service.submit(make_request(seed=0))
    assert third.spec.seed == 0


@pytest.mark.parametrize(
    "options",
    [
        {"prompt": ""},
        {"prompt": " \u200b\n "},
        {"prompt": "x" * 2001},
        {"steps": 0},
        {"steps": 51},
        {"seed": -2},
        {"seed": 2**32},
    ],
)
async def test_bad_values_are_refused_before_anything_is_written(
    make_service, make_request, jobs: JobStore, options
) -> None:
    with pytest.raises(InvalidSpec):
        await make_service().submit(make_request(**options))
    assert await jobs.unfinished() == []


async def test_stopping_service_accepts_nothing(make_service, make_request: Callable[..., Request]) -> None:
    service = make_service()
    service.stop_accepting()
    with pytest.raises(NotAccepting):
        await service.submit(make_request())


async def test_low_disk_space_is_refused_politely(make_service, make_request) -> None:
    service = make_service(storage=StorageConfig(min_free_mib=10**9))
    with pytest.raises(StorageFull):
        await service.submit(make_request())


@pytest.mark.parametrize("how", ["a file", "a loop of links"])
async def test_images_folder_that_is_none_is_refused_politely(
    make_service, images, make_request, tmp_path, how: str
) -> None:
    folder = tmp_path / "images"
    folder.touch() if how == "a file" else folder.symlink_to(folder)
    with pytest.raises(StorageFull):
        await make_service().submit(make_request())
    assert await images.highest_number() == 0  # looked at by every start


async def test_database_that_cannot_grow_is_refused_politely(
    make_service, make_request, jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = [StoreUnavailable("locked", is_full=False), StoreUnavailable("full", is_full=True)]

    async def troubled(*_args: object, **_kwargs: object) -> None:
        raise troubles.pop()

    monkeypatch.setattr(jobs, "insert", troubled)
    with pytest.raises(StorageFull):
        await make_service().submit(make_request())
    with pytest.raises(StoreUnavailable):  # locked is not full: nobody is told to delete files
        await make_service().submit(make_request())


async def test_only_owner_or_moderator_may_cancel(make_service, make_request, jobs: JobStore) -> None:
    service = make_service()
    first, _ = await service.submit(make_request("ann"))
    second, _ = await service.submit(make_request("ann"))
    with pytest.raises(NotYourJob):
        await service.cancel(first.id, by=BOB)
    assert (await service.cancel(first.id, by=ANN)).status is JobStatus.CANCELLED
    assert (await service.cancel(second.id, by=BOB, may=lambda job: job.id == second.id)).status is JobStatus.CANCELLED
    with pytest.raises(JobNotFound):
        await service.cancel(999, by=ANN)


async def test_deleting_a_message_cancels_its_waiting_job_silently(make_service, make_request, jobs: JobStore) -> None:
    service = make_service()
    job, _ = await service.submit(make_request())
    await service.message_deleted(job.reply_to.frontend, job.reply_to.key)
    latest = await jobs.get(job.id)
    assert latest is not None and (latest.status, latest.delivery) == (JobStatus.CANCELLED, Delivery.DROPPED)
    await service.message_deleted("test", "somebody else's message")


async def test_quota_counts_what_was_drawn_and_names_the_end(
    make_service, make_request, queue: JobQueue, images: ImageStore
) -> None:
    service = make_service()
    await service.submit(make_request())
    await draw(queue, images)
    await service.submit(make_request())
    quota = await service.quota(ANN)
    assert (quota.used, quota.active, quota.resets_at) == (2, 1, None)
    assert (await service.quota(BOB)).used == 0


async def test_history_and_stats_tell_what_happened(
    make_service, make_request, queue: JobQueue, images: ImageStore, clock
) -> None:
    service = make_service()
    job, _ = await service.submit(make_request())
    assert (await service.stats()).step_s is None
    await draw(queue, images)
    clock.advance(60)
    (found,) = await service.histories.newest(ANN, limit=5)
    assert found.id == job.id
    path = await service.image_file(found)
    assert path is not None and path.read_bytes() == b"png"
    assert await service.standing(found) is None
    stats = await service.stats()
    assert (stats.done_today, stats.waiting, stats.step_s, stats.uptime_s) == (1, 0, 0.5, 60)


async def test_refusal_of_the_queue_passes_through(make_service, make_request, no_limits, queue) -> None:
    queue._limits = no_limits.model_copy(update={"max_active_per_user": 1})
    service = make_service()
    await service.submit(make_request())
    with pytest.raises(TooManyJobs):
        await service.submit(make_request())


async def test_picture_to_start_from_is_kept_before_its_job_is_written(
    make_service, make_request, images: ImageStore, jobs: JobStore
) -> None:
    request = replace(make_request(aspect=None, strength=0.3), source=a_png((300, 200)))
    job, _ = await make_service().submit(request)
    assert (job.spec.width, job.spec.height, job.spec.strength) == (96, 64, 0.3)
    assert len(await images.read_source(job.spec.source)) == 96 * 64 * 3
    assert await jobs.inputs() == {job.spec.source}
    again, _ = await make_service().submit(request)
    assert again == job


async def test_bad_picture_is_refused_before_anything_is_written(
    make_service, make_request, images: ImageStore, jobs: JobStore, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSpec):
        await make_service().submit(replace(make_request(), source=b"not a picture"))
    assert await jobs.unfinished() == []
    assert list(tmp_path.rglob("sources")) == []


async def test_disk_that_takes_no_source_is_refused_politely(
    make_service, make_request, monkeypatch: pytest.MonkeyPatch, jobs: JobStore
) -> None:
    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StorageFull):
        await make_service().submit(replace(make_request(), source=a_png((64, 64))))
    assert await jobs.unfinished() == []


class Unfetched:
    """A file elsewhere that nobody may ask for."""

    async def fetch(self) -> bytes:
        raise AssertionError("it was fetched")


@pytest.mark.parametrize("source", [b"", b"not a picture", Unfetched()], ids=["empty", "text", "elsewhere"])
async def test_whoever_may_not_ask_is_refused_before_a_picture_is_looked_at(
    make_service, make_request, queue: JobQueue, monkeypatch: pytest.MonkeyPatch, source: bytes | RemoteImage
) -> None:
    def reads(_data: bytes) -> None:
        raise AssertionError("it was looked at")

    monkeypatch.setattr(init_images, "read_header", reads)
    monkeypatch.setattr(inputs, "unpack", reads)
    service = make_service()
    with pytest.raises(InvalidSpec, match="steps"):
        await service.submit(replace(make_request(steps=99), source=source))
    with pytest.raises(InvalidSpec, match="model"):
        await service.submit(replace(make_request(model="none"), source=source))
    with pytest.raises(StorageFull):
        full = make_service(storage=StorageConfig(min_free_mib=10**9))
        await full.submit(replace(make_request(), source=source))
    for bound, refusal in (
        ({"max_active_per_user": 1}, TooManyJobs),
        ({"max_images_per_day": 1}, DailyLimit),
        ({"max_waiting": 1}, QueueFull),
        ({"cooldown_s": 60}, CoolingDown),
    ):
        await service.submit(make_request(refusal.__name__))
        queue._limits = LimitsConfig(
            **{"max_waiting": 99, "max_active_per_user": 99, "max_images_per_day": 99, "cooldown_s": 0, **bound}
        )
        with pytest.raises(refusal):
            await service.submit(replace(make_request(refusal.__name__), source=source))
        queue._limits = LimitsConfig(max_waiting=99, max_active_per_user=99, max_images_per_day=99, cooldown_s=0)
    service.stop_accepting()
    with pytest.raises(NotAccepting):
        await service.submit(replace(make_request(), source=source))


async def test_repeat_of_a_request_is_its_first_job_though_there_is_no_room_for_another(
    make_service, make_request, queue: JobQueue
) -> None:
    queue._limits = LimitsConfig(max_waiting=99, max_active_per_user=1, max_images_per_day=99, cooldown_s=0)
    request = replace(make_request(), source=a_png((30, 20)))
    first, _ = await make_service().submit(request)
    again, _ = await make_service().submit(request)
    assert again == first


async def test_pictures_are_unpacked_one_at_a_time_also_when_nobody_waits_for_them_any_more(
    make_service, make_request, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack = inputs.unpack
    under_way, most = 0, 0
    has_begun, may_end = threading.Event(), threading.Event()

    def slow(header: SourceFile) -> Image.Image:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        has_begun.set()
        may_end.wait()
        under_way -= 1
        return unpack(header)

    monkeypatch.setattr(inputs, "unpack", slow)
    service = make_service()
    people = [f"person {number}" for number in range(MAX_UNPACKING)]
    asking = [asyncio.create_task(service.submit(replace(make_request(who), source=a_png((30, 20))))) for who in people]
    await asyncio.to_thread(has_begun.wait)
    while len(service._unpacking.people) < MAX_UNPACKING:
        await asyncio.sleep(0)
    for who in (people[3], "one more"):
        with pytest.raises(AlreadyUnpacking):
            await service.submit(replace(make_request(who), source=a_png((30, 20))))
    await service.submit(make_request("without a picture"))
    asking[0].cancel()
    await asyncio.wait([asking[0]])
    later = asyncio.create_task(service.submit(replace(make_request("later"), source=a_png((30, 20)))))
    may_end.set()
    await asyncio.gather(*asking[1:], later)
    assert most == 1 and not service._unpacking.people


async def test_picture_may_lie_on_the_disk_until_it_is_read(make_service, make_request, tmp_path: Path) -> None:
    path = tmp_path / "start.png"
    with pytest.raises(InvalidSpec, match="is gone"):
        await make_service().submit(replace(make_request(), source=path))
    path.write_bytes(a_png((30, 20)))
    job, _ = await make_service().submit(replace(make_request(), source=path))
    assert job.spec.source


def a_png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, format="PNG")
    return buffer.getvalue()


async def test_model_may_be_asked_for_by_name(make_service, make_request) -> None:
    service = make_service()
    usual, _ = await service.submit(make_request())
    named, _ = await service.submit(make_request(model="demo"))
    assert (usual.spec.model, named.spec.model, named.spec.width) == ("fake", "demo", 256)
    with pytest.raises(InvalidSpec, match="must be one of fake, demo"):
        await service.submit(make_request(model="majicflus-v1"))


# ── batches ─────────────────────────────────────────────────────────────────────────────────────────


def press(user: UserKey = ANN, *, key: str = "press") -> Asker:
    return Asker(user=user, reply_to=ReplyTo(frontend="test", key=f"reply to {key}", address="{}"), key=key)


APPLES = Batch.of(ImageOptions(prompt="apples", seed=7, steps=4), count=3)


async def test_batch_becomes_one_job_per_image_in_one_place(make_service, jobs: JobStore) -> None:
    accepted = await make_service().submit_batch(APPLES, press())
    assert [job.spec.seed for job in accepted.jobs] == [7, 8, 9]
    assert [job.batch for job in accepted.jobs] == [BatchPlace(batch_id="press", index=index) for index in range(3)]
    assert {job.reply_to.key for job in accepted.jobs} == {"reply to press"}
    assert accepted.refusal is None
    assert await jobs.unfinished() == list(accepted.jobs)


async def test_repeated_batch_is_its_first_jobs(make_service, jobs: JobStore) -> None:
    service = make_service()
    first = await service.submit_batch(APPLES, press())
    assert (await service.submit_batch(APPLES, press())).jobs == first.jobs
    assert len(await jobs.unfinished()) == 3


async def test_batch_that_has_not_room_for_all_says_which_and_why(make_service, queue: JobQueue, no_limits) -> None:
    queue._limits = no_limits.model_copy(update={"max_images_per_day": 2})
    accepted = await make_service().submit_batch(APPLES, press())
    assert [job.spec.seed for job in accepted.jobs] == [7, 8]
    assert isinstance(accepted.refusal, DailyLimit)


async def test_request_for_several_images_counts_once_as_active_and_each_toward_the_day(
    make_service, queue: JobQueue, no_limits
) -> None:
    queue._limits = no_limits.model_copy(update={"max_active_per_user": 2})
    service = make_service()
    for key in ("one", "another"):
        assert len((await service.submit_batch(APPLES, press(key=key))).jobs) == 3
    quota = await service.quota(ANN)
    assert (quota.active, quota.used) == (2, 6)
    with pytest.raises(TooManyJobs):
        await service.submit_batch(APPLES, press(key="a third"))


async def test_images_of_an_open_seed_get_seeds_in_a_row(make_service) -> None:
    accepted = await make_service().submit_batch(Batch.of(ImageOptions(prompt="x"), count=4), press())
    first = accepted.jobs[0].spec.seed
    assert [job.spec.seed for job in accepted.jobs] == [(first + number) % 2**32 for number in range(4)]


async def test_batch_without_room_for_one_is_refused(make_service, queue: JobQueue, no_limits, jobs: JobStore) -> None:
    queue._limits = no_limits.model_copy(update={"max_active_per_user": 0})
    with pytest.raises(TooManyJobs):
        await make_service().submit_batch(APPLES, press())
    assert await jobs.unfinished() == []


async def test_front_end_may_have_a_bound_of_its_own_between_the_images(make_service) -> None:
    entered = 0

    @asynccontextmanager
    async def two_and_no_more() -> AsyncIterator[None]:
        nonlocal entered
        entered += 1
        if entered > 2:
            raise QueueFull(waiting=2, limit=2, retry_at=0)
        yield

    accepted = await make_service().submit_batch(APPLES, press(), admission=two_and_no_more)
    assert len(accepted.jobs) == 2 and isinstance(accepted.refusal, QueueFull)


@pytest.fixture
def drawn(make_service, queue: JobQueue, images: ImageStore) -> Callable[..., object]:
    """A job of Ann's whose picture is there."""

    async def drawn(source: bytes | None = None) -> Job:
        strength = None if source is None else 0.4
        options = ImageOptions(prompt="an apple", seed=7, steps=4, strength=strength)
        (job,) = (await make_service().submit_batch(Batch.of(options, init_image=source), press(key="first"))).jobs
        running = await queue.claim()
        assert running is not None and running.job.id == job.id
        path = await images.write(job.id, a_png((job.spec.width, job.spec.height)))
        measured = Measurement(step_s=0.5, fixed_s=0.0)
        done = await queue.finish(job.id, image_path=path, image_bytes=3, ran_s=2.0, measured=measured)
        assert done is not None
        return done

    return drawn


async def test_anybody_may_make_something_of_anybodys_job_and_pays_for_it(make_service, drawn) -> None:
    service, job = make_service(), await drawn()
    (again,) = (await service.submit_batch(derive.reroll(job, service.models), press(BOB))).jobs
    assert again.user == BOB and again.spec.seed != job.spec.seed
    assert replace(again.spec, seed=job.spec.seed) == job.spec
    assert again.derived_from == Derivation(job_id=job.id, verb=Verb.REROLL)
    assert (await service.quota(BOB)).used == 1


async def test_more_steps_and_edit_keep_the_seed(make_service, drawn) -> None:
    service, job = make_service(), await drawn()
    (more,) = (await service.submit_batch(derive.more_steps(job, service.models, steps=9), press())).jobs
    assert more.spec == replace(job.spec, steps=9)
    batch = derive.edit(job, service.models, options=ImageOptions(prompt="a pear"))
    (edited,) = (await service.submit_batch(batch, press(key="edit"))).jobs
    assert edited.spec == replace(job.spec, prompt="a pear")


async def test_variation_of_a_strength_starts_from_the_picture(make_service, drawn, images: ImageStore) -> None:
    service, job = make_service(), await drawn()
    batch = derive.vary(job, service.models, count=2, strength=0.2)
    accepted = await service.submit_batch(batch, press())
    assert {each.spec.strength for each in accepted.jobs} == {0.2}
    (source,) = {each.spec.source for each in accepted.jobs}
    assert await images.read_source(source) == b"\xff\0\0" * (job.spec.width * job.spec.height)
    await images.delete(job.image_path)
    with pytest.raises(UploadGone):
        await service.submit_batch(batch, press(key="later"))


async def test_what_started_from_an_image_starts_from_it_again(make_service, drawn, images: ImageStore) -> None:
    service, job = make_service(), await drawn(a_png((300, 200)))
    (again,) = (await service.submit_batch(derive.reroll(job, service.models), press())).jobs
    assert (again.spec.source, again.spec.strength) == (job.spec.source, 0.4)
    await images.delete_sources(kept=(), before=float("inf"))
    with pytest.raises(UploadGone):
        await service.submit_batch(derive.reroll(job, service.models), press(key="later"))


async def test_image_that_the_gpu_has_no_room_for_is_refused_before_anything_is_stored(
    make_service, make_request, jobs: JobStore
) -> None:
    def check(_model: ModelCard, spec: ImageSpec) -> None:
        if spec.width > 64:
            raise InvalidSpec("size", "does not fit", detail="memory", size=f"{spec.width}x{spec.height}")

    service = make_service(models=Models(usual=find_model("fake"), check_memory=check))
    large = replace(make_request("ann"), options=ImageOptions(prompt="x", size=Size.LARGE))
    with pytest.raises(InvalidSpec, match="does not fit"):
        await service.submit(large)
    assert await jobs.unfinished() == []
    await service.submit(replace(large, options=ImageOptions(prompt="x", size=Size.DRAFT)))


async def test_draft_becomes_final_from_its_own_picture(
    make_service, make_request, queue: JobQueue, images: ImageStore
) -> None:
    service = make_service()
    options = ImageOptions(prompt="x", seed=7, size=Size.DRAFT)
    draft, _ = await service.submit(replace(make_request("ann"), options=options))
    picture = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(picture, format="PNG")
    await draw(queue, images, picture.getvalue())
    asker = Asker(user=BOB, reply_to=draft.reply_to, key="press")
    accepted = await service.submit_batch(derive.final(await service.job(draft.id), service.models), asker)
    (final,) = accepted.jobs
    assert (final.user, final.derived_from) == (BOB, Derivation(job_id=draft.id, verb=Verb.FINAL))
    assert (final.spec.width, final.spec.height, final.spec.seed) == (64, 64, 7)
    assert final.spec.strength == service.models.usual.final_strength
    with Image.open(io.BytesIO(await service.init_image(final))) as start:
        assert start.size == (64, 64) and start.getpixel((32, 32)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("zone", "day", "word"),
    [
        ("Pacific/Kiritimati", "2026-11-30", "yesterday"),
        ("UTC", "2026-11-30", "today"),
        ("Pacific/Niue", "2026-11-29", "yesterday"),
    ],
)
async def test_days_of_a_history_are_those_of_the_operators_zone(
    make_service, make_request, queue: JobQueue, images: ImageStore, clock, zone: str, day: str, word: str
) -> None:
    queue.pauses.hours = QuietHours.of(HoursConfig(timezone=zone))
    service = make_service()
    clock.now = datetime(2026, 11, 30, 9, tzinfo=UTC).timestamp()
    job, _ = await service.submit(make_request())
    await draw(queue, images)
    clock.now += 3 * 3600
    for days in range(-2, 3):
        other = str(date.fromisoformat(day) + timedelta(days=days))
        page = await service.histories.page(job.user, search=other)
        assert [each.id for each in page.jobs] == ([job.id] if days == 0 else []), other
    assert len((await service.histories.page(job.user, search=word)).jobs) == 1


# ── prompts in other languages ──────────────────────────────────────────────────────────────────────


@pytest.fixture
def translating(make_service) -> tuple[Service, Dictionary]:
    dictionary = Dictionary()
    service = make_service(models=Models(usual=READS_ENGLISH, others=(find_model("demo"),)))
    service.translations = Translations(dictionary.translator())
    return service, dictionary


def asker(request: Request, key: str = "k", *, is_age_restricted: bool = False) -> Asker:
    return Asker(user=request.user, reply_to=request.reply_to, key=key, is_age_restricted=is_age_restricted)


async def test_what_a_model_cannot_read_is_translated_once_for_all_images_of_a_request(
    translating: tuple[Service, Dictionary], make_request: Callable[..., Request], jobs: JobStore
) -> None:
    service, dictionary = translating
    batch = Batch.of(ImageOptions(prompt="一只熊猫 in the snow"), count=3)
    accepted = await service.submit_batch(batch, asker(make_request()))
    specs = [job.spec for job in accepted.jobs]
    assert {(spec.prompt, spec.text) for spec in specs} == {("一只熊猫 in the snow", "a panda in the snow")}
    assert dictionary.asked == ["一只熊猫"]
    stored = await jobs.get(accepted.jobs[0].id)
    assert stored is not None
    assert stored.spec.translated == "a panda in the snow"


async def test_what_cannot_be_translated_is_tried_once_and_drawn_as_it_is(
    translating: tuple[Service, Dictionary], make_request: Callable[..., Request]
) -> None:
    service, dictionary = translating
    accepted = await service.submit_batch(Batch.of(ImageOptions(prompt="秘密"), count=3), asker(make_request()))
    assert [job.spec.translated for job in accepted.jobs] == ["", "", ""]
    assert len(dictionary.asked) == 1
    assert service.unread(accepted.jobs[0].spec).is_untranslated


async def test_what_is_made_of_an_image_with_the_same_prompt_is_drawn_from_the_same_translation(
    translating: tuple[Service, Dictionary], make_request: Callable[..., Request]
) -> None:
    service, dictionary = translating
    first = (await service.submit_batch(Batch.of(ImageOptions(prompt="一只熊猫")), asker(make_request()))).jobs[0]
    service.translations = Translations()  # its files are gone
    again = await service.submit_batch(derive.reroll(first, service.models), asker(make_request(), "again"))
    assert again.jobs[0].spec.text == "a panda"
    edited = replace(derive.reroll(first, service.models), images=(ImageOptions(prompt="старый маяк"),))
    other = await service.submit_batch(edited, asker(make_request(), "edited"))
    assert other.jobs[0].spec.text == "старый маяк"
    assert not service.unread(other.jobs[0].spec).is_untranslated  # nobody promised it
    assert dictionary.asked == ["一只熊猫"]


async def test_another_model_reads_what_it_can_read_itself(
    translating: tuple[Service, Dictionary], make_request: Callable[..., Request]
) -> None:
    service, _ = translating
    first = (await service.submit_batch(Batch.of(ImageOptions(prompt="一只熊猫")), asker(make_request()))).jobs[0]
    options = replace(derive.options_of(first, service.models), model="demo", size=None, aspect=None)
    batch = replace(derive.reroll(first, service.models), images=(options,))
    assert (await service.submit_batch(batch, asker(make_request(), "b"))).jobs[0].spec.text == "一只熊猫"


async def test_blocked_words_are_looked_for_in_both_texts(
    translating: tuple[Service, Dictionary], make_request: Callable[..., Request], jobs: JobStore
) -> None:
    service, _ = translating
    await service.moderation.words.add("blood", is_restricted=False)
    with pytest.raises(BlockedWord):
        await service.submit_batch(Batch.of(ImageOptions(prompt="血")), asker(make_request()))
    assert await jobs.unfinished() == []


async def test_translating_comes_after_every_cheaper_check(
    translating: tuple[Service, Dictionary], make_request: Callable[..., Request]
) -> None:
    service, dictionary = translating
    with pytest.raises(InvalidSpec):
        await service.submit_batch(Batch.of(ImageOptions(prompt="一只熊猫", steps=0)), asker(make_request()))
    service.stop_accepting()
    with pytest.raises(NotAccepting):
        await service.submit_batch(Batch.of(ImageOptions(prompt="一只熊猫")), asker(make_request()))
    assert dictionary.asked == []


async def test_what_waits_is_read_ahead_as_the_model_will_read_it(
    translating: tuple[Service, Dictionary], make_request: Callable[..., Request], queue: JobQueue
) -> None:
    service, _ = translating
    await service.submit_batch(Batch.of(ImageOptions(prompt="一只熊猫")), asker(make_request()))
    assert await queue.upcoming("fake") == ["a panda"]


async def test_a_negative_prompt_that_is_not_read_is_told_of(
    translating: tuple[Service, Dictionary], make_request: Callable[..., Request]
) -> None:
    service, _ = translating
    job = (await service.submit_batch(Batch.of(ImageOptions(prompt="fox")), asker(make_request()))).jobs[0]
    assert not service.unread(job.spec).is_negative_foreign
    assert service.unread(replace(job.spec, negative_prompt="模糊")).is_negative_foreign
    told = replace(job.spec, negative_prompt="模糊", translated_negative="blurry")
    assert not service.unread(told).is_negative_foreign and told.negative_text == "blurry"


PAINTS_ENGLISH = replace(PAINTER, supports=PAINTER.supports - {Feature.LANGUAGES}, reads=("en",))


@pytest.mark.parametrize(
    ("negative", "read", "asked"),
    [
        ("一只熊猫", "a panda", ["一只熊猫"]),
        ("blurry, 一只熊猫", "blurry, a panda", ["一只熊猫"]),
        ("blurry", "", []),
        ("秘密", "", ["秘密"]),  # its answer is no translation
        ("", "", []),
        (None, "", []),
    ],
)
async def test_negative_prompt_is_translated_by_the_same_rule(
    make_service: Callable[..., Service],
    make_request: Callable[..., Request],
    jobs: JobStore,
    negative: str | None,
    read: str,
    asked: list[str],
) -> None:
    service, dictionary = make_service(models=Models(usual=PAINTS_ENGLISH, is_translated=True)), Dictionary()
    service.translations = Translations(dictionary.translator())
    batch = Batch.of(ImageOptions(prompt="a fox", negative_prompt=negative), count=2)
    accepted = await service.submit_batch(batch, asker(make_request()))
    stored = await jobs.get(accepted.jobs[1].id)
    assert stored is not None
    assert (stored.spec.translated_negative, stored.spec.translated, dictionary.asked) == (read, "", asked)
    assert stored.spec.negative_prompt == (negative or "")
    service.translations = Translations()  # its files are gone: what is made of the image is drawn from the same words
    again = await service.submit_batch(derive.reroll(accepted.jobs[0], service.models), asker(make_request(), "again"))
    assert again.jobs[0].spec.negative_text == (read or negative or "")


async def test_both_prompts_are_translated_and_blocked_words_are_looked_for_in_one(
    make_service: Callable[..., Service], make_request: Callable[..., Request]
) -> None:
    """Whoever lists a word as what to avoid asks for an image without it."""
    service = make_service(models=Models(usual=PAINTS_ENGLISH, is_translated=True))
    service.translations = Translations(Dictionary().translator())
    await service.moderation.words.add("blood", is_restricted=False)
    options = ImageOptions(prompt="一只熊猫", negative_prompt="血")
    spec = (await service.submit_batch(Batch.of(options), asker(make_request()))).jobs[0].spec
    assert (spec.text, spec.negative_text) == ("a panda", "blood")
    with pytest.raises(BlockedWord):
        await service.submit_batch(Batch.of(ImageOptions(prompt="血")), asker(make_request(), "k2"))


async def test_model_without_negative_prompts_has_none_translated(
    translating: tuple[Service, Dictionary], make_request: Callable[..., Request]
) -> None:
    service, dictionary = translating
    batch = Batch.of(ImageOptions(prompt="fox", negative_prompt="一只熊猫"))
    with pytest.raises(InvalidSpec):
        await service.submit_batch(batch, asker(make_request()))
    assert dictionary.asked == []
