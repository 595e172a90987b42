"""What is old goes, what is new has a number of its own, and nothing that happens on the way ends that."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bot import maintenance, supervision
from bot.config import LimitsConfig, StorageConfig
from bot.deadline import Deadline
from bot.errors import StoreUnavailable
from bot.jobs import Request
from bot.maintenance import (
    beat_forever,
    believed_moment,
    continue_numbers,
    forget_prompts,
    prune,
    prune_forever,
    prune_strays,
)
from bot.store.horizon import DAY_S
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.lock import last_beat, lock_path
from bot.store.usage_store import Measurement
from pipeline import ImageSpec
from tests.bot.scheduling.claiming import claim_next

NOW = 1_800_000_000


@pytest.fixture
async def drawn(
    jobs: JobStore, images: ImageStore, spec: ImageSpec, make_request: Callable[..., Request], no_limits: LimitsConfig
) -> list[str]:
    """The files of three pictures of long ago."""
    files = []
    for _ in range(3):
        await jobs.insert(make_request(), spec, size_class=0, limits=no_limits, now=NOW)
        job = await claim_next(jobs, now=NOW)
        files.append(await images.write(job.id, b"png"))
        measured = Measurement(step_s=1.0, fixed_s=1.0)
        await jobs.finish(job.id, image_path=files[-1], image_bytes=3, ran_s=1.0, measured=measured, now=NOW)
    return files


async def test_old_pictures_go_with_their_rows(jobs: JobStore, images: ImageStore, drawn: list[str]) -> None:
    assert await prune(jobs, images, before=NOW) == 0  # not old enough
    assert await prune(jobs, images, before=NOW + 1) == 3
    assert [await images.find(file) for file in drawn] == [None] * 3
    assert (await jobs.totals(since=0)).done == 0


async def test_picture_that_cannot_be_deleted_keeps_its_row_for_the_next_time(
    jobs: JobStore, images: ImageStore, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = images.delete

    async def stubborn(relative: str) -> bool:
        return relative != drawn[1] and await delete(relative)

    with monkeypatch.context() as patch:
        patch.setattr(images, "delete", stubborn)
        assert await prune(jobs, images, before=NOW + 1) == 2
        assert await prune(jobs, images, before=NOW + 1) == 0
    assert await prune(jobs, images, before=NOW + 1) == 1


async def test_pictures_that_cannot_be_deleted_hold_up_no_others(
    jobs: JobStore, images: ImageStore, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = images.delete

    async def stubborn(relative: str) -> bool:
        return relative not in drawn[:2] and await delete(relative)

    monkeypatch.setattr(images, "delete", stubborn)
    monkeypatch.setattr(maintenance, "PRUNE_BATCH", 1)
    assert await prune(jobs, images, before=NOW + 1) == 1
    assert [await images.find(file) is None for file in drawn] == [False, False, True]


async def test_pictures_without_a_row_go_when_they_are_as_old_as_history(
    jobs: JobStore, images: ImageStore, drawn: list[str]
) -> None:
    stray = await images.write(2, b"of a database that was moved away")
    young = await images.write(9999, b"just drawn")
    for file in (*drawn, stray, young):
        path, written_at = await images.find(file), NOW + 60 * (file == young)
        assert path is not None
        os.utime(path, (written_at, written_at))
    assert await prune_strays(jobs, images, before=NOW) == 0
    assert await prune_strays(jobs, images, before=NOW + 1) == 1
    assert [file for file in (*drawn, young, stray) if await images.find(file) is None] == [stray]


async def test_one_start_with_the_clock_far_ahead_deletes_nothing(
    jobs: JobStore, settings: SettingStore, drawn: list[str]
) -> None:
    ahead = NOW + 91 * DAY_S
    assert await believed_moment(jobs, settings, now=ahead) == NOW  # the newest row is of then
    assert await believed_moment(jobs, settings, now=ahead + 3600) == NOW
    assert await believed_moment(jobs, settings, now=NOW + 3600) == NOW + 3600  # set right again
    await believed_moment(jobs, settings, now=ahead)
    assert await believed_moment(jobs, settings, now=ahead + DAY_S) == ahead + DAY_S  # it stayed so


async def test_numbers_go_on_after_the_pictures_that_are_there_and_that_is_said_loudly(
    jobs: JobStore, images: ImageStore, drawn: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    await continue_numbers(jobs, images)
    assert (caplog.records, await jobs.last_number()) == ([], 3)
    await images.write(1042, b"of a newer database")
    await continue_numbers(jobs, images)
    assert await jobs.last_number() == 1042
    (record,) = caplog.records
    assert record.levelname == "CRITICAL" and "pictures up to number 3 only" in record.getMessage()
    await continue_numbers(jobs, images)
    assert len(caplog.records) == 1


async def test_empty_database_beside_pictures_is_said_loudly_and_numbers_none_of_them_again(
    jobs: JobStore,
    images: ImageStore,
    spec: ImageSpec,
    make_request: Callable[..., Request],
    no_limits: LimitsConfig,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await images.write(7, b"of the database that was moved away")
    await continue_numbers(jobs, images)
    assert "the database is empty" in caplog.text
    job = await jobs.insert(make_request(), spec, size_class=0, limits=no_limits, now=NOW)
    assert job is not None and job.id == 8


def test_prompts_that_nobody_has_drawn_lately_are_forgotten(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / str(number)).touch()
        os.utime(tmp_path / str(number), (NOW + number, NOW + number))
    forget_prompts(tmp_path, before=NOW + 1)
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}
    forget_prompts(tmp_path / "missing", before=NOW)


async def test_pruning_goes_on_after_whatever_happened(
    jobs: JobStore,
    images: ImageStore,
    settings: SettingStore,
    drawn: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended_before, troubles = jobs.ended_before, [KeyError("a column"), StoreUnavailable("locked", is_full=False)]

    async def troubled(moment: int, *, limit: int) -> object:
        if troubles:
            raise troubles.pop()
        return await ended_before(NOW + 1, limit=limit)

    monkeypatch.setattr(jobs, "ended_before", troubled)
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.01)
    pruning = asyncio.create_task(
        prune_forever(jobs, images, settings, StorageConfig(data_dir=tmp_path, history_days=1), Deadline())
    )
    while (await jobs.totals(since=0)).done:
        await asyncio.sleep(0.01)
    pruning.cancel()
    await asyncio.wait([pruning])
    assert pruning.cancelled()


async def test_sign_of_life_is_given_again_after_an_error_and_taken_back_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "BEAT_EVERY_S", 0.001)
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.001)
    database = tmp_path / "imagine-bot.db"  # whose lock file is not there at first
    beating = asyncio.create_task(beat_forever(database, Deadline()))
    await asyncio.sleep(0)
    lock_path(database).touch()
    os.utime(lock_path(database), (1, 1))
    while last_beat(database) == 1:
        await asyncio.sleep(0.001)
    assert last_beat(database) == pytest.approx(time.time(), abs=60)
    beating.cancel()
    await asyncio.wait([beating])
    assert last_beat(database) is None
