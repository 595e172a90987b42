"""What the app does by itself: forgetting what is old."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.app import assumed_pace, forget_prompts, prune
from bot.config import LimitsConfig
from bot.jobs import Request
from bot.store.images import ImageStore
from bot.store.jobstore import JobStore, Measurement
from pipeline import ImageSpec

NOW = 1_800_000_000


@pytest.fixture
async def drawn(
    jobs: JobStore, images: ImageStore, spec: ImageSpec, make_request: Callable[..., Request], no_limits: LimitsConfig
) -> list[str]:
    """The files of three pictures of long ago."""
    files = []
    for _ in range(3):
        await jobs.insert(make_request(), spec, size_class=0, limits=no_limits, now=NOW)
        job = await jobs.claim(now=NOW)
        files.append(await images.write(job.id, b"png"))
        measured = Measurement(step_s=1.0, fixed_s=1.0)
        await jobs.finish(job.id, image_path=files[-1], image_bytes=3, ran_s=1.0, measured=measured, now=NOW)
    return files


async def test_old_pictures_go_with_their_rows(jobs: JobStore, images: ImageStore, drawn: list[str]) -> None:
    assert await prune(jobs, images, before=NOW) == 0  # not old enough
    assert await prune(jobs, images, before=NOW + 1) == 3
    assert [images.find(file) for file in drawn] == [None] * 3
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


def test_prompts_that_nobody_has_drawn_lately_are_forgotten(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / str(number)).touch()
        os.utime(tmp_path / str(number), (NOW + number, NOW + number))
    forget_prompts(tmp_path, before=NOW + 1)
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}
    forget_prompts(tmp_path / "missing", before=NOW)


def test_job_of_a_model_that_is_gone_has_a_pace_all_the_same(spec: ImageSpec) -> None:
    import dataclasses

    assert assumed_pace(dataclasses.replace(spec, model="of an older release")).is_rough
