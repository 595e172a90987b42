"""The message of a request for several images speaks of all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.jobs import Delivery, FailureCode, Job, JobStatus, QueueStatus, ReplyTo, UserKey
from bot.presentation.batch_view import together
from bot.presentation.job_view import Action, JobView, ended_view, unfinished_view
from bot.presentation.phrases import Voice
from bot.presentation.wording import LANGUAGES, wording_for
from pipeline import ImageSpec

STANDING = QueueStatus(position=1, finish_at=2_000_000_000, is_rough=False)
SPEC = ImageSpec(prompt="x", seed=7, steps=20, width=64, height=64, guidance=3.5, cfg_scale=1.0, model="fake")


def view(number: int, status: JobStatus) -> JobView:
    is_done = status is JobStatus.DONE
    job = Job(
        id=number,
        user=UserKey(frontend="test", id="ann"),
        reply_to=ReplyTo(frontend="test", key="m", address="{}"),
        spec=replace(SPEC, seed=6 + number),
        status=status,
        attempts=0,
        interruptions=0,
        is_cancel_requested=False,
        failure_code=FailureCode.TIMEOUT if status is JobStatus.FAILED else None,
        queued_at=0,
        started_at=None,
        finished_at=None,
        ran_s=0.0,
        step_s=None,
        image_path="a.png" if is_done else None,
        image_bytes=None,
        delivery=Delivery.NONE,
        delivery_attempts=0,
    )
    return ended_view(job) if status.is_final else unfinished_view(job, STANDING, now=0)


def views(statuses: str) -> list[JobView]:
    names = {"d": JobStatus.DONE, "f": JobStatus.FAILED, "c": JobStatus.CANCELLED, "q": JobStatus.QUEUED}
    return [view(number, {**names, "r": JobStatus.RUNNING}[each]) for number, each in enumerate(statuses, start=1)]


def said(shown: JobView, language: str = "en") -> str:
    voice = Voice(wording=wording_for(language), write_moment=str)
    phrases = [shown.headline, shown.of_batch, *shown.notes, shown.settings]
    return " | ".join(voice.say(phrase) for phrase in phrases if phrase is not None)


def test_view_of_a_single_image_is_its_own() -> None:
    (single,) = views("d")
    assert together([single]) is single


@pytest.mark.parametrize(
    ("statuses", "about", "progress"),
    [("dqqq", 2, "1 of 4 images done"), ("drq", 2, "1 of 3 images done"), ("qr", 2, "0 of 2 images done")],
)
def test_unfinished_request_speaks_of_the_image_that_is_next_and_can_only_be_cancelled(
    statuses: str, about: int, progress: str
) -> None:
    shown = together(views(statuses))
    assert shown.job.id == about
    assert progress in said(shown)
    assert shown.actions == (Action.CANCEL,)


@pytest.mark.parametrize(
    ("statuses", "headline"),
    [
        ("dddd", "your 4 images are ready | #1"),
        ("ddcc", "2 of 4 images are ready | 🚫 2 images were cancelled. | #1"),
        ("cd", "1 of 2 images is ready | 🚫 One image was cancelled. | #2"),
        ("dcf", "1 of 3 images is ready | 🚫 One image was cancelled. | ❌ Not all of them worked out: Drawing took"),
        ("df", "1 of 2 images is ready | ❌ Not all of them worked out: Drawing took too long"),
    ],
)
def test_finished_request_says_how_many_there_are_and_why_not_more(statuses: str, headline: str) -> None:
    shown = together(views(statuses))
    assert headline in said(shown)
    assert Action.REROLL in shown.actions and shown.job.status is JobStatus.DONE


@pytest.mark.parametrize(("statuses", "headline"), [("cc", "cancelled"), ("fc", "Drawing took too long")])
def test_request_without_any_image_says_why(statuses: str, headline: str) -> None:
    shown = together(views(statuses))
    assert headline in said(shown) and Action.REROLL not in shown.actions


@pytest.mark.parametrize("language", LANGUAGES)
def test_settings_name_every_image_and_seed(language: str) -> None:
    text = said(together(views("dddd")), language)
    assert "#1 #2 #3 #4" in text and "7, 8, 9, 10" in text
