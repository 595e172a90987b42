"""A finished picture can be kept and erased, by its owner or whom the caller lets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from bot.config import LimitsConfig
from bot.errors import FileNotDeleted, JobNotFound, KeepsTooMany, NotYourJob, PictureErased, PictureNotReady
from bot.jobs import BatchPlace, Delivery, Job, JobStatus, Request, UserKey
from bot.requests import archive as archive_module
from bot.requests import derive
from bot.requests.archive import Archive
from bot.requests.models import Models
from bot.store.history_query import Stretch
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.retention_store import TAKE_BACK_S
from bot.store.usage_store import Measurement
from pipeline import ImageSpec
from pipeline.catalog.models import find_model

MODELS = Models(usual=find_model("fake"))
MEASURED = Measurement(step_s=1.0, fixed_s=1.0)

Drawn = Callable[..., Awaitable[Job]]


@pytest.fixture
def archive(jobs: JobStore, images: ImageStore, clock) -> Archive:
    return Archive(jobs, images, clock=clock)


@pytest.fixture
def drawn(
    jobs: JobStore,
    images: ImageStore,
    spec: ImageSpec,
    make_request: Callable[..., Request],
    no_limits: LimitsConfig,
) -> Drawn:
    """Draw a picture whose file is there."""
    spec = replace(spec, negative_prompt="rain")

    async def drawn(*, finish: bool = True, **request: object) -> Job:
        job = await jobs.insert(replace(make_request(), **request), spec, size_class=0, limits=no_limits, now=100)
        assert job is not None
        if not finish:
            return job
        await jobs.claim(job.id, now=101)
        path = await images.write(job.id, b"png")
        done = await jobs.finish(job.id, image_path=path, image_bytes=3, ran_s=1.0, measured=MEASURED, now=102)
        assert done is not None
        return done

    return drawn


async def test_erasing_takes_file_prompt_and_source(
    archive: Archive, drawn: Drawn, images: ImageStore, jobs: JobStore
) -> None:
    job = await drawn()
    assert job.image_path is not None
    path = await images.find(job.image_path)
    assert path is not None
    erased = await archive.erase(job.id, by=job.user)
    assert not path.exists()
    assert (erased.is_erased, erased.image_path, erased.spec.prompt, erased.spec.source) == (True, None, "", "")
    row = (await jobs._database.fetch_all("SELECT * FROM jobs"))[0]
    text = "".join(str(value) for value in tuple(row))
    assert job.spec.prompt not in text and job.spec.negative_prompt not in text
    assert await jobs.history(job.user, Stretch(limit=9)) == []
    with pytest.raises(PictureErased):
        derive.reroll(erased, MODELS)


async def test_erased_picture_still_counts_toward_its_day(archive: Archive, drawn: Drawn, jobs: JobStore) -> None:
    job = await drawn()
    await archive.erase(job.id, by=job.user)
    assert len((await jobs.usage(job.user, now=103)).counted) == 1


async def test_erasing_twice_is_harmless(archive: Archive, drawn: Drawn) -> None:
    job = await drawn()
    first = await archive.erase(job.id, by=job.user)
    assert await archive.erase(job.id, by=job.user) == first


async def test_message_of_an_erased_picture_is_due_to_be_taken_back_until_that_is_done(
    archive: Archive, drawn: Drawn, jobs: JobStore, clock
) -> None:
    job = await drawn()
    await jobs.delivered(job.id, job.reply_to)
    erased = await archive.erase(job.id, by=job.user)
    assert erased.delivery is Delivery.PENDING
    now = int(clock())
    assert await jobs.due(now=now, limit=9) == []  # whoever erased tries first
    assert await jobs.due(now=now + TAKE_BACK_S, limit=9) == [erased]
    await archive.taken_back(erased)
    assert await jobs.due(now=now + TAKE_BACK_S, limit=9) == []
    assert (await archive.erase(job.id, by=job.user)).delivery is Delivery.DROPPED  # once is enough


async def test_message_that_somebody_deleted_is_not_looked_for(archive: Archive, drawn: Drawn, jobs: JobStore) -> None:
    job = await drawn()
    await jobs.close_delivery(job.id, Delivery.DROPPED)
    assert (await archive.erase(job.id, by=job.user)).delivery is Delivery.DROPPED


async def test_file_that_cannot_be_deleted_keeps_its_row(
    archive: Archive, drawn: Drawn, images: ImageStore, monkeypatch: pytest.MonkeyPatch, jobs: JobStore
) -> None:
    async def refuse(_path: str) -> bool:
        return False

    job = await drawn()
    monkeypatch.setattr(images, "delete", refuse)
    with pytest.raises(FileNotDeleted):
        await archive.erase(job.id, by=job.user)
    assert await jobs.get(job.id) == job


async def test_unfinished_job_is_cancelled_and_not_erased(archive: Archive, drawn: Drawn) -> None:
    job = await drawn(finish=False)
    with pytest.raises(PictureNotReady):
        await archive.erase(job.id, by=job.user)


@pytest.mark.parametrize("job_id", [0, -1, 999, 2**70])
async def test_number_of_nobody_is_not_found(archive: Archive, job_id: int) -> None:
    somebody = UserKey(frontend="test", id="x")
    with pytest.raises(JobNotFound):
        await archive.erase(job_id, by=somebody)
    with pytest.raises(JobNotFound):
        await archive.set_kept(job_id, is_kept=True, by=somebody)


async def test_others_may_keep_if_the_caller_says_so_and_erase_never(
    archive: Archive, drawn: Drawn, jobs: JobStore
) -> None:
    job, stranger = await drawn(), UserKey(frontend="test", id="stranger")
    with pytest.raises(NotYourJob):
        await archive.erase(job.id, by=stranger)
    with pytest.raises(NotYourJob):
        await archive.set_kept(job.id, is_kept=True, by=stranger)
    assert await jobs.get(job.id) == job
    assert (await archive.set_kept(job.id, is_kept=True, by=stranger, may=lambda _job: True)).is_kept


async def test_kept_picture_is_not_forgotten_and_can_be_let_go(archive: Archive, drawn: Drawn, jobs: JobStore) -> None:
    job = await drawn()
    assert (await archive.set_kept(job.id, is_kept=True, by=job.user)).is_kept
    assert (await archive.set_kept(job.id, is_kept=True, by=job.user)).is_kept  # twice is harmless
    assert await jobs.ended_before(10**9, limit=9) == []
    assert not (await archive.set_kept(job.id, is_kept=False, by=job.user)).is_kept
    assert [old.id for old in await jobs.ended_before(10**9, limit=9)] == [job.id]


async def test_nobody_keeps_more_than_one_person_may(
    archive: Archive, drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "MAX_KEPT", 1)
    first, second = await drawn(), await drawn()
    other = await drawn(user=UserKey(frontend="test", id="other"))
    await archive.set_kept(first.id, is_kept=True, by=first.user)
    with pytest.raises(KeepsTooMany):
        await archive.set_kept(second.id, is_kept=True, by=second.user)
    assert (await archive.set_kept(other.id, is_kept=True, by=other.user)).is_kept
    await archive.set_kept(first.id, is_kept=False, by=first.user)
    assert (await archive.set_kept(second.id, is_kept=True, by=second.user)).is_kept


async def test_what_has_no_picture_cannot_be_kept(archive: Archive, drawn: Drawn) -> None:
    waiting = await drawn(finish=False)
    with pytest.raises(PictureNotReady):
        await archive.set_kept(waiting.id, is_kept=True, by=waiting.user)
    erased = await archive.erase((await drawn()).id, by=waiting.user)
    with pytest.raises(PictureErased):
        await archive.set_kept(erased.id, is_kept=True, by=erased.user)


async def test_siblings_are_the_images_of_one_request_in_their_order(archive: Archive, drawn: Drawn) -> None:
    batch = [await drawn(batch=BatchPlace(batch_id="b", index=index)) for index in (1, 0)]
    alone = await drawn()
    assert [job.id for job in await archive.siblings(batch[0])] == [batch[1].id, batch[0].id]
    assert [job.id for job in await archive.siblings(alone)] == [alone.id]
    assert alone.status is JobStatus.DONE
